/* SPDX-License-Identifier: MIT
 * One turn of the loop (`turn`, where to start reading), and what each state of the run does in it (`phases`; the
 * states are in engine_inside.h). A turn first polls what frees room: the workers, then the steps from the last to the
 * first. Then come the source's events and its messages, so that they find that room. Nothing in a turn blocks;
 * between turns the loop waits for a file descriptor or for the next deadline, unless the turn made progress. */
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "engine_inside.h"
#include "shm/counters.h"

/* Some things wake nothing, and are looked at this often: a full pipe that takes dead letters, the time limits of
 * workers, the pause after an abort. */
static const int64_t LONGEST_WAIT_US = 100000;

/* ---- the chain ---- */

/* A zygote's event belongs to the pool whose worker it is about. */
static int take_events(struct tide_engine *engine, struct tide_zygote *zygote, int64_t now_us)
{
    struct tide_zygote_event event;
    int status = TIDE_OK;
    while (zygote && (status = tide_zygote_receive(zygote, &event)) == 1) {
        for (uint32_t i = 0; i < engine->pool_count; i++) {
            if (tide_pool_zygote_event(engine->pools[i], zygote, &event, now_us))
                break;
        }
    }
    return status;
}

/* The number of lost workers is compared with that of the last turn, so that several losses become one event. */
static int poll_pools(struct tide_engine *engine, int64_t now_us)
{
    uint64_t lost = 0;
    int status = take_events(engine, engine->zygote, now_us);
    if (status == TIDE_OK) {
        status = take_events(engine, tide_engine_reload_zygote(engine), now_us);
        if (status < 0 && tide_engine_reload_does_without(engine))
            status = TIDE_OK;
    }
    for (uint32_t i = 0; i < engine->pool_count && status == TIDE_OK; i++) {
        status = tide_pool_poll(engine->pools[i], now_us);
        lost += tide_pool_workers_lost(engine->pools[i]);
    }
    if (lost > engine->workers_lost)
        tide_engine_emit(engine, TIDE_EVENT_WORKER_LOST, 0, (int)(lost - engine->workers_lost),
                         NULL);
    engine->workers_lost = lost;
    tide_engine_lookups_poll(engine);
    if (status == TIDE_OK)
        tide_engine_reload_poll(engine);
    return status;
}

/* From the last step to the first: what one forwards finds the room that the next one has just made. */
static int poll_steps(struct tide_engine *engine, int64_t now_us)
{
    for (uint32_t i = engine->step_count; i-- > 0;) {
        int status = engine->steps[i]->ops->poll(engine->steps[i], now_us);
        if (status < 0)
            return status;
    }
    return TIDE_OK;
}

static struct tide_step *last_step(const struct tide_engine *engine)
{
    return engine->steps[engine->step_count - 1];
}

/* Pools come before steps, since a step takes the results of the batches whose reports the pool has read. */
static int poll_chain(struct tide_engine *engine, int64_t now_us)
{
    if (engine->run.failure < 0) {
        /* Only delivery reports still matter. A sink that failed fails again, which is not another failure. */
        (void)last_step(engine)->ops->poll(last_step(engine), now_us);
        return TIDE_OK;
    }
    int status = poll_pools(engine, now_us);
    return status == TIDE_OK ? poll_steps(engine, now_us) : status;
}

/* ---- what each state does; returns the state to go on with ---- */

static enum tide_engine_state stay(struct tide_engine *engine, int64_t now_us)
{
    (void)now_us;
    return engine->run.state;
}

static enum tide_engine_state fail(struct tide_engine *engine, int status, int64_t now_us)
{
    tide_engine_fail(engine, status, now_us);
    return engine->run.state;
}

/* A source that was not started has no group to leave. */
static enum tide_engine_state leave(struct tide_engine *engine)
{
    if (engine->run.source_started)
        engine->source->ops->close(engine->source);
    return TIDE_ENGINE_LEAVING;
}

/* The source starts in READING already, since a source whose start fails half way has to be closed like any other. */
static enum tide_engine_state connect_sinks(struct tide_engine *engine, int64_t now_us)
{
    int status = tide_engine_sinks_ready(engine);
    if (status == 0 || (status > 0 && !tide_engine_tables_ready(engine)))
        return TIDE_ENGINE_CONNECTING;
    if (status > 0) {
        tide_engine_enter_state(engine, TIDE_ENGINE_READING, now_us);
        status = engine->source->ops->start(engine->source);
    }
    return status < 0 ? fail(engine, status, now_us) : TIDE_ENGINE_READING;
}

