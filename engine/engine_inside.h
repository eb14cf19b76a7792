/* SPDX-License-Identifier: MIT
 * engine/engine_inside.h - the engine's own struct, for the files engine/engine*.c. Not for Lua. The files in the order
 * in which they call each other; each one calls only those above it:
 *
 *   engine_meter_state.c  measures keyed state
 *   engine_meter.c        measures: where time goes, lag, latency, and whether anything gets on
 *   engine_state.c        the state of the run, its failure, and the events for Lua
 *   engine_tables.c       tables: their topics, read into shared memory
 *   engine_signals.c      signals become events
 *   engine_start.c        from the fork until the sinks are ready
 *   engine_intake.c       from the source to the first step, with backpressure and pause
 *   engine_restore.c      restores state before a partition is read
 *   engine_revocation.c   gives back partitions that are revoked
 *   engine_watch.c        judges a revision that has taken over
 *   engine_canary.c       has a share of the batches run by the next revision, too
 *   engine_reload.c       loads the transforms anew
 *   engine_source.c       handles the events of the source
 *   engine_transaction.c  handles the outcomes of transactions (exactly once)
 *   engine.c              one turn of the loop: start reading here
 *   engine_build.c        from a plan to a chain, and its end
 *   engine_view.c         what Lua may look at
 *
 * The states of a run. Each has a time limit (engine_state.c); when it has passed the run goes on all the same.
 *
 *   state        what happens                        limit         next
 *   NEW          the chain is built                  none          CONNECTING: tide_engine_start
 *   CONNECTING   the sinks connect                   none          READING: they are ready, the source starts
 *                                                                  LEAVING: tide_engine_close
 *   READING      messages are read and processed     none          DRAINING: tide_engine_close, the source's end, or
 *                                                                  data that the source cannot read past
 *   DRAINING     the steps are closed in order       join_timeout  COMMITTING: all of them have joined
 *   FAILING      delivery reports still come in      5 s           COMMITTING: none is due
 *                                                                  LEAVING: a newer engine has taken over
 *   COMMITTING   the positions are committed         5 s           LEAVING: the commit is answered
 *   LEAVING      the source closes                   1 s           ENDED: it is closed
 *   ENDED        DONE or FAILED is emitted           none
 *
 * A failure leads to FAILING, but in COMMITTING to LEAVING. An aborted transaction leads from DRAINING or COMMITTING
 * back to READING when the run was to end with its input, which has to be read again. */
#ifndef TIDE_ENGINE_INSIDE_H
#define TIDE_ENGINE_INSIDE_H

#include "chain/commit.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/step.h"
#include "engine_reload.h"
#include "io/changelog.h"
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
    TIDE_ENGINE_ENDED,
    TIDE_ENGINE_STATES
};

enum { TIDE_ENGINE_EVENTS = 64 };

/** Where the run stands. */
struct tide_run {
    enum tide_engine_state state;
    int64_t deadline_us; /* when the state's time limit passes */
    int failure;         /* status of the first failure; TIDE_OK = none */
    int source_failure; /* the source cannot read on; what it has read is drained before the run fails */
    char failure_text[2048]; /* of either */
    bool close_asked;        /* tide_engine_close was called */
    bool source_started;
    bool source_ended; /* the source is at its end, and the run is draining for that reason */
};

/** Events that Lua has not fetched yet: a ring. When it is full the oldest event is dropped. */
struct tide_event_queue {
    struct tide_event events[TIDE_ENGINE_EVENTS];
    uint32_t head;
    uint32_t count;
};

/** Backpressure.
 *   state     what happens                               next
 *   OPEN      the first step takes what it is offered    BLOCKED: it takes fewer messages than that
 *   BLOCKED   one message is offered at a time           OPEN: it takes the message; PAUSED: 5 s have passed
 *   PAUSED    the source reads nothing                   OPEN: a message in flight became complete */
enum tide_intake_state { TIDE_INTAKE_OPEN, TIDE_INTAKE_BLOCKED, TIDE_INTAKE_PAUSED };

