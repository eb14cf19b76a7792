/* SPDX-License-Identifier: MIT
 * The workers of a pool: how one comes, is watched, is lost, and is replaced. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "proc/worker_slot.h"
#include "proc/zygote.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum {
    MOST_DEATHS = 5,           /* of one place in a row, before it was ready */
    RESPAWN_DELAY_US = 100000, /* from the second of them on */
    SILENCE_US = 10000000,     /* of a zygote: forks and kills take milliseconds */
    LONGEST_LOOK_US = 1000000  /* counted at most: an engine that was stopped finds nobody silent */
};

static void count_all(struct tide_pool *pool, enum tide_metric metric)
{
    for (uint32_t i = 0; i < pool->row_count; i++)
        tide_count(pool->counters, pool->rows[i], metric, 1);
}

static void observe_all(struct tide_pool *pool, enum tide_metric metric, double value)
{
    for (uint32_t i = 0; i < pool->row_count; i++)
        tide_observe(pool->counters, pool->rows[i], metric, value);
}

/* A zygote that has many orders to carry out takes this one later. */
int tide_worker_slot_order(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    int status = tide_zygote_send(pool->zygote, TIDE_COMMAND_SPAWN, worker->place,
                                  worker->generation + 1);
    worker->spawn_us = status == TIDE_BUSY ? 1 : 0;
    worker->generation += status == TIDE_OK;
    return status < 0 ? status : TIDE_OK;
}

static int order_kill(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    int status = tide_zygote_send(pool->zygote, TIDE_COMMAND_KILL, worker->place,
                                  worker->generation);
    worker->kill_due = status == TIDE_BUSY;
    return status < 0 ? status : TIDE_OK;
}

static void set_hook(struct tide_worker_slot *worker, const char *hook)
{
    free(worker->hook);
    worker->hook = hook ? tide_copy(hook) : NULL;
    worker->hook_us = 0;
}

void tide_worker_slot_hello(struct tide_pool *pool, struct tide_worker_slot *worker,
                            struct tide_hello *hello)
{
    hello->text[sizeof(hello->text) - 1] = 0;
    set_hook(worker, hello->starting ? hello->text : NULL);
    if (hello->starting)
        return;
    if (hello->failed) {
        free(pool->start_failed);
        pool->start_failed = tide_copy(hello->text);
        pool->start_status = hello->failed == 2 ? TIDE_ETEMPORARY : TIDE_ECONFIG;
        return; /* it leaves now */
    }
    worker->ready = pool->started = true;
    worker->deaths = 0;
    if (worker->lost_us > 0)
        observe_all(pool, TIDE_M_WORKER_RESPAWN_TIME,
                    (double)(tide_clock_us() - worker->lost_us) / 1e6);
}

static bool is_starved(const struct tide_zygote_event *notice)
{
    return WIFEXITED(notice->status) && WEXITSTATUS(notice->status) == TIDE_EXIT_MEMORY;
}

static void log_death(const struct tide_worker_slot *worker, const struct tide_zygote_event *notice)
{
    if (WIFSIGNALED(notice->status))
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) was killed by signal %d (%s)", worker->place,
                 notice->pid, WTERMSIG(notice->status), strsignal(WTERMSIG(notice->status)));
    else if (is_starved(notice))
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) wanted more than worker_memory", worker->place,
                 notice->pid);
    else
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) left with exit code %d", worker->place,
                 notice->pid, WEXITSTATUS(notice->status));
}

/* The work that it was at. */
static void lose(const struct tide_worker_slot *worker, struct tide_work *work,
                 const struct tide_zygote_event *notice)
{
    uint32_t where = __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
    bool killed = worker->stall.stalled && WIFSIGNALED(notice->status) &&
                  WTERMSIG(notice->status) == SIGKILL;
    work->several = where == TIDE_RUNNING_SEVERAL;
    work->timed_out = killed && tide_stall_killed(&worker->stall, work);
    /* One that went on before it was killed: what it was at by then did nothing. */
    work->attributed = where != TIDE_RUNNING_NOT && (!killed || work->timed_out);
    work->out_of_memory = is_starved(notice);
    work->death = notice->status;
    work->state = TIDE_WORK_WORKER_LOST;
}

