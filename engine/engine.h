/* SPDX-License-Identifier: MIT
 * engine/engine.h - the engine's own struct, for engine.c (one turn of the loop), engine_build.c (plan ->
 * chain), engine_start.c (until the source reads), engine_source.c (what the source tells: assignments, revocations,
 * commits), engine_transaction.c (exactly once) and engine_meter.c (what is measured of all that). Not for Lua.
 *
 *   state        who                                 next
 *   CONNECTING   the sink is being reached           READING once it is ready: the source starts
 *   READING      messages flow                       DRAINING on tide_engine_close, the source's end, or
 *                                                    bad data that it cannot read past;
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
struct tide_revocation {
    uint32_t *partitions;
    size_t count;
    bool active;
    bool asked; /* the last commit for them was asked for, or the abort */
    int64_t since_us;
    int64_t deadline_us;
};

/** Whose the time is that passed since the last lap. */
enum tide_time_use {
    TIDE_TIME_POLL, /* the source's: reading it, waiting for it */
    TIDE_TIME_PROCESSING,
    TIDE_TIME_CALLBACK, /* beside the others: answering assignments and revocations */
    TIDE_TIME_OTHER,    /* nobody's: Lua, waiting for anything else */
    TIDE_TIME_COUNT
};

/** Of the message whose latency is taken; TAKEN becomes WANTED with the next second. */
enum tide_sample { TIDE_SAMPLE_WANTED, TIDE_SAMPLE_IN_FLIGHT, TIDE_SAMPLE_TAKEN };

/** What engine_meter.c keeps. */
struct tide_meter {
    int64_t created_us;
    int64_t entered_us; /* the present state */
    int64_t stop_us;    /* when stopping was wished, or a failure began it; 0 = not yet */
    int64_t charged_us;
    int64_t spent_us[TIDE_TIME_COUNT]; /* since the last second */
    struct tide_lag *lags;             /* of each partition, as of the last second */
    int64_t *newest_ms;                /* of each partition: timestamp of the last message taken */
    uint32_t partition_count;
    enum tide_sample sample_state;
    struct tide_origin sample;
    int64_t sample_offset;
    int64_t sample_ms;
    uint64_t progress; /* changes when anything gets further */
    int64_t checked_us;
    int64_t stalled_us; /* without moving */
    bool stuck;
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
    struct tide_sink *sink;     /* of the output; NULL = dropped */
    uint16_t output_topic;      /* the sink's first topic */
    struct tide_sink *dlq_sink; /* of the dlq topic; the same as sink when that is Kafka */
    struct tide_commit *commit;
    struct tide_revocation revocation;
    bool abort_due;    /* of the open transaction: what a revocation has torn cannot be committed */
    int64_t resume_us; /* after an abort: nothing is read before */
    int64_t abort_pause_us; /* the rest after the next one, while no commit is between */

    enum tide_engine_state state;
    int64_t deadline_us; /* of the state */
    int failure;         /* status; its text below */
    int source_failure;  /* likewise: it cannot read on, and what it has read before is drained */
    char failure_text[2048];
    bool closing; /* tide_engine_close was called */
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
    uint64_t last_late;    /* reports of partitions that are away, as counted */
    uint64_t last_dropped; /* calls of tide.metric that counted nothing, as counted */
    uint64_t workers_lost;
    struct tide_event
        events[TIDE_ENGINE_EVENTS]; /* a ring; the oldest is dropped when Lua does not come */
    uint32_t event_head;
    uint32_t event_count;
    struct tide_meter meter;
    bool progress; /* something happened this turn: look again before waiting */
};

/* engine_meter.c */

/** Ends a lap: the time since the last one is `lap`'s. Returns the present time. */
int64_t tide_meter_charge(struct tide_engine *engine, enum tide_time_use use);
/** The end of a turn: what changed, latency, and once a second the rest. */
void tide_meter_turn(struct tide_engine *engine, int64_t now_us);
/** Partitions are the engine's now; dealing with that began at `since_us`. */
void tide_meter_assigned(struct tide_engine *engine, const uint32_t *partitions, size_t count,
                         int64_t since_us);
/** The partitions that were revoked at `since_us` are given back. */
void tide_meter_revoked(struct tide_engine *engine, int64_t since_us);
/** The first step took messages; count > 0. */
void tide_meter_taken(struct tide_engine *engine, const struct tide_message *messages,
                      size_t count);
/** The engine goes on to `state`. */
void tide_meter_enter(struct tide_engine *engine, enum tide_engine_state state);
/** How far behind it is now: the sum over the partitions, the worst of them; -1 = unknown. */
void tide_meter_lag(const struct tide_engine *engine, int64_t *messages, double *seconds);

void tide_engine_enter_state(struct tide_engine *engine, enum tide_engine_state state,
                             int64_t deadline_us);
/** INT, TERM, QUIT, HUP, USR1 and USR2 are events from here on, if the plan says so: before the fork, so that none is missed. */
int tide_engine_open_signals(struct tide_engine *engine);
/** Queues an event for Lua. */
void tide_engine_emit(struct tide_engine *engine, enum tide_event_kind kind, int status, int number,
                      const char *text);
/** CONNECTING: goes on to READING once the sinks are ready. */
int tide_engine_connect_poll(struct tide_engine *engine);
/** Fetches the source's events. Negative = failure. */
int tide_engine_source_events(struct tide_engine *engine, int64_t now_us);
/** Exactly once: takes the outcomes of transactions. */
void tide_engine_transaction_poll(struct tide_engine *engine, int64_t now_us);
/** The partitions that leave are given back. */
void tide_engine_revocation_done(struct tide_engine *engine);
/** Goes on with partitions that leave. */
int tide_engine_revocation_poll(struct tide_engine *engine, int64_t now_us);
/** Stops reading; `deadline_us` is when draining is given up. */
void tide_engine_drain(struct tide_engine *engine, int64_t deadline_us);
/** Keeps the first failure and begins to leave. */
void tide_engine_fail(struct tide_engine *engine, int status, int64_t now_us);

#endif
