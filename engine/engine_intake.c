/* SPDX-License-Identifier: MIT
 * From the source to the first step. Messages are not queued in between: what the step does not take stays with the
 * source and is offered again, so memory is bounded by what the steps hold. A step that takes nothing for a while has
 * the source paused, since a Kafka client that is not polled would lose its partitions. Start reading at
 * tide_engine_read_source. */
#include "base/log.h"
#include "base/status.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "shm/counters.h"

enum {
    MESSAGES = 256, /* read at once */
    ROUNDS = 8,     /* in a turn: the steps must get their turn too */
    /* Where a step is unordered one message may take long while those behind it become complete by the thousand. The tracker
     * keeps each of them, in 16 bytes, until the first one is. */
    MOST_KEPT = 1 << 20
};
static const int64_t PAUSE_AFTER_US = 5000000;

static uint64_t in_flight(const struct tide_engine *engine)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    return totals.in_flight;
}

static void pause_source(struct tide_engine *engine)
{
    engine->intake.state = TIDE_INTAKE_PAUSED;
    engine->intake.paused_in_flight = in_flight(engine);
    engine->source->ops->pause(engine->source, true);
    tide_count(engine->chain.counters, 0, TIDE_M_PAUSE, 1);
    tide_log(TIDE_LOG_INFO, "paused reading: the next step has taken nothing for 5 s");
}

/* A step that is full for a moment is the normal state of a busy pipeline, so the source is only paused after a while:
 * pausing empties librdkafka's queue, and what was in it is fetched again. */
static void step_refused(struct tide_engine *engine, int64_t now_us)
{
    struct tide_intake *intake = &engine->intake;
    engine->chain.refused_us = now_us;
    if (intake->state == TIDE_INTAKE_OPEN) {
        intake->state = TIDE_INTAKE_BLOCKED;
        intake->blocked_us = now_us;
    }
    if (intake->state == TIDE_INTAKE_BLOCKED && now_us - intake->blocked_us >= PAUSE_AFTER_US)
        pause_source(engine);
}

static void step_takes(struct tide_engine *engine, int64_t now_us)
{
    struct tide_intake *intake = &engine->intake;
    if (intake->state == TIDE_INTAKE_OPEN)
        return;
    tide_observe(engine->chain.counters, 0, TIDE_M_BACKPRESSURE_TIME,
                 (double)(now_us - intake->blocked_us) / 1e6);
    if (intake->state == TIDE_INTAKE_PAUSED) {
        engine->source->ops->pause(engine->source, false);
        tide_count(engine->chain.counters, 0, TIDE_M_RESUME, 1);
        tide_log(TIDE_LOG_INFO, "reading again");
    }
    intake->state = TIDE_INTAKE_OPEN;
}

/* A paused source has no message to offer to the step, so a message that became complete is the sign that the step may
 * take one. With nothing in flight (all that filled the step was revoked) nothing can become complete. */
static bool may_resume(const struct tide_engine *engine)
{
    uint64_t now = in_flight(engine);
    return engine->intake.state == TIDE_INTAKE_PAUSED &&
           (now == 0 || now < engine->intake.paused_in_flight);
}

/* After an abort the source still gives messages, until its LOST events are fetched. */
static ssize_t count_owned(const struct tide_engine *engine, const struct tide_message *messages,
                           ssize_t count)
{
    ssize_t owned = 0;
    while (owned < count &&
           tide_offsets_owned(engine->chain.offsets, messages[owned].origin.partition))
        owned++;
    return owned;
}

static void tick(struct tide_engine *engine, struct tide_message *message)
{
    struct tide_offsets *offsets = engine->chain.offsets;
    tide_offsets_open_many(offsets, message, 1);
    for (uint32_t i = 0; i < engine->step_count; i++)
        if (engine->steps[i]->ops->tick)
            engine->steps[i]->ops->tick(engine->steps[i], message);
    tide_offsets_unref_before(offsets, message->origin, 0, TIDE_OUTCOME_FILTERED);
}

/* Offers messages to the first step; returns how many it took, or negative. An origin must exist before the step has
 * the message, so those of messages that were not taken are given back. */
static ssize_t submit(struct tide_engine *engine, struct tide_message *messages, ssize_t count,
                      int64_t now_us)
{
    struct tide_offsets *offsets = engine->chain.offsets;
    struct tide_step *first = engine->steps[0];
    if (messages[0].flags & TIDE_MESSAGE_TICK) {
        tick(engine, &messages[0]);
        return 1;
    }
    for (ssize_t i = 1; i < count; i++) /* a tick is the first of those that are offered next */
        count = messages[i].flags & TIDE_MESSAGE_TICK ? i : count;
    tide_offsets_open_many(offsets, messages, (size_t)count);
    ssize_t taken = first->ops->submit(first, messages, (size_t)count, now_us);
    for (ssize_t i = count; i-- > (taken < 0 ? 0 : taken);)
        tide_offsets_unopen(offsets, messages[i].origin);
    return taken;
}

/* Returns how many messages were taken, or negative. The time of `poll` is charged apart, as Arroyo's consumer poll
 * time is. */
static ssize_t read_once(struct tide_engine *engine, size_t max, int64_t now_us)
{
    struct tide_message messages[MESSAGES];
    struct tide_source *source = engine->source;
    tide_meter_charge(engine, TIDE_TIME_PROCESSING);
    ssize_t count = source->ops->poll(source, messages, max);
    tide_meter_charge(engine, TIDE_TIME_POLL);
    if (count <= 0) {
        /* a step that closes its batch when the source is idle wants to be polled once more */
        engine->chain.progress |= count == 0 && !engine->chain.source_idle;
        engine->chain.source_idle = true;
        return count;
    }
    engine->chain.source_idle = false;
    if (engine->transactions)
        count = count_owned(engine, messages, count);
    ssize_t taken = submit(engine, messages, count, now_us);
    if (taken < 0)
        return taken;
    if (taken > 0) {
        source->ops->take(source, (size_t)taken);
        tide_meter_taken(engine, messages, (size_t)taken, now_us);
        engine->chain.progress = true;
    }
    if (taken < count)
        step_refused(engine, now_us);
    else
        step_takes(engine, now_us);
    return taken;
}

/* True when nothing is to be read now, whatever the first step would take. */
static bool is_held(struct tide_engine *engine)
{
    const struct tide_chain *chain = &engine->chain;
    return chain->all_needed || tide_states_room(chain->states) == TIDE_STATES_FULL ||
           (chain->unordered && tide_offsets_kept(chain->offsets) >= MOST_KEPT);
}

/* While the step is blocked one message is offered, which costs next to nothing; offering hundreds in each turn would
 * open and take back an origin for each of them. */
int tide_engine_read_source(struct tide_engine *engine, int64_t now_us)
{
    if (is_held(engine)) {
        engine->chain.source_idle = true; /* to the steps it is the same */
        step_refused(engine, now_us);
        return TIDE_OK;
    }
    if (may_resume(engine))
        step_takes(engine, now_us);
    if (now_us < engine->abort.resume_us)
        return TIDE_OK;
    for (int round = 0; round < ROUNDS; round++) {
        bool open = engine->intake.state == TIDE_INTAKE_OPEN;
        ssize_t taken = read_once(engine, open ? MESSAGES : 1, now_us);
        if (taken < 0)
            return (int)taken;
        if (taken == 0 || engine->intake.state != TIDE_INTAKE_OPEN)
            break;
    }
    return TIDE_OK;
}
