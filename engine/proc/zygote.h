/* SPDX-License-Identifier: MIT
 * engine/proc/zygote.h - the engine's side of the zygote: the process that has the user's code loaded and forks the
 * workers. It is made while the engine has one thread; when it is lost, the engine stops. */
#ifndef TIDE_PROC_ZYGOTE_H
#define TIDE_PROC_ZYGOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/lookup_view.h"
#include "proc/protocol.h"

struct tide_worker_limits;
struct tide_zygote;
struct tide_plan_sandbox;
struct tide_loop;
struct tide_block;

/** Makes the sockets for `workers` slots in all (over all pools). NULL with tide_error(). */
struct tide_zygote *tide_zygote_new(struct tide_loop *loop, uint32_t workers);
/** All blocks that the engine has mapped: who may write to which says shm/block.h. The array is copied. */
void tide_zygote_blocks(struct tide_zygote *zygote, struct tide_block **blocks, uint32_t count);
/** How many bytes the zygote may take while it loads the user's code; 0 = no limit. */
void tide_zygote_load_memory(struct tide_zygote *zygote, uint64_t bytes);
/** How many bytes a worker may take beyond what is loaded before it is forked; 0 = no limit. */
void tide_zygote_memory(struct tide_zygote *zygote, uint64_t bytes);
/** What the worker of a slot may take. To be called before the fork. */
int tide_zygote_limit_worker(struct tide_zygote *zygote, uint32_t worker,
                             const struct tide_worker_limits *limits);
/** Whether a crash of a worker or of the zygote leaves a core file. */
void tide_zygote_core_dumps(struct tide_zygote *zygote, bool core_dumps);
enum tide_log_moment {
    TIDE_LOG_IF_READABLE, /* costs nothing when the loop has not found something to read */
    TIDE_LOG_AT_ONCE,
    TIDE_LOG_ENDS /* the worker is gone */
};
/** Passes on what the worker of a slot has written to standard output and error. Returns how many lines were dropped
 * (proc/worker_log.h). */
uint64_t tide_zygote_read_log(struct tide_zygote *zygote, uint32_t worker, int64_t now_us,
                              enum tide_log_moment when);
/** In which sandbox user code runs (proc/sandbox.h). Copied. Without this call it runs in none. */
void tide_zygote_sandbox(struct tide_zygote *zygote, const struct tide_plan_sandbox *sandbox);
/** How long the zygote may take for each piece of the user's code that it loads; 0 = for ever. */
void tide_zygote_limit(struct tide_zygote *zygote, int64_t limit_us);
/** There are to be later revisions (tide_zygote_next): the forker is forked with the zygote. Before that. */
void tide_zygote_reloads(struct tide_zygote *zygote);
/** As fork(): 0 in the zygote, which goes on with proc/worker.h, and in the forker (tide_zygote_is_forker), which goes on with
 * tide_forker_serve. Refused with TIDE_EINTERNAL once this process has a second thread (a forked librdkafka or a held lock
 * would hang there), with TIDE_ECONFIG where the kernel cannot keep what the sandbox is to keep. What a lesser kernel leaves
 * open is logged. */
int tide_zygote_fork(struct tide_zygote *zygote);
bool tide_zygote_is_forker(const struct tide_zygote *zygote);
/** Blocks until the user's code is loaded: TIDE_OK. TIDE_ECONFIG or TIDE_ETEMPORARY, with its text, when it cannot be;
 * TIDE_ECONFIG too when the zygote died, or reached a limit. TIDE_BUSY when the descriptor `wake` (-1 = none) has
 * something to read before that. */
int tide_zygote_wait_loaded(struct tide_zygote *zygote, int wake);
/** The same without waiting, to be called again and again: TIDE_BUSY as long as it is not loaded. TIDE_OK also when it found
 * that nothing has changed (tide_zygote_leave_unchanged); then it is about to end. */
int tide_zygote_look_loaded(struct tide_zygote *zygote);
/** The zygote of the next revision, which the forker forks and which loads the pipeline file anew. It has the worker slots
 * of `zygote`, as long as one of both is free to spawn a worker there (pool.h). `known`: the mark of what is loaded, "" = load
 * in any case. NULL with tide_error(): TIDE_ETEMPORARY. */
