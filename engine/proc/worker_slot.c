/* SPDX-License-Identifier: MIT
 * The life of a worker, as the engine sees it (the states stand in the header). The engine never forks, since it has
 * threads of librdkafka by then: it sends commands to the zygote, which is the workers' parent, and takes its events. It
 * kills by itself (hold.c).
 *
 * Start with tide_worker_slot_poll(), which is called for each slot with each turn of the loop. Nothing in it waits: when
 * the zygote's socket is full, the command is sent with a later turn. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "proc/pool_inside.h"
#include "proc/zygote.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/outputs.h"

enum {
    MOST_DEATHS = 5,           /* of one slot in a row, before a worker was ready */
    RESPAWN_DELAY_US = 100000, /* from the second of them on */
    SILENCE_US = 10000000,     /* of a zygote: forks and kills take milliseconds */
    LEAVE_US = 1000000,        /* for a worker that leaves by itself: its `close` hooks */
    LEAVE_COUNTED_US = 250000, /* between two polls, of that */
    MOST_HOOKS = 1000,         /* of one worker: each has start_timeout to itself */
    MOST_UNREAD = 10000,       /* messages in a socket: far more than fit */
    LONGEST_COUNTED_US =
        1000000 /* between two polls: an engine that was stopped must not find others slow */
};

static void count_in_all_rows(struct tide_pool *pool, enum tide_metric metric)
{
    for (uint32_t i = 0; i < pool->row_count; i++)
        tide_count(pool->counters, pool->rows[i], metric, 1);
}

static void observe_in_all_rows(struct tide_pool *pool, enum tide_metric metric, double value)
{
    for (uint32_t i = 0; i < pool->row_count; i++)
        tide_observe(pool->counters, pool->rows[i], metric, value);
}

/* The generation rises only when the command was sent: a command that found the queue full is repeated with the same
 * number. */
int tide_worker_slot_spawn(struct tide_pool *pool, struct tide_worker_slot *slot)
{
    slot->zygote = slot->coming ? pool->next.zygote : pool->zygote;
    tide_pool_begins(pool, slot);
    int status = tide_zygote_send(slot->zygote, TIDE_COMMAND_SPAWN, slot->number,
                                  slot->generation + 1);
    if (status == TIDE_OK) {
        slot->generation++;
        slot->state = TIDE_WORKER_STARTING;
    }
    return status < 0 ? status : TIDE_OK;
}

/* Until SPAWNED has come the process is not known, though it may have sent something: it is killed in a later turn. */
static int kill_worker(struct tide_worker_slot *slot)
{
    slot->kill_due = slot->pid == 0 || tide_pool_awaits_words(slot);
    if (slot->kill_due)
        return TIDE_OK;
    if (slot->hold == TIDE_HOLD_FOREIGN)
        return tide_fail(
            TIDE_ETEMPORARY,
            "worker %u is to be killed, and process %d, which the zygote has named, is "
            "not seen to be its child",
            slot->number, slot->pid);
    tide_zygote_kill(slot->zygote, slot->hold, slot->number, slot->generation);
    return TIDE_OK;
}

static void set_hook(struct tide_worker_slot *slot, const char *name)
{
    free(slot->hook.name);
    slot->hook.name = name ? tide_copy(name) : NULL;
    slot->hook.time_us = 0;
}

static void note_failure(char **failed, const char *text)
{
    free(*failed);
    *failed = tide_copy(text);
}

bool tide_worker_slot_hello(struct tide_pool *pool, struct tide_worker_slot *slot,
                            const struct tide_hello *hello)
{
    if (slot->state != TIDE_WORKER_STARTING || slot->leave_us > 0)
        return false;
    set_hook(slot, hello->kind == TIDE_HELLO_HOOK ? hello->text : NULL);
    if (hello->kind == TIDE_HELLO_HOOK)
        return slot->hook.count++ < MOST_HOOKS;
    if (hello->kind != TIDE_HELLO_READY) {
        int why = hello->kind == TIDE_HELLO_FAILED_FOR_NOW ? TIDE_ETEMPORARY : TIDE_ECONFIG;
        note_failure(slot->coming ? &pool->next.failed : &pool->workers.failed, hello->text);
        *(slot->coming ? &pool->next.status : &pool->workers.status) = why;
        slot->leave_us = LEAVE_US; /* it leaves by itself; what does not is killed */
        return true;
    }
    slot->state = TIDE_WORKER_READY;
    slot->deaths = 0;
    pool->workers.started = true;
    if (slot->lost_us > 0)
        observe_in_all_rows(pool, TIDE_M_WORKER_RESPAWN_TIME,
                            (double)(tide_clock_us() - slot->lost_us) / 1e6);
    return true;
}