static enum tide_engine_state read_messages(struct tide_engine *engine, int64_t now_us)
{
    int status = tide_engine_read_source(engine, now_us);
    return status < 0 ? fail(engine, status, now_us) : TIDE_ENGINE_READING;
}

/* A step is closed when those before it have joined, since they may still submit to it. */
static bool close_steps(struct tide_engine *engine, int64_t now_us)
{
    for (uint32_t i = 0; i < engine->step_count; i++) {
        struct tide_step *step = engine->steps[i];
        step->ops->close(step, now_us);
        if (!step->ops->join(step))
            return false;
    }
    return true;
}

/* There is no failure when the time is up: what is complete is committed, and the rest is read again after the next
 * start, as after a crash. */
static enum tide_engine_state drain(struct tide_engine *engine, int64_t now_us)
{
    if (close_steps(engine, now_us))
        return TIDE_ENGINE_COMMITTING;
    if (now_us < engine->run.deadline_us)
        return TIDE_ENGINE_DRAINING;
    struct tide_offsets_totals totals;
    tide_offsets_totals(engine->chain.offsets, &totals);
    tide_log(TIDE_LOG_WARN,
             "join_timeout passed: %llu messages are not complete; they stay uncommitted "
             "and will be read again",
             (unsigned long long)totals.in_flight);
    return TIDE_ENGINE_COMMITTING;
}

/* After a failure no more messages are sent. Delivery reports are waited for all the same: what is acknowledged and not
 * committed would be sent twice. */
static enum tide_engine_state collect_reports(struct tide_engine *engine, int64_t now_us)
{
    if (engine->run.failure == TIDE_EFENCED) /* all partitions belong to a newer engine by now */
        return leave(engine);
    bool done = last_step(engine)->ops->join(last_step(engine)) || !engine->run.source_started;
    return done || now_us >= engine->run.deadline_us ? TIDE_ENGINE_COMMITTING : TIDE_ENGINE_FAILING;
}

/* A commit that failed a moment ago is not tried again at once (tide_commit_resting), but within the time limit it
 * is. */
static enum tide_engine_state commit(struct tide_engine *engine, int64_t now_us)
{
    int status = TIDE_OK;
    if (engine->run.source_started && !tide_commit_resting(engine->commit, now_us))
        status = tide_commit_force(engine->commit, now_us);
    if (status < 0)
        tide_engine_fail(engine, status, now_us);
    bool done = tide_commit_up_to_date(engine->commit) || status < 0;
    return done || now_us >= engine->run.deadline_us ? leave(engine) : TIDE_ENGINE_COMMITTING;
}

/* The consumer leaves its group in peace, so that the group rebalances now and not after session.timeout.ms; but a
 * broker that does not answer must not keep the program. */
static enum tide_engine_state close_source(struct tide_engine *engine, int64_t now_us)
{
    if (engine->run.source_started && !engine->source->ops->closed(engine->source) &&
        now_us < engine->run.deadline_us)
        return TIDE_ENGINE_LEAVING;
    tide_engine_emit_end(engine);
    return TIDE_ENGINE_ENDED;
}

static const struct phase {
    bool commits; /* positions are committed when the policy says so */
    enum tide_engine_state (*next)(struct tide_engine *engine, int64_t now_us);
} phases[TIDE_ENGINE_STATES] = {
    [TIDE_ENGINE_NEW] = {.next = stay},
    [TIDE_ENGINE_CONNECTING] = {.next = connect_sinks},
    [TIDE_ENGINE_READING] = {.commits = true, .next = read_messages},
    [TIDE_ENGINE_DRAINING] = {.commits = true, .next = drain},
    [TIDE_ENGINE_FAILING] = {.next = collect_reports},
    [TIDE_ENGINE_COMMITTING] = {.next = commit},
    [TIDE_ENGINE_LEAVING] = {.next = close_source},
    [TIDE_ENGINE_ENDED] = {.next = stay},
};

/* ---- one turn ---- */

/* Outcomes of transactions come before the source's events, because an aborted transaction answers a revocation that is
 * waiting for it; commits come last, when the positions of this turn are known. */
static int poll_source(struct tide_engine *engine, int64_t now_us)
{
    if (!engine->run.source_started)
        return TIDE_OK;
    tide_engine_transaction_poll(engine, now_us);
    int status = tide_engine_source_events(engine, now_us);
    if (status == TIDE_OK)
        status = tide_engine_revocation_poll(engine, now_us);
    if (status == TIDE_OK)
        status = tide_engine_restore_poll(engine, now_us);
    if (status == TIDE_OK && phases[engine->run.state].commits)
        status = tide_commit_poll(engine->commit, now_us);
    return status;
}

