/* SPDX-License-Identifier: MIT
 * engine/engine.h - the engine's own struct, for engine.c (one turn of the loop), engine_build.c (plan ->
 * chain), engine_start.c (until the source reads), engine_source.c (what the source tells: assignments, revocations,
 * commits) and engine_transaction.c (exactly once). Not for Lua.
 *
 *   state        who                                 next
 *   CONNECTING   the sink is being reached           READING once it is ready: the source starts
 *   READING      messages flow                       DRAINING on tide_engine_close or the source's end;
 *                                                    FAILING on a failure, from any state
 *   DRAINING     steps are closed one by one         COMMITTING when all are joined, or join_timeout passed
 *   FAILING      delivery reports still come in      COMMITTING when none is due, or a few seconds passed;
 *                                                    LEAVING at once when a newer engine has taken over
 *   COMMITTING   what is done is committed           LEAVING once answered, or a few seconds passed
 *   LEAVING      the source closes                   ENDED once closed, or a second passed
 *   ENDED        the DONE or FAILED event is out */
#ifndef TIDE_ENGINE_H
#define TIDE_ENGINE_H

#include "chain/commit.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/step.h"
#include "chain/task.h"
#include "io/sink.h"
#include "io/source.h"
#include "proc/pool.h"
#include "proc/zygote.h"
#include "tidemill.h"

enum tide_engine_state {
    TIDE_ENGINE_NEW,
    TIDE_ENGINE_CONNECTING,
    TIDE_ENGINE_READING,
    TIDE_ENGINE_DRAINING,
    TIDE_ENGINE_FAILING,
    TIDE_ENGINE_COMMITTING,
    TIDE_ENGINE_LEAVING,
    TIDE_ENGINE_ENDED
};

enum { TIDE_ENGINE_EVENTS = 64 };

/** Partitions on their way out (one revocation at a time; the source tells the next one later). */
struct tide_leaving {
    uint32_t *partitions;
    size_t count;
    bool active;
    bool asked; /* the last commit for them was asked for, or the abort */
    int64_t deadline_us;
};

struct tide_engine {
    struct tide_plan plan; /* its pointers are not valid after tide_engine_new */
    struct tide_loop *loop;
    struct tide_chain chain;
    struct tide_zygote *zygote;
    struct tide_tallies *tallies; /* what scripts count */
    struct tide_pool **pools;
    uint32_t pool_count;
    struct tide_step **steps; /* plan's steps, then produce */
    uint32_t step_count;
    uint32_t closed_steps;
    struct tide_source *source;
    struct tide_sink *sink;    /* of the output; NULL = dropped */
    uint16_t output_topic;     /* the sink's first topic */
    struct tide_sink *letters; /* of the dlq topic; the same as sink when that is Kafka */
    struct tide_commit *commit;
    struct tide_leaving leaving;

    enum tide_engine_state state;
    int64_t deadline_us; /* of the state */
    int failure;         /* status; its text below */
    char failure_text[2048];
    bool source_started;
    bool source_ended; /* it has told END: draining is for that */
    bool blocked;      /* the first step was busy */
    int64_t blocked_us;
    bool paused;
    uint64_t paused_in_flight; /* messages in flight when it was */

    int signals; /* signalfd, -1 = none */
    int64_t second_us;
    int64_t first_read_us;
    int64_t last_done_us;
    uint64_t last_in_flight;
    uint64_t last_late; /* reports of partitions that are away, as counted */
    int64_t newest_ms;  /* timestamp of the newest message read */
    uint64_t workers_lost;
    struct tide_event
        events[TIDE_ENGINE_EVENTS]; /* a ring; the oldest is dropped when Lua does not come */
    uint32_t event_head;
    uint32_t event_count;
    bool progress; /* something happened this turn: look again before waiting */
};

void tide_engine_enter(struct tide_engine *engine, enum tide_engine_state state,
                       int64_t deadline_us);
/** Queues an event for Lua. */
void tide_engine_tell(struct tide_engine *engine, enum tide_event_kind kind, int status, int number,
                      const char *text);
/** CONNECTING: goes on to READING once the sinks are ready. */
int tide_engine_connect_poll(struct tide_engine *engine);
/** Fetches the source's events. Negative = failure. */
int tide_engine_source_events(struct tide_engine *engine, int64_t now_us);
/** Exactly once: takes the outcomes of transactions. */
void tide_engine_transaction_poll(struct tide_engine *engine);
/** The partitions that leave are given back. */
void tide_engine_leaving_done(struct tide_engine *engine);
/** Goes on with partitions that leave. */
int tide_engine_leaving_poll(struct tide_engine *engine, int64_t now_us);
/** Stops reading; `deadline_us` is when draining is given up. */
void tide_engine_drain(struct tide_engine *engine, int64_t deadline_us);
/** Keeps the first failure and begins to leave. */
void tide_engine_fail(struct tide_engine *engine, int status, int64_t now_us);

#endif
