/* SPDX-License-Identifier: MIT
 * engine/proc/sandbox_inside.h - what the files of the sandbox share. sandbox.c calls the other three, and
 * sandbox_calls.c asks sandbox_files.c. */
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
/** And from here on no process is made any more. */
int tide_sandbox_calls_worker(void);

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
