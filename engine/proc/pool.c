/* SPDX-License-Identifier: MIT */
#include "proc/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/worker_slot.h"
#include "proc/zygote.h"
#include "shm/counters.h"
#include "shm/layout.h"

struct tide_pool *tide_pool_new(struct tide_zygote *zygote, struct tide_loop *loop, uint32_t first,
                                uint32_t processes, struct tide_counters *counters)
{
    struct tide_pool *pool = tide_alloc(sizeof(*pool));
    *pool = (struct tide_pool){
        .zygote = zygote, .loop = loop, .counters = counters, .processes = processes, .depth = 1};
    pool->workers = tide_alloc(sizeof(struct tide_worker_slot) * processes);
    for (uint32_t i = 0; i < processes; i++) {
        struct tide_worker_slot *worker = &pool->workers[i];
        worker->place = first + i;
        worker->socket = tide_zygote_socket(zygote, worker->place);
    }
    return pool;
}

void tide_pool_join(struct tide_pool *pool, uint32_t row, uint32_t prefetch)
{
    tide_require(pool->row_count < TIDE_POOL_MOST_STEPS);
    pool->rows[pool->row_count++] = row;
    if (1 + prefetch > pool->depth)
        pool->depth = 1 + prefetch;
    tide_observe(pool->counters, row, TIDE_M_PROCESSES, pool->processes);
    tide_count(pool->counters, row, TIDE_M_POOL_CREATE, 1);
}

void tide_pool_limit(struct tide_pool *pool, int64_t limit_us)
{
    pool->limit_us = limit_us;
}

void tide_pool_limit_start(struct tide_pool *pool, int64_t limit_us)
{
    pool->start_limit_us = limit_us;
}

static void heard(void *context)
{
    ((struct tide_worker_slot *)context)->spoke = true;
}

int tide_pool_start(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->processes; i++) {
        int status = tide_loop_watch(pool->loop, pool->workers[i].socket, heard, &pool->workers[i]);
        if (status == TIDE_OK)
            status = tide_worker_slot_order(pool, &pool->workers[i]);
        if (status < 0)
            return status;
    }
    return TIDE_OK;
}

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
    struct tide_work **at = &pool->waiting;
    while (*at && !goes_before(work, *at))
        at = &(*at)->next;
    work->next = *at;
    *at = work;
    work->state = TIDE_WORK_WAITING;
}

static void set_none_aside(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->processes; i++)
        pool->workers[i].aside = false;
}

bool tide_pool_withdraw(struct tide_pool *pool, struct tide_work *work)
{
    if (work->fresh)
        set_none_aside(pool); /* another that wants one sets one aside again */
    for (struct tide_work **at = &pool->waiting; *at; at = &(*at)->next) {
        if (*at == work) {
            *at = work->next;
            work->state = TIDE_WORK_IDLE;
            break;
        }
    }
    return work->state == TIDE_WORK_IDLE;
}

/* NULL: not now. Nothing is put behind what runs while another worker is about to be ready. */
static struct tide_worker_slot *least_busy(struct tide_pool *pool)
{
    struct tide_worker_slot *best = NULL;
    bool coming = false;
    for (uint32_t i = 0; i < pool->processes; i++) {
        struct tide_worker_slot *worker = &pool->workers[i];
        coming |= !worker->ready;
        if (worker->ready && !worker->doomed && !worker->aside && worker->given < pool->depth &&
            (!best || worker->given < best->given))
            best = worker;
    }
    return coming && best && best->given > 0 ? NULL : best;
}

/* How long it takes until there is a fresh one in its place, more or less. */
static uint32_t distance(const struct tide_worker_slot *worker)
{
    return 2 * worker->given + worker->used;
}

/* NULL: not yet. */
static struct tide_worker_slot *fresh_one(struct tide_pool *pool)
{
    struct tide_worker_slot *best = &pool->workers[0];
    for (uint32_t i = 1; i < pool->processes && !best->aside; i++) {
        struct tide_worker_slot *worker = &pool->workers[i];
        if (worker->aside || distance(worker) < distance(best))
            best = worker;
    }
    best->aside = true;
    if (!best->ready || best->doomed)
        return NULL;
    if (best->used && best->given == 0)
        tide_worker_slot_retire(pool, best);
    return best->used ? NULL : best;
}

