/* SPDX-License-Identifier: MIT
 * The pool as the engine and the steps see it: made, polled, freed, asked. It only puts two things together: the life of
 * each worker (worker_slot.c) and the work that they are given (pool_work.c). Start with tide_pool_poll(). */
#include "proc/pool.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/pool_inside.h"
#include "proc/zygote.h"
#include "shm/counters.h"

struct tide_pool *tide_pool_new(struct tide_zygote *zygote, struct tide_loop *loop, uint32_t first,
                                uint32_t processes, struct tide_counters *counters)
{
    struct tide_pool *pool = tide_alloc(sizeof(*pool));
    *pool = (struct tide_pool){.zygote = zygote,
                               .loop = loop,
                               .counters = counters,
                               .slot_count = processes,
                               .active = processes,
                               .depth = 1};
    pool->slots = tide_alloc(sizeof(struct tide_worker_slot) * processes);
    TAILQ_INIT(&pool->work.waiting);
    for (uint32_t i = 0; i < processes; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        slot->number = first + i;
        slot->in_use = true;
        slot->seat = i;
        slot->socket = tide_zygote_socket(zygote, slot->number);
        slot->zygote = zygote;
        TAILQ_INIT(&slot->given);
    }
    return pool;
}

/* One worker runs the jobs of all steps of its pool from one socket, so the step that prefetches most decides how many
 * may lie there. The pool has no row of its own: what happens to it is counted for each step. */
void tide_pool_join(struct tide_pool *pool, uint32_t row, uint32_t prefetch,
                    struct tide_outputs *outputs)
{
    tide_require(pool->row_count < TIDE_POOL_MOST_STEPS);
    pool->outputs[pool->row_count] = outputs;
    pool->rows[pool->row_count++] = row;
    if (1 + prefetch > pool->depth)
        pool->depth = 1 + prefetch;
    tide_observe(pool->counters, row, TIDE_M_PROCESSES, pool->active);
    tide_count(pool->counters, row, TIDE_M_POOL_CREATE, 1);
}

/* The seats change, and with them the workers of lanes. Work that wants a fresh worker reserves a slot again with the next
 * turn, so a reservation may go. */
static void forget_reservations(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++)
        pool->slots[i].reserved = false;
}

/* A slot that is used again begins anew: that it was out of use is no time that a worker took to be replaced. The slot
 * with the last seat takes its seat. */
static void put_out_of_use(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    forget_reservations(pool);
    slot->in_use = false;
    slot->deaths = 0;
    slot->lost_us = 0;
    pool->active--;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        if (pool->slots[i].in_use && pool->slots[i].seat == pool->active)
            pool->slots[i].seat = slot->seat;
    }
}

/* Not one that is about to take another's place, and none with a worker of the revision before. */
static bool is_free(const struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    bool old = slot->state != TIDE_WORKER_NONE && slot->zygote != pool->zygote;
    return !slot->in_use && !slot->coming && !old && slot != pool->replace.successor;
}

/* One whose worker is leaving only where there is no other. */
static void put_into_use(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (is_free(pool, slot) &&
            (!best || (best->state > TIDE_WORKER_READY && slot->state <= TIDE_WORKER_READY)))
            best = slot;
    }
    tide_require(best != NULL);
    forget_reservations(pool);
    best->in_use = true;
    best->seat = pool->active++;
}

static void observe_size(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->row_count; i++) {
        tide_observe(pool->counters, pool->rows[i], TIDE_M_PROCESSES, pool->active);
        tide_count(pool->counters, pool->rows[i], TIDE_M_POOL_RESIZE, 1);
    }
}

void tide_pool_resize(struct tide_pool *pool, uint32_t processes)
{
    tide_require(processes >= 1 && processes <= tide_pool_most(pool));
    if (processes == pool->active)
        return;
    while (pool->active > processes)
        put_out_of_use(pool, tide_pool_seated(pool, pool->active - 1));
    while (pool->active < processes)
        put_into_use(pool);
    observe_size(pool);
}

void tide_pool_limit(struct tide_pool *pool, int64_t limit_us)
{
    pool->limit_us = limit_us;
}

void tide_pool_limit_start(struct tide_pool *pool, int64_t limit_us)
{
    pool->start_limit_us = limit_us;
}

