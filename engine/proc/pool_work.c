/* SPDX-License-Identifier: MIT
 * Which worker gets which work, and what comes back of it. There is one queue for all workers of the pool and no work
 * stealing: a worker is given at most `depth` jobs (the one that it runs, and those that its step may prefetch), so a
 * slow batch holds up few others. Work that wants a fresh worker waits in the same queue, but for a reserved slot; it
 * overtakes nothing and holds nothing up. So does work of a lane, which only the worker of that lane gets.
 *
 * A work gets its output block with its worker, since blocks belong to worker slots (shm/outputs.h). When it is not run
 * after all, the block goes back at once: the slot that gets the work next has its own.
 *
 * Start with tide_pool_give(). Work comes back in three ways: by a report (tide_pool_read), by the death of its worker
 * (tide_pool_take_off), or by tide_pool_withdraw() before it was given. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "proc/pool_inside.h"
#include "proc/worker.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/outputs.h"

enum {
    MOST_READ = 400,     /* messages of one worker in a turn: a profile has some hundreds */
    MOST_UNREAD = 10000, /* messages in the socket of a worker that is gone: far more than fit */
    MOST_THREADS = 1024  /* of a worker, that may have used processor time at once */
};

/* ---- the queue ---- */

/* Later steps first: they free the blocks that earlier ones wait for, so the chain drains instead of filling up. */
static bool goes_before(const struct tide_work *a, const struct tide_work *b)
{
    if (a->job.step != b->job.step)
        return a->job.step > b->job.step;
    if (a->continued != b->continued)
        return a->continued;
    return a->sequence < b->sequence;
}

static void enqueue(struct tide_pool *pool, struct tide_work *work)
{
    struct tide_work *at;
    work->state = TIDE_WORK_WAITING;
    TAILQ_FOREACH(at, &pool->work.waiting, next)
    {
        if (goes_before(work, at)) {
            TAILQ_INSERT_BEFORE(at, work, next);
            return;
        }
    }
    TAILQ_INSERT_TAIL(&pool->work.waiting, work, next);
}

bool tide_pool_withdraw(struct tide_pool *pool, struct tide_work *work)
{
    /* Other work that wants a fresh worker reserves a slot again. */
    for (uint32_t i = 0; work->fresh && i < pool->slot_count; i++)
        pool->slots[i].reserved = false;
    if (work->state == TIDE_WORK_WAITING) {
        TAILQ_REMOVE(&pool->work.waiting, work, next);
        work->state = TIDE_WORK_IDLE;
    }
    return work->state == TIDE_WORK_IDLE;
}

/* ---- giving ---- */

static bool is_ready(const struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    return slot->state == TIDE_WORKER_READY && tide_pool_is_measured(pool, slot);
}

static bool takes_work(const struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    return is_ready(pool, slot) && !slot->reserved && slot->given_count < pool->depth;
}

/* NULL: none now. As long as another worker is about to be ready, no work is put behind what runs. */
static struct tide_worker_slot *least_busy(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    bool coming = false;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (!slot->in_use)
            continue;
        coming |= slot->state <= TIDE_WORKER_READY && !is_ready(pool, slot);
        if (takes_work(pool, slot) && (!best || slot->given_count < best->given_count))
            best = slot;
    }
    return coming && best && best->given_count > 0 ? NULL : best;
}

/* An estimate of how long it takes until the slot has a fresh worker. */
static uint32_t distance(const struct tide_worker_slot *slot)
{
    return 2 * slot->given_count + slot->used;
}

static struct tide_worker_slot *nearest_to_fresh(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    for (uint32_t i = 0; i < pool->slot_count && !(best && best->reserved); i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (slot->in_use && (!best || slot->reserved || distance(slot) < distance(best)))
            best = slot;
    }
    tide_require(best);
    return best;
}

/* Reserves a slot, and has its worker replaced once it has nothing to do. NULL: no fresh worker yet. */
static struct tide_worker_slot *fresh_worker(struct tide_pool *pool,
                                             struct tide_worker_slot *lane_slot)
{
    struct tide_worker_slot *best = lane_slot ? lane_slot : nearest_to_fresh(pool);
    best->reserved = true;
    if (!is_ready(pool, best))
        return NULL;
    if (best->used && best->given_count == 0)
        tide_worker_slot_retire(best);
    return best->used ? NULL : best;
}

/* The slot that the work is given to; NULL: none now. */
static struct tide_worker_slot *slot_for(struct tide_pool *pool, const struct tide_work *work)
{
    if (work->canary) {
        struct tide_worker_slot *idle = tide_pool_next_idle(pool);
        return idle && is_ready(pool, idle) ? idle : NULL;
    }
    struct tide_worker_slot *lane_slot = work->pinned
                                             ? tide_pool_seated(pool, work->lane % pool->active)
                                             : NULL;
    if (work->fresh)
        return fresh_worker(pool, lane_slot);
    if (lane_slot)
        return takes_work(pool, lane_slot) ? lane_slot : NULL;
    return least_busy(pool);
}

