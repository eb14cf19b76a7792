/* SPDX-License-Identifier: MIT
 * Which worker gets which work, and what comes back of it. There is one queue for all workers of the pool and no work
 * stealing: a worker is given at most `depth` jobs (the one that it runs, and those that its step may prefetch), so a
 * slow batch holds up few others. Work that wants a fresh worker waits in the same queue, but for a reserved slot; it
 * overtakes nothing and holds nothing up.
 *
 * Start with tide_pool_give(). Work comes back in three ways: by a report (tide_pool_read), by the death of its worker
 * (tide_pool_take_off), or by tide_pool_withdraw() before it was given. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "proc/pool_inside.h"
#include "shm/counters.h"
#include "shm/layout.h"

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

/* NULL: none now. As long as another worker is about to be ready, no work is put behind what runs: it would wait there
 * while the new worker has nothing to do. */
static struct tide_worker_slot *least_busy(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    bool coming = false;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (!slot->in_use)
            continue;
        coming |= slot->state < TIDE_WORKER_READY;
        if (slot->state == TIDE_WORKER_READY && !slot->reserved &&
            slot->given_count < pool->depth && (!best || slot->given_count < best->given_count))
            best = slot;
    }
    return coming && best && best->given_count > 0 ? NULL : best;
}

/* An estimate of how long it takes until the slot has a fresh worker. */
static uint32_t distance(const struct tide_worker_slot *slot)
{
    return 2 * slot->given_count + slot->used;
}

/* Reserves a slot, and has its worker replaced once it has nothing to do. NULL: no fresh worker yet. */
static struct tide_worker_slot *fresh_worker(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    for (uint32_t i = 0; i < pool->slot_count && !(best && best->reserved); i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (slot->in_use && (!best || slot->reserved || distance(slot) < distance(best)))
            best = slot;
    }
    best->reserved = true;
    if (best->state != TIDE_WORKER_READY)
        return NULL;
    if (best->used && best->given_count == 0)
        tide_worker_slot_retire(pool, best);
    return best->used ? NULL : best;
}

