/* SPDX-License-Identifier: MIT
 * engine/shm/script_metrics.h - what scripts count (tide.metric), in shared memory: a row for each worker slot, which only
 * the worker of that slot has mapped; a replaced worker goes on with the row. A name gets its entry when it is first used;
 * there are at most TIDE_SCRIPT_METRIC_NAMES in a row. Workers write: a reader copies what it needs and decides nothing by
 * it. Calls that cannot be counted are dropped, and their number is kept. */
#ifndef TIDE_SHM_SCRIPT_METRICS_H
#define TIDE_SHM_SCRIPT_METRICS_H

#include <stdint.h>

enum { TIDE_SCRIPT_METRIC_NAMES = 64, TIDE_SCRIPT_METRIC_NAME = 48 };
enum tide_script_metric_kind {
    TIDE_SCRIPT_METRIC_COUNT,
    TIDE_SCRIPT_METRIC_GAUGE,
    TIDE_SCRIPT_METRIC_TIMING
};

struct tide_script_metric {
    char name[TIDE_SCRIPT_METRIC_NAME]; /* with a NUL at the end */
    uint32_t kind;
    uint32_t reserved;
    uint64_t count; /* of calls */
    double sum;     /* COUNT: the counter itself */
    double min;
    double max;
    double last; /* GAUGE: the present value */
};

/** Why a call of tide.metric counts nothing. */
enum tide_script_metric_drop {
    TIDE_SCRIPT_METRIC_BAD_NAME,
    TIDE_SCRIPT_METRIC_BAD_VALUE,
    TIDE_SCRIPT_METRIC_TWO_KINDS,
    TIDE_SCRIPT_METRIC_TOO_MANY
};

struct tide_block;
struct tide_script_metrics;

struct tide_script_metrics *tide_script_metrics_new(uint32_t rows);
/** In a worker: the index of a name in its row, which is made when it is new; or the reason why there is none, as
 * -1 - enum tide_script_metric_drop. */
int tide_script_metrics_index(struct tide_script_metrics *metrics, uint32_t row, const char *name,
                              enum tide_script_metric_kind kind);
void tide_script_metrics_add(struct tide_script_metrics *metrics, uint32_t row, uint32_t index,
                             double value);
/** In a worker: counts a call that was dropped. 1 = it is the first one of this row for this reason: warn. */
int tide_script_metrics_drop(struct tide_script_metrics *metrics, uint32_t row,
                             enum tide_script_metric_drop why);
/** Calls that were dropped, of all workers. */
uint64_t tide_script_metrics_dropped(const struct tide_script_metrics *metrics);
uint32_t tide_script_metrics_rows(const struct tide_script_metrics *metrics);
/** The shared memory of a row. */
struct tide_block *tide_script_metrics_memory(const struct tide_script_metrics *metrics,
                                              uint32_t row);
/** Copies entry `index` of a row, with a NUL at the end of its name. What else is in it is the worker's word. 0 when there
 * is no such entry. */
int tide_script_metrics_get(const struct tide_script_metrics *metrics, uint32_t row, uint32_t index,
                            struct tide_script_metric *copy);
void tide_script_metrics_free(struct tide_script_metrics *metrics); /* NULL is fine */

#endif