/* ---- events of the zygote ---- */

void tide_worker_slot_spawned(struct tide_worker_slot *slot, const struct tide_zygote_event *event,
                              int64_t now_us)
{
    if (event->pid > 0) {
        slot->pid = event->pid;
        slot->hold = tide_zygote_hold(slot->zygote, event->pid);
        return;
    }
    if (slot->state == TIDE_WORKER_READY)
        return; /* a worker that has sent something is there */
    tide_log(TIDE_LOG_ERROR, "no new worker %u: %s", slot->number, strerror(event->status));
    slot->deaths += slot->state == TIDE_WORKER_STARTING;
    slot->state = TIDE_WORKER_NONE;
    slot->kill_due = false;
    slot->spawn_us = now_us + RESPAWN_DELAY_US;
}

static bool is_out_of_memory(const struct tide_zygote_event *event)
{
    return WIFEXITED(event->status) && WEXITSTATUS(event->status) == TIDE_EXIT_MEMORY;
}

static void log_death(const struct tide_worker_slot *slot, const struct tide_zygote_event *event)
{
    const char *words = tide_pool_last_words(slot);
    if (WIFSIGNALED(event->status))
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) was killed by signal %d (%s)%s%s", slot->number,
                 event->pid, WTERMSIG(event->status), strsignal(WTERMSIG(event->status)),
                 words ? ": " : "", words ? words : "");
    else if (is_out_of_memory(event))
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) wanted more than worker_memory", slot->number,
                 event->pid);
    else
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) left with exit code %d", slot->number,
                 event->pid, WEXITSTATUS(event->status));
}

/* A loss is counted by its cause; a violation was counted when it was found. */
static void count_death(struct tide_pool *pool, struct tide_worker_slot *slot,
                        const struct tide_zygote_event *event)
{
    if (slot->state == TIDE_WORKER_RETIRED)
        return;
    pool->workers.lost++;
    slot->total.lost++;
    log_death(slot, event);
    if (slot->state != TIDE_WORKER_KILL_PENDING)
        count_in_all_rows(pool, slot->stall.over_cpu         ? TIDE_M_WORKER_LOST_CPU
                                : is_out_of_memory(event)    ? TIDE_M_WORKER_LOST_MEMORY
                                : WIFSIGNALED(event->status) ? TIDE_M_WORKER_LOST_SIGNAL
                                                             : TIDE_M_WORKER_LOST_EXIT);
}

/* What the old worker sent must not be taken for the next one's. It cannot go on sending, unless the zygote lies: so there is
 * an end to it in any case. */
static void empty_socket(const struct tide_worker_slot *slot)
{
    struct tide_hello ignored;
    for (uint32_t i = 0; i < MOST_UNREAD; i++) {
        if (recv(slot->socket, &ignored, sizeof(ignored), MSG_DONTWAIT) < 0)
            return;
    }
}

void tide_worker_slot_exited(struct tide_pool *pool, struct tide_worker_slot *slot,
                             const struct tide_zygote_event *event, int64_t now_us)
{
    empty_socket(slot);
    for (uint32_t i = 0; i < pool->row_count; i++) {
        if (pool->outputs[i])
            tide_outputs_recover(pool->outputs[i], slot->number);
    }
    count_death(pool, slot, event);
    slot->deaths += slot->state == TIDE_WORKER_STARTING;
    slot->lost_us = slot->state == TIDE_WORKER_RETIRED ? 0 : now_us;
    /* At once, unless workers die again and again before they are ready: then forks must not fill the machine. */
    slot->spawn_us = slot->deaths > 1 ? now_us + RESPAWN_DELAY_US : now_us;
    slot->state = TIDE_WORKER_NONE;
    tide_worker_slot_release(slot);
    slot->kill_due = false;
    slot->leave_us = 0;
    slot->stall = (struct tide_stall){0};
    memset(&slot->used_up, 0, sizeof(slot->used_up));
    slot->hook.count = 0;
    set_hook(slot, NULL);
}