/* False when the worker's socket is full: later. */
static bool give_to(struct tide_worker_slot *slot, struct tide_pool *pool, struct tide_work *work)
{
    work->job.worker = slot->number;
    work->job.generation = slot->generation;
    if (send(slot->socket, &work->job, sizeof(work->job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return false;
    TAILQ_REMOVE(&pool->work.waiting, work, next);
    TAILQ_INSERT_TAIL(&slot->given, work, next);
    work->state = TIDE_WORK_GIVEN;
    work->worker = slot->number;
    slot->given_count++;
    slot->used = true;
    slot->reserved = false;
    return true;
}

void tide_pool_give(struct tide_pool *pool)
{
    struct tide_work *next;
    for (struct tide_work *work = TAILQ_FIRST(&pool->work.waiting); work; work = next) {
        next = TAILQ_NEXT(work, next);
        struct tide_worker_slot *slot = work->fresh ? fresh_worker(pool) : least_busy(pool);
        if (slot && !give_to(slot, pool, work))
            return;
        if (slot)
            tide_fault("pool.give");
    }
}

void tide_pool_submit(struct tide_pool *pool, struct tide_work *work)
{
    tide_require(work->state == TIDE_WORK_IDLE);
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

/* A worker that claims more processor time than time only spoils what is said about it. */
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
    if (!work || report->number != work->job.number || report->status > TIDE_JOB_FULL)
        return false;
    take_first(slot);
    work->status = report->status;
    work->busy_ns = report->busy_ns;
    work->cpu_ns = report->cpu_ns;
    work->delay_ns = report->delay_ns;
    work->whole_batch = report->whole_batch != 0;
    work->state = TIDE_WORK_DONE;
    count_run(pool, slot, work);
    return true;
}

static void take_violation(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    struct tide_work *work = TAILQ_FIRST(&slot->given);
    if (slot->state == TIDE_WORKER_STARTING || slot->state == TIDE_WORKER_READY)
        tide_log(TIDE_LOG_ERROR, "worker %u sent a report that fits no job; it is replaced",
                 slot->number);
    if (work)
        work->violation = true;
    tide_worker_slot_violation(pool, slot);
}

void tide_pool_read(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    union {
        struct tide_job_report report;
        struct tide_hello hello;
        struct tide_profile_piece piece;
        struct tide_crash_report crash;
    } received;
    ssize_t size;
    /* MSG_TRUNC gives the size that was sent, so that a longer message is not taken for a hello. */
    while ((size = recv(slot->socket, &received, sizeof(received), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        bool is_hello = size == (ssize_t)sizeof(received.hello);
        bool is_report = size == (ssize_t)sizeof(received.report);
        bool is_piece = size == (ssize_t)sizeof(received.piece);
        bool is_crash = size == (ssize_t)sizeof(received.crash);
        uint32_t generation = is_hello   ? received.hello.generation
                              : is_piece ? received.piece.generation
                              : is_crash ? received.crash.generation
                                         : received.report.generation;
        if ((is_hello || is_piece || is_crash || is_report) && generation != slot->generation)
            continue; /* of a worker that is dead already */
        if ((is_piece && tide_pool_profile_piece(slot, &received.piece)) ||
            (is_crash && tide_pool_crash(slot, &received.crash)))
            continue;
        if (is_hello && slot->state == TIDE_WORKER_STARTING) {
            tide_worker_slot_hello(pool, slot, &received.hello);
        } else if (!is_report || slot->state != TIDE_WORKER_READY ||
                   !take_report(pool, slot, &received.report)) {
            take_violation(pool, slot);
            return;
        }
    }
}

/* ---- work whose worker is gone ---- */

/* Attributes the death to the record in progress, or to none. */
static void attribute_death(const struct tide_worker_slot *slot, struct tide_work *work,
                            const struct tide_zygote_event *event)
{
    uint32_t running = __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
    bool killed = slot->stall.stalled && WIFSIGNALED(event->status) &&
                  WTERMSIG(event->status) == SIGKILL;
    work->several = running == TIDE_RUNNING_SEVERAL;
    work->timed_out = killed && tide_stall_killed(&slot->stall, work);
    work->over_cpu = work->timed_out && slot->stall.over_cpu;
    /* A worker that went on before our signal reached it was killed at a record that did nothing. */
    work->attributed = running != TIDE_RUNNING_NOT && (!killed || work->timed_out);
    work->out_of_memory = WIFEXITED(event->status) &&
                          WEXITSTATUS(event->status) == TIDE_EXIT_MEMORY;
    work->death = event->status;
    const char *words = tide_pool_last_words(slot);
    snprintf(work->crash, sizeof(work->crash), "%s", words ? words : "");
    work->state = TIDE_WORK_WORKER_LOST;
}

/* The next worker of the slot drops jobs that were sent to this one, so nothing runs twice. */
static void give_back(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    while (!TAILQ_EMPTY(&slot->given)) {
        struct tide_work *work = take_first(slot);
        work->state = TIDE_WORK_WORKER_LOST;
        if (work->violation)
            continue;
        work->job.output->progress = work->job.first; /* the dead worker may have begun with it */
        work->job.output->running = TIDE_RUNNING_NOT;
        enqueue(pool, work);
    }
}

void tide_pool_take_off(struct tide_pool *pool, struct tide_worker_slot *slot,
                        const struct tide_zygote_event *event)
{
    /* The event and the last reports come by different sockets: what was done before the death still counts. */
    if (slot->state == TIDE_WORKER_STARTING || slot->state == TIDE_WORKER_READY)
        tide_pool_read(pool, slot);
    if (slot->state == TIDE_WORKER_READY && !TAILQ_EMPTY(&slot->given))
        attribute_death(slot, take_first(slot), event);
    tide_fault("pool.lost");
    give_back(pool, slot);
    slot->used = false;
}

void tide_pool_report_violation(struct tide_pool *pool, struct tide_work *work)
{
    struct tide_worker_slot *slot = &pool->slots[work->worker - pool->slots[0].number];
    /* A quick worker has reported before the zygote tells its process id, so a missing one says nothing. */
    bool gone = slot->state < TIDE_WORKER_READY || slot->generation != work->job.generation;
    work->violation = true;
    work->attributed = false;
    work->state = gone ? TIDE_WORK_WORKER_LOST : TIDE_WORK_GIVEN;
    if (gone)
        return;
    tide_worker_slot_violation(pool, slot);
    TAILQ_INSERT_HEAD(&slot->given, work, next);
    slot->given_count++;
}