void tide_pool_spare(struct tide_pool *pool, uint32_t slots)
{
    pool->spare += slots;
    while (pool->active > tide_pool_most(pool))
        put_out_of_use(pool, tide_pool_seated(pool, pool->active - 1));
}

int tide_pool_limit_workers(struct tide_pool *pool, const struct tide_worker_limits *limits)
{
    int status = TIDE_OK;
    pool->limits = *limits;
    pool->replaces = tide_worker_limits_replace(limits);
    if (pool->replaces)
        tide_pool_spare(pool, 1);
    for (uint32_t i = 0; i < pool->slot_count && status == TIDE_OK; i++)
        status = tide_zygote_limit_worker(pool->zygote, pool->slots[i].number, limits);
    return status;
}

/* Only a mark: reading may end a worker or a step's work, which has its order in tide_pool_poll(). */
static void set_readable(void *context)
{
    ((struct tide_worker_slot *)context)->readable = true;
}

/* The socket is watched once and for all: it stays when the worker is replaced. */
int tide_pool_start(struct tide_pool *pool)
{
    pool->active_first = pool->active;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        int status = tide_loop_watch(pool->loop, slot->socket, set_readable, slot);
        if (status == TIDE_OK && slot->in_use)
            status = tide_worker_slot_spawn(pool, slot);
        if (status < 0)
            return status;
    }
    return TIDE_OK;
}

/* A slot is busy from the turn in which it is given work until the turn in which its last report is read: what a batch costs
 * beside its functions (the way there and back, and waiting for the engine) is in it. */
static void charge_time(struct tide_pool *pool, int64_t now_us)
{
    int64_t passed_us = pool->charged_us > 0 ? now_us - pool->charged_us : 0;
    pool->charged_us = now_us;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        const struct tide_work *work = TAILQ_FIRST(&slot->given);
        if (!work || work->canary)
            continue;
        slot->total.busy_us += passed_us;
        tide_count(pool->counters, work->row, TIDE_M_WORKER_BUSY_TIME, (uint64_t)passed_us);
    }
}

/* More workers than at the start are there for speed. When one of them cannot start (there may be no more processes, or no
 * more connections to a database), the others go on without it. */
static void do_without(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    const char *failed = pool->workers.failed;
    if (!slot->in_use || pool->active <= pool->active_first || !tide_worker_slot_cannot_start(slot))
        return;
    put_out_of_use(pool, slot);
    observe_size(pool);
    tide_log(TIDE_LOG_WARN,
             "worker %u died again and again before it was ready%s%s; %u processes are used from "
             "now on",
             slot->number, failed ? ": " : "", failed ? failed : "", pool->active);
}

/* Reports are read before anybody looks for stalls, so that a worker which has just answered is not killed for being
 * slow; and work is given out last, when it is known who is idle and who is gone. */
int tide_pool_poll(struct tide_pool *pool, int64_t now_us)
{
    charge_time(pool, now_us);
    pool->turn_us = now_us;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        uint32_t given = slot->given_count;
        tide_pool_read_log(pool, slot, now_us, TIDE_LOG_IF_READABLE);
        /* Not only what the loop found: a report may have come since it looked, and its batch need not wait a turn. */
        if (slot->given_count > 0 || slot->readable || slot->state < TIDE_WORKER_READY)
            tide_pool_read(pool, slot);
        /* What was written before a report stands before what comes of it. */
        if (slot->given_count < given)
            tide_pool_read_log(pool, slot, now_us, TIDE_LOG_AT_ONCE);
        slot->readable = false;
        do_without(pool, slot);
        tide_worker_watch(pool, slot, now_us);
        int status = tide_worker_slot_poll(pool, slot, now_us);
        if (status < 0)
            return status;
    }
    tide_pool_replace(pool, now_us);
    tide_pool_give(pool);
    return TIDE_OK;
}

