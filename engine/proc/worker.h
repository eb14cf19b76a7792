/* SPDX-License-Identifier: MIT
 * engine/proc/worker.h - the child's side: what lua/tidemill/run/worker.lua calls in the zygote and in a
 * worker. Both ignore INT, TERM and HUP (a Ctrl-C reaches the whole group; the engine alone decides),
 * have standard output joined to standard error (only the engine writes data), and die with their parent.
 *
 * Memory: a worker may take so much beyond what the zygote had loaded (tide_zygote_memory; RLIMIT_DATA: heap and
 * private mappings, of Lua and of C). One that is refused more leaves with TIDE_EXIT_MEMORY: where Lua asked
 * (run/memory.c), or, where C code did not cope, in the signal or exit() that came of it. The kernel takes
 * workers before the engine when the machine is out of memory (oom_score_adj). */
#ifndef TIDE_PROC_WORKER_H
#define TIDE_PROC_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/protocol.h"

struct tide_zygote;
struct tide_output;

/** In the zygote: begins with a piece of the user's code, as "init: t.lua:5". */
void tide_zygote_loading(struct tide_zygote *zygote, const char *what);
/** In the zygote, once: the user's code is loaded (`error` NULL); or it cannot be, with the text
 * to tell, and this does not return. `again`: what it needs may be there later. */
void tide_zygote_loaded(struct tide_zygote *zygote, const char *error, bool again);
/** In the zygote: forks workers as ordered. Returns in each new worker only, with its place's number;
 * the zygote itself leaves by _exit when the engine is gone, and its workers with it: at the latest
 * `patience_us` later, which they may use to close what they have open. */
int tide_zygote_serve(struct tide_zygote *zygote, int64_t patience_us);

/** In a worker: begins with a `start` hook, as "start: t.lua:7". */
void tide_worker_starting(struct tide_zygote *zygote, const char *what);
/** In a worker, once, before it asks for jobs: its `start` hooks are through (`error` NULL); or one failed,
 * with the text to tell, and this does not return. `again`: what it needs may be there later. */
void tide_worker_started(struct tide_zygote *zygote, const char *error, bool again);
/** In a worker: the next job. 1 = there is one; 0 = none now (`wait` false); -1 = the engine is gone. */
int tide_worker_next(struct tide_zygote *zygote, struct tide_job *job, bool wait);
/** Marks the loop over a block as entered or left (shm/layout.h: what a death in between is blamed on). */
void tide_worker_running(struct tide_output *output, uint32_t running);
/** Records before `next` are done; their results fill `bytes`. One release store. A C call on purpose:
 * LuaJIT may move a plain FFI store out of a loop. */
void tide_worker_publish(struct tide_output *output, uint32_t next, uint32_t bytes);
/** `together`: a function takes the whole batch at once. */
void tide_worker_report(struct tide_zygote *zygote, const struct tide_job *job,
                        enum tide_job_status status, bool whole_batch);
/** 32 random bits from the kernel: fork copies the state of math.random, so zygote and workers begin anew. */
uint32_t tide_worker_seed(void);
void tide_worker_exit(int code) __attribute__((noreturn));

#endif