struct tide_intake {
    enum tide_intake_state state;
    int64_t blocked_us;        /* since when it is not OPEN */
    uint64_t paused_in_flight; /* messages in flight when the source was paused */
};

/** State that is being restored from its changelog. */
struct tide_restore {
    struct tide_message *records; /* room for those that are taken at once */
    int64_t since_us;             /* 0 = nothing is being restored */
    int64_t logged_us;
    uint64_t restored; /* records, since then */
    uint32_t partitions;
};

/** The partitions that are being given back. There is one revocation at a time: the source holds back the next one
 * until this one is done.
 *   state     what happens                                       next
 *   NONE      nothing                                            REPORTS: the source revokes partitions
 *   REPORTS   delivery reports of what was sent are waited for   COMMIT: none is due, or 50 ms have passed, and the
 *                                                                commit is begun; an older one may keep it waiting 3 s
 *   COMMIT    the answer to their last commit is waited for      NONE: it came, or 3 s have passed */
enum tide_revocation_state {
    TIDE_REVOCATION_NONE,
    TIDE_REVOCATION_REPORTS,
    TIDE_REVOCATION_COMMIT
};

struct tide_revocation {
    enum tide_revocation_state state;
    uint32_t *partitions;
    size_t count;
    int64_t since_us;
    int64_t deadline_us; /* of the state */
    bool abort_due; /* a group is partially revoked, so the open transaction has to be aborted */
};

/** Exactly once: the pause after an abort, so that a transaction that cannot succeed is not tried all the time. */
struct tide_abort {
    int64_t resume_us; /* nothing is read before */
    int64_t pause_us;  /* the pause after the next abort; doubles until a commit succeeds */
};

/** What the time since the last measurement is charged to. */
enum tide_time_use {
    TIDE_TIME_POLL,       /* reading the source, or waiting for it */
    TIDE_TIME_PROCESSING, /* the steps, in this process */
    TIDE_TIME_CALLBACK,   /* handling assignments and revocations; counts in PROCESSING as well */
    TIDE_TIME_OTHER,      /* Lua, and waiting for anything but the source: not reported */
    TIDE_TIME_USES
};

/** The latency of one message a second is measured. TAKEN becomes WANTED with the next second. */
enum tide_sample_state { TIDE_SAMPLE_WANTED, TIDE_SAMPLE_IN_FLIGHT, TIDE_SAMPLE_TAKEN };

struct tide_partition_meter {
    struct tide_lag lag; /* as of the last second */
    int64_t newest_ms;   /* timestamp of the newest message taken; -1 = none */
};

struct tide_meter {
    int64_t created_us;
    int64_t entered_us;               /* when the present state began */
    int64_t stop_us;                  /* when the run began to end; 0 = not yet */
    int64_t second_us;                /* when the present second ends */
    int64_t charged_us;               /* when time was last charged */
    int64_t awake_us;                 /* when the loop last returned from its wait */
    int64_t cpu_us;                   /* processor time of this thread that is counted */
    int64_t spent_us[TIDE_TIME_USES]; /* since the last second */
    struct tide_partition_meter *partitions;
    uint32_t partition_count;
    struct {
        enum tide_sample_state state;
        struct tide_origin origin;
        int64_t offset;
        int64_t timestamp_ms;
    } sample;
    struct {
        uint64_t work; /* changes whenever a message gets on */
        int64_t checked_us;
        int64_t stalled_us; /* how long nothing got on, as far as the process was running */
        bool stuck;         /* a warning is in the log */
    } stall;
    int64_t disbelief_ms;  /* tide_clock_disbelief_ms(), as it was a second ago */
    int64_t first_read_us; /* 0 = nothing was read yet */
    int64_t last_done_us;
    /* as counted last, since counters only take what is added */
    uint64_t last_in_flight;
    uint64_t last_late;    /* delivery reports of partitions that are revoked */
    uint64_t last_dropped; /* calls of tide.metric that were not counted */
    uint32_t last_false;   /* events of the zygote that broke the protocol */
    struct tide_lookup_totals last_lookups;
    struct tide_states_totals last_states; /* owned by engine_meter_state.c */
};

struct tide_engine {
    struct tide_plan plan; /* its pointers are not valid after tide_engine_new */

