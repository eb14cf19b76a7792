/* SPDX-License-Identifier: MIT
 * engine/tidemill.h - all that Lua may call to build and drive a pipeline. Calls go one way: Lua calls,
 * C answers. Strings in a plan are copied by tide_engine_new. Times: microseconds of CLOCK_MONOTONIC
 * unless the name says otherwise. Sizes: bytes.
 *
 * Life of an engine (run/engine.lua):
 *   tide_engine_new     the chain is built, all blocks are mapped; one thread, no connection
 *   tide_engine_fork    0 in the zygote (which goes on in run/worker.lua), its pid in the engine
 *   tide_engine_start   secrets are in the properties now; connects, begins to read
 *   tide_engine_run     again and again, until DONE or FAILED
 *   tide_engine_free    drops what is left, ends zygote and workers */
#ifndef TIDEMILL_H
#define TIDEMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/plan.h"

enum { TIDE_ABI = 1 };
/** The library's TIDE_ABI: what Lua's cdef was read from must be the same. */
int tide_abi(void);
/** Version of this project, as `git describe` gave it at build time. */
const char *tide_version(void);

/* ---- the engine ---- */

struct tide_engine;
struct tide_zygote;

/** NULL with tide_error(); the status through `status`. */
struct tide_engine *tide_engine_new(const struct tide_plan *plan, int *status);
/** As fork(). In the zygote `*zygote` is set (proc/worker.h goes on from there) and the engine must not
 * be used any more. TIDE_EINTERNAL when the process has a second thread already. */
int tide_engine_fork(struct tide_engine *engine, struct tide_zygote **zygote);
/** Waits until the zygote has loaded the user's code: TIDE_OK, or TIDE_ECONFIG with its text. A signal's number when
 * one came first (handle_signals): nothing was begun, free the engine. */
int tide_engine_ready(struct tide_engine *engine);

struct tide_connection {
    const struct tide_property
        *source; /* librdkafka properties, secrets resolved; "-" names are not */
    uint32_t source_count;
    const struct tide_property *sink;
    uint32_t sink_count;
};
int tide_engine_start(struct tide_engine *engine, const struct tide_connection *connection);
/** In place of start: TIDE_ECONFIG with the reason when librdkafka does not take the properties together. */
int tide_engine_try(struct tide_engine *engine, const struct tide_connection *connection);

enum tide_event_kind {
    TIDE_EVENT_NOTHING, /* the timeout passed */
    TIDE_EVENT_SECOND,  /* a second of the clock passed: time to show progress */
    TIDE_EVENT_ASSIGNED,
    TIDE_EVENT_REVOKED,
    TIDE_EVENT_LOST,
    TIDE_EVENT_WORKER_LOST,
    TIDE_EVENT_SIGNAL, /* number */
    TIDE_EVENT_DONE,   /* all that was read is delivered and committed */
    TIDE_EVENT_FAILED  /* status: the exit code with a minus sign; text */
};
struct tide_event {
    enum tide_event_kind kind;
    int status;
    int number;
    char text[2048];
};
/** Turns the loop until an event is there or `timeout_us` passed. */
int tide_engine_run(struct tide_engine *engine, int64_t timeout_us, struct tide_event *event);
/** Stops reading; what was read is drained within join_timeout and committed, then comes DONE. */
void tide_engine_close(struct tide_engine *engine);
/** Opens the files of output and dead letters anew at their paths, without emptying them: they were moved away (logrotate).
 * What was handed to the old ones is there whole. Negative: one that cannot be opened, and goes on as it was. */
int tide_engine_reopen(struct tide_engine *engine);
void tide_engine_free(struct tide_engine *engine); /* NULL is fine */

/* ---- what a spec or a progress line wants to know ---- */

struct tide_totals {
    uint64_t read;
    uint64_t produced;      /* messages acknowledged by the sink */
    uint64_t produced_from; /* input messages all of whose outputs are acknowledged */
    uint64_t filtered;
    uint64_t dead_lettered;
    uint64_t dropped;   /* revoked before they were released */
    uint64_t in_flight; /* read = produced_from + filtered + dead_lettered + dropped + in_flight */
    double seconds;     /* from the first read to the last acknowledgement */
    int64_t lag;        /* messages behind the ends of the owned partitions; -1 = unknown */
    double lag_seconds; /* of the partition that is worst off (struct tide_lag); -1 = unknown */
};
void tide_engine_totals(const struct tide_engine *engine, struct tide_totals *totals);

/** How far behind the engine is with one partition, as of the last second. */
struct tide_lag {
    int32_t topic; /* number in tide_engine_topics; -1 = not looked at yet */
    int32_t partition;
    int64_t messages; /* not read yet; -1 = unknown (the end is), or not the engine's */
    double seconds;   /* age of the newest message read, 0 when all are read; -1 = unknown */
};
/** Partition `index` (from 0) of all that were ever assigned; false past the last. */
bool tide_engine_lag(const struct tide_engine *engine, uint32_t index, struct tide_lag *lag);
/** Of the source's partition `index` (from 0): its number, and the offset before which all is through (-1 = nothing was
 * read). False past the last. Valid until the engine is freed. */
bool tide_engine_position(const struct tide_engine *engine, uint32_t index, int32_t *number,
                          int64_t *offset);

struct tide_counters;
struct tide_source;
struct tide_sink;
struct tide_topics;
struct tide_tallies;
/** Borrowed, valid as long as the engine. */
const struct tide_counters *tide_engine_counters(const struct tide_engine *engine);
struct tide_source *tide_engine_source(struct tide_engine *engine);
struct tide_sink *tide_engine_sink(struct tide_engine *engine);
struct tide_topics *tide_engine_topics(struct tide_engine *engine);
struct tide_tallies *tide_engine_tallies(struct tide_engine *engine);
/** Process ids: of the zygote, of worker `index` of a pool; 0 while there is none. */
int32_t tide_engine_zygote_pid(const struct tide_engine *engine);
int32_t tide_engine_worker_pid(const struct tide_engine *engine, uint32_t pool, uint32_t index);
/** Bytes of memory that the blocks of a step have now (st_blocks): input or output. */
int64_t tide_engine_block_memory(const struct tide_engine *engine, uint32_t step, bool input);

#endif
