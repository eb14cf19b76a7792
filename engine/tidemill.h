/* SPDX-License-Identifier: MIT
 * engine/tidemill.h - everything that Lua may call to build and drive a pipeline. Calls go one way: Lua calls, C answers.
 * Times are in microseconds of CLOCK_MONOTONIC unless the name says otherwise, sizes in bytes.
 *
 * The life of an engine (lua/tidemill/run/engine.lua):
 *   tide_engine_new     builds the chain and maps all blocks; there is one thread, and no connection
 *   tide_engine_fork    returns 0 in the zygote (lua/tidemill/run/worker.lua goes on there), its pid in the engine; with
 *                       plan.reloads it returns 0 in the zygote of each later revision too (proc/forker.h)
 *   tide_engine_ready   waits until the zygote has loaded the transforms
 *   tide_engine_start   gets the properties with their secrets, connects, and begins to read
 *   tide_engine_run     is called again and again, until DONE or FAILED
 *   tide_engine_free    drops the messages that are left, and ends zygote and workers */
#ifndef TIDEMILL_H
#define TIDEMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/plan.h"
#include "proc/profile.h"
#include "proc/worker_view.h"
#include "store/store.h"

enum { TIDE_ABI = 1 };
/** The library's TIDE_ABI; it must be that of the headers that Lua has read. */
int tide_abi(void);
/** The version of this project, as `git describe` named it at build time. */
const char *tide_version(void);

/* ---- the engine ---- */

struct tide_engine;
struct tide_zygote;

/** Copies the plan's strings. NULL on failure, with tide_error(), and the status in `*status`. */
struct tide_engine *tide_engine_new(const struct tide_plan *plan, int *status);
/** Forks the zygote; the plan that the engine was made of is still there. Returns what fork() returns. In the zygote `*zygote` is set (proc/worker.h goes on from there) and the
 * engine must not be used any more. TIDE_EINTERNAL when the process already has a second thread. */
int tide_engine_fork(struct tide_engine *engine, struct tide_zygote **zygote);
/** Waits until the zygote has loaded the transforms: TIDE_OK; TIDE_ECONFIG with the error; or
 * TIDE_ETEMPORARY, when an `init` asked by tide.retry to be tried again. When a signal came first that
 * ends a run (handle_signals) its number is returned; then nothing was begun, and the engine is to be freed. */
int tide_engine_ready(struct tide_engine *engine);

/** Properties of librdkafka, with their secrets. One whose name begins with "-" is not set. */
struct tide_connection {
    const struct tide_property *source;
    uint32_t source_count;
    const struct tide_property *sink;
    uint32_t sink_count;
    const struct tide_property *tables; /* of their topics */
    uint32_t table_count;
    const struct tide_property *changelog; /* of the source's cluster */
    uint32_t changelog_count;
};
/** Connects and begins to read; returns at once. Negative = failed at once. */
int tide_engine_start(struct tide_engine *engine, const struct tide_connection *connection);
/** Called in place of start, to check: TIDE_ECONFIG with the reason when librdkafka does not accept the properties. */
int tide_engine_try(struct tide_engine *engine, const struct tide_connection *connection);

enum tide_event_kind {
    TIDE_EVENT_NOTHING, /* the timeout passed */
    TIDE_EVENT_SECOND,  /* another second has passed: time to show progress */
    TIDE_EVENT_ASSIGNED,
    TIDE_EVENT_REVOKED,
    TIDE_EVENT_LOST,
    TIDE_EVENT_WORKER_LOST,
    TIDE_EVENT_SIGNAL, /* number; status: the value that came with it (sigqueue), else 0 */
    TIDE_EVENT_RELOADED, /* a later revision of the transforms has taken over: number; text: its mark */
    TIDE_EVENT_RELOAD_FAILED,    /* it has not: status, text */
    TIDE_EVENT_RELOAD_UNCHANGED, /* the files are those that are loaded */
    TIDE_EVENT_RELOAD_KEPT,      /* the revision that runs is not gone back from any more: number */
    TIDE_EVENT_RELOAD_ROLLED_BACK, /* an older revision runs again: number; text: why */
    TIDE_EVENT_DONE,  /* the run has ended without a failure; what was not complete within
                           join_timeout is not committed */
    TIDE_EVENT_FAILED /* status: the exit code with a minus sign; text */
};
struct tide_event {
    enum tide_event_kind kind;
    int status;
    int number;
    char text[2048];
};
/** Runs turns of the loop until there is an event, or `timeout_us` has passed. With 0 it does not wait: it ends when a turn
 * finds nothing to do. */
