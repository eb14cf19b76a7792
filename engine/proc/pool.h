/* SPDX-License-Identifier: MIT
 * engine/proc/pool.h - the engine's side of a set of worker processes: gives waiting work to workers, takes their
 * reports, replaces those that are lost. A pool owns processes and no blocks; several steps may share it.
 *
 * A work (struct tide_work, embedded in a step's batch) is a job together with what came of it. Its state, as the step
 * sees it:
 *   state        owner    next
 *   IDLE         step     WAITING, by tide_pool_submit
 *   WAITING      pool     GIVEN, once a worker has room: work of later steps goes first (it frees what earlier steps
 *                         wait for), then the older one. A `fresh` one is given once there is a worker that has run
 *                         nothing: a slot is reserved for it, and its worker replaced when it has nothing to do
 *   GIVEN        worker   DONE, by its report (`status`). When its worker is lost: WORKER_LOST if the worker ran it,
 *                         WAITING again if it was queued behind that
 * A work has an output block (`output`) from GIVEN on, one of the worker's slot. It stays with the work in DONE and
 * WORKER_LOST, until the step gives it back; when the work is WAITING again, the pool has given it back.
 *   DONE         step     IDLE, when the step has taken the results
 *   WORKER_LOST  step     IDLE, when the step has taken the results up to progress. `attributed` tells whether the
 *                         worker died at a record: then it is the record in progress */
#ifndef TIDE_PROC_POOL_H
#define TIDE_PROC_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proc/profile.h"
#include "proc/protocol.h"
#include "proc/worker_view.h"

enum tide_work_state {
    TIDE_WORK_IDLE,
    TIDE_WORK_WAITING,
    TIDE_WORK_GIVEN,
    TIDE_WORK_DONE,
    TIDE_WORK_WORKER_LOST
};

enum { TIDE_SLOW_OF_WORK = 4 };

/** A job together with what came of it. Between submit and DONE or WORKER_LOST it belongs to the pool. */
struct tide_work {
    /* set by the step before tide_pool_submit */
    struct tide_job job;          /* but for number, worker, generation and output */
    struct tide_outputs *outputs; /* the blocks of the step */
    uint32_t row;                 /* of the counters where the time of the worker is charged */
    uint64_t sequence;            /* among the work of one step, the lowest goes first */
    bool continued;               /* goes on with a batch: before work that begins one */
    bool
        begins_again; /* the worker may go back to the first record, once for each that it leaves out */
    bool pinned;      /* only for one worker: that of its lane */
    uint32_t lane; /* if it is pinned; lanes are spread over the processes by their numbers */
    bool
        canary; /* for a worker of the next revision, which has nothing to do (tide_pool_next_has_idle) */
    bool fresh; /* for a worker that has run nothing: an older one may die of what it ran before */

    enum tide_work_state state;
    uint32_t worker;   /* GIVEN: the number of its slot */
    uint32_t revision; /* from GIVEN on: of the transforms that this worker runs */
    int64_t given_us;
    struct tide_output_block *output; /* NULL = none */

    /* GIVEN: where the worker was seen at one place for long; cleared by tide_pool_submit */
    struct tide_slow_record {
        uint32_t record;       /* checked: a record of the job */
        bool several;          /* a function has all records of the job at once */
        bool noted;            /* the step has taken note of it, as far as it goes */
        int64_t time_us;       /* at least so long */
        int64_t seen_us;       /* when the worker was seen there last */
    } slow[TIDE_SLOW_OF_WORK]; /* the slowest; time_us 0 = none */

    /* DONE: the report */
    enum tide_job_status status;
    uint64_t busy_ns;
    uint64_t cpu_ns;   /* processor time within it */
    uint64_t delay_ns; /* time within it that the worker had no core */
    bool whole_batch;  /* busy_ns is of a function that takes the whole batch */

