/* SPDX-License-Identifier: MIT
 * What is measured of the engine as a whole: where its time goes, lag and latency, and whether messages get on at all
 * (the stuck detector). The clock is read a few times a turn and never for a single message, which would cost more
 * than many transforms do; sums are observed once a second and at the end, as Arroyo does. What a step measures of
 * itself is in the step. Start reading at tide_meter_turn. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "engine_inside.h"
#include "shm/counters.h"
#include "shm/script_metrics.h"

static const int64_t SECOND_US = 1000000;

static void observe_us(struct tide_engine *engine, enum tide_metric metric, int64_t us)
{
    tide_observe(engine->chain.counters, 0, metric, (double)us / 1e6);
}

/* ---- time ---- */

int64_t tide_meter_charge(struct tide_engine *engine, enum tide_time_use use)
{
    struct tide_meter *meter = &engine->meter;
    int64_t now_us = tide_clock_us();
    meter->spent_us[use] += now_us - meter->charged_us;
    meter->charged_us = now_us;
    return now_us;
}

/* This thread's alone: librdkafka's are beside it. */
static int64_t thread_cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Once a second, since asking the kernel is a system call. */
static void count_cpu(struct tide_engine *engine)
{
    struct tide_meter *meter = &engine->meter;
    int64_t now_us = thread_cpu_us();
    if (meter->first_read_us > 0)
        tide_count(engine->chain.counters, 0, TIDE_M_TIME_CPU, (uint64_t)(now_us - meter->cpu_us));
    meter->cpu_us = now_us;
}

/* What binds a pipeline is judged by these (lua/tidemill/tuning): the three add up to the time since the first message
 * was read. Before that nothing binds, however long connecting and an assignment take. */
void tide_meter_waited(struct tide_engine *engine, int64_t since_us, int64_t until_us)
{
    struct tide_meter *meter = &engine->meter;
    struct tide_counters *counters = engine->chain.counters;
    int64_t awake_us = meter->awake_us > meter->first_read_us ? meter->awake_us
                                                              : meter->first_read_us;
    bool reading = engine->run.state == TIDE_ENGINE_READING;
    /* A step that refused a message may have room by now: while the source has nothing to offer, nobody asks. */
    bool open = reading &&
                (engine->intake.state == TIDE_INTAKE_OPEN ||
                 (engine->intake.state == TIDE_INTAKE_BLOCKED && engine->chain.source_idle));
    meter->awake_us = until_us;
    if (meter->first_read_us == 0 || !(reading || engine->run.state == TIDE_ENGINE_DRAINING))
        return;
    tide_count(counters, 0, TIDE_M_TIME_BUSY, (uint64_t)(since_us - awake_us));
    tide_count(counters, 0, open ? TIDE_M_TIME_SOURCE : TIDE_M_TIME_STEPS,
               (uint64_t)(until_us - since_us));
    if (reading && !open)
        tide_count(counters, 0, TIDE_M_TIME_BLOCKED, (uint64_t)(until_us - awake_us));
}

/* OTHER is not observed: Arroyo has no metric for it, and it is what is missing to the length of the interval. */
static void observe_times(struct tide_engine *engine)
{
    static const enum tide_metric metrics[] = {TIDE_M_POLL_TIME, TIDE_M_PROCESSING_TIME,
                                               TIDE_M_CALLBACK_TIME};
    for (uint32_t i = 0; i < TIDE_TIME_OTHER; i++) {
        if (engine->meter.spent_us[i] > 0)
            observe_us(engine, metrics[i], engine->meter.spent_us[i]);
        engine->meter.spent_us[i] = 0;
    }
}

/* Assignments and revocations are callbacks in Arroyo, hence the names of the metrics. */
static void observe_callback(struct tide_engine *engine, enum tide_metric metric, int64_t since_us)
{
    int64_t took_us = tide_clock_us() - since_us;
    observe_us(engine, metric, took_us);
    engine->meter.spent_us[TIDE_TIME_CALLBACK] += took_us;
}

/* ---- lag and latency ---- */

