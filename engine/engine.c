/* SPDX-License-Identifier: MIT
 * One turn of the loop, and the states it goes through (engine.h). Order within a turn: what frees room
 * first (workers' reports, the last step, ... the first), then the source, so that intake finds it. */
#include "engine.h"

#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "shm/counters.h"
#include "shm/topics.h"

enum { SPAN = 256 };
static const int64_t PATIENCE_US = 5000000; /* for reports, the last commit, before a pause */
static const int64_t LEAVE_US = 1000000;    /* for leaving: nothing depends on it any more */
static const int64_t LONGEST_WAIT_US =
    100000; /* a pipe that was full has no way to wake the loop */

void tide_engine_emit(struct tide_engine *engine, enum tide_event_kind kind, int status, int number,
                      const char *text)
{
    if (engine->event_count == TIDE_ENGINE_EVENTS) {
        engine->event_head = (engine->event_head + 1) % TIDE_ENGINE_EVENTS;
        engine->event_count--;
    }
    uint32_t at = (engine->event_head + engine->event_count++) % TIDE_ENGINE_EVENTS;
    struct tide_event *event = &engine->events[at];
    event->kind = kind;
    event->status = status;
    event->number = number;
    snprintf(event->text, sizeof(event->text), "%s", text ? text : "");
}

void tide_engine_enter_state(struct tide_engine *engine, enum tide_engine_state state,
                             int64_t deadline_us)
{
    tide_meter_enter(engine, state);
    engine->state = state;
    engine->deadline_us = deadline_us;
    engine->progress = true;
}

void tide_engine_drain(struct tide_engine *engine, int64_t deadline_us)
{
    tide_engine_enter_state(engine, TIDE_ENGINE_DRAINING, deadline_us);
    engine->closed_steps = 0;
}

void tide_engine_fail(struct tide_engine *engine, int status, int64_t now_us)
{
    if (engine->failure != 0)
        return; /* the first one is the cause */
    engine->failure = status;
    snprintf(engine->failure_text, sizeof(engine->failure_text), "%s", tide_error());
    tide_engine_enter_state(engine, TIDE_ENGINE_FAILING, now_us + PATIENCE_US);
}

/* ---- one turn ---- */

static int poll_pools(struct tide_engine *engine, int64_t now_us)
{
    struct tide_notice notice;
    int status = TIDE_OK;
    uint64_t lost = 0;
    while (engine->zygote && (status = tide_zygote_notice(engine->zygote, &notice)) == 1) {
        for (uint32_t i = 0; i < engine->pool_count; i++) {
            if (tide_pool_notice(engine->pools[i], &notice, now_us))
                break;
        }
    }
    for (uint32_t i = 0; i < engine->pool_count && status == TIDE_OK; i++) {
        status = tide_pool_poll(engine->pools[i], now_us);
        lost += tide_pool_lost(engine->pools[i]);
    }
    if (lost > engine->workers_lost)
        tide_engine_emit(engine, TIDE_EVENT_WORKER_LOST, 0, (int)(lost - engine->workers_lost),
                         NULL);
    engine->workers_lost = lost;
    return status;
}

static int poll_steps(struct tide_engine *engine, int64_t now_us)
{
    for (uint32_t i = engine->step_count; i-- > 0;) {
        int status = engine->steps[i]->ops->poll(engine->steps[i], now_us);
        if (status < 0)
            return status;
    }
    return TIDE_OK;
}

static void set_paused(struct tide_engine *engine, bool pause)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    engine->paused = pause;
    engine->paused_in_flight = totals.in_flight;
    engine->source->ops->pause(engine->source, pause);
    tide_count(engine->chain.counters, 0, pause ? TIDE_M_PAUSE : TIDE_M_RESUME, 1);
    tide_log(TIDE_LOG_INFO, "%s",
             pause ? "paused reading: the next step has taken nothing for 5 s" : "reading again");
}

static void note_blocked(struct tide_engine *engine, bool blocked, int64_t now_us)
{
    struct tide_counters *counters = engine->chain.counters;
    if (blocked && !engine->blocked)
        engine->blocked_us = now_us;
    if (!blocked && engine->blocked)
        tide_observe(counters, 0, TIDE_M_BACKPRESSURE_TIME,
                     (double)(now_us - engine->blocked_us) / 1e6);
    engine->blocked = blocked;
    if (blocked && !engine->paused && now_us - engine->blocked_us >= PATIENCE_US)
        set_paused(engine, true);
}

/* A paused source has no message to try the way with; that something got through tells as much. With nothing in flight
 * (what fills the step was revoked) nothing can: one must try. */
static void resume_when_moving(struct tide_engine *engine, int64_t now_us)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    if (!engine->paused || (totals.in_flight > 0 && totals.in_flight >= engine->paused_in_flight))
        return;
    set_paused(engine, false);
    note_blocked(engine, false, now_us);
}

/* After an abort the source still has some to give, until it is told that they are lost. */
static ssize_t still_owned(const struct tide_engine *engine, const struct tide_message *messages,
                           ssize_t count)
{
    ssize_t owned = 0;
    while (owned < count &&
           tide_offsets_owned(engine->chain.offsets, messages[owned].origin.partition))
        owned++;
    return owned;
}

