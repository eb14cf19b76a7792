/* SPDX-License-Identifier: MIT
 * engine/proc/pool.h - the engine's side of a set of worker processes: gives waiting work to workers, takes
 * reports, replaces the lost. A pool owns processes and no blocks; several steps may share it.
 *
 * State of a work, as its step sees it:
 *   state     who             next
 *   IDLE      step            tide_pool_submit
 *   WAITING   pool            GIVEN, once a worker has room: works of later steps go first (they free
 *                             what earlier ones wait for), then the older; a `fresh` one, once there is a worker
 *                             that has run nothing: one is set aside, and replaced when it has nothing to do
 *   GIVEN     worker          DONE (its report; `status`), or its worker is lost: LOST for the one that
 *                             it was at, WAITING again for those behind it
 *   DONE      step            takes the results, sets IDLE
 *   LOST      step            takes the results up to progress; `attributed` when the worker died inside the loop */
#ifndef TIDE_PROC_POOL_H
#define TIDE_PROC_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/protocol.h"

enum tide_work_state {
    TIDE_WORK_IDLE,
    TIDE_WORK_WAITING,
    TIDE_WORK_GIVEN,
    TIDE_WORK_DONE,
    TIDE_WORK_WORKER_LOST
};

/** Embedded in a step's batch. Between submit and DONE/LOST it belongs to the pool. */
struct tide_work {
    struct tide_job job;
    enum tide_work_state state;
    uint64_t sequence; /* among works of one step, the lowest goes first */
    bool continued;    /* goes on with a block: before those that begin one */
    bool fresh; /* for a worker that has run nothing: an older one may die of what came before */
    uint32_t worker;
    enum tide_job_status status;
    uint64_t busy_ns;
    bool whole_batch; /* DONE: busy_ns is of a function that takes the whole batch */
    bool attributed;
    bool several;       /* blamed: it died in a function that had several records */
    bool timed_out;     /* LOST: killed, since one record took longer than the limit */
    bool out_of_memory; /* LOST: it was refused more memory */
    bool violation;     /* LOST: what its worker left made no sense (tide_pool_report_violation) */
    int32_t death;      /* LOST: wait status of the worker */
    struct tide_work *next;
};

struct tide_pool;
struct tide_zygote;
struct tide_loop;
struct tide_counters;
struct tide_zygote_event;

/** Places `first` .. `first + processes` of the zygote. `row` of the counters gets what is counted here. */
struct tide_pool *tide_pool_new(struct tide_zygote *zygote, struct tide_loop *loop, uint32_t first,
                                uint32_t processes, struct tide_counters *counters);
/** The row and the depth (batches that may wait behind the running one) of one more step that uses it. */
void tide_pool_join(struct tide_pool *pool, uint32_t row, uint32_t prefetch);
/** How long a worker may be at one record; 0 = for ever. Counted only inside the loop over a block, and by at
 * most a second a poll, so that a stopped engine finds nobody late. Kept from outside, by SIGKILL: it holds
 * in C functions and compiled loops too. */
void tide_pool_limit(struct tide_pool *pool, int64_t limit_us);
/** The same for each `start` hook: one that takes longer ends the run while none was through, else its worker. */
void tide_pool_limit_start(struct tide_pool *pool, int64_t limit_us);
/** Orders all workers. After the zygote has loaded. */
int tide_pool_start(struct tide_pool *pool);
void tide_pool_submit(struct tide_pool *pool, struct tide_work *work);
/** Takes back what waits; what is given comes back by its report. True when it is IDLE now. */
bool tide_pool_withdraw(struct tide_pool *pool, struct tide_work *work);
/** Reads reports, gives out work. Negative = give up: a `start` hook failed and none went well before
 * (TIDE_ECONFIG, with its text; TIDE_ETEMPORARY where it said tide.retry), or workers die again and again before they are ready, or the zygote does nothing that
 * it is told (TIDE_ETEMPORARY). */
int tide_pool_poll(struct tide_pool *pool, int64_t now_us);
/** True when the notice was about one of its places. */
bool tide_pool_zygote_event(struct tide_pool *pool, const struct tide_zygote_event *notice,
                            int64_t now_us);
/** What is in the blocks of this work, which was DONE or LOST, makes no sense: has its worker killed, which gets no
 * more work and is blamed for nothing else that it has. The work is GIVEN until that worker is gone, so that nobody
 * writes to its blocks any more; then LOST. */
void tide_pool_report_violation(struct tide_pool *pool, struct tide_work *work);
/** A worker has nothing to do. */
bool tide_pool_has_idle(const struct tide_pool *pool);
uint32_t tide_pool_processes(const struct tide_pool *pool);
/** Process id of worker `index` of this pool, 0 while there is none that is ready. */
int32_t tide_pool_pid(const struct tide_pool *pool, uint32_t index);
/** Workers lost since the start. */
uint64_t tide_pool_workers_lost(const struct tide_pool *pool);
void tide_pool_free(struct tide_pool *pool); /* NULL is fine */

#endif