/* A partition that comes back begins without a newest timestamp: that of before may be newer than what is read now. */
static void add_partition(struct tide_meter *meter, uint32_t partition)
{
    uint32_t known = meter->partition_count;
    tide_grow(&meter->partitions, &meter->partition_count, partition + 1,
              sizeof(*meter->partitions));
    for (; known < meter->partition_count; known++)
        meter->partitions[known].lag = (struct tide_lag){-1, -1, -1, -1};
    meter->partitions[partition].newest_ms = -1;
}

void tide_meter_assigned(struct tide_engine *engine, const uint32_t *partitions, size_t count,
                         int64_t since_us)
{
    for (size_t i = 0; i < count; i++)
        add_partition(&engine->meter, partitions[i]);
    observe_callback(engine, TIDE_M_RUN_CALLBACK_ASSIGNED, since_us);
}

/* Arroyo observes the join time when a revocation closes its strategy; here the steps go on, and what took so long is
 * the wait for reports and the commit. */
void tide_meter_revoked(struct tide_engine *engine, int64_t since_us)
{
    observe_callback(engine, TIDE_M_RUN_CALLBACK_REVOKED, since_us);
    observe_us(engine, TIDE_M_JOIN_TIME, tide_clock_us() - since_us);
}

void tide_meter_taken(struct tide_engine *engine, const struct tide_message *messages, size_t count,
                      int64_t now_us)
{
    struct tide_meter *meter = &engine->meter;
    const struct tide_message *last = &messages[count - 1];
    if (meter->first_read_us == 0) {
        meter->first_read_us = now_us;
        meter->cpu_us = thread_cpu_us();
    }
    for (size_t i = 0; i < count; i++)
        meter->partitions[messages[i].origin.partition].newest_ms = messages[i].timestamp;
    /* A message without a timestamp (a file's, or of a topic that has none) has no latency. */
    if (meter->sample.state != TIDE_SAMPLE_WANTED || last->timestamp < 0)
        return;
    meter->sample.state = TIDE_SAMPLE_IN_FLIGHT;
    meter->sample.origin = last->origin;
    meter->sample.offset = last->offset;
    meter->sample.timestamp_ms = last->timestamp;
}

static double age_s(int64_t wall_ms, int64_t timestamp_ms)
{
    return wall_ms > timestamp_ms ? (double)(wall_ms - timestamp_ms) / 1e3 : 0;
}

/* Latency is that of a message whose offset can be committed, as in Arroyo. One message a second is enough for a
 * histogram, and needs no memory for each message in flight. */
static void observe_latency(struct tide_engine *engine)
{
    struct tide_meter *meter = &engine->meter;
    struct tide_offsets *offsets = engine->chain.offsets;
    if (meter->sample.state != TIDE_SAMPLE_IN_FLIGHT)
        return;
    if (!tide_offsets_current(offsets, meter->sample.origin)) {
        meter->sample.state = TIDE_SAMPLE_WANTED;
    } else if (tide_offsets_position(offsets, meter->sample.origin.partition) >
               meter->sample.offset) {
        tide_observe(engine->chain.counters, 0, TIDE_M_LATENCY,
                     age_s(tide_clock_wall_ms(), meter->sample.timestamp_ms));
        meter->sample.state = TIDE_SAMPLE_TAKEN;
    }
}

/* The age of the newest message that was read, rather than of the oldest that was not: the latter is only known once
 * it is read. When everything is read there is no lag, however old the last message is. */
static struct tide_lag lag_of(const struct tide_engine *engine, uint32_t partition, int64_t wall_ms)
{
    const struct tide_partition *shown = &engine->source->partitions[partition];
    int64_t read_to = tide_offsets_read_to(engine->chain.offsets, partition);
    int64_t newest_ms = engine->meter.partitions[partition].newest_ms;
    struct tide_lag lag = {shown->topic, shown->number, -1, -1};
    if (!tide_offsets_may_commit(engine->chain.offsets, partition))
        return lag;
    if (read_to < 0)
        read_to = shown->begin;
    if (shown->end >= 0)
        lag.messages = shown->end > read_to ? shown->end - read_to : 0;
    if (lag.messages == 0)
        lag.seconds = 0;
    else if (newest_ms >= 0)
        lag.seconds = age_s(wall_ms, newest_ms);
    return lag;
}