int tide_engine_run(struct tide_engine *engine, int64_t timeout_us, struct tide_event *event);
/** Stops reading. What was read is processed and committed within join_timeout; then DONE comes. */
void tide_engine_close(struct tide_engine *engine);
/** Opens the files of output and dead letters anew at their paths, without truncating them, after they were moved away
 * (logrotate). No line is split between the old file and the new one. Negative = one cannot be opened; the old file is
 * written on. */
int tide_engine_reopen(struct tide_engine *engine);
/** Has the pipeline file and its transforms loaded anew, in another zygote, whose workers then take over: an event RELOAD...
 * tells how it ended. `known`: the mark of what is loaded, so that nothing happens when the files are the same; "" = load in
 * any case. `canary`: how the next revision is tried first; NULL = as the plan says. TIDE_BUSY: it is done once the reload that is under way has ended. TIDE_ECONFIG with the reason when this run
 * cannot. */
int tide_engine_reload(struct tide_engine *engine, const char *known,
                       const struct tide_canary_plan *canary);
/** The revision of the transforms that runs, from 1, and the state of the reload (engine_reload.h) in small letters. */
uint32_t tide_engine_revision(const struct tide_engine *engine);
const char *tide_engine_reload_state_name(const struct tide_engine *engine);

/** What the canary of a reload has seen, of all steps. */
struct tide_canary_seen {
    double share;       /* of the batches */
    uint64_t compared;  /* messages that both revisions have run */
    uint64_t differing; /* of these, those with other results or changes of state */
    uint64_t rejected;  /* of these, those that the next revision alone rejects */
};
/** False while there is none. */
bool tide_engine_canary(const struct tide_engine *engine, struct tide_canary_seen *seen);
void tide_engine_free(struct tide_engine *engine); /* NULL is fine */

/* ---- sizes at run time ---- */

/** The sizes that hold now for the step with row `row` of the counters (its number in the plan and one); false when that
 * has none. */
bool tide_engine_get_sizes(const struct tide_engine *engine, uint32_t row,
                           struct tide_sizes *sizes);
/** Sets all of them; messages flow on meanwhile. TIDE_ECONFIG with the reason when one is out of its range: then nothing is
 * changed. `processes` holds for all steps of the pool: workers that are not needed any more leave when they have done
 * what they were given. */
int tide_engine_set_sizes(struct tide_engine *engine, uint32_t row, const struct tide_sizes *sizes);

/* ---- what the progress line, the metrics and specs ask for ---- */

struct tide_totals {
    uint64_t read;
    uint64_t produced;      /* messages acknowledged by the sink */
    uint64_t produced_from; /* input messages all of whose outputs are acknowledged */
    uint64_t filtered;
    uint64_t dead_lettered;
    uint64_t dropped;   /* revoked before they were complete */
    uint64_t in_flight; /* read = produced_from + filtered + dead_lettered + dropped + in_flight */
    double seconds;     /* from the first read to the last acknowledgement */
    int64_t lag;        /* messages behind the ends of the owned partitions; -1 = unknown */
    double lag_seconds; /* the largest of all partitions (struct tide_lag); -1 = unknown */
};
void tide_engine_totals(const struct tide_engine *engine, struct tide_totals *totals);

/** The lag of one partition, as of the last second. */
struct tide_lag {
    int32_t topic; /* number in tide_engine_topics; -1 = not measured yet */
    int32_t partition;
    int64_t messages; /* not read yet; -1 = unknown, or the partition is not assigned */
    double seconds;   /* age of the newest message read, 0 when all are read; -1 = unknown */
};
/** The lag of partition `index`, from 0, of all that were ever assigned; false past the last. */
bool tide_engine_lag(const struct tide_engine *engine, uint32_t index, struct tide_lag *lag);
/** The number and the position of the source's partition `index`, from 0: every message before that offset is complete;
 * -1 = none was read. False past the last. May be called until the engine is freed. */
