/* SPDX-License-Identifier: MIT
 * engine/proc/sandbox_inside.h - what the files of the sandbox share. sandbox.c calls the others,
 * sandbox_calls.c asks sandbox_files.c and sandbox_sockets.c. */
#ifndef TIDE_PROC_SANDBOX_INSIDE_H
#define TIDE_PROC_SANDBOX_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/sandbox.h"

/* ---- sandbox_files.c: Landlock ---- */

/** The version of the interface; 0 = this kernel has none, or it is switched off. */
uint32_t tide_sandbox_files_support(void);
/** Whether anything may be written but devices without contents. */
bool tide_sandbox_writes(const struct tide_plan_sandbox *plan);
/** From here on files are opened only as the plan says. Each call adds a layer: what one of them refuses is refused.
 * `worker`: of /proc only this process's own folder is left. */
int tide_sandbox_files(const struct tide_plan_sandbox *plan, uint32_t landlock, bool worker);

/* ---- sandbox_calls.c: seccomp ---- */

bool tide_sandbox_calls_support(void);
/** From here on only the system calls of the zygote and of workers are there. */
int tide_sandbox_calls_zygote(const struct tide_plan_sandbox *plan, uint32_t landlock);
/** The same for the connector, which may make pairs of sockets, too. */
int tide_sandbox_calls_connector(const struct tide_plan_sandbox *plan, uint32_t landlock);
/** And from here on no process is made any more. */
int tide_sandbox_calls_worker(void);

/* ---- sandbox_sockets.c: the part of that filter that is about sockets, and how rules are added to a filter of libseccomp.
 * Each returns 0, or an error as libseccomp does ---- */

struct scmp_arg_cmp;
/* An argument of 32 bits; what is above them is not looked at by the kernel either. */
#define TIDE_FILTER_WHOLE 0xffffffffu

/** A call whose arguments are all as said. */
int tide_filter_add(void *filter, uint32_t action, const char *call, uint32_t count,
                    const struct scmp_arg_cmp *arguments);
/** Calls whatever their arguments, separated by spaces. */
int tide_filter_add_names(void *filter, uint32_t action, const char *names);
int tide_filter_add_sockets(void *filter, const struct tide_plan_sandbox *plan);

/* ---- sandbox_process.c: what a process gives up about itself ---- */

/** Blanks all environment variables but those of the plan and the few that the C library reads for its output. */
void tide_sandbox_environment(const struct tide_plan_sandbox *plan);
/** Closes all descriptors above 2 but these. */
void tide_sandbox_descriptors(const int *keep, uint32_t keep_count);
/** No core file, unless RLIMIT_CORE says that there shall be one. */
void tide_sandbox_undumpable(void);
/** No capability, none to get, and no core file. */
int tide_sandbox_privileges(void);

#endif