/* Partitions whose end is not known yet are left out, so the sum may be too small for a moment after an assignment. */
void tide_meter_lag(const struct tide_engine *engine, int64_t *messages, double *seconds)
{
    int64_t wall_ms = tide_clock_wall_ms();
    *messages = -1;
    *seconds = -1;
    for (uint32_t i = 0; i < engine->meter.partition_count; i++) {
        struct tide_lag lag = lag_of(engine, i, wall_ms);
        if (lag.messages >= 0)
            *messages = (*messages < 0 ? 0 : *messages) + lag.messages;
        if (lag.seconds > *seconds)
            *seconds = lag.seconds;
    }
}

static void observe_lag(struct tide_engine *engine)
{
    int64_t messages;
    double seconds;
    int64_t wall_ms = tide_clock_wall_ms();
    for (uint32_t i = 0; i < engine->meter.partition_count; i++)
        engine->meter.partitions[i].lag = lag_of(engine, i, wall_ms);
    tide_meter_lag(engine, &messages, &seconds);
    if (messages >= 0)
        tide_observe(engine->chain.counters, 0, TIDE_M_LAG, (double)messages);
    if (seconds >= 0)
        tide_observe(engine->chain.counters, 0, TIDE_M_LAG_SECONDS, seconds);
}

/* ---- the stuck detector ---- */

/* A sum that changes whenever a message gets on: in a step, or out of the chain. Nothing is compared but whether it
 * differs, so it does not matter that different things are added up. */
static uint64_t work_done(const struct tide_engine *engine,
                          const struct tide_offsets_totals *totals)
{
    uint64_t sum = totals->produced_from + totals->filtered + totals->dead_lettered +
                   totals->dropped;
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_step *step = engine->steps[i];
        sum += step->ops->progress ? step->ops->progress(step) : 0;
    }
    return sum;
}

/* What the chain waits for. The last step that has messages decides, since those after it are idle. False when the
 * wait is meant to be: a batch waits for its time. */
static bool describe_wait(const struct tide_engine *engine, char *text, size_t size)
{
    for (uint32_t i = engine->step_count; i-- > 0;) {
        struct tide_step *step = engine->steps[i];
        if (!step->ops->join(step))
            return step->ops->waits(step, text, size);
    }
    snprintf(text, size, "no step has them");
    return true;
}

static void warn_stuck(struct tide_engine *engine, uint64_t in_flight)
{
    struct tide_meter *meter = &engine->meter;
    char text[256];
    if (!describe_wait(engine, text, sizeof(text)))
        return;
    meter->stall.stuck = true;
    tide_count(engine->chain.counters, 0, TIDE_M_STUCK, 1);
    tide_log(TIDE_LOG_WARN, "stuck: nothing moved for %.0f s, with %llu messages in flight: %s",
             (double)meter->stall.stalled_us / 1e6, (unsigned long long)in_flight, text);
}

/* This is called once a second, and a second is the most that is added: an engine whose process was stopped for an
 * hour is not stuck. */
static void detect_stall(struct tide_engine *engine, int64_t now_us)
{
    struct tide_meter *meter = &engine->meter;
    int64_t timeout_us = engine->plan.stuck_detector_timeout_us;
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    uint64_t work = work_done(engine, &totals);
    int64_t since_us = now_us - meter->stall.checked_us;
    meter->stall.checked_us = now_us;
    meter->stall.stalled_us += since_us < SECOND_US ? since_us : SECOND_US;
    if (work != meter->stall.work || totals.in_flight == 0) {
        if (meter->stall.stuck)
            tide_log(TIDE_LOG_INFO, "moving again after %.0f s",
                     (double)meter->stall.stalled_us / 1e6);
        meter->stall.work = work;
        meter->stall.stalled_us = 0;
        meter->stall.stuck = false;
    } else if (!meter->stall.stuck && timeout_us > 0 && meter->stall.stalled_us >= timeout_us) {
        warn_stuck(engine, totals.in_flight);
    }
}

