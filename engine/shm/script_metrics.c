/* SPDX-License-Identifier: MIT
 * What scripts count by tide.metric. Each worker slot has a row of its own, so that no lock and no atomic addition is
 * needed: a call of tide.metric is a few stores. The rows are added up by whoever reads them (lua/tidemill/metrics). A worker
 * can write nonsense there, so the reader copies an entry and checks it, and the engine decides nothing by it. */
#include "shm/script_metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/status.h"

struct row {
    uint32_t count; /* raised by a release store once the entry is written */
    uint32_t reserved;
    struct tide_script_metric items[TIDE_SCRIPT_METRIC_NAMES];
};

struct shared {
    uint64_t dropped; /* calls */
    uint32_t warned;  /* a bit for each enum tide_script_metric_drop */
    uint32_t reserved;
    struct row rows[];
};

struct tide_script_metrics {
    uint32_t rows;
    struct shared *shared;
};

static size_t size_of(uint32_t rows)
{
    return sizeof(struct shared) + sizeof(struct row) * rows;
}

struct tide_script_metrics *tide_script_metrics_new(uint32_t rows)
{
    struct tide_script_metrics *script_metrics = tide_alloc(sizeof(*script_metrics));
    script_metrics->rows = rows;
    script_metrics->shared = mmap(NULL, size_of(rows), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (script_metrics->shared == MAP_FAILED) {
        tide_fail_system("the scripts' metrics");
        free(script_metrics);
        return NULL;
    }
    return script_metrics;
}

/* The row is the slot's and not the worker's: a replacement finds the names of its predecessor here and goes on
 * counting. That one may have left nonsense, so `count` is not trusted as a bound. lib/metric.lua remembers the index,
 * and so comes here once for each name. */
int tide_script_metrics_index(struct tide_script_metrics *script_metrics, uint32_t row,
                              const char *name, enum tide_script_metric_kind kind)
{
    struct row *own = &script_metrics->shared->rows[row];
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
    struct tide_script_metric *metric = &script_metrics->shared->rows[row].items[index];
    if (metric->count == 0 || value < metric->min)
        metric->min = value;
    if (metric->count == 0 || value > metric->max)
        metric->max = value;
    metric->sum += value;
    metric->last = value;
    metric->count++;
}

/* These two words belong to all workers, so they are changed atomically: of all workers, exactly one is to warn. */
int tide_script_metrics_drop(struct tide_script_metrics *script_metrics,
                             enum tide_script_metric_drop why)
{
    uint32_t bit = 1U << why;
    __atomic_fetch_add(&script_metrics->shared->dropped, 1, __ATOMIC_RELAXED);
    return !(__atomic_fetch_or(&script_metrics->shared->warned, bit, __ATOMIC_RELAXED) & bit);
}

uint64_t tide_script_metrics_dropped(const struct tide_script_metrics *script_metrics)
{
    return __atomic_load_n(&script_metrics->shared->dropped, __ATOMIC_RELAXED);
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
    uint32_t count = __atomic_load_n(&script_metrics->shared->rows[row].count, __ATOMIC_ACQUIRE);
    if (index >= count || index >= TIDE_SCRIPT_METRIC_NAMES)
        return 0;
    *copy = script_metrics->shared->rows[row].items[index];
    copy->name[TIDE_SCRIPT_METRIC_NAME - 1] = 0;
    return 1;
}

void tide_script_metrics_free(struct tide_script_metrics *script_metrics)
{
    if (!script_metrics)
        return;
    munmap(script_metrics->shared, size_of(script_metrics->rows));
    free(script_metrics);
}
