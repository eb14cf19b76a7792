/* SPDX-License-Identifier: MIT
 * engine/shm/counters.h - the engine's metrics, in shared memory, so that a reader needs no lock: a row for the engine
 * itself (row 0), and one for each step. Only the engine's thread writes; a reader may see a count and its sum that are a
 * moment apart. Names, units and help: lua/tidemill/metrics/list.lua. */
#ifndef TIDE_SHM_COUNTERS_H
#define TIDE_SHM_COUNTERS_H

#include <stdint.h>

enum tide_metric {
    /* strategies.run_task_with_multiprocessing.*, in the row of the step */
    TIDE_M_BATCH_SIZE_MSG,
    TIDE_M_BATCH_SIZE_BYTES,
    TIDE_M_OUTPUT_BATCH_SIZE_MSG,
    TIDE_M_OUTPUT_BATCH_SIZE_BYTES,
    TIDE_M_BATCH_SUBMIT_TIME,
    TIDE_M_BATCH_BACKPRESSURE,
    TIDE_M_BATCH_INPUT_OVERFLOW,
    TIDE_M_BATCH_OUTPUT_OVERFLOW,
    TIDE_M_BATCH_INPUT_RESIZE,
    TIDE_M_BATCH_OUTPUT_RESIZE,
    TIDE_M_BATCHES_IN_PROGRESS,
    TIDE_M_PROCESSES,
    TIDE_M_POOL_CREATE,
    TIDE_M_POOL_RESIZE,
    TIDE_M_BATCH_CLOSE_SIZE,
    TIDE_M_BATCH_CLOSE_TIME,
    TIDE_M_BATCH_CLOSE_BLOCK,
    TIDE_M_BATCH_CLOSE_IDLE,
    TIDE_M_BATCH_CLOSE_RUN_TIME,
    TIDE_M_BATCH_CLOSE_RETRY,
    TIDE_M_BATCH_CLOSE_FLUSH,
    TIDE_M_WORKER_LOST_SIGNAL,
    TIDE_M_WORKER_LOST_EXIT,
    TIDE_M_WORKER_LOST_MEMORY,
    TIDE_M_WORKER_LOST_CPU,
    TIDE_M_WORKER_LOST_PROTOCOL,
    TIDE_M_WORKER_REPLACED_MESSAGES,
    TIDE_M_WORKER_REPLACED_MEMORY,
    TIDE_M_WORKER_LOG_DROPPED,
    TIDE_M_WORKER_VIOLATION_RESULTS,
    TIDE_M_WORKER_VIOLATION_MESSAGE,
    TIDE_M_WORKER_VIOLATION_PROGRESS,
    TIDE_M_WORKER_VIOLATION_MEMORY,
    TIDE_M_WORKER_RESPAWN_TIME,
    TIDE_M_MESSAGE_TIME,
    TIDE_M_MESSAGE_RETRY,
    TIDE_M_RETRY_TIME,
    TIDE_M_WORKER_BUSY_TIME,
    TIDE_M_WORKER_RUN_TIME,
    TIDE_M_WORKER_CPU_TIME,
    TIDE_M_WORKER_DELAY_TIME,
    TIDE_M_WORKER_SLOW_MESSAGE_TIME,
    TIDE_M_BLOCKED_NEXT_STEP,
    TIDE_M_BLOCKED_DLQ,
    TIDE_M_BLOCKED_OLDEST,
    TIDE_M_BLOCKED_WORKERS,
    TIDE_M_BLOCKED_RETRY,
    TIDE_M_BATCH_FILLING_TIME,
    TIDE_M_INPUT_BLOCK_BYTES,
    TIDE_M_OUTPUT_BLOCK_BYTES,
    TIDE_M_LANES_WAITING,
    /* other strategies.*, in the row of the step; healthcheck.touch in row 0 */
    TIDE_M_FILTER_DROPPED_MESSAGES,
    TIDE_M_REDUCE_BATCH_TIME,
    TIDE_M_KEYED_TIMERS,
    TIDE_M_KEYED_AHEAD,
    TIDE_M_KEYED_WAITING_TIMERS,
    TIDE_M_KEYED_WATERMARK_LAG,
    TIDE_M_HEALTHCHECK_TOUCH,
    /* consumer.*, row 0 */
    TIDE_M_RUN_COUNT,
    TIDE_M_TIME_BUSY,
    TIDE_M_TIME_SOURCE,
    TIDE_M_TIME_STEPS,
    TIDE_M_TIME_BLOCKED,
    TIDE_M_TIME_CPU,
    TIDE_M_INVALID_MESSAGE_COUNT,
    TIDE_M_POLL_TIME,
    TIDE_M_PROCESSING_TIME,
    TIDE_M_BACKPRESSURE_TIME,
    TIDE_M_JOIN_TIME,
    TIDE_M_SHUTDOWN_TIME,
    TIDE_M_PARTITIONS_ASSIGNED,
    TIDE_M_PARTITIONS_REVOKED,
    TIDE_M_CALLBACK_TIME,
    TIDE_M_RUN_CALLBACK_ASSIGNED,
    TIDE_M_RUN_CALLBACK_REVOKED,
    TIDE_M_RUN_CREATE_STRATEGY,
    TIDE_M_RUN_CLOSE_STRATEGY,
    TIDE_M_LATENCY,
    TIDE_M_PAUSE,
    TIDE_M_RESUME,
    TIDE_M_COMMIT_OK,
    TIDE_M_COMMIT_ERROR,
    TIDE_M_COMMIT_TIME,
    TIDE_M_LATE_REPORTS,
    TIDE_M_REFETCHED,
    TIDE_M_CONSUMER_QUEUE_SIZE,
    TIDE_M_LAG,
    TIDE_M_LAG_SECONDS,
    TIDE_M_STUCK,
    TIDE_M_SCRIPT_METRICS_DROPPED,
    TIDE_M_ZYGOTE_VIOLATION,
    TIDE_M_LOOKUP_READ,
    TIDE_M_LOOKUP_ERROR,
    TIDE_M_LOOKUP_TIME,
    TIDE_M_LOOKUP_ROWS,
    TIDE_M_LOOKUP_BYTES,
    TIDE_M_TABLE_READ,
    TIDE_M_TABLE_INVALID,
    TIDE_M_TABLE_TIME,
    TIDE_M_TABLE_ROWS,
    TIDE_M_TABLE_BYTES,
    TIDE_M_TABLE_LAG,
    TIDE_M_RELOAD,
    TIDE_M_RELOAD_ERROR,
    TIDE_M_RELOAD_ROLLED_BACK,
    TIDE_M_REVISION,
    TIDE_M_CANARY_SHARE,
    TIDE_M_CANARY_COMPARED,
    TIDE_M_CANARY_DIFFERING,
    TIDE_M_CANARY_REJECTED,
    /* state.*, row 0 */
    TIDE_M_STATE_HIT,
    TIDE_M_STATE_MISS,
    TIDE_M_STATE_CHANGES,
    TIDE_M_STATE_EXPIRED,
    TIDE_M_STATE_KEYS,
    TIDE_M_STATE_BYTES,
    TIDE_M_STATE_WAITING,
    TIDE_M_STATE_STORE_BYTES,
    TIDE_M_STATE_STORE_TIME,
    TIDE_M_STATE_RESTORED,
    TIDE_M_STATE_RESTORE_TIME,
    /* producer.*, row 0 */
    TIDE_M_PRODUCE_OK,
    TIDE_M_PRODUCE_ERROR,
    TIDE_M_PRODUCE_LATENCY,
    TIDE_M_PRODUCER_QUEUE_MESSAGES,
    TIDE_M_PRODUCER_QUEUE_BYTES,
    TIDE_M_PRODUCER_FULL_TIME,
    TIDE_M_PRODUCER_RTT,
    TIDE_M_PRODUCER_RETRIES,
    TIDE_M_PRODUCER_OUTBUF_LATENCY,
    TIDE_M_PRODUCER_P99_INT_LATENCY,
    TIDE_M_PRODUCER_P99_OUTBUF_LATENCY,
    TIDE_M_PRODUCER_P99_RTT,
    TIDE_M_PRODUCER_MAX_MESSAGES,
    TIDE_M_PRODUCER_MAX_BYTES,
    TIDE_M_PRODUCER_REPLACED,
    TIDE_M_TRANSACTION_TIME,
    TIDE_M_TRANSACTION_HOLD_TIME,
    TIDE_M_TRANSACTION_ABORTED,
    /* dlq.* and consumer.dlq*, row 0 */
    TIDE_M_DLQ_MESSAGES,
    TIDE_M_DLQ_FAILED,
    TIDE_M_DLQ_TRUNCATED,
    TIDE_M_DLQ_TIME,
    TIDE_M_DLQ_WAITING,
    TIDE_M_DLQ_EXCEEDED,
    TIDE_M_DLQ_PARTITIONS,
    TIDE_M_COUNT
};