/* What the dead one sent is not to be held against the next one in its place. */
static void empty_mailbox(const struct tide_worker_slot *worker)
{
    struct tide_hello mail;
    while (recv(worker->socket, &mail, sizeof(mail), MSG_DONTWAIT) > 0)
        continue;
}

static void lost(struct tide_pool *pool, struct tide_worker_slot *worker,
                 const struct tide_zygote_event *notice, int64_t now_us)
{
    if (!worker->doomed)
        tide_pool_read_reports(pool, worker); /* what it had sent before it died */
    if (!worker->doomed && worker->first)
        lose(worker, tide_pool_take_first(worker), notice);
    tide_fault("pool.lost");
    tide_pool_give_back(pool, worker);
    empty_mailbox(worker);
    pool->lost += !worker->retired;
    if (!worker->doomed) /* else counted as such */
        count_all(pool, is_starved(notice)            ? TIDE_M_WORKER_LOST_MEMORY
                        : WIFSIGNALED(notice->status) ? TIDE_M_WORKER_LOST_SIGNAL
                                                      : TIDE_M_WORKER_LOST_EXIT);
    worker->deaths = worker->ready ? 0 : worker->deaths + 1;
    worker->pid = 0;
    worker->ready = worker->doomed = worker->kill_due = worker->used = false;
    worker->stall = (struct tide_stall){0};
    set_hook(worker, NULL);
    worker->lost_us = worker->retired ? 0 : now_us;
    worker->spawn_us = worker->deaths > 1 ? now_us + RESPAWN_DELAY_US : now_us;
    if (!worker->retired)
        log_death(worker, notice);
    worker->retired = false;
}

bool tide_pool_zygote_event(struct tide_pool *pool, const struct tide_zygote_event *notice,
                            int64_t now_us)
{
    uint32_t first = pool->workers[0].place;
    if (notice->worker < first || notice->worker >= first + pool->processes)
        return false;
    struct tide_worker_slot *worker = &pool->workers[notice->worker - first];
    if (notice->generation != worker->generation)
        return true;
    if (notice->kind == TIDE_ZYGOTE_EXITED && worker->pid > 0)
        lost(pool, worker, notice, now_us);
    if (notice->kind != TIDE_ZYGOTE_SPAWNED || worker->pid > 0 || worker->spawn_us > 0)
        return true; /* nobody was ordered */
    if (notice->pid < 0) {
        tide_log(TIDE_LOG_ERROR, "no new worker %u: fork: %s", worker->place,
                 strerror(notice->status));
        worker->deaths++;
        worker->spawn_us = now_us + RESPAWN_DELAY_US;
        return true;
    }
    worker->pid = notice->pid;
    return true;
}

void tide_worker_slot_doom(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    if (worker->doomed && !worker->retired)
        return;
    worker->doomed = worker->kill_due = true;
    worker->retired = false; /* what it left was looked at only now: it is a loss after all */
    count_all(pool, TIDE_M_WORKER_LOST_PROTOCOL);
}

void tide_worker_slot_retire(struct tide_pool *pool, struct tide_worker_slot *worker)
{
    tide_log(TIDE_LOG_INFO,
             "worker %u is replaced: a message that another died of is run again in a fresh one",
             worker->place);
    worker->doomed = worker->retired = true;
    if (order_kill(pool, worker) < 0)
        worker->kill_due = true; /* tide_worker_slot_poll finds out why */
}

