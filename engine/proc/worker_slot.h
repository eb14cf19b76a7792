/* SPDX-License-Identifier: MIT
 * engine/proc/worker_slot.h - the life of one worker: spawned, started, watched, killed, replaced. The slot stays when
 * its worker is replaced, and so does its socket; the generation rises with each worker.
 *
 *   state         what it means                                      next
 *   NONE          no process; one is spawned at `spawn_us`           STARTING, when the command has been sent
 *   STARTING      the zygote was commanded to spawn it; it forks and      READY by its hello; NONE by EXITED, or when
 *                 runs the `start` hooks                             fork failed
 *   READY         it takes jobs                                      NONE by EXITED
 *   RETIRED       it makes room for a fresh worker and is killed;    NONE by EXITED
 *                 or its slot is not in use any more and it leaves,
 *                 after its `close` hooks: the pool has fewer processes
 *                 now, or another has taken its place. No loss
 *   KILL_PENDING  it violated the protocol: it is killed, nothing    NONE by EXITED
 *                 is read from it any more, and the pool attributes
 *                 its death to no record; the step does
 *                 (chain/task_release.c)
 *
 * STARTING, READY and RETIRED become KILL_PENDING by a violation. A worker that stalls is killed too, but stays READY (or
 * STARTING, in a `start` hook): what it has done until then counts.
 *
 * While a command is outstanding (no SPAWNED yet, or no EXITED), the zygote has to send events, of whatever worker: after
 * ten seconds without one it is taken for stopped, and the pool gives up. */
#ifndef TIDE_PROC_WORKER_SLOT_H
#define TIDE_PROC_WORKER_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proc/profile.h"
#include "proc/protocol.h"
#include "proc/stall.h"
#include "shm/counters.h"

struct tide_pool;
struct tide_work;
struct tide_zygote;

enum tide_worker_state {
    TIDE_WORKER_NONE,
    TIDE_WORKER_STARTING,
    TIDE_WORKER_READY,
    TIDE_WORKER_RETIRED,
    TIDE_WORKER_KILL_PENDING
};

struct tide_worker_slot {
    uint32_t number; /* over all pools of the zygote */
    bool in_use;     /* owned by pool.c and pool_limits.c: it is to have a worker that takes work */
    uint32_t seat; /* owned by the same: in use, its number among those that are: 0 to active - 1 */
    int socket;    /* the engine's end, owned by the zygote */
    struct tide_zygote
        *zygote; /* owned by worker_slot.c: that has forked its worker, unless NONE */
    bool
        coming; /* owned by pool_takeover.c: its worker, of the next revision, waits to take over */

    /* owned by worker_slot.c */
    enum tide_worker_state state;
    uint32_t generation;
    int32_t pid;      /* 0 until SPAWNED; a quick worker is READY before that event has come */
    uint32_t deaths;  /* in a row, each before it was ready */
    int64_t spawn_us; /* NONE: when to send the command */
    int64_t
        leave_us; /* what is left until it is killed, if it does not leave; 0 = it has not said so */
    int64_t
        lost_us; /* when the last worker was lost, to measure how long its replacement took; 0 = it was no loss */
    int hold;      /* what the process is killed by (tide_zygote_hold); valid while pid > 0 */
    bool kill_due; /* it is decided just now, or the process was not known yet */
    struct tide_stall stall;
    struct {
        char *name; /* the `start` hook that runs now; NULL = none */
        int64_t time_us;
        uint32_t count; /* of this worker */
    } hook;
    int64_t memory_us; /* when it was looked at last what the worker has touched */
    struct {
        uint64_t events; /* how many the zygote had sent at the last check */
        int64_t checked_us;
        int64_t silent_us; /* for how long it has sent none while it had a command to carry out */
    } silence;             /* of its zygote */

    /* owned by pool_work.c */
    TAILQ_HEAD(, tide_work) given; /* the work that it runs, then those in its socket, in order */
    uint32_t given_count;
    bool used; /* this worker was given work: it is not fresh any more */
    bool
        reserved; /* it gets only work that wants a fresh worker, and is retired first when it is used */

    struct {                           /* owned by pool_profile.c */
        enum tide_profile_state state; /* LOST is not stored: see lost_or() */
        uint32_t generation;           /* of the worker that was asked */
        char *bytes;
        uint32_t size;
    } profile;

    struct {               /* by its present worker */
        uint64_t messages; /* owned by pool_work.c: run */
        uint64_t memory;   /* owned by pool_limits.c, as all of these: bytes when it was ready */
        uint64_t growth;   /* bytes since then */
        int64_t looked_us; /* at its memory; 0 = not yet */
    } used_up;

    struct {              /* owned by pool_since.c: turns (tide_pool_poll) */
        int64_t began_us; /* what it runs has begun in this one or later */
        int64_t empty_us; /* in which its socket was found empty last */
    } since;

    char *crash; /* owned by pool_crash.c: the last words of the worker of this generation */
    uint32_t crash_generation;

    struct {               /* over all workers of the slot */
        int64_t busy_us;   /* owned by pool.c: with work, as the engine saw it from turn to turn */
        uint64_t messages; /* owned by pool_work.c: that they ran, by their reports */
        uint64_t lost;     /* owned by worker_slot.c */
    } total;

    bool readable; /* owned by pool.c: its socket has something to read */
};

/** Has the zygote spawn a worker. TIDE_OK also when the zygote has its queue full: tide_worker_slot_poll tries again. */
int tide_worker_slot_spawn(struct tide_pool *pool, struct tide_worker_slot *slot);
/** Handles a hello message. Its text is copied. False when it breaks the protocol: the worker is not STARTING, or has said
 * that it leaves, or has more `start` hooks than anybody writes. */
bool tide_worker_slot_hello(struct tide_pool *pool, struct tide_worker_slot *slot,
                            const struct tide_hello *hello);
/** Handles an event SPAWNED of this generation, which was awaited, also one that says that fork failed. */
void tide_worker_slot_spawned(struct tide_worker_slot *slot, const struct tide_zygote_event *event,
                              int64_t now_us);
/** Handles an event EXITED of this generation; its work has been taken off by then. */
void tide_worker_slot_exited(struct tide_pool *pool, struct tide_worker_slot *slot,
                             const struct tide_zygote_event *event, int64_t now_us);
/** Lets go of the process; it is not killed. */
void tide_worker_slot_release(struct tide_worker_slot *slot);
/** The worker violated the protocol: has it killed. Logged and counted once for each worker. `kind` is one of
 * TIDE_M_WORKER_VIOLATION_*, `what` says what it did. */
void tide_worker_slot_violation(struct tide_pool *pool, struct tide_worker_slot *slot,
                                enum tide_metric kind, const char *what);
/** Has a worker killed that has no work, to make room for a fresh one. */
void tide_worker_slot_retire(struct tide_worker_slot *slot);
/** True when its workers died too often in a row before they were ready. */
bool tide_worker_slot_cannot_start(const struct tide_worker_slot *slot);
/** Looks at where the worker is (worker_watch.c): has it killed when it is there for too long, or lies about it. */
void tide_worker_watch(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us);
/** Sends commands that are due. Negative = give up (see tide_pool_poll). */
int tide_worker_slot_poll(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us);

#endif