    /* Made by engine_build.c; these stay as they are until tide_engine_free. */
    struct tide_loop *loop;
    struct tide_chain chain; /* chain.progress also stands for the engine's own progress */
    struct tide_zygote *zygote;
    struct tide_script_metrics *script_metrics; /* what scripts count */
    struct tide_pool **pools;
    uint32_t pool_count;
    struct tide_step **steps; /* the plan's steps, then produce */
    uint32_t step_count;
    struct tide_source *source;
    struct tide_sink *sink;     /* of the output; NULL = results are thrown away */
    uint16_t output_topic;      /* the sink's first topic */
    struct tide_sink *dlq_sink; /* writes the dlq's topic; the same as `sink` when that is Kafka */
    struct tide_sink *transactions;   /* whose transactions take the positions; NULL = none does */
    struct tide_changelog *changelog; /* reads what chain.changelog writes; NULL = there is none */
    struct tide_commit *commit;
    struct tide_engine_tables *tables; /* NULL = there are none */

    struct tide_meter meter;           /* owned by engine_meter.c */
    struct tide_run run;               /* owned by engine_state.c */
    struct tide_event_queue events;    /* owned by engine_state.c */
    int signals;                       /* owned by engine_signals.c: a signalfd, -1 = none */
    struct tide_intake intake;         /* owned by engine_intake.c */
    struct tide_restore restore;       /* owned by engine_restore.c */
    struct tide_revocation revocation; /* owned by engine_revocation.c */
    struct tide_reload reload;         /* owned by engine_reload.c */
    struct tide_abort abort;           /* owned by engine_transaction.c */
    bool sinks_started;                /* owned by engine_start.c */
    uint64_t workers_lost;             /* owned by engine.c: as of the last turn */
};

/* ---- engine_meter_state.c ---- */

/** Counts what keyed state has done since the last call; once a turn. `second`: a second has passed. */
void tide_meter_states(struct tide_engine *engine, bool second);

/* ---- engine_meter.c ---- */

/** Charges the time since the last call to `use`. Returns the present time. */
int64_t tide_meter_charge(struct tide_engine *engine, enum tide_time_use use);
/** The loop has waited from `since_us` to `until_us`; what came before, since the last wait, was work. */
void tide_meter_waited(struct tide_engine *engine, int64_t since_us, int64_t until_us);
/** Measures at the end of a turn. True once a second: the rest is measured then. */
bool tide_meter_turn(struct tide_engine *engine, int64_t now_us);
/** Partitions were assigned; handling that began at `since_us`. */
void tide_meter_assigned(struct tide_engine *engine, const uint32_t *partitions, size_t count,
                         int64_t since_us);
/** The partitions that were revoked at `since_us` are given back. */
void tide_meter_revoked(struct tide_engine *engine, int64_t since_us);
/** The first step took messages; count > 0. */
void tide_meter_taken(struct tide_engine *engine, const struct tide_message *messages, size_t count,
                      int64_t now_us);
/** The engine is about to enter `state`. */
void tide_meter_enter_state(struct tide_engine *engine, enum tide_engine_state state);
/** The lag now: messages summed over the partitions, seconds of the worst of them; -1 = unknown. */
void tide_meter_lag(const struct tide_engine *engine, int64_t *messages, double *seconds);

/* ---- engine_state.c ---- */

/** Enters `state`; its time limit begins. */
void tide_engine_enter_state(struct tide_engine *engine, enum tide_engine_state state,
                             int64_t now_us);
/** Enters DRAINING, which may take until `deadline_us`. */
void tide_engine_drain(struct tide_engine *engine, int64_t deadline_us);
/** Keeps the first failure, with tide_error() as its text, and enters FAILING. Later failures are ignored. */
void tide_engine_fail(struct tide_engine *engine, int status, int64_t now_us);
/** The source is at the end that was asked for. */
void tide_engine_source_ended(struct tide_engine *engine);
/** The source has met data that it cannot read past: what was read before is drained, then the run fails. */
void tide_engine_source_stuck(struct tide_engine *engine, int status, int64_t now_us);
/** What was read is read again: a run that was ending since its input had ended goes back to READING. */
void tide_engine_read_again(struct tide_engine *engine, int64_t now_us);
/** Queues an event for Lua. */
void tide_engine_emit(struct tide_engine *engine, enum tide_event_kind kind, int status, int number,
                      const char *text);