static void watch(struct tide_pool *pool, struct tide_worker_slot *worker, int64_t now_us)
{
    /* Its `start` hook may take its time. */
    if (!worker->ready || worker->doomed ||
        !tide_stall_check(&worker->stall, worker->first, pool->limit_us, now_us))
        return;
    tide_log(TIDE_LOG_WARN, "worker %u (pid %d) has stood still for %.1f s; it is replaced",
             worker->place, worker->pid, (double)worker->stall.stuck_us / 1e6);
    worker->kill_due = true;
}

/* A `start` hook that does not come back: when none did, that is the end of the run. */
static int watch_hook(struct tide_pool *pool, struct tide_worker_slot *worker, int64_t now_us)
{
    int64_t since_us = now_us - worker->looked_us;
    if (!worker->hook || worker->doomed)
        return TIDE_OK;
    worker->hook_us += since_us < LONGEST_LOOK_US ? since_us : LONGEST_LOOK_US;
    if (worker->hook_us <= pool->start_limit_us)
        return TIDE_OK;
    if (!pool->started)
        return tide_fail(TIDE_ECONFIG,
                         "%s: not through after %.1f s; an endless loop? If it needs more, raise "
                         "start_timeout",
                         worker->hook, (double)pool->start_limit_us / 1e6);
    tide_log(TIDE_LOG_WARN, "worker %u (pid %d): %s: not through after %.1f s; it is replaced",
             worker->place, worker->pid, worker->hook, (double)pool->start_limit_us / 1e6);
    set_hook(worker, NULL);
    worker->kill_due = true;
    return TIDE_OK;
}

/* An order to fork or to kill is carried out, or waits for room. */
static bool owes(const struct tide_worker_slot *worker)
{
    return worker->pid == 0 ? worker->spawn_us <= 1 : worker->stall.stalled || worker->doomed;
}

static int listen_to_zygote(struct tide_pool *pool, struct tide_worker_slot *worker, int64_t now_us)
{
    uint64_t heard = tide_zygote_events_received(pool->zygote);
    int64_t since_us = now_us - worker->looked_us;
    bool silent = owes(worker) && heard == worker->heard;
    worker->heard = heard;
    worker->looked_us = now_us;
    if (!silent)
        worker->silent_us = 0;
    else
        worker->silent_us += since_us < LONGEST_LOOK_US ? since_us : LONGEST_LOOK_US;
    if (worker->silent_us <= SILENCE_US)
        return TIDE_OK;
    return tide_fail(TIDE_ETEMPORARY,
                     "the zygote (pid %d) has not answered for %d s, and worker %u is to be "
                     "replaced; nothing past the last commit is committed",
                     tide_zygote_pid(pool->zygote), SILENCE_US / 1000000, worker->place);
}

static int give_up_starting(struct tide_pool *pool, const struct tide_worker_slot *worker)
{
    if (pool->start_failed && !pool->started)
        return tide_fail(pool->start_status, "%s", pool->start_failed);
    if (worker->deaths < MOST_DEATHS)
        return TIDE_OK;
    return tide_fail(TIDE_ETEMPORARY, "worker %u died %u times in a row before it was ready%s%s",
                     worker->place, worker->deaths, pool->start_failed ? ": " : "",
                     pool->start_failed ? pool->start_failed : "");
}

int tide_worker_slot_poll(struct tide_pool *pool, struct tide_worker_slot *worker, int64_t now_us)
{
    int status = give_up_starting(pool, worker);
    if (status == TIDE_OK && pool->limit_us > 0)
        watch(pool, worker, now_us);
    if (status == TIDE_OK && pool->start_limit_us > 0)
        status = watch_hook(pool, worker, now_us);
    if (status == TIDE_OK && worker->kill_due)
        status = order_kill(pool, worker);
    if (status == TIDE_OK && worker->spawn_us > 0 && now_us >= worker->spawn_us)
        status = tide_worker_slot_order(pool, worker);
    return status == TIDE_OK ? listen_to_zygote(pool, worker, now_us) : status;
}
