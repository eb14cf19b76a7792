/* SPDX-License-Identifier: MIT
 * engine/proc/pool_inside.h - what the files of the pool share. pool.c calls pool_work.c (which work runs where),
 * worker_watch.c (where a worker is in its block) and pool_limits.c (what workers use up), and the engine calls pool_takeover.c (the next revision) as well; all of them call worker_slot.c (the
 * life of a worker). pool_work.c calls pool_profile.c (profiles of the workers) too, and with worker_slot.c calls pool_crash.c
 * (what workers say when they crash), and both call pool_since.c (since when workers are in what they run). */
#ifndef TIDE_PROC_POOL_INSIDE_H
#define TIDE_PROC_POOL_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "proc/pool.h"
#include "proc/received.h"
#include "proc/worker_slot.h"
#include "proc/zygote.h"
#include "shm/counters.h"

enum { TIDE_POOL_MOST_STEPS = 16 };

struct tide_pool {
    /* set by pool.c before the start */
    struct tide_zygote *zygote;
    struct tide_loop *loop;
    struct tide_counters *counters;
    uint32_t rows[TIDE_POOL_MOST_STEPS]; /* of the counters, one for each step that uses the pool */
    struct tide_outputs *outputs[TIDE_POOL_MOST_STEPS]; /* the output blocks of each of them */
    uint32_t row_count;
    uint32_t depth; /* how many jobs a worker may have at once */
    struct tide_worker_slot *slots;
    uint32_t slot_count;
    uint32_t active;        /* owned by pool.c: so many slots are in use */
    uint32_t active_first;  /* owned by pool.c: so many were in use at the start */
    int64_t charged_us;     /* owned by pool.c: when the time of its workers was charged last */
    int64_t turn_us;        /* owned by pool.c: of the last tide_pool_poll */
    int64_t limit_us;       /* for one record */
    int64_t start_limit_us; /* for one `start` hook */
    struct tide_worker_limits limits; /* of each worker */
    bool replaces;                    /* workers that have used up their limits */
    uint32_t spare; /* slots beside those that may be in use, for workers that are to take over */

    struct { /* owned by pool_limits.c */
        struct tide_worker_slot
            *successor;               /* its worker starts, to take another's place; NULL = none */
        struct tide_worker_slot *old; /* ... of this slot */
        enum tide_metric cause;
        int64_t not_before_us; /* a successor could not start: the next one is tried then */
    } replace;

    struct { /* owned by pool_takeover.c, but for what failed: worker_slot.c */
        struct tide_zygote *zygote; /* of the next revision, whose workers start; NULL = none */
        char *failed;               /* what a `start` hook of one of them said; NULL = nothing */
        int status;                 /* with it: TIDE_ECONFIG or TIDE_ETEMPORARY */
    } next;

    struct {
        TAILQ_HEAD(, tide_work) waiting; /* in the order in which they are given out */
        uint64_t last_number;            /* of a job */
    } work;                              /* owned by pool_work.c */

    struct {
        uint64_t lost;
        bool started; /* the `start` hooks of a worker have run well once */
        char *failed; /* what the last hook said that failed ... */
        int status;   /* ... and the status that the pool gives up with when none has run well */
    } workers;        /* owned by worker_slot.c */
};

/** The slot with this seat. */
static inline struct tide_worker_slot *tide_pool_seated(const struct tide_pool *pool, uint32_t seat)
{
    uint32_t at = 0;
    while (!pool->slots[at].in_use || pool->slots[at].seat != seat)
        at++;
    return &pool->slots[at];
}

/** A slot whose worker, of the next revision, is ready and has nothing to do; NULL = none (pool_takeover.c). */
struct tide_worker_slot *tide_pool_next_idle(const struct tide_pool *pool);
/** Takes a piece of a profile. False when it was not asked for, or is malformed. */
bool tide_pool_profile_piece(struct tide_worker_slot *slot, const struct tide_profile_piece *piece);
/** False while the growth of its worker is to be watched and what it had at first is not known: what a job takes would be
 * taken for that. */
bool tide_pool_is_measured(const struct tide_pool *pool, const struct tide_worker_slot *slot);
/** Replaces workers that have used up what they may take; without a pause, one at a time. */
void tide_pool_replace(struct tide_pool *pool, int64_t now_us);
/** Passes on what the worker of a slot has written to its log. */
void tide_pool_read_log(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us,
                        enum tide_log_moment when);
/** Takes the last words of a worker. False when it has said them already. */
bool tide_pool_crash(struct tide_worker_slot *slot, const struct tide_crash_report *report);
/** Asks a worker that is to be killed at a limit of time where it is (proc/crash.h). True as long as it may still say so: it
 * is killed later then. */
bool tide_pool_awaits_words(struct tide_worker_slot *slot);
/** Its death is attributed to the record in progress of `work`, which it ran, or to none: the work is WORKER_LOST. */
void tide_pool_attribute_death(const struct tide_worker_slot *slot, struct tide_work *work,
                               const struct tide_zygote_event *event);
/** The last words of the present worker; NULL when there are none. */
const char *tide_pool_last_words(const struct tide_worker_slot *slot);
/** The worker is given a job, or what has hooks: it begins with it now, unless it has another job before it (pool_since.c). */
void tide_pool_begins(const struct tide_pool *pool, struct tide_worker_slot *slot);
/** Its socket has nothing in it: no report that it was not asked for yet. */
void tide_pool_found_empty(const struct tide_pool *pool, struct tide_worker_slot *slot);
/** It has reported, and goes on with the next job: which may have begun since its socket was found empty. */
void tide_pool_goes_on(struct tide_worker_slot *slot);
/** Gives waiting work to workers. */
void tide_pool_give(struct tide_pool *pool);
/** Reads what a worker has sent: hello messages and reports. */
void tide_pool_read(struct tide_pool *pool, struct tide_worker_slot *slot);
/** The worker violated the protocol, in the work that it runs if it has one: has it killed. `kind` and `what` as in
 * tide_worker_slot_violation. */
void tide_pool_violation(struct tide_pool *pool, struct tide_worker_slot *slot,
                         enum tide_metric kind, const char *what);
/** Takes the work off a worker that has exited: what it ran is WORKER_LOST, the rest waits again. */
void tide_pool_take_off(struct tide_pool *pool, struct tide_worker_slot *slot,
                        const struct tide_zygote_event *event);

#endif