/* Reads a span and submits it; what is not taken is read again later, so its tickets are given back. */
static int intake(struct tide_engine *engine, size_t most, int64_t now_us)
{
    struct tide_message messages[SPAN];
    struct tide_offsets *offsets = engine->chain.offsets;
    struct tide_step *first = engine->steps[0];
    tide_meter_charge(engine, TIDE_TIME_PROCESSING);
    ssize_t count = engine->source->ops->poll(engine->source, messages, most);
    tide_meter_charge(engine, TIDE_TIME_POLL);
    if (count <= 0) {
        engine->progress |= count == 0 && !engine->chain.source_idle;
        engine->chain.source_idle = true;
        return (int)count;
    }
    if (engine->plan.exactly_once)
        count = still_owned(engine, messages, count);
    engine->chain.source_idle = false;
    for (ssize_t i = 0; i < count; i++)
        messages[i].origin = tide_offsets_open(offsets, messages[i].origin.partition,
                                               messages[i].offset);
    ssize_t taken = first->ops->submit(first, messages, (size_t)count, now_us);
    for (ssize_t i = count; i-- > (taken < 0 ? 0 : taken);)
        tide_offsets_unopen(offsets, messages[i].origin);
    if (taken > 0) {
        engine->source->ops->take(engine->source, (size_t)taken);
        tide_meter_taken(engine, messages, (size_t)taken);
        if (engine->first_read_us == 0)
            engine->first_read_us = now_us;
        engine->progress = true;
    }
    if (taken >= 0)
        note_blocked(engine, taken < count, now_us);
    return (int)taken;
}

static int read_source(struct tide_engine *engine, int64_t now_us)
{
    resume_when_moving(engine, now_us);
    if (now_us < engine->resume_us)
        return TIDE_OK;
    /* After a busy answer one message tries the way first. */
    for (int spans = 0; spans < 8; spans++) {
        int taken = intake(engine, engine->blocked ? 1 : SPAN, now_us);
        if (taken < 0)
            return taken;
        if (taken == 0 || engine->blocked)
            break;
    }
    return TIDE_OK;
}

static void close_steps(struct tide_engine *engine, int64_t now_us)
{
    while (engine->closed_steps < engine->step_count) {
        struct tide_step *step = engine->steps[engine->closed_steps];
        step->ops->close(step, now_us);
        if (!step->ops->join(step))
            return;
        engine->closed_steps++;
    }
}

static void give_up_late(struct tide_engine *engine, int64_t now_us)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    if (now_us >= engine->deadline_us)
        tide_log(TIDE_LOG_WARN,
                 "join_timeout passed: %llu messages are not through; they stay uncommitted "
                 "and will be read again",
                 (unsigned long long)totals.in_flight);
}

static void leave(struct tide_engine *engine, int64_t now_us)
{
    tide_engine_enter_state(engine, TIDE_ENGINE_LEAVING, now_us + LEAVE_US);
    if (engine->source_started)
        engine->source->ops->close(engine->source);
}

static void end(struct tide_engine *engine)
{
    tide_engine_enter_state(engine, TIDE_ENGINE_ENDED, INT64_MAX);
    int failure = engine->failure < 0 ? engine->failure : engine->source_failure;
    if (failure < 0)
        tide_engine_emit(engine, TIDE_EVENT_FAILED, failure, 0, engine->failure_text);
    else
        tide_engine_emit(engine, TIDE_EVENT_DONE, 0, 0, NULL);
}

static int poll_state(struct tide_engine *engine, int64_t now_us)
{
    struct tide_step *last = engine->steps[engine->step_count - 1];
    bool late = now_us >= engine->deadline_us;
    int status = TIDE_OK;
    switch (engine->state) {
    case TIDE_ENGINE_CONNECTING:
        return tide_engine_connect_poll(engine);
    case TIDE_ENGINE_READING:
        return read_source(engine, now_us);
    case TIDE_ENGINE_DRAINING:
        close_steps(engine, now_us);
        if (engine->closed_steps == engine->step_count || late) {
            give_up_late(engine, now_us);
            tide_engine_enter_state(engine, TIDE_ENGINE_COMMITTING, now_us + PATIENCE_US);
        }
        break;
    case TIDE_ENGINE_FAILING:
        if (engine->failure == TIDE_EFENCED) /* all of it is the newer one's by now */
            leave(engine, now_us);
        else if (last->ops->join(last) || late || !engine->source_started)
            tide_engine_enter_state(engine, TIDE_ENGINE_COMMITTING, now_us + PATIENCE_US);
        break;
    case TIDE_ENGINE_COMMITTING:
        if (engine->source_started && !tide_commit_resting(engine->commit, now_us))
            status = tide_commit_poll(engine->commit, true, now_us);
        if (tide_commit_settled(engine->commit) || late || status < 0)
            leave(engine, now_us);
        break;
    case TIDE_ENGINE_LEAVING:
        if (!engine->source_started || engine->source->ops->closed(engine->source) || late)
            end(engine);
        break;
    default:
        break;
    }
    return status;
}

