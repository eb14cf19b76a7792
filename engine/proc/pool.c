/* SPDX-License-Identifier: MIT */
#include "proc/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/watch.h"
#include "proc/zygote.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum {
    MOST_DEATHS = 5,           /* of one worker in a row, without one report in between */
    RESPAWN_DELAY_US = 100000, /* from the second of them on */
    MOST_STEPS = 16
};

struct worker {
    uint32_t place;
    uint32_t generation;
    int32_t pid; /* 0 until SPAWNED */
    int socket;
    uint32_t given;          /* works in its mailbox, the running one included */
    struct tide_work *first; /* the one it is at; the others in order behind it */
    uint32_t deaths;         /* in a row */
    int64_t lost_us;         /* when the last one was lost, for the time of its replacement */
    struct tide_watch watch;
    bool spoke;       /* its socket has something, says the loop */
    int64_t spawn_us; /* when to order the next one; 0 = ordered */
};

struct tide_pool {
    struct tide_zygote *zygote;
    struct tide_loop *loop;
    struct tide_counters *counters;
    uint32_t rows[MOST_STEPS];
    uint32_t row_count;
    uint32_t depth; /* works a worker may have */
    uint32_t processes;
    struct worker *workers;
    struct tide_work *waiting;
    uint64_t numbers;
    uint64_t lost;
    int64_t limit_us;
};

struct tide_pool *tide_pool_new(struct tide_zygote *zygote, struct tide_loop *loop, uint32_t first,
                                uint32_t processes, struct tide_counters *counters)
{
    struct tide_pool *pool = tide_alloc(sizeof(*pool));
    *pool = (struct tide_pool){
        .zygote = zygote, .loop = loop, .counters = counters, .processes = processes, .depth = 1};
    pool->workers = tide_alloc(sizeof(struct worker) * processes);
    for (uint32_t i = 0; i < processes; i++) {
        struct worker *worker = &pool->workers[i];
        worker->place = first + i;
        worker->socket = tide_zygote_socket(zygote, worker->place);
    }
    return pool;
}