bool tide_pool_zygote_event(struct tide_pool *pool, struct tide_zygote *zygote,
                            const struct tide_zygote_event *event, int64_t now_us)
{
    /* All pools have their workers from one zygote, whose events the engine offers to one pool after the other. */
    uint32_t first = pool->slots[0].number;
    if (event->worker < first || event->worker >= first + pool->slot_count)
        return false;
    struct tide_worker_slot *slot = &pool->slots[event->worker - first];
    /* A slot has one worker after the other, and the zygote tells of each in order: when it is there, when it is gone. */
    if (event->generation != slot->generation || zygote != slot->zygote) {
        tide_zygote_false_event(zygote, "is about a worker that there is not");
    } else if (event->kind == TIDE_ZYGOTE_EXITED && slot->pid > 0 && event->pid == slot->pid) {
        /* In this order: the first reads what is left in the socket and needs the state in which the worker died, and
         * the second empties the socket and forgets the state. */
        tide_pool_read_log(pool, slot, now_us, TIDE_LOG_ENDS);
        tide_pool_take_off(pool, slot, event);
        tide_worker_slot_exited(pool, slot, event, now_us);
    } else if (event->kind == TIDE_ZYGOTE_SPAWNED && slot->state != TIDE_WORKER_NONE &&
               slot->pid == 0 && event->pid != 0) {
        tide_worker_slot_spawned(slot, event, now_us);
    } else {
        tide_zygote_false_event(zygote, "comes out of turn, or names another process");
    }
    return true;
}

/* For a step that asks whether to close its batch early. Work that waits would go first, so then no worker counts as
 * idle. */
bool tide_pool_has_idle(const struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        if (pool->slots[i].in_use && pool->slots[i].given_count == 0)
            return TAILQ_EMPTY(&pool->work.waiting);
    }
    return false;
}

/* Its slot may be about to get work of the lane that waits; the step knows that. */
bool tide_pool_is_idle(const struct tide_pool *pool, uint32_t lane)
{
    return tide_pool_seated(pool, lane % pool->active)->given_count == 0;
}

/* It matters only when the engine has nothing to do otherwise: under load a turn takes less. What took long already is
 * looked at less often, since an eighth of its time is near enough. */
int64_t tide_pool_deadline_us(const struct tide_pool *pool, int64_t now_us)
{
    static const int64_t LOOK_US = 5000;
    int64_t soonest_us = INT64_MAX;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const struct tide_worker_slot *slot = &pool->slots[i];
        int64_t wait_us = slot->stall.stalled_us / 8;
        if (wait_us < LOOK_US || slot->kill_due)
            wait_us = LOOK_US;
        if (slot->given_count > 0 && now_us + wait_us < soonest_us)
            soonest_us = now_us + wait_us;
    }
    return soonest_us;
}

uint32_t tide_pool_slots(const struct tide_pool *pool)
{
    return pool->slot_count;
}

uint32_t tide_pool_most(const struct tide_pool *pool)
{
    return pool->slot_count - pool->spare;
}

uint32_t tide_pool_first(const struct tide_pool *pool)
{
    return pool->slots[0].number;
}

uint32_t tide_pool_processes(const struct tide_pool *pool)
{
    return pool->active;
}

int32_t tide_pool_pid(const struct tide_pool *pool, uint32_t index)
{
    return index < pool->slot_count && pool->slots[index].state >= TIDE_WORKER_READY
               ? pool->slots[index].pid
               : 0;
}

bool tide_pool_worker(const struct tide_pool *pool, uint32_t index, struct tide_worker_view *view)
{
    if (index >= pool->slot_count)
        return false;
    const struct tide_worker_slot *slot = &pool->slots[index];
    *view = (struct tide_worker_view){
        .pid = slot->pid,
        .state = slot->state < TIDE_WORKER_READY   ? TIDE_WORKER_SEEN_STARTING
                 : slot->state > TIDE_WORKER_READY ? TIDE_WORKER_SEEN_ENDING
                 : slot->given_count > 0           ? TIDE_WORKER_SEEN_RUNNING
                                                   : TIDE_WORKER_SEEN_IDLE,
        .in_use = slot->in_use,
        .busy_us = slot->total.busy_us,
        .messages = slot->total.messages,
        .lost = slot->total.lost,
    };
    return true;
}

uint64_t tide_pool_workers_lost(const struct tide_pool *pool)
{
    return pool->workers.lost;
}

void tide_pool_unwatch(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++)
        tide_loop_unwatch(pool->loop, pool->slots[i].socket);
}

void tide_pool_free(struct tide_pool *pool)
{
    if (!pool)
        return;
    tide_pool_unwatch(pool);
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        tide_worker_slot_release(&pool->slots[i]);
        free(pool->slots[i].hook.name);
        free(pool->slots[i].profile.bytes);
        free(pool->slots[i].crash);
    }
    free(pool->slots);
    free(pool->workers.failed);
    free(pool->next.failed);
    free(pool);
}