    /* WORKER_LOST: why */
    bool attributed;    /* the worker died at a record */
    bool several;       /* ... in a function that had several records at once */
    bool timed_out;     /* ... and was killed, since that one took longer than the limit */
    bool over_cpu;      /* ... or more processor time: timed_out is true as well */
    bool out_of_memory; /* it was refused more memory */
    bool violation;     /* it violated the protocol, or what it left in the blocks is malformed */
    int32_t death;      /* wait status of the worker */
    char crash[TIDE_CRASH_TEXT]; /* what it said of it, as text of several lines; "" = nothing */

    TAILQ_ENTRY(tide_work) next;
};

struct tide_pool;
struct tide_outputs;
struct tide_output_block;
struct tide_zygote;
struct tide_loop;
struct tide_counters;
struct tide_zygote_event;
struct tide_worker_limits;

/** A pool of the zygote's worker slots `first` to `first + processes - 1`, all of them in use. */
struct tide_pool *tide_pool_new(struct tide_zygote *zygote, struct tide_loop *loop, uint32_t first,
                                uint32_t processes, struct tide_counters *counters);
/** Adds a step that uses the pool: the row of the counters where it is counted, how many batches may wait behind the one
 * that a worker runs, and its output blocks, which live as long as the pool. */
void tide_pool_join(struct tide_pool *pool, uint32_t row, uint32_t prefetch,
                    struct tide_outputs *outputs);
/** From now on only `processes` slots are in use, 1 to all of them. The others get no more work; their workers
 * leave when they have done what they were given, and are forked anew when their slots are used again. The pool lowers the
 * number itself when a worker cannot start that is one more than there were at the start. */
void tide_pool_resize(struct tide_pool *pool, uint32_t processes);
/** How long a worker may be at one record; 0 = for ever. A worker beyond it gets SIGKILL, so the limit holds in C
 * functions and compiled loops too. At most a second counts between two polls: a stopped engine finds none beyond it. */
void tide_pool_limit(struct tide_pool *pool, int64_t limit_us);
/** The same for each `start` hook: one that takes longer ends the run while none has run well, else its worker. */
void tide_pool_limit_start(struct tide_pool *pool, int64_t limit_us);
/** What its workers may take. To be called once, before the start. Where workers are replaced (tide_worker_limits_replace),
 * one slot is a spare one: its worker takes the place of another, which then leaves, and so on. */
int tide_pool_limit_workers(struct tide_pool *pool, const struct tide_worker_limits *limits);
/** True when a worker is replaced at some limit: its pool needs one slot more than processes. */
bool tide_worker_limits_replace(const struct tide_worker_limits *limits);
/** Its workers may be replaced by those of the next revision: another `slots` of its slots are spare ones. Before the start. */
void tide_pool_spare(struct tide_pool *pool, uint32_t slots);
/** Has all workers spawned. To be called after the zygote has loaded. */
int tide_pool_start(struct tide_pool *pool);
void tide_pool_submit(struct tide_pool *pool, struct tide_work *work);
/** The step needs the results of the work no more: its output block goes back to the worker's slot. tide_pool_submit does
 * so as well. */
void tide_pool_results_taken(struct tide_work *work);
/** Takes back what waits; what is given comes back by its report. True when it is IDLE now. */
bool tide_pool_withdraw(struct tide_pool *pool, struct tide_work *work);
/** Reads reports and gives out work. Negative = give up: a `start` hook failed and none has run well before (TIDE_ECONFIG
 * with its text, TIDE_ETEMPORARY where it said tide.retry); or workers die again and again before they are ready, or the
 * zygote carries out no command (TIDE_ETEMPORARY). */
int tide_pool_poll(struct tide_pool *pool, int64_t now_us);
/** Takes an event of a zygote. True when it was about a worker of this pool. */
bool tide_pool_zygote_event(struct tide_pool *pool, struct tide_zygote *zygote,
                            const struct tide_zygote_event *event, int64_t now_us);

/* The next revision of the transforms (engine_reload.c). Its workers start in spare slots, while those that are there go on.
 * Once as many are ready as there are processes, each takes a seat, in one call: what is given out from then on is theirs, and
 * the others do what they were given and leave, as after tide_pool_resize. */