void tide_pool_join(struct tide_pool *pool, uint32_t row, uint32_t prefetch)
{
    tide_require(pool->row_count < MOST_STEPS);
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

static void heard(void *context)
{
    ((struct worker *)context)->spoke = true;
}

/* A zygote that has many orders to carry out takes this one later. */
static int order_spawn(struct tide_pool *pool, struct worker *worker)
{
    int status = tide_zygote_order(pool->zygote, TIDE_ORDER_SPAWN, worker->place,
                                   worker->generation + 1);
    worker->spawn_us = status == TIDE_BUSY ? 1 : 0;
    worker->generation += status == TIDE_OK;
    return status < 0 ? status : TIDE_OK;
}

int tide_pool_start(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->processes; i++) {
        int status = tide_loop_watch(pool->loop, pool->workers[i].socket, heard, &pool->workers[i]);
        if (status == TIDE_OK)
            status = order_spawn(pool, &pool->workers[i]);
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
    return a->turn < b->turn;
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

bool tide_pool_withdraw(struct tide_pool *pool, struct tide_work *work)
{
    for (struct tide_work **at = &pool->waiting; *at; at = &(*at)->next) {
        if (*at == work) {
            *at = work->next;
            work->state = TIDE_WORK_IDLE;
            break;
        }
    }
    return work->state == TIDE_WORK_IDLE;
}

static struct worker *least_busy(struct tide_pool *pool)
{
    struct worker *best = NULL;
    for (uint32_t i = 0; i < pool->processes; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->spawn_us == 0 && worker->given < pool->depth &&
            (!best || worker->given < best->given))
            best = worker;
    }
    return best;
}

static void give(struct tide_pool *pool)
{
    struct worker *worker;
    while (pool->waiting && (worker = least_busy(pool))) {
        struct tide_work *work = pool->waiting;
        struct tide_work **last = &worker->first;
        work->job.worker = worker->place;
        work->job.generation = worker->generation;
        if (send(worker->socket, &work->job, sizeof(work->job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return; /* its mailbox is full: later */
        pool->waiting = work->next;
        work->next = NULL;
        work->state = TIDE_WORK_GIVEN;
        work->worker = worker->place;
        while (*last)
            last = &(*last)->next;
        *last = work;
        worker->given++;
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
static struct tide_work *take_first(struct worker *worker)
{
    struct tide_work *work = worker->first;
    worker->first = work->next;
    worker->given--;
    work->next = NULL;
    return work;
}

static void read_reports(struct tide_pool *pool, struct worker *worker)
{
    struct tide_job_report report;
    ssize_t size;
    while ((size = recv(worker->socket, &report, sizeof(report), MSG_DONTWAIT)) > 0) {
        struct tide_work *work = worker->first;
        if (size == (ssize_t)sizeof(report) && report.generation != worker->generation)
            continue; /* of one that is dead already */
        if (size != (ssize_t)sizeof(report) || !work || report.number != work->job.number ||
            report.outcome > TIDE_OUTCOME_FULL) {
            tide_log(TIDE_LOG_ERROR, "worker %u sent a report that fits no job; it is replaced",
                     worker->place);
            tide_pool_kill(pool, worker->place);
            return;
        }
        take_first(worker);
        worker->deaths = 0;
        worker->watch.began = true;
        work->outcome = report.outcome;
        work->busy_ns = report.busy_ns;
        work->state = TIDE_WORK_DONE;
    }
}

/* Back to the pool: a new worker drops what its place was given before. */
static void give_back(struct tide_pool *pool, struct worker *worker)
{
    while (worker->first)
        enqueue(pool, take_first(worker));
}

static void count_all(struct tide_pool *pool, enum tide_metric metric)
{
    for (uint32_t i = 0; i < pool->row_count; i++)
        tide_count(pool->counters, pool->rows[i], metric, 1);
}

static void lost(struct tide_pool *pool, struct worker *worker, const struct tide_notice *notice,
                 int64_t now_us)
{
    bool running = false;
    read_reports(pool, worker); /* what it had sent before it died */
    if (worker->first) {
        struct tide_work *work = take_first(worker);
        uint32_t where = __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
        running = where != TIDE_RUNNING_NOT;
        work->blamed = running;
        work->several = where == TIDE_RUNNING_SEVERAL;
        work->late = tide_watch_died_late(&worker->watch, work);
        work->death = notice->status;
        work->state = TIDE_WORK_LOST;
    }
    give_back(pool, worker);
    pool->lost++;
    count_all(pool,
              WIFSIGNALED(notice->status) ? TIDE_M_WORKER_LOST_SIGNAL : TIDE_M_WORKER_LOST_EXIT);
    worker->pid = 0;
    worker->watch = (struct tide_watch){0};
    worker->lost_us = now_us;
    worker->deaths = running ? 0 : worker->deaths + 1;
    worker->spawn_us = worker->deaths > 1 ? now_us + RESPAWN_DELAY_US : now_us;
    if (WIFSIGNALED(notice->status))
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) was killed by signal %d (%s)", worker->place,
                 notice->pid, WTERMSIG(notice->status), strsignal(WTERMSIG(notice->status)));
    else
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) left with exit code %d", worker->place,
                 notice->pid, WEXITSTATUS(notice->status));
}

bool tide_pool_notice(struct tide_pool *pool, const struct tide_notice *notice, int64_t now_us)
{
    uint32_t first = pool->workers[0].place;
    if (notice->worker < first || notice->worker >= first + pool->processes)
        return false;
    struct worker *worker = &pool->workers[notice->worker - first];
    if (notice->generation != worker->generation)
        return true;
    if (notice->kind == TIDE_NOTICE_EXITED)
        lost(pool, worker, notice, now_us);
    if (notice->kind != TIDE_NOTICE_SPAWNED)
        return true;
    if (notice->pid < 0) {
        tide_log(TIDE_LOG_ERROR, "no new worker %u: fork: %s", worker->place,
                 strerror(notice->status));
        give_back(pool, worker);
        worker->deaths++;
        worker->spawn_us = now_us + RESPAWN_DELAY_US;
        return true;
    }
    worker->pid = notice->pid;
    if (worker->lost_us > 0) {
        for (uint32_t i = 0; i < pool->row_count; i++)
            tide_observe(pool->counters, pool->rows[i], TIDE_M_WORKER_RESPAWN_TIME,
                         (double)(now_us - worker->lost_us) / 1e6);
    }
    return true;
}

static void watch(struct tide_pool *pool, struct worker *worker, int64_t now_us)
{
    if (!tide_watch_look(&worker->watch, worker->first, pool->limit_us, now_us))
        return;
    tide_log(TIDE_LOG_WARN, "worker %u (pid %d) has stood still for %.1f s; it is replaced",
             worker->place, worker->pid, (double)worker->watch.stuck_us / 1e6);
    (void)tide_zygote_order(pool->zygote, TIDE_ORDER_KILL, worker->place, worker->generation);
}

int tide_pool_poll(struct tide_pool *pool, int64_t now_us)
{
    for (uint32_t i = 0; i < pool->processes; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->given > 0 || worker->spoke)
            read_reports(pool, worker);
        worker->spoke = false;
        if (pool->limit_us > 0)
            watch(pool, worker, now_us);
        if (worker->deaths >= MOST_DEATHS)
            return tide_fail(TIDE_ETEMPORARY,
                             "worker %u died %u times in a row before it did anything",
                             worker->place, worker->deaths);
        if (worker->spawn_us > 0 && now_us >= worker->spawn_us && order_spawn(pool, worker) < 0)
            return TIDE_ETEMPORARY;
    }
    give(pool);
    return TIDE_OK;
}

void tide_pool_kill(struct tide_pool *pool, uint32_t place)
{
    struct worker *worker = &pool->workers[place - pool->workers[0].place];
    count_all(pool, TIDE_M_WORKER_LOST_PROTOCOL);
    /* An order that is refused means that the zygote is lost, which its notices will say. */
    (void)tide_zygote_order(pool->zygote, TIDE_ORDER_KILL, place, worker->generation);
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
    return index < pool->processes ? pool->workers[index].pid : 0;
}

uint64_t tide_pool_lost(const struct tide_pool *pool)
{
    return pool->lost;
}

void tide_pool_free(struct tide_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->processes; i++)
        tide_loop_unwatch(pool->loop, pool->workers[i].socket);
    free(pool->workers);
    free(pool);
}