static void read_signals(struct tide_engine *engine)
{
    struct signalfd_siginfo info;
    while (engine->signals >= 0 &&
           read(engine->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        tide_engine_emit(engine, TIDE_EVENT_SIGNAL, 0, (int)info.ssi_signo, NULL);
}

static int do_turn(struct tide_engine *engine, int64_t now_us)
{
    struct tide_step *last = engine->steps[engine->step_count - 1];
    int status;
    if (engine->failure < 0) {
        /* Only what is out already counts now; a sink that failed fails again, which is no news. */
        (void)last->ops->poll(last, now_us);
        status = TIDE_OK;
    } else {
        status = poll_pools(engine, now_us);
        if (status == TIDE_OK)
            status = poll_steps(engine, now_us);
    }
    if (status == TIDE_OK && engine->source_started) {
        tide_engine_transaction_poll(engine, now_us);
        status = tide_engine_source_events(engine, now_us);
        if (status == TIDE_OK)
            status = tide_engine_revocation_poll(engine, now_us);
        if (status == TIDE_OK && engine->state <= TIDE_ENGINE_DRAINING)
            status = tide_commit_poll(engine->commit, false, now_us);
    }
    int state = status >= TIDE_OK || engine->failure < 0 ? poll_state(engine, now_us) : TIDE_OK;
    return status < 0 ? status : state;
}

static int turn(struct tide_engine *engine, int64_t now_us)
{
    engine->progress = engine->chain.progress = false;
    tide_count(engine->chain.counters, 0, TIDE_M_RUN_COUNT, 1);
    int status = do_turn(engine, now_us);
    if (status < 0)
        tide_engine_fail(engine, status, now_us);
    engine->progress |= engine->chain.progress;
    read_signals(engine);
    if (engine->zygote && now_us >= engine->second_us)
        tide_zygote_reap_orphans(engine->zygote);
    tide_meter_turn(engine, now_us);
    return TIDE_OK;
}

static int64_t wait_time(const struct tide_engine *engine, int64_t now_us, int64_t until_us)
{
    int64_t wake_us = until_us < engine->second_us ? until_us : engine->second_us;
    if (now_us + LONGEST_WAIT_US < wake_us)
        wake_us = now_us + LONGEST_WAIT_US;
    for (uint32_t i = 0; i < engine->step_count; i++) {
        int64_t deadline_us = engine->steps[i]->ops->deadline_us(engine->steps[i]);
        wake_us = deadline_us < wake_us ? deadline_us : wake_us;
    }
    int64_t commit_us = tide_commit_deadline_us(engine->commit);
    wake_us = commit_us < wake_us ? commit_us : wake_us;
    wake_us = engine->deadline_us < wake_us ? engine->deadline_us : wake_us;
    if (engine->revocation.active && engine->revocation.deadline_us < wake_us)
        wake_us = engine->revocation.deadline_us;
    return engine->progress || wake_us < now_us ? 0 : wake_us - now_us;
}

int tide_engine_run(struct tide_engine *engine, int64_t timeout_us, struct tide_event *event)
{
    int64_t now_us = tide_meter_charge(engine, TIDE_TIME_OTHER);
    int64_t until_us = now_us + timeout_us;
    while (engine->event_count == 0) {
        turn(engine, now_us);
        tide_meter_charge(engine, TIDE_TIME_PROCESSING);
        if (engine->event_count > 0)
            break;
        int status = tide_loop_wait(engine->loop, wait_time(engine, now_us, until_us));
        if (status < 0)
            return status;
        bool reading = engine->state == TIDE_ENGINE_READING && !engine->blocked;
        now_us = tide_meter_charge(engine, reading ? TIDE_TIME_POLL : TIDE_TIME_OTHER);
        if (now_us >= until_us && !engine->progress)
            break;
    }
    *event = (struct tide_event){.kind = TIDE_EVENT_NOTHING};
    if (engine->event_count > 0) {
        *event = engine->events[engine->event_head];
        engine->event_head = (engine->event_head + 1) % TIDE_ENGINE_EVENTS;
        engine->event_count--;
    }
    return TIDE_OK;
}

void tide_engine_close(struct tide_engine *engine)
{
    int64_t now_us = tide_clock_us(), late_us = now_us + engine->plan.join_timeout_us;
    engine->closing = true;
    if (engine->state == TIDE_ENGINE_CONNECTING)
        tide_engine_enter_state(engine, TIDE_ENGINE_LEAVING, now_us);
    else if (engine->state == TIDE_ENGINE_READING)
        tide_engine_drain(engine, late_us);
    else if (engine->state == TIDE_ENGINE_DRAINING && late_us < engine->deadline_us)
        engine->deadline_us = late_us;
}

int tide_engine_reopen(struct tide_engine *engine)
{
    struct tide_sink *sink = engine->sink;
    int output = sink && sink->ops->reopen ? sink->ops->reopen(sink) : TIDE_OK;
    int dlq = tide_dlq_reopen(engine->chain.dlq);
    return output < 0 ? output : dlq;
}
