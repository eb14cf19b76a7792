/* SPDX-License-Identifier: MIT
 * Exactly once: what becomes of the sink's transactions (io/sink.h, chain/commit.h). An abort takes back all that was
 * read since the last commit: every epoch rises at once, so that nothing of it is sent any more, and the source
 * begins again at the committed positions. */
#include "base/log.h"
#include "base/status.h"
#include "engine.h"
#include "shm/counters.h"

static const int64_t FIRST_REST_US = 50000;
static const int64_t LONGEST_REST_US = 5000000;

/* A transaction that is aborted again and again (its dlq is not there) rests longer each time before it is read again. */
static void rest(struct tide_engine *engine, int64_t now_us)
{
    int64_t pause_us = engine->abort_pause_us * 2;
    engine->resume_us = now_us + engine->abort_pause_us;
    engine->abort_pause_us = pause_us < FIRST_REST_US     ? FIRST_REST_US
                             : pause_us > LONGEST_REST_US ? LONGEST_REST_US
                                                          : pause_us;
}

/* The run was at the end of its input: there is more to do again. */
static void read_on(struct tide_engine *engine)
{
    bool ending = engine->state == TIDE_ENGINE_DRAINING || engine->state == TIDE_ENGINE_COMMITTING;
    if (ending && engine->source_ended && !engine->closing && engine->failure == TIDE_OK)
        tide_engine_enter_state(engine, TIDE_ENGINE_READING, INT64_MAX);
    engine->source_ended = false;
}

static void aborted(struct tide_engine *engine, const char *text, int64_t now_us)
{
    struct tide_offsets *offsets = engine->chain.offsets;
    tide_log(TIDE_LOG_WARN,
             "the transaction was aborted: %s; reading again from the committed offsets",
             text ? text : "");
    tide_count(engine->chain.counters, 0, TIDE_M_TRANSACTION_ABORTED, 1);
    tide_commit_aborted(engine->commit);
    engine->abort_due = false;
    tide_dlq_aborted(engine->chain.dlq);
    tide_offsets_abort(offsets);
    if (engine->revocation.active)
        tide_engine_revocation_done(engine);
    read_on(engine);
    rest(engine, now_us);
    engine->source->ops->rewind(engine->source);
    engine->progress = true;
}

static void committed(struct tide_engine *engine)
{
    engine->abort_pause_us = 0;
    tide_commit_answered(engine->commit, TIDE_OK, NULL);
    tide_dlq_settled(engine->chain.dlq);
}

void tide_engine_transaction_poll(struct tide_engine *engine, int64_t now_us)
{
    struct tide_sink *sink = engine->sink;
    const char *text = NULL;
    enum tide_sink_outcome outcome;
    if (!engine->plan.exactly_once || engine->state > TIDE_ENGINE_COMMITTING)
        return;
    if (engine->abort_due && !tide_commit_under_way(engine->commit)) {
        engine->abort_due = false;
        sink->ops->abort(sink);
    }
    while ((outcome = sink->ops->outcome(sink, &text)) != TIDE_SINK_NOTHING) {
        engine->progress = true;
        if (outcome == TIDE_SINK_ABORTED)
            aborted(engine, text, now_us);
        else
            committed(engine);
    }
}
