/* SPDX-License-Identifier: MIT
 * engine/proc/worker.h - what lua/tidemill/run/worker.lua calls in the zygote and in the workers. Both ignore INT, TERM
 * and HUP (a Ctrl-C reaches the whole group; the engine alone decides), have standard output joined to standard error
 * (only the engine writes data), and die with their parent.
 *
 * Memory: a worker may take a given number of bytes more than the zygote had loaded (tide_zygote_memory; RLIMIT_DATA:
 * heap and private mappings, of Lua and of C). A worker that is refused more leaves with TIDE_EXIT_MEMORY: where Lua asked
 * for it (run/memory.c), or, where C code did not cope, in the signal handler or exit() that follows. When the machine is
 * out of memory, the kernel takes workers before the engine (oom_score_adj). */
#ifndef TIDE_PROC_WORKER_H
#define TIDE_PROC_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/protocol.h"

struct tide_zygote;
struct tide_plan_sandbox;
struct tide_output;
struct tide_lookups;

/* In the zygote: */

/** Tells the engine that loading a piece of the user's code begins, as "init: t.lua:5". */
void tide_zygote_loading(struct tide_zygote *zygote, const char *what);
/** The lookup tables of zygote and workers. */
struct tide_lookups *tide_zygote_lookups(struct tide_zygote *zygote);
/** Tells the engine what became of readings of their files. */
void tide_zygote_tell_lookups(struct tide_zygote *zygote);
/** Tells the engine, once, that the user's code is loaded (`error` NULL); or that it cannot be, with the reason, and then
 * it does not return. `again`: what the code needs may be there later. */
void tide_zygote_loaded(struct tide_zygote *zygote, const char *error, bool again);
/** Which revision of the transforms this zygote is to load: 1 for the first. A later one reads the pipeline file by itself,
 * and enters the sandbox after that (tide_zygote_confine). */
uint32_t tide_zygote_revision(const struct tide_zygote *zygote);
/** What the files that are loaded are known by, 63 bytes at most: tide_zygote_loaded tells it to the engine. */
void tide_zygote_set_mark(struct tide_zygote *zygote, const char *mark);
/** Ends the zygote of a later revision when this is the mark of what is loaded already; else it returns. */
void tide_zygote_leave_unchanged(struct tide_zygote *zygote, const char *mark);
/** Enters the sandbox, that of the plan (NULL = as it was before the fork). Does not return when that fails. */
void tide_zygote_confine(struct tide_zygote *zygote, const struct tide_plan_sandbox *sandbox);
/** Forks workers as the engine commands. Returns in each new worker only, with the number of its slot. The zygote itself
 * ends by _exit when the engine is gone, and its workers with it: at the latest after `patience_us`, in which they may
 * close what they have open. */
int tide_zygote_serve(struct tide_zygote *zygote, int64_t patience_us);

/* In a worker: */

/** Tells the engine that a `start` hook begins, as "start: t.lua:7". */
void tide_worker_starting(struct tide_zygote *zygote, const char *what);
/** Tells the engine, once, before the first job, that the `start` hooks have run (`error` NULL); or that one failed, with
 * the reason, and then it does not return. `again`: what the hook needs may be there later. */
void tide_worker_started(struct tide_zygote *zygote, const char *error, bool again);
/** Takes the next job. 1 = there is one; 0 = none now (`wait` false); -1 = the engine is gone, or needs this worker no
 * longer; 2 = there is an order in place of a job (tide_worker_order). */
int tide_worker_next(struct tide_zygote *zygote, struct tide_job *job, bool wait);
/** The order that came last. Valid until the next call of tide_worker_next. */
const struct tide_order *tide_worker_order(const struct tide_zygote *zygote);
/** Answers PROFILE_END, in pieces. What is beyond TIDE_PROFILE_BYTES is not sent. */
void tide_worker_answer(struct tide_zygote *zygote, const char *bytes, size_t size);
/** Marks that the loop over a block begins or ends (enum tide_running, shm/layout.h), so that a crash from here on is
 * attributed to the record in progress, or to none. */
void tide_worker_running(struct tide_output *output, uint32_t running);
/** Publishes progress: the results of the records before `next` are complete, and fill `bytes` bytes. One release store.
 * A C call on purpose: LuaJIT may move a plain FFI store out of a loop. */
void tide_worker_publish(struct tide_output *output, uint32_t next, uint32_t bytes);
/** Sends the report of a job. `whole_batch`: one of its functions takes the whole batch at once. */
void tide_worker_report(struct tide_zygote *zygote, const struct tide_job *job,
                        enum tide_job_status status, bool whole_batch);
/** 32 random bits from the kernel: fork copies the state of math.random, so zygote and workers need a seed each. */
uint32_t tide_worker_seed(void);
void tide_worker_exit(int code) __attribute__((noreturn));

#endif