/** Buckets: 4 for each power of two, from 2^-20 (a microsecond, in seconds) to 2^43 (8 TiB). */
enum { TIDE_BUCKETS = 252 };

/** A counter uses `count`; a gauge uses all; a histogram uses all but `last`. */
struct tide_counter {
    uint64_t count; /* observations, or the counter itself */
    double sum;
    double min;
    double max;
    double last;
    uint64_t buckets[TIDE_BUCKETS];
};

struct tide_counters;

struct tide_counters *tide_counters_new(uint32_t rows);
void tide_count(struct tide_counters *counters, uint32_t row, enum tide_metric metric, uint64_t by);
/** Records one value of a gauge or a histogram. */
void tide_observe(struct tide_counters *counters, uint32_t row, enum tide_metric metric,
                  double value);
/** Records the same value `times` times. */
void tide_observe_many(struct tide_counters *counters, uint32_t row, enum tide_metric metric,
                       double value, uint64_t times);
/** Adds what `counter` observed to `sum`. `last` is added too, which gives the sum of several gauges. */
void tide_counter_add(struct tide_counter *sum, const struct tide_counter *counter);
/** For reading only; valid as long as the counters. */
const struct tide_counter *tide_counters_get(const struct tide_counters *counters, uint32_t row,
                                             enum tide_metric metric);
uint32_t tide_counters_rows(const struct tide_counters *counters);
/** The value below which `share` (0 to 1) of the observations lie, good to 19 %; 0 when there are none. */
double tide_counter_quantile(const struct tide_counter *counter, double share);
void tide_counters_free(struct tide_counters *counters);

#endif
