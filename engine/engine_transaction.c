/* SPDX-License-Identifier: MIT
 * Exactly once, and state with a changelog: handles the outcomes of the sink's transactions (io/sink.h, chain/commit.h). An abort takes back all
 * that was read since the last commit: every epoch rises at once, so that nothing of it is sent any more, and the
 * source begins again at the committed positions. Nothing is kept to be sent again from here, since reading again is
 * needed after a crash anyway and then has to work. Start reading at tide_engine_transaction_poll. */
#include "base/log.h"
#include "base/status.h"
#include "engine_inside.h"
#include "shm/counters.h"

static const int64_t FIRST_PAUSE_US = 50000;
static const int64_t LONGEST_PAUSE_US = 5000000;

/* The first abort is not followed by a pause: it is nearly always a rebalance. A transaction that is aborted again and
 * again (say, the topic of its dead letters is missing) is read again after longer and longer pauses. */
static void pause_reading(struct tide_engine *engine, int64_t now_us)
{
    struct tide_abort *abort = &engine->abort;
    int64_t pause_us = abort->pause_us * 2;
    abort->resume_us = now_us + abort->pause_us;
    abort->pause_us = pause_us < FIRST_PAUSE_US     ? FIRST_PAUSE_US
                      : pause_us > LONGEST_PAUSE_US ? LONGEST_PAUSE_US
                                                    : pause_us;
}

static void transaction_aborted(struct tide_engine *engine, const char *text, int64_t now_us)
{
    tide_log(TIDE_LOG_WARN,
             "the transaction was aborted: %s; reading again from the committed offsets",
             text ? text : "");
    tide_count(engine->chain.counters, 0, TIDE_M_TRANSACTION_ABORTED, 1);
    tide_commit_aborted(engine->commit);
    if (engine->plan.exactly_once)
        tide_dlq_aborted(engine->chain.dlq);
    tide_offsets_abort(engine->chain.offsets);
    tide_engine_revocation_aborted(engine);
    tide_engine_read_again(engine, now_us);
    pause_reading(engine, now_us);
    engine->source->ops->rewind(engine->source);
}

static void transaction_committed(struct tide_engine *engine)
{
    engine->abort.pause_us = 0;
    tide_commit_answered(engine->commit, TIDE_OK, NULL);
    if (engine->plan.exactly_once)
        tide_dlq_committed(engine->chain.dlq);
}

void tide_engine_transaction_poll(struct tide_engine *engine, int64_t now_us)
{
    struct tide_sink *sink = engine->transactions;
    const char *text = NULL;
    enum tide_transaction_result result;
    if (!sink || engine->run.state > TIDE_ENGINE_COMMITTING)
        return;
    tide_engine_revocation_abort(engine);
    while ((result = sink->ops->transaction_result(sink, &text)) != TIDE_TRANSACTION_NO_RESULT) {
        engine->chain.progress = true;
        if (result == TIDE_TRANSACTION_ABORTED)
            transaction_aborted(engine, text, now_us);
        else
            transaction_committed(engine);
    }
}