struct tide_zygote *tide_zygote_next(struct tide_zygote *zygote, const char *known);
/** The next revision takes the place of `zygote`: the slots are its own now. It may be handed over back again. */
void tide_zygote_hand_over(struct tide_zygote *zygote, struct tide_zygote *next);
/** The mark of the files that it has loaded, as it said itself (tide_zygote_set_mark); "" = none. */
const char *tide_zygote_mark(const struct tide_zygote *zygote);
/** The zygote has found that its files are those that were loaded before. */
bool tide_zygote_is_unchanged(const struct tide_zygote *zygote);
/** The engine's socket of a worker slot, to send jobs and read reports; owned by the zygote. */
int tide_zygote_socket(const struct tide_zygote *zygote, uint32_t worker);
/** Sends a command. TIDE_BUSY: the zygote has its queue full of them, or the kernel does not take more descriptors; later. */
int tide_zygote_send(struct tide_zygote *zygote, enum tide_zygote_command_kind kind,
                     uint32_t worker, uint32_t generation);
/** Takes the next event. 1 = there was one, 0 = none now, TIDE_ETEMPORARY = the zygote is lost. What is no event is ignored
 * and counted, but a zygote that sends nothing else is lost too. */
int tide_zygote_receive(struct tide_zygote *zygote, struct tide_zygote_event *event);
/** The event that was taken last breaks the protocol: nothing was done with it. */
void tide_zygote_false_event(struct tide_zygote *zygote, const char *why);
/** How many events broke the protocol. */
uint32_t tide_zygote_false_events(const struct tide_zygote *zygote);
/** How many events were received: as long as the number grows, the zygote lives. */
uint64_t tide_zygote_events_received(const struct tide_zygote *zygote);
int32_t tide_zygote_pid(const struct tide_zygote *zygote);

/** What tide_zygote_hold returns in place of a descriptor: */
enum tide_worker_hold {
    TIDE_HOLD_NONE = -1, /* there is no such process any more: its event EXITED will come */
    TIDE_HOLD_FOREIGN =
        -2, /* the zygote is not its parent, or that cannot be seen: it is not to be killed */
    TIDE_HOLD_PLAYED = -3 /* in the simulation */
};
/** Takes hold of the process that an event SPAWNED has named, so that the signal which kills it cannot reach another one
 * that has its number later: a pidfd, which the caller closes. User code may have got hold of the zygote, so the name is
 * believed only of a child of the zygote. */
int tide_zygote_hold(const struct tide_zygote *zygote, int32_t pid);
/** Asks the worker for its last words, after which it ends by itself (SIGXCPU, proc/crash.h). False when it is not held. */
bool tide_zygote_ask(const struct tide_zygote *zygote, int hold);
/** Kills the worker by what tide_zygote_hold has returned; nothing happens when it is gone. */
void tide_zygote_kill(const struct tide_zygote *zygote, int hold, uint32_t worker,
                      uint32_t generation);
/** Takes the dead that were left to this process because their parents are gone: what scripts have forked, where the
 * engine is the first process of a container, or a subreaper. Elsewhere it does nothing. */
void tide_zygote_reap_orphans(const struct tide_zygote *zygote);
/** What is known of lookup table `index`, in the order of their numbers. False past the last one. */
bool tide_zygote_lookup(const struct tide_zygote *zygote, uint32_t index,
                        struct tide_lookup_view *view);
/** The sums of all lookup tables. */
void tide_zygote_lookup_totals(const struct tide_zygote *zygote, struct tide_lookup_totals *totals);
/** Whether a version of a lookup table is there that was replaced. */
bool tide_zygote_keeps_lookups(const struct tide_zygote *zygote);
/** Tells it which of these nobody reads: each job that its workers are in began at `since_us` or later. */
void tide_zygote_unused_lookups(struct tide_zygote *zygote, int64_t since_us);
/** Nothing is received from it any more, and no log is read before its end: neither wakes the loop. */
void tide_zygote_unwatch(struct tide_zygote *zygote);
/** Ends the zygote and with it the workers, and waits for it. One whose slots are another's has no workers, and is ended at
 * once. NULL is fine. */
void tide_zygote_free(struct tide_zygote *zygote);

#endif
