/* SPDX-License-Identifier: MIT
 * What scripts count by tide.metric. Each worker slot has a row of its own, so that no lock and no atomic addition is
 * needed: a call of tide.metric is a few stores. The rows are added up by whoever reads them (lua/tidemill/metrics). A worker
 * can write nonsense there, so the reader copies an entry and checks it, and the engine decides nothing by it. */
#include "shm/script_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/foreign.h"

struct row {
    uint32_t count;   /* raised by a release store once the entry is written */
    uint32_t warned;  /* a bit for each enum tide_script_metric_drop */
    uint64_t dropped; /* calls */
    struct tide_script_metric items[TIDE_SCRIPT_METRIC_NAMES];
};

struct tide_script_metrics {
    uint32_t rows;
    struct tide_block *memory[]; /* of each row */
};

struct tide_script_metrics *tide_script_metrics_new(uint32_t rows)
{
    struct tide_script_metrics *script_metrics = tide_alloc(sizeof(*script_metrics) +
                                                            rows * sizeof(struct tide_block *));
    for (; script_metrics->rows < rows; script_metrics->rows++) {
        struct tide_block *memory = tide_block_new(sizeof(struct row));
        if (!memory) {
            tide_script_metrics_free(script_metrics);
            return NULL;
        }
        memory->worker = (int32_t)script_metrics->rows;
        script_metrics->memory[script_metrics->rows] = memory;
    }
    return script_metrics;
}

static struct row *row_of(const struct tide_script_metrics *script_metrics, uint32_t row)
{
    return (struct row *)(void *)script_metrics->memory[row]->data;
}

/* The row is the slot's and not the worker's: a replacement finds the names of its predecessor here and goes on
 * counting. That one may have left nonsense, so `count` is not trusted as a bound. lib/metric.lua remembers the index,
 * and so comes here once for each name. */
int tide_script_metrics_index(struct tide_script_metrics *script_metrics, uint32_t row,
                              const char *name, enum tide_script_metric_kind kind)
{
    struct row *own = row_of(script_metrics, row);
    if (strlen(name) >= TIDE_SCRIPT_METRIC_NAME)
        return -1 - TIDE_SCRIPT_METRIC_BAD_NAME;
    for (uint32_t i = 0; i < own->count && i < TIDE_SCRIPT_METRIC_NAMES; i++) {
        if (strcmp(own->items[i].name, name) != 0)
            continue;
        return own->items[i].kind == (uint32_t)kind ? (int)i : -1 - TIDE_SCRIPT_METRIC_TWO_KINDS;
    }
    if (own->count >= TIDE_SCRIPT_METRIC_NAMES)
        return -1 - TIDE_SCRIPT_METRIC_TOO_MANY;
    own->items[own->count] = (struct tide_script_metric){.kind = (uint32_t)kind};
    /* First the entry, then the count that shows it: a reader that sees the one sees the other. */
    strcpy(own->items[own->count].name, name);
    __atomic_store_n(&own->count, own->count + 1, __ATOMIC_RELEASE);
    return (int)own->count - 1;
}

/* Plain additions, since only the worker of the slot writes this row. A reader may find the count without the sum,
 * which the next reading sets right. */
void tide_script_metrics_add(struct tide_script_metrics *script_metrics, uint32_t row,
                             uint32_t index, double value)
{
    struct tide_script_metric *metric = &row_of(script_metrics, row)->items[index];
    if (metric->count == 0 || value < metric->min)
        metric->min = value;
    if (metric->count == 0 || value > metric->max)
        metric->max = value;
    metric->sum += value;
    metric->last = value;
    metric->count++;
}

/* A row has one writer, but the engine reads the number meanwhile. That a worker was warned is remembered for the one that
 * replaces it. */
int tide_script_metrics_drop(struct tide_script_metrics *script_metrics, uint32_t row,
                             enum tide_script_metric_drop why)
{
    struct row *own = row_of(script_metrics, row);
    uint32_t before = own->warned;
    own->warned |= 1U << why;
    __atomic_store_n(&own->dropped, own->dropped + 1, __ATOMIC_RELAXED);
    return own->warned != before;
}

uint64_t tide_script_metrics_dropped(const struct tide_script_metrics *script_metrics)
{
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < script_metrics->rows; i++)
        dropped += __atomic_load_n(&row_of(script_metrics, i)->dropped, __ATOMIC_RELAXED);
    return dropped;
}

uint32_t tide_script_metrics_rows(const struct tide_script_metrics *script_metrics)
{
    return script_metrics->rows;
}

int tide_script_metrics_get(const struct tide_script_metrics *script_metrics, uint32_t row,
                            uint32_t index, struct tide_script_metric *copy)
{
    /* This load is the other half of the store in tide_script_metrics_index(). The name gets an end of its own, since a
     * worker may have overwritten the one that was there. */
    const struct row *own = row_of(script_metrics, row);
    uint32_t count = __atomic_load_n(&own->count, __ATOMIC_ACQUIRE);
    if (index >= count || index >= TIDE_SCRIPT_METRIC_NAMES)
        return 0;
    tide_foreign_copy(copy, &own->items[index], sizeof(*copy));
    copy->name[TIDE_SCRIPT_METRIC_NAME - 1] = 0;
    return 1;
}

struct tide_block *tide_script_metrics_memory(const struct tide_script_metrics *script_metrics,
                                              uint32_t row)
{
    return script_metrics->memory[row];
}

void tide_script_metrics_free(struct tide_script_metrics *script_metrics)
{
    if (!script_metrics)
        return;
    for (uint32_t i = 0; i < script_metrics->rows; i++)
        tide_block_free(script_metrics->memory[i]);
    free(script_metrics);
}