void tide_worker_slot_release(struct tide_worker_slot *slot)
{
    if (slot->pid > 0 && slot->hold >= 0)
        close(slot->hold);
    slot->pid = 0;
}

/* A death before READY is counted here already: by the time of its event the state says KILL_PENDING. */
void tide_worker_slot_violation(struct tide_pool *pool, struct tide_worker_slot *slot,
                                enum tide_metric kind, const char *what)
{
    if (slot->state == TIDE_WORKER_KILL_PENDING || slot->state == TIDE_WORKER_NONE)
        return;
    tide_log(TIDE_LOG_ERROR, "worker %u (pid %d) %s; it is replaced", slot->number, slot->pid,
             what);
    count_in_all_rows(pool, kind);
    slot->deaths += slot->state == TIDE_WORKER_STARTING;
    /* Also when it is RETIRED, and what it left is looked at only now: then it is a loss after all. */
    slot->state = TIDE_WORKER_KILL_PENDING;
    slot->kill_due = true;
    count_in_all_rows(pool, TIDE_M_WORKER_LOST_PROTOCOL);
}

void tide_worker_slot_retire(struct tide_worker_slot *slot)
{
    tide_log(TIDE_LOG_INFO,
             "worker %u is replaced: a message that another died of is run again in a fresh one",
             slot->number);
    slot->state = TIDE_WORKER_RETIRED;
    if (kill_worker(slot) < 0)
        slot->kill_due = true; /* tide_worker_slot_poll fails with the reason */
}

/* It is to have a worker: one that takes work, or one that is about to take another's place. */
static bool is_wanted(const struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    return slot->in_use || slot->coming || slot == pool->replace.successor;
}

/* A slot that is not in use has its worker leave once it has nothing to do: a job with number 0 tells it to, so that it
 * runs its `close` hooks. When the socket is full, it is told with a later turn. */