/* A failure does not end the turn: it is a state like any other, and its phase begins in the same turn. */
static void turn(struct tide_engine *engine, int64_t now_us)
{
    engine->chain.progress = false;
    tide_count(engine->chain.counters, 0, TIDE_M_RUN_COUNT, 1);
    int status = poll_chain(engine, now_us);
    if (status == TIDE_OK && engine->run.failure >= 0)
        status = tide_engine_tables_poll(engine, now_us);
    if (status == TIDE_OK)
        status = poll_source(engine, now_us);
    if (status < 0)
        tide_engine_fail(engine, status, now_us);
    enum tide_engine_state next = phases[engine->run.state].next(engine, now_us);
    if (next != engine->run.state)
        tide_engine_enter_state(engine, next, now_us);
    /* After the phase, so that a signal never acts on half a turn: it becomes an event, and Lua calls
     * tide_engine_close between turns. */
    tide_engine_read_signals(engine);
    if (tide_meter_turn(engine, now_us)) {
        if (engine->zygote)
            tide_zygote_reap_orphans(engine->zygote);
        tide_engine_emit(engine, TIDE_EVENT_SECOND, 0, 0, NULL);
    }
}

/* ---- between turns ---- */

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

/* How long the loop may wait for a descriptor. Whatever happens at a point in time has to be named here, or it is
 * late. What this turn does nothing about must not be named: a deadline that has passed and stays so would turn the
 * loop all the time. After a failure only the last step is polled, and not every state commits. */
static int64_t wait_time(const struct tide_engine *engine, int64_t now_us, int64_t until_us)
{
    int64_t wake_us = earlier(until_us, now_us + LONGEST_WAIT_US);
    wake_us = earlier(wake_us, engine->meter.second_us);
    bool failed = engine->run.failure < 0;
    for (uint32_t i = failed ? engine->step_count - 1 : 0; i < engine->step_count; i++)
        wake_us = earlier(wake_us, engine->steps[i]->ops->deadline_us(engine->steps[i]));
    for (uint32_t i = 0; !failed && i < engine->pool_count; i++)
        wake_us = earlier(wake_us, tide_pool_deadline_us(engine->pools[i], now_us));
    if (phases[engine->run.state].commits)
        wake_us = earlier(wake_us, tide_commit_deadline_us(engine->commit));
    wake_us = earlier(wake_us, engine->run.deadline_us);
    if (engine->revocation.state != TIDE_REVOCATION_NONE)
        wake_us = earlier(wake_us, engine->revocation.deadline_us);
    return engine->chain.progress || wake_us < now_us ? 0 : wake_us - now_us;
}

int tide_engine_run(struct tide_engine *engine, int64_t timeout_us, struct tide_event *event)
{
    int64_t now_us = tide_meter_charge(engine, TIDE_TIME_OTHER);
    int64_t until_us = now_us + timeout_us;
    while (engine->events.count == 0) { /* Lua handles an event before the next turn */
        turn(engine, now_us);
        int64_t since_us = tide_meter_charge(engine, TIDE_TIME_PROCESSING);
        if (engine->events.count > 0)
            break;
        int status = tide_loop_wait(engine->loop, wait_time(engine, now_us, until_us));
        if (status < 0)
            return status;
        bool reading = engine->run.state == TIDE_ENGINE_READING &&
                       engine->intake.state == TIDE_INTAKE_OPEN;
        now_us = tide_meter_charge(engine, reading ? TIDE_TIME_POLL : TIDE_TIME_OTHER);
        tide_meter_waited(engine, since_us, now_us);
        if (now_us >= until_us && (timeout_us > 0 || !engine->chain.progress)) {
            /* What came while this process was stopped came before what the caller does for the time that passed. */
            tide_engine_read_signals(engine);
            break;
        }
    }
    tide_engine_next_event(engine, event);
    return TIDE_OK;
}

/* Both are tried, even when the first fails: a rotation that fails for one file must not leave the other one
 * behind. */
int tide_engine_reopen(struct tide_engine *engine)
{
    struct tide_sink *sink = engine->sink;
    int output = sink && sink->ops->reopen ? sink->ops->reopen(sink) : TIDE_OK;
    int dlq = tide_dlq_reopen(engine->chain.dlq);
    return output < 0 ? output : dlq;
}