/** The same, with the names of partitions as its text. */
void tide_engine_emit_partitions(struct tide_engine *engine, enum tide_event_kind kind,
                                 const uint32_t *partitions, size_t count);
/** Emits DONE, or FAILED with the failure. */
void tide_engine_emit_end(struct tide_engine *engine);
/** Takes the oldest event; NOTHING when there is none. */
void tide_engine_next_event(struct tide_engine *engine, struct tide_event *event);

/* ---- engine_tables.c ---- */

/** Before the fork. */
int tide_engine_tables_build(struct tide_engine *engine, const struct tide_plan *plan);
/** The properties, and whether they go together. */
void tide_engine_tables_connect(struct tide_engine *engine,
                                const struct tide_connection *connection);
int tide_engine_tables_try(struct tide_engine *engine);
int tide_engine_tables_start(struct tide_engine *engine);
/** Takes what has come to the topics. Negative = failure. */
int tide_engine_tables_poll(struct tide_engine *engine, int64_t now_us);
/** Whether messages may be read: each table is complete, or was waited for long enough. */
bool tide_engine_tables_ready(const struct tide_engine *engine);
/** Tells the zygotes which versions of lookup tables nobody reads any more. */
void tide_engine_lookups_poll(struct tide_engine *engine);
void tide_engine_tables_free(struct tide_engine *engine);

/* ---- engine_signals.c ---- */

/** From here on INT, TERM, QUIT, HUP, USR1 and USR2 are read from a signalfd, if the plan says so. Called before the
 * fork, so that no signal is missed. */
int tide_engine_open_signals(struct tide_engine *engine);
/** Signals become events. */
void tide_engine_read_signals(struct tide_engine *engine);
/** The number of a signal that came and ends a run; 0 = none. Other signals that came are dropped. */
int tide_engine_stop_signal(struct tide_engine *engine);
void tide_engine_close_signals(struct tide_engine *engine);

/* ---- engine_start.c ---- */

/** 1 = the sinks are ready, and the source knows of the output what it must; 0 = not yet; negative = failure. */
int tide_engine_sinks_ready(struct tide_engine *engine);

/* ---- engine_intake.c ---- */

/** Reads messages as long as there are any and the first step takes them, up to a limit. Negative = failure. */
int tide_engine_read_source(struct tide_engine *engine, int64_t now_us);

/* ---- engine_restore.c ---- */

/** The partitions were assigned. Where there is a changelog their state is restored, and they are read after that. */
int tide_engine_restore(struct tide_engine *engine, const uint32_t *partitions, size_t count,
                        int64_t now_us);
/** Restores what has come of the changelogs. */
int tide_engine_restore_poll(struct tide_engine *engine, int64_t now_us);
/** The partition is given back. */
void tide_engine_restore_end(struct tide_engine *engine, uint32_t partition);

/* ---- engine_revocation.c ---- */

/** The source revokes partitions: a REVOKED or LOST event. */
void tide_engine_revoke(struct tide_engine *engine, const struct tide_source_event *event,
                        int64_t now_us);
/** Gets on with the revocation, if there is one. Negative = failure. */
int tide_engine_revocation_poll(struct tide_engine *engine, int64_t now_us);
/** Asks for an abort when a revocation makes it necessary. */
void tide_engine_revocation_abort(struct tide_engine *engine);
/** The transaction was aborted: there is nothing left to commit for the partitions that are revoked. */
void tide_engine_revocation_aborted(struct tide_engine *engine);

/* ---- engine_source.c ---- */

/** Handles the source's events. Negative = failure. */
int tide_engine_source_events(struct tide_engine *engine, int64_t now_us);

/* ---- engine_transaction.c ---- */

/** Exactly once: handles the outcomes of transactions. */
void tide_engine_transaction_poll(struct tide_engine *engine, int64_t now_us);

#endif
