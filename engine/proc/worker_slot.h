/* SPDX-License-Identifier: MIT
 * engine/proc/worker_slot.h - what pool.c (works: given out, reported) and pool_workers.c (workers: ordered, ready,
 * lost, replaced) both know.
 *
 *   state      how it is seen                   next
 *   due        spawn_us > 0                     ordered, at that time
 *   ordered    spawn_us 0, pid 0                alive by SPAWNED; due again when fork failed. A zygote that
 *                                               tells nothing for ten seconds, of this or of a kill that was
 *                                               ordered, has stopped: the pool gives up
 *   alive      pid > 0                          ready by its hello; due by EXITED
 *   ready      ready: gets works                due by EXITED
 *   doomed     ready, doomed: gets no more      due by EXITED, nothing that it had is blamed
 *
 * Set aside (`aside`), in any of these states: it gets no work but one that wants a fresh worker. When it has nothing to
 * do and is `used` it is doomed, as `retired`: that is no loss. */
#ifndef TIDE_PROC_WORKER_SLOT_H
#define TIDE_PROC_WORKER_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/pool.h"
#include "proc/stall.h"

enum { TIDE_POOL_MOST_STEPS = 16 };

struct tide_worker_slot {
    uint32_t place;
    uint32_t generation;
    int32_t pid; /* 0 until SPAWNED */
    int socket;
    uint32_t given;          /* works in its mailbox, the running one included */
    struct tide_work *first; /* the one it is at; the others in order behind it */
    uint32_t deaths;         /* in a row, before it was ready */
    int64_t lost_us;         /* when the last one was lost, for the time of its replacement */
    bool ready;              /* it said hello */
    bool doomed;             /* it broke the protocol, or is retired, and is about to be killed */
    bool used;               /* it was given a work */
    bool aside;              /* for the next work that wants a fresh worker */
    bool retired;
    struct tide_stall stall;
    bool kill_due;    /* the zygote is to be told */
    bool spoke;       /* its socket has something, says the loop */
    int64_t spawn_us; /* when to order the next one; 0 = ordered */
    char *hook;       /* the `start` hook that it is at; NULL = none */
    int64_t hook_us;  /* for how long, as far as the engine was there to see it */
    /* of the zygote, as long as it owes an answer: how many notices it had sent at the last look, when that was, and
     * for how long there was none */
    uint64_t heard;
    int64_t looked_us;
    int64_t silent_us;
};

struct tide_pool {
    struct tide_zygote *zygote;
    struct tide_loop *loop;
    struct tide_counters *counters;
    uint32_t rows[TIDE_POOL_MOST_STEPS];
    uint32_t row_count;
    uint32_t depth; /* works a worker may have */
    uint32_t processes;
    struct tide_worker_slot *workers;
    struct tide_work *waiting;
    uint64_t numbers;
    uint64_t lost;
    int64_t limit_us;
    int64_t start_limit_us; /* for a `start` hook */
    bool started;           /* the `start` hooks went well once */
    char *start_failed;     /* what the last one said that did not ... */
    int start_status;       /* ... and what the pipeline ends with when none went well */
};

/** TIDE_OK also when the zygote has too many orders: tide_worker_slot_poll tries again. */
int tide_worker_slot_order(struct tide_pool *pool, struct tide_worker_slot *worker);
/** Has it killed: it broke the protocol. */
void tide_worker_slot_doom(struct tide_pool *pool, struct tide_worker_slot *worker);
/** Has it killed, which has nothing to do, to make room for a fresh one. */
void tide_worker_slot_retire(struct tide_pool *pool, struct tide_worker_slot *worker);
/** Its first words. Their text is copied. */
void tide_worker_slot_hello(struct tide_pool *pool, struct tide_worker_slot *worker,
                            struct tide_hello *hello);
/** What is due: orders, the stall. Negative = give up (tide_pool_poll). */
int tide_worker_slot_poll(struct tide_pool *pool, struct tide_worker_slot *worker, int64_t now_us);

/** Takes the first work off a worker; its report or its death came. */
struct tide_work *tide_pool_take_first(struct tide_worker_slot *worker);
void tide_pool_read_reports(struct tide_pool *pool, struct tide_worker_slot *worker);
/** All that it has goes back to the pool, but for what is distrusted: that is LOST. */
void tide_pool_give_back(struct tide_pool *pool, struct tide_worker_slot *worker);

#endif