/* False when its mailbox is full: later. */
static bool give_to(struct tide_worker_slot *worker, struct tide_work *work)
{
    struct tide_work **last = &worker->first;
    work->job.worker = worker->place;
    work->job.generation = worker->generation;
    if (send(worker->socket, &work->job, sizeof(work->job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return false;
    work->next = NULL;
    work->state = TIDE_WORK_GIVEN;
    work->worker = worker->place;
    while (*last)
        last = &(*last)->next;
    *last = work;
    worker->given++;
    worker->used = true;
    worker->aside = false;
    return true;
}

static void give(struct tide_pool *pool)
{
    struct tide_work **at = &pool->waiting;
    while (*at) {
        struct tide_work *work = *at, *next = work->next;
        struct tide_worker_slot *worker = work->fresh ? fresh_one(pool) : least_busy(pool);
        if (!worker) { /* one that wants a fresh worker holds nobody up, nor is held up */
            at = &work->next;
            continue;
        }
        if (!give_to(worker, work))
            return;
        tide_fault("pool.give");
        *at = next;
    }
}

void tide_pool_submit(struct tide_pool *pool, struct tide_work *work)
{
    tide_require(work->state == TIDE_WORK_IDLE);
    work->job.number = ++pool->numbers;
    enqueue(pool, work);
    give(pool);
}

/* Takes the first work off a worker; its report or its death came. */
struct tide_work *tide_pool_take_first(struct tide_worker_slot *worker)
{
    struct tide_work *work = worker->first;
    worker->first = work->next;
    worker->given--;
    work->next = NULL;
    return work;
}

/* False when it fits no job. */
static bool take_report(struct tide_worker_slot *worker, const struct tide_job_report *report)
{
    struct tide_work *work = worker->first;
    if (!work || report->number != work->job.number || report->status > TIDE_JOB_FULL)
        return false;
    tide_pool_take_first(worker);
    work->status = report->status;
    work->busy_ns = report->busy_ns;
    work->whole_batch = report->whole_batch != 0;
    work->state = TIDE_WORK_DONE;
    return true;
}

void tide_pool_read_reports(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    union {
        struct tide_job_report report;
        struct tide_hello hello;
    } mail;
    ssize_t size;
    while ((size = recv(worker->socket, &mail, sizeof(mail), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        bool is_hello = size == (ssize_t)sizeof(mail.hello);
        bool is_report = size == (ssize_t)sizeof(mail.report);
        uint32_t generation = is_hello ? mail.hello.generation : mail.report.generation;
        if ((is_hello || is_report) && generation != worker->generation)
            continue; /* of one that is dead already */
        if (is_hello && !worker->ready) {
            tide_worker_slot_hello(pool, worker, &mail.hello);
        } else if (!is_report || worker->doomed || !take_report(worker, &mail.report)) {
            if (!worker->doomed)
                tide_log(TIDE_LOG_ERROR, "worker %u sent a report that fits no job; it is replaced",
                         worker->place);
            if (worker->first)
                worker->first->violation = true;
            tide_worker_slot_doom(pool, worker);
            return;
        }
    }
}

/* Back to the pool: a new worker drops what its place was given before. */
void tide_pool_give_back(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    while (worker->first) {
        struct tide_work *work = tide_pool_take_first(worker);
        work->state = TIDE_WORK_WORKER_LOST;
        if (work->violation)
            continue;
        work->job.output->progress = work->job.first; /* the one that is gone may have been at it */
        work->job.output->running = TIDE_RUNNING_NOT;
        enqueue(pool, work);
    }
}

int tide_pool_poll(struct tide_pool *pool, int64_t now_us)
{
    for (uint32_t i = 0; i < pool->processes; i++) {
        struct tide_worker_slot *worker = &pool->workers[i];
        if (worker->given > 0 || worker->spoke || !worker->ready)
            tide_pool_read_reports(pool, worker);
        worker->spoke = false;
        int status = tide_worker_slot_poll(pool, worker, now_us);
        if (status < 0)
            return status;
    }
    give(pool);
    return TIDE_OK;
}

void tide_pool_report_violation(struct tide_pool *pool, struct tide_work *work)
{
    struct tide_worker_slot *worker = &pool->workers[work->worker - pool->workers[0].place];
    /* One that is quick has reported before the zygote tells its pid, so that says nothing. */
    bool gone = !worker->ready || worker->generation != work->job.generation;
    work->violation = true;
    work->attributed = false;
    work->state = gone ? TIDE_WORK_WORKER_LOST : TIDE_WORK_GIVEN;
    if (gone)
        return;
    tide_worker_slot_doom(pool, worker);
    work->next = worker->first;
    worker->first = work;
    worker->given++;
}

bool tide_pool_has_idle(const struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->processes; i++) {
        if (pool->workers[i].given == 0)
            return pool->waiting == NULL;
    }
    return false;
}

uint32_t tide_pool_processes(const struct tide_pool *pool)
{
    return pool->processes;
}

int32_t tide_pool_pid(const struct tide_pool *pool, uint32_t index)
{
    return index < pool->processes && pool->workers[index].ready ? pool->workers[index].pid : 0;
}

uint64_t tide_pool_workers_lost(const struct tide_pool *pool)
{
    return pool->lost;
}

void tide_pool_free(struct tide_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->processes; i++) {
        tide_loop_unwatch(pool->loop, pool->workers[i].socket);
        free(pool->workers[i].hook);
    }
    free(pool->workers);
    free(pool->start_failed);
    free(pool);
}