/* ---- states and turns ---- */

/* The end of a run in parts: closing the steps (until COMMITTING), and everything since it was to stop (until ENDED).
 * The lag is observed while the partitions are still assigned. */
void tide_meter_enter_state(struct tide_engine *engine, enum tide_engine_state state)
{
    struct tide_meter *meter = &engine->meter;
    int64_t now_us = tide_clock_us();
    if (state > TIDE_ENGINE_READING && meter->stop_us == 0)
        meter->stop_us = now_us;
    if (state == TIDE_ENGINE_COMMITTING) {
        observe_us(engine, TIDE_M_JOIN_TIME, now_us - meter->entered_us);
        observe_us(engine, TIDE_M_RUN_CLOSE_STRATEGY, now_us - meter->entered_us);
        observe_lag(engine);
        count_cpu(engine);
    } else if (state == TIDE_ENGINE_ENDED) {
        observe_us(engine, TIDE_M_SHUTDOWN_TIME, now_us - meter->stop_us);
        observe_times(engine);
    }
    meter->entered_us = now_us;
}

static void count_lookups(struct tide_engine *engine)
{
    struct tide_counters *counters = engine->chain.counters;
    struct tide_lookup_totals *last = &engine->meter.last_lookups, now;
    if (!engine->zygote)
        return;
    tide_zygote_lookup_totals(engine->zygote, &now);
    tide_count(counters, 0, TIDE_M_LOOKUP_ERROR, now.errors - last->errors);
    tide_count(counters, 0, TIDE_M_LOOKUP_READ, now.reads - last->reads);
    if (now.reads != last->reads) {
        observe_us(engine, TIDE_M_LOOKUP_TIME, now.time_us - last->time_us);
        tide_observe(counters, 0, TIDE_M_LOOKUP_ROWS, (double)now.rows);
        tide_observe(counters, 0, TIDE_M_LOOKUP_BYTES, (double)now.bytes);
    }
    *last = now;
}

/* Counters are added to, so what other modules count in all is turned into what was added since the last turn. */
static void count_added(struct tide_engine *engine, const struct tide_offsets_totals *totals)
{
    struct tide_meter *meter = &engine->meter;
    uint64_t dropped = tide_script_metrics_dropped(engine->script_metrics);
    uint32_t false_events = engine->zygote ? tide_zygote_false_events(engine->zygote) : 0;
    tide_count(engine->chain.counters, 0, TIDE_M_LATE_REPORTS,
               totals->late_reports - meter->last_late);
    meter->last_late = totals->late_reports;
    /* this sum lies in memory that a worker may write nonsense to, and a counter must not fall */
    if (dropped > meter->last_dropped)
        tide_count(engine->chain.counters, 0, TIDE_M_SCRIPT_METRICS_DROPPED,
                   dropped - meter->last_dropped);
    meter->last_dropped = dropped;
    tide_count(engine->chain.counters, 0, TIDE_M_ZYGOTE_VIOLATION,
               false_events - meter->last_false);
    meter->last_false = false_events;
    count_lookups(engine);
}

bool tide_meter_turn(struct tide_engine *engine, int64_t now_us)
{
    struct tide_meter *meter = &engine->meter;
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    if (totals.in_flight != meter->last_in_flight || totals.in_flight == 0) {
        if (meter->last_in_flight > 0)
            meter->last_done_us = now_us;
        meter->last_in_flight = totals.in_flight;
    }
    count_added(engine, &totals);
    observe_latency(engine);
    tide_meter_states(engine, now_us >= meter->second_us);
    if (now_us < meter->second_us)
        return false;
    meter->second_us = now_us + SECOND_US;
    if (meter->sample.state == TIDE_SAMPLE_TAKEN)
        meter->sample.state = TIDE_SAMPLE_WANTED;
    observe_times(engine);
    count_cpu(engine);
    if (engine->run.state <= TIDE_ENGINE_DRAINING) {
        observe_lag(engine);
        detect_stall(engine, now_us);
    }
    return true;
}
