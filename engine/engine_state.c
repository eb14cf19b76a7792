/* SPDX-License-Identifier: MIT
 * Where a run stands: its state (table in engine_inside.h), what made it fail, and the events that Lua has not fetched
 * yet. This file stands below everything that can change the state, so that no file has to call up into engine.c,
 * which acts on it. Start reading at enter, which all changes of the state go through. */
#include <stdio.h>

#include "base/clock.h"
#include "base/status.h"
#include "engine_inside.h"
#include "shm/topics.h"

static const int64_t SECOND_US = 1000000;

/* ---- events ---- */

/* Lua fetches events after each turn, so the ring only overflows when Lua is stopped (a debugger); the newest events
 * are worth more then. */
void tide_engine_emit(struct tide_engine *engine, enum tide_event_kind kind, int status, int number,
                      const char *text)
{
    struct tide_event_queue *queue = &engine->events;
    if (queue->count == TIDE_ENGINE_EVENTS) {
        queue->head = (queue->head + 1) % TIDE_ENGINE_EVENTS;
        queue->count--;
    }
    struct tide_event *event = &queue->events[(queue->head + queue->count++) % TIDE_ENGINE_EVENTS];
    event->kind = kind;
    event->status = status;
    event->number = number;
    snprintf(event->text, sizeof(event->text), "%s", text ? text : "");
}

/* The text is for the log. A group may have thousands of partitions, so the list is cut where it gets long; the number
 * stays exact. */
void tide_engine_emit_partitions(struct tide_engine *engine, enum tide_event_kind kind,
                                 const uint32_t *partitions, size_t count)
{
    enum { LONGEST_NAME = 64 };
    char text[1024] = "";
    size_t at = 0;
    for (size_t i = 0; i < count && at + LONGEST_NAME < sizeof(text); i++) {
        const struct tide_partition *partition = &engine->source->partitions[partitions[i]];
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.40s/%d", i ? " " : "",
                               tide_topics_name(engine->chain.topics, partition->topic),
                               partition->number);
    }
    if (at + LONGEST_NAME >= sizeof(text))
        snprintf(text + at, sizeof(text) - at, " ...");
    tide_engine_emit(engine, kind, 0, (int)count, text);
}

void tide_engine_emit_end(struct tide_engine *engine)
{
    const struct tide_run *run = &engine->run;
    int failure = run->failure < 0 ? run->failure : run->source_failure;
    if (failure < 0)
        tide_engine_emit(engine, TIDE_EVENT_FAILED, failure, 0, run->failure_text);
    else
        tide_engine_emit(engine, TIDE_EVENT_DONE, 0, 0, NULL);
}

void tide_engine_next_event(struct tide_engine *engine, struct tide_event *event)
{
    struct tide_event_queue *queue = &engine->events;
    *event = (struct tide_event){.kind = TIDE_EVENT_NOTHING};
    if (queue->count == 0)
        return;
    *event = queue->events[queue->head];
    queue->head = (queue->head + 1) % TIDE_ENGINE_EVENTS;
    queue->count--;
}

/* ---- the state ---- */

/* Everything that enters a state comes through here, so that its time is measured and the loop does not wait before the
 * state has had its first turn. */
static void enter(struct tide_engine *engine, enum tide_engine_state state, int64_t deadline_us)
{
    tide_meter_enter_state(engine, state);
    engine->run.state = state;
    engine->run.deadline_us = deadline_us;
    engine->run.source_started |= state == TIDE_ENGINE_READING;
    engine->chain.progress = true;
}

void tide_engine_enter_state(struct tide_engine *engine, enum tide_engine_state state,
                             int64_t now_us)
{
    /* 0 = none. Leaving is short, since nothing depends on it any more. */
    static const int64_t limits_us[TIDE_ENGINE_STATES] = {
        [TIDE_ENGINE_FAILING] = 5 * SECOND_US,
        [TIDE_ENGINE_COMMITTING] = 5 * SECOND_US,
        [TIDE_ENGINE_LEAVING] = SECOND_US,
    };
    enter(engine, state, limits_us[state] > 0 ? now_us + limits_us[state] : INT64_MAX);
}

void tide_engine_drain(struct tide_engine *engine, int64_t deadline_us)
{
    enter(engine, TIDE_ENGINE_DRAINING, deadline_us);
}

/* Whatever zygotes and workers still send is left unread, so it would turn the loop all the time. */
static void turn_away_from_workers(struct tide_engine *engine)
{
    struct tide_zygote *zygotes[] = {engine->zygote, engine->reload.other};
    for (uint32_t i = 0; i < engine->pool_count; i++)
        tide_pool_unwatch(engine->pools[i]);
    for (size_t i = 0; i < 2; i++) {
        if (zygotes[i])
            tide_zygote_unwatch(zygotes[i]);
    }
}

void tide_engine_fail(struct tide_engine *engine, int status, int64_t now_us)
{
    if (engine->run.failure < 0)
        return; /* the first one is the cause of the others */
    engine->run.failure = status;
    snprintf(engine->run.failure_text, sizeof(engine->run.failure_text), "%s", tide_error());
    turn_away_from_workers(engine);
    tide_engine_enter_state(engine, TIDE_ENGINE_FAILING, now_us);
}

void tide_engine_source_ended(struct tide_engine *engine)
{
    engine->run.source_ended = true;
    if (engine->run.state == TIDE_ENGINE_READING)
        tide_engine_drain(engine, INT64_MAX);
}

/* The failure is kept apart from run.failure, which would begin FAILING at once and throw away what is on its way. So
 * the messages before the bad one are processed and committed, and the next start stands at it. */
void tide_engine_source_stuck(struct tide_engine *engine, int status, int64_t now_us)
{
    engine->run.source_failure = status;
    snprintf(engine->run.failure_text, sizeof(engine->run.failure_text), "%s", tide_error());
    tide_engine_drain(engine, now_us + engine->plan.join_timeout_us);
}

/* A run that was asked to close, or has failed, goes on to its end all the same: what was aborted stays
 * uncommitted. */
void tide_engine_read_again(struct tide_engine *engine, int64_t now_us)
{
    struct tide_run *run = &engine->run;
    bool ending = run->state == TIDE_ENGINE_DRAINING || run->state == TIDE_ENGINE_COMMITTING;
    if (ending && run->source_ended && !run->close_asked && run->failure == TIDE_OK)
        tide_engine_enter_state(engine, TIDE_ENGINE_READING, now_us);
    run->source_ended = false;
}

/* Before the source has started there is nothing to drain. A second call can only make the time left shorter. */
void tide_engine_close(struct tide_engine *engine)
{
    struct tide_run *run = &engine->run;
    int64_t now_us = tide_clock_us(), late_us = now_us + engine->plan.join_timeout_us;
    run->close_asked = true;
    if (run->state == TIDE_ENGINE_CONNECTING)
        tide_engine_enter_state(engine, TIDE_ENGINE_LEAVING, now_us);
    else if (run->state == TIDE_ENGINE_READING)
        tide_engine_drain(engine, late_us);
    else if (run->state == TIDE_ENGINE_DRAINING && late_us < run->deadline_us)
        run->deadline_us = late_us;
}