/** Has workers of `zygote` start, which has loaded. */
void tide_pool_next_begin(struct tide_pool *pool, struct tide_zygote *zygote);
/** To be called in each turn. TIDE_OK: all are ready. TIDE_BUSY: not yet. TIDE_ECONFIG, TIDE_ETEMPORARY: a `start` hook failed,
 * or they die again and again. */
int tide_pool_next_ready(struct tide_pool *pool);
/** Whether one of them has nothing to do: a work with `canary` is given to it at once. */
bool tide_pool_next_has_idle(const struct tide_pool *pool);
/** They take over. All have to be ready. */
void tide_pool_next_take_over(struct tide_pool *pool);
/** They leave. */
void tide_pool_next_withdraw(struct tide_pool *pool);
/** Whether a worker of this zygote is left. */
bool tide_pool_has_worker_of(const struct tide_pool *pool, const struct tide_zygote *zygote);
/** The step found the output block of this work malformed, which was DONE or WORKER_LOST; `what` goes on after "worker 3"
 * in the log. The worker is killed and gets no more work; its death is attributed to nothing else that it has. The work is
 * GIVEN until the worker is gone, so that nothing writes to its block any more, then WORKER_LOST. */
void tide_pool_report_violation(struct tide_pool *pool, struct tide_work *work, const char *what);
/** Orders worker `index` to sample what it runs, for `limit_us` at most. TIDE_BUSY: it is not ready, has its socket full, or
 * samples already; later. */
int tide_pool_profile_begin(struct tide_pool *pool, uint32_t index, int64_t limit_us);
/** Orders it to answer. TIDE_BUSY: its socket is full; later. */
int tide_pool_profile_end(struct tide_pool *pool, uint32_t index);
/** Where the profile is (proc/profile.h). DONE: `*bytes` (borrowed until forget) and `*size` are set. */
enum tide_profile_state tide_pool_profile(const struct tide_pool *pool, uint32_t index,
                                          const char **bytes, size_t *size);
/** Nobody wants the profile of worker `index` any more. */
void tide_pool_profile_forget(struct tide_pool *pool, uint32_t index);
/** The turn (`now_us` of tide_pool_poll) in which the oldest job began that a worker is in now, or a later one than that is
 * not known to be: what was replaced in an earlier turn is read by no worker. `close` hooks count as jobs; with `of`, which
 * looks at the workers of this zygote alone, `start` hooks do too. INT64_MAX = no worker is in one. */
int64_t tide_pool_since_us(const struct tide_pool *pool, const struct tide_zygote *of);
/** When tide_pool_poll has to be called at the latest, although nothing else happens, so that slow messages are measured;
 * INT64_MAX = no worker runs anything. */
int64_t tide_pool_deadline_us(const struct tide_pool *pool, int64_t now_us);
/** True when a worker has nothing to do. */
bool tide_pool_has_idle(const struct tide_pool *pool);
/** True when the worker of this lane has nothing to do. */
bool tide_pool_is_idle(const struct tide_pool *pool, uint32_t lane);
/** The number of slots, of those that may be in use at once, and of those that are. */
uint32_t tide_pool_slots(const struct tide_pool *pool);
uint32_t tide_pool_most(const struct tide_pool *pool);
/** The number of its first slot. */
uint32_t tide_pool_first(const struct tide_pool *pool);
uint32_t tide_pool_processes(const struct tide_pool *pool);
/** Process id of worker `index` of this pool; 0 while it is not ready. */
int32_t tide_pool_pid(const struct tide_pool *pool, uint32_t index);
/** What is to be seen of worker `index` of this pool; false past the last. */
bool tide_pool_worker(const struct tide_pool *pool, uint32_t index, struct tide_worker_view *view);
/** Workers lost since the start. */
uint64_t tide_pool_workers_lost(const struct tide_pool *pool);
/** It is polled no more: what its workers send no longer wakes the loop. */
void tide_pool_unwatch(struct tide_pool *pool);
void tide_pool_free(struct tide_pool *pool); /* NULL is fine */

#endif