bool tide_engine_position(const struct tide_engine *engine, uint32_t index, int32_t *number,
                          int64_t *offset);

/** The profile of worker `index` of a pool: the functions of proc/pool.h of the same names. The worker is there. */
int tide_engine_profile_begin(struct tide_engine *engine, uint32_t pool, uint32_t index,
                              int64_t limit_us);
int tide_engine_profile_end(struct tide_engine *engine, uint32_t pool, uint32_t index);
enum tide_profile_state tide_engine_profile(const struct tide_engine *engine, uint32_t pool,
                                            uint32_t index, const char **bytes, size_t *size);
void tide_engine_profile_forget(struct tide_engine *engine, uint32_t pool, uint32_t index);

struct tide_slow_message;
/** The value that a key has in a state of tide.keyed now (chain/states.h, tide_states_look). */
int tide_engine_look(const struct tide_engine *engine, const char *name, int32_t partition,
                     const char *key, uint32_t length, struct tide_store_value *value);
/** Writes the slowest messages of the last minute, the slowest first, and returns how many there are (chain/slow.h). */
uint32_t tide_engine_slow_messages(const struct tide_engine *engine,
                                   struct tide_slow_message *list);

struct tide_retry_wait;
/** The message that has been tried again for longest in the step with row `row` of the counters (chain/retry_wait.h);
 * false when none waits for tide.retry. */
bool tide_engine_retry_wait(const struct tide_engine *engine, uint32_t row,
                            struct tide_retry_wait *wait);

struct tide_counters;
struct tide_dlq_recent;
struct tide_source;
struct tide_sink;
struct tide_topics;
struct tide_taps;
struct tide_script_metrics;
struct tide_tables;
/** These are borrowed, and valid as long as the engine. */
const struct tide_counters *tide_engine_counters(const struct tide_engine *engine);
const struct tide_dlq_recent *tide_engine_dead_letters(const struct tide_engine *engine);
struct tide_source *tide_engine_source(struct tide_engine *engine);
struct tide_sink *tide_engine_sink(struct tide_engine *engine);
struct tide_topics *tide_engine_topics(struct tide_engine *engine);
struct tide_script_metrics *tide_engine_script_metrics(struct tide_engine *engine);
/** The name of the state of the run, in small letters: "new", "connecting", "reading", "draining" ... */
const char *tide_engine_state_name(const struct tide_engine *engine);
/** For chain/tap.h. */
struct tide_taps *tide_engine_taps(struct tide_engine *engine);
/** The process id of the zygote, and of worker `index` of a pool; 0 while there is none. */
int32_t tide_engine_zygote_pid(const struct tide_engine *engine);
int32_t tide_engine_worker_pid(const struct tide_engine *engine, uint32_t pool, uint32_t index);
/** What is to be seen of worker `index` (from 0) of a pool (from 0); false past the last of either. */
bool tide_engine_worker(const struct tide_engine *engine, uint32_t pool, uint32_t index,
                        struct tide_worker_view *view);
/** The shared memory of tables (table/table.h); NULL without any. */
struct tide_tables *tide_engine_tables(const struct tide_engine *engine);
struct tide_engine_table_view {
    char name[128];
    uint64_t rows;
    uint64_t bytes;
    uint64_t read;    /* messages */
    uint64_t invalid; /* of them: no key, or a value that is not JSON */
    int64_t lag;      /* offsets that are still to be read; -1 = not known */
    bool ready;
};
/** What is known of table `index` (from 0); false past the last one. */
bool tide_engine_table(const struct tide_engine *engine, uint32_t index,
                       struct tide_engine_table_view *view);
/** Gives table `number` a row, as if it was read; `value` NULL deletes it. It is to be seen from the next message on. TIDE_BUSY:
 * later; TIDE_ECONFIG: the table's memory is full. */
int tide_engine_table_row(struct tide_engine *engine, uint32_t number, const char *key,
                          size_t key_size, const char *value, size_t size);
/** What is known of lookup table `index` (from 0); false past the last one. */
bool tide_engine_lookup(const struct tide_engine *engine, uint32_t index,
                        struct tide_lookup_view *view);
/** How many bytes of memory the input or output blocks of a step take now (st_blocks). */
int64_t tide_engine_block_memory(const struct tide_engine *engine, uint32_t step, bool input);

#endif