static void let_leave(const struct tide_pool *pool, struct tide_worker_slot *slot)
{
    struct tide_job leave = {.worker = slot->number, .generation = slot->generation};
    if (slot->state == TIDE_WORKER_READY && slot->given_count == 0 &&
        send(slot->socket, &leave, sizeof(leave), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        tide_pool_begins(pool, slot);
        slot->state = TIDE_WORKER_RETIRED;
        slot->leave_us = LEAVE_US;
    }
}

/* How much of the time since the last poll counts. */
static int64_t counted_us(const struct tide_worker_slot *slot, int64_t now_us)
{
    int64_t since_us = now_us - slot->silence.checked_us;
    return since_us < LONGEST_COUNTED_US ? since_us : LONGEST_COUNTED_US;
}

/* A worker that has said that it leaves, or was told to, and is still there. It may have been stopped together with the
 * engine. */
static void end_leaving(struct tide_worker_slot *slot, int64_t now_us)
{
    int64_t since_us = counted_us(slot, now_us);
    if (slot->leave_us == 0)
        return;
    slot->leave_us -= since_us < LEAVE_COUNTED_US ? since_us : LEAVE_COUNTED_US;
    if (slot->leave_us <= 0) {
        slot->leave_us = 0;
        slot->kill_due = true;
    }
}

/* A `start` hook that hangs ends the run while none has run well: it would hang each time. */
static int look_at_hook(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    if (slot->pid == 0 || slot->state != TIDE_WORKER_STARTING)
        return TIDE_OK;
    /* Before the first hook only our own code runs, which may wait for a processor. */
    bool waits = !slot->hook.name && pool->start_limit_us < SILENCE_US;
    slot->hook.time_us += counted_us(slot, now_us);
    if (slot->hook.time_us <= (waits ? SILENCE_US : pool->start_limit_us))
        return TIDE_OK;
    if (slot->hook.name && !pool->workers.started)
        return tide_fail(TIDE_ECONFIG,
                         "%s: not complete after %.1f s; an endless loop? If it needs more, raise "
                         "start_timeout",
                         slot->hook.name, (double)pool->start_limit_us / 1e6);
    tide_log(TIDE_LOG_WARN, "worker %u (pid %d): %s: not complete after %.1f s; it is replaced",
             slot->number, slot->pid, slot->hook.name ? slot->hook.name : "its start",
             (double)pool->start_limit_us / 1e6);
    set_hook(slot, NULL);
    slot->kill_due = true;
    return TIDE_OK;
}

/* ---- the zygote ---- */

/* True while the zygote has a command to carry out, or its queue is too full to send it. */
static bool awaits_zygote(const struct tide_pool *pool, const struct tide_worker_slot *slot,
                          int64_t now_us)
{
    if (slot->state == TIDE_WORKER_NONE)
        return is_wanted(pool, slot) && slot->spawn_us <= now_us;
    return slot->pid == 0 || slot->stall.stalled || slot->state > TIDE_WORKER_READY;
}

/* Without this, a zygote that was stopped (SIGSTOP, a debugger) would stop the pipeline silently: its socket takes commands
 * all the same. Any event is a sign of life, so many slots may wait for one that is busy. */
static int look_at_zygote(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    const struct tide_zygote *zygote = slot->state == TIDE_WORKER_NONE ? pool->zygote
                                                                       : slot->zygote;
    if (slot->state == TIDE_WORKER_NONE && slot->coming)
        zygote = pool->next.zygote;
    uint64_t events = tide_zygote_events_received(zygote);
    if (awaits_zygote(pool, slot, now_us) && events == slot->silence.events)
        slot->silence.silent_us += counted_us(slot, now_us);
    else
        slot->silence.silent_us = 0;
    slot->silence.events = events;
    slot->silence.checked_us = now_us;
    if (slot->silence.silent_us <= SILENCE_US)
        return TIDE_OK;
    return tide_fail(TIDE_ETEMPORARY,
                     "the zygote (pid %d) has not answered for %d s, and worker %u is to be "
                     "replaced; nothing past the last commit is committed",
                     tide_zygote_pid(zygote), SILENCE_US / 1000000, slot->number);
}

bool tide_worker_slot_cannot_start(const struct tide_worker_slot *slot)
{
    return slot->deaths >= MOST_DEATHS;
}

/* A hook that fails in the first worker would fail in each, so the run ends with its text. Later it may be the moment
 * that is bad (a server that is down), so the slot tries again, up to MOST_DEATHS times. */
static int give_up_starting(struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    const char *failed = pool->workers.failed;
    if (failed && !pool->workers.started)
        return tide_fail(pool->workers.status, "%s", failed);
    if (!tide_worker_slot_cannot_start(slot) || !slot->in_use)
        return TIDE_OK;
    const char *why = failed ? failed : slot->crash;
    return tide_fail(TIDE_ETEMPORARY, "worker %u died %u times in a row before it was ready%s%s",
                     slot->number, slot->deaths, why ? ": " : "", why ? why : "");
}

/* Kills come after the two that decide on them, so that they leave in this turn. The zygote is looked at last, when all
 * commands that it can have are sent: what it does not answer then counts against it. */
int tide_worker_slot_poll(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    int status = give_up_starting(pool, slot);
    if (status == TIDE_OK && pool->start_limit_us > 0)
        status = look_at_hook(pool, slot, now_us);
    if (status == TIDE_OK)
        end_leaving(slot, now_us);
    if (status == TIDE_OK && !is_wanted(pool, slot))
        let_leave(pool, slot);
    if (status == TIDE_OK && slot->kill_due)
        status = kill_worker(slot);
    if (status == TIDE_OK && slot->state == TIDE_WORKER_NONE && is_wanted(pool, slot) &&
        now_us >= slot->spawn_us)
        status = tide_worker_slot_spawn(pool, slot);
    return status == TIDE_OK ? look_at_zygote(pool, slot, now_us) : status;
}