/* The worker may die before it writes anything: then it has run nothing, and nothing is attributed. */
static void take_output(const struct tide_pool *pool, struct tide_work *work,
                        const struct tide_worker_slot *slot)
{
    /* A mistake that the simulation must find: the block is another worker's. */
    bool wrong = tide_fault("bug.output_of_another");
    work->output = tide_outputs_take(work->outputs, wrong ? pool->slots[0].number : slot->number);
    work->job.output = work->output->output;
    __atomic_store_n(&work->job.output->running, TIDE_RUNNING_NOT, __ATOMIC_RELAXED);
    __atomic_store_n(&work->job.output->progress, work->job.first, __ATOMIC_RELEASE);
}

void tide_pool_results_taken(struct tide_work *work)
{
    if (work->output)
        tide_outputs_give_back(work->outputs, work->output, work->job.output_size);
    work->output = NULL;
    work->job.output = NULL;
}

/* False when the worker's socket is full: later. */
static bool give_to(struct tide_worker_slot *slot, struct tide_pool *pool, struct tide_work *work)
{
    work->job.worker = slot->number;
    work->job.generation = slot->generation;
    take_output(pool, work, slot);
    if (send(slot->socket, &work->job, sizeof(work->job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        tide_pool_results_taken(work);
        return false;
    }
    tide_pool_begins(pool, slot);
    TAILQ_REMOVE(&pool->work.waiting, work, next);
    TAILQ_INSERT_TAIL(&slot->given, work, next);
    work->state = TIDE_WORK_GIVEN;
    work->worker = slot->number;
    work->revision = tide_zygote_revision(slot->zygote);
    work->given_us = tide_clock_us();
    slot->given_count++;
    slot->used = true;
    slot->reserved = false;
    return true;
}

/* A work may have got another slot than the one that it had reserved, which would take nothing else then. */
static void end_reservations(struct tide_pool *pool)
{
    const struct tide_work *work = TAILQ_FIRST(&pool->work.waiting);
    while (work && !work->fresh)
        work = TAILQ_NEXT(work, next);
    for (uint32_t i = 0; !work && i < pool->slot_count; i++)
        pool->slots[i].reserved = false;
}

void tide_pool_give(struct tide_pool *pool)
{
    struct tide_work *next;
    end_reservations(pool);
    for (struct tide_work *work = TAILQ_FIRST(&pool->work.waiting); work; work = next) {
        next = TAILQ_NEXT(work, next);
        struct tide_worker_slot *slot = slot_for(pool, work);
        if (slot && !give_to(slot, pool, work))
            return;
        if (slot)
            tide_fault("pool.give");
    }
}

void tide_pool_submit(struct tide_pool *pool, struct tide_work *work)
{
    tide_require(work->state == TIDE_WORK_IDLE);
    tide_pool_results_taken(work);
    work->job.number = ++pool->work.last_number;
    memset(work->slow, 0, sizeof(work->slow));
    work->crash[0] = 0;
    enqueue(pool, work);
    tide_pool_give(pool);
}

/* ---- what workers send ---- */

static struct tide_work *take_first(struct tide_worker_slot *slot)
{
    struct tide_work *work = TAILQ_FIRST(&slot->given);
    TAILQ_REMOVE(&slot->given, work, next);
    slot->given_count--;
    return work;
}

/* How far the job came: what its progress says, which a worker may have written nonsense to. */
static uint32_t messages_run(const struct tide_work *work)
{
    uint32_t next = (uint32_t)__atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE);
    if (work->status == TIDE_JOB_DONE || next > work->job.end)
        next = work->job.end;
    return next > work->job.first ? next - work->job.first : 0;
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

/* Sizes of batches follow these times, so a worker may not claim more than the engine has seen pass. */
static void take_times(struct tide_work *work, const struct tide_job_report *report)
{
    uint64_t seen_ns = (uint64_t)(tide_clock_us() - work->given_us + 1) * 1000;
    work->busy_ns = at_most(report->busy_ns, seen_ns);
    work->cpu_ns = at_most(report->cpu_ns, seen_ns * MOST_THREADS);
    work->delay_ns = at_most(report->delay_ns, work->busy_ns);
}

static void count_run(struct tide_pool *pool, struct tide_worker_slot *slot,
                      const struct tide_work *work)
{
    uint32_t messages = messages_run(work);
    slot->total.messages += messages;
    slot->used_up.messages += messages;
    tide_count(pool->counters, work->row, TIDE_M_WORKER_RUN_TIME, work->busy_ns / 1000);
    tide_count(pool->counters, work->row, TIDE_M_WORKER_CPU_TIME, work->cpu_ns / 1000);
    tide_count(pool->counters, work->row, TIDE_M_WORKER_DELAY_TIME, work->delay_ns / 1000);
}

/* False when the report fits no job. */
static bool take_report(struct tide_pool *pool, struct tide_worker_slot *slot,
                        const struct tide_job_report *report)
{
    struct tide_work *work = TAILQ_FIRST(&slot->given);
    if (!work || slot->state != TIDE_WORKER_READY || report->number != work->job.number)
        return false;
    take_first(slot);
    tide_pool_goes_on(slot);
    work->status = report->status;
    take_times(work, report);
    work->whole_batch = report->whole_batch;
    work->state = TIDE_WORK_DONE;
    if (!work->canary)
        count_run(pool, slot, work);
    return true;
}

/* Only the first work is the one that the worker runs. Those behind it were not begun. */
void tide_pool_violation(struct tide_pool *pool, struct tide_worker_slot *slot,
                         enum tide_metric kind, const char *what)
{
    struct tide_work *work = TAILQ_FIRST(&slot->given);
    if (work)
        work->violation = true;
    tide_worker_slot_violation(pool, slot, kind, what);
}

/* False when it breaks the protocol. */
static bool take_message(struct tide_pool *pool, struct tide_worker_slot *slot,
                         union tide_received *message, size_t size)
{
    switch (tide_received_from_worker(message, size, slot->generation)) {
    case TIDE_RECEIVED_HELLO:
        return tide_worker_slot_hello(pool, slot, &message->hello);
    case TIDE_RECEIVED_REPORT:
        return take_report(pool, slot, &message->report);
    case TIDE_RECEIVED_PIECE:
        return tide_pool_profile_piece(slot, &message->piece);
    case TIDE_RECEIVED_CRASH:
        return tide_pool_crash(slot, &message->crash);
    case TIDE_RECEIVED_FALSE:
        break;
    }
    return false;
}

/* The end of file looks like an empty message. It comes only when a worker shuts its socket down, since this process has the
 * worker's end as well. */
static void read_messages(struct tide_pool *pool, struct tide_worker_slot *slot, uint32_t most)
{
    union tide_received message;
    for (uint32_t i = 0; i < most; i++) {
        /* MSG_TRUNC gives the size that was sent, so that a longer message is not taken for a shorter one. */
        ssize_t size = recv(slot->socket, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0) {
            tide_pool_found_empty(pool, slot);
            return;
        }
        if (!take_message(pool, slot, &message, (size_t)size)) {
            tide_pool_violation(pool, slot, TIDE_M_WORKER_VIOLATION_MESSAGE,
                                "sent what is no message of the protocol, or comes out of turn");
            return;
        }
    }
}

/* A worker that sends and sends costs others a bounded time of each turn. */
void tide_pool_read(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    read_messages(pool, slot, MOST_READ);
}

/* ---- work whose worker is gone ---- */

/* The next worker of the slot drops jobs that were sent to this one, so nothing runs twice. */
static void give_back(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    while (!TAILQ_EMPTY(&slot->given)) {
        struct tide_work *work = take_first(slot);
        work->state = TIDE_WORK_WORKER_LOST;
        if (work->violation)
            continue;
        /* The dead worker may have begun with it. */
        tide_outputs_filled(work->outputs, work->output, work->job.output_max);
        tide_pool_results_taken(work);
        enqueue(pool, work);
    }
}

void tide_pool_take_off(struct tide_pool *pool, struct tide_worker_slot *slot,
                        const struct tide_zygote_event *event)
{
    /* The event and the last reports come by different sockets: what was done before the death still counts. */
    if (slot->state == TIDE_WORKER_STARTING || slot->state == TIDE_WORKER_READY)
        read_messages(pool, slot, MOST_UNREAD);
    if (slot->state == TIDE_WORKER_READY && !TAILQ_EMPTY(&slot->given))
        tide_pool_attribute_death(slot, take_first(slot), event);
    tide_fault("pool.lost");
    give_back(pool, slot);
    slot->used = false;
}

void tide_pool_report_violation(struct tide_pool *pool, struct tide_work *work, const char *what)
{
    struct tide_worker_slot *slot = &pool->slots[work->worker - pool->slots[0].number];
    /* A quick worker has reported before the zygote tells its process id, so a missing one says nothing. */
    bool gone = slot->state < TIDE_WORKER_READY || slot->generation != work->job.generation;
    work->violation = true;
    work->attributed = false;
    work->state = gone ? TIDE_WORK_WORKER_LOST : TIDE_WORK_GIVEN;
    if (gone) {
        tide_log(TIDE_LOG_ERROR, "worker %u, which is gone, %s", work->worker, what);
        tide_count(pool->counters, work->row, TIDE_M_WORKER_VIOLATION_RESULTS, 1);
        return;
    }
    tide_worker_slot_violation(pool, slot, TIDE_M_WORKER_VIOLATION_RESULTS, what);
    TAILQ_INSERT_HEAD(&slot->given, work, next);
    slot->given_count++;
}
