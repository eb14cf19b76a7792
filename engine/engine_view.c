/* SPDX-License-Identifier: MIT
 * What Lua may look at: totals, lag, counters, processes, memory. Nothing here changes the engine, but for the sizes of
 * its steps. It is called between turns, by Lua (the progress line, metrics, `tide_engine_totals` at the end of a run), so
 * nothing is moving while it looks. What is summed for the log is kept by the modules that count it; this file only puts it together, so
 * that Lua needs none of their headers. It may be called as long as the engine exists, also after the run has failed.
 * Start reading at tide_engine_totals. */
#include "base/clock.h"
#include "base/status.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "shm/block.h"
#include "shm/counters.h"

#ifndef TIDE_VERSION
#define TIDE_VERSION "0.1.0"
#endif

int tide_abi(void)
{
    return TIDE_ABI;
}

const char *tide_version(void)
{
    return TIDE_VERSION;
}

/* While messages are in flight the clock runs; after that the time of the last one counts, so that the rate of a run
 * that is idle does not fall. */
void tide_engine_totals(const struct tide_engine *engine, struct tide_totals *totals)
{
    struct tide_offsets_totals seen;
    tide_offsets_totals(engine->chain.offsets, &seen);
    *totals = (struct tide_totals){
        .read = seen.read,
        .produced = tide_step_produce_count(engine->steps[engine->step_count - 1]),
        .produced_from = seen.produced_from,
        .filtered = seen.filtered,
        .dead_lettered = seen.dead_lettered,
        .dropped = seen.dropped,
        .in_flight = seen.in_flight,
    };
    int64_t last_us = engine->meter.last_in_flight > 0 ? tide_clock_us()
                                                       : engine->meter.last_done_us;
    if (engine->meter.first_read_us > 0 && last_us > engine->meter.first_read_us)
        totals->seconds = (double)(last_us - engine->meter.first_read_us) / 1e6;
    tide_meter_lag(engine, &totals->lag, &totals->lag_seconds);
}

bool tide_engine_position(const struct tide_engine *engine, uint32_t index, int32_t *number,
                          int64_t *offset)
{
    if (index >= engine->source->partition_count)
        return false;
    *number = engine->source->partitions[index].number;
    *offset = tide_offsets_position(engine->chain.offsets, index);
    return true;
}

/* It is that of the last second, not of now, so that all partitions of a metric are of the same moment. */
bool tide_engine_lag(const struct tide_engine *engine, uint32_t index, struct tide_lag *lag)
{
    if (index >= engine->meter.partition_count)
        return false;
    *lag = engine->meter.partitions[index].lag;
    return true;
}

const struct tide_counters *tide_engine_counters(const struct tide_engine *engine)
{
    return engine->chain.counters;
}

const struct tide_dlq_recent *tide_engine_dead_letters(const struct tide_engine *engine)
{
    return tide_dlq_get_recent(engine->chain.dlq);
}

int tide_engine_look(const struct tide_engine *engine, const char *name, int32_t partition,
                     const char *key, uint32_t length, struct tide_store_value *value)
{
    const struct tide_states *states = engine->chain.states;
    return states ? tide_states_look(states, name, partition, key, length, value) : 0;
}

uint32_t tide_engine_slow_messages(const struct tide_engine *engine, struct tide_slow_message *list)
{
    return tide_slow_list(&engine->chain.slow, tide_clock_us(), list);
}

const char *tide_engine_state_name(const struct tide_engine *engine)
{
    static const char *const names[TIDE_ENGINE_STATES] = {
        [TIDE_ENGINE_NEW] = "new",         [TIDE_ENGINE_CONNECTING] = "connecting",
        [TIDE_ENGINE_READING] = "reading", [TIDE_ENGINE_DRAINING] = "draining",
        [TIDE_ENGINE_FAILING] = "failing", [TIDE_ENGINE_COMMITTING] = "committing",
        [TIDE_ENGINE_LEAVING] = "leaving", [TIDE_ENGINE_ENDED] = "ended",
    };
    return names[engine->run.state];
}

/* Specs, the test library and the benchmark drive a memory source and sink through these. */
struct tide_source *tide_engine_source(struct tide_engine *engine)
{
    return engine->source;
}

struct tide_sink *tide_engine_sink(struct tide_engine *engine)
{
    return engine->sink;
}

struct tide_topics *tide_engine_topics(struct tide_engine *engine)
{
    return engine->chain.topics;
}

struct tide_taps *tide_engine_taps(struct tide_engine *engine)
{
    return engine->chain.taps;
}

struct tide_script_metrics *tide_engine_script_metrics(struct tide_engine *engine)
{
    return engine->script_metrics;
}

/* A pipeline without transforms has no zygote. */
int32_t tide_engine_zygote_pid(const struct tide_engine *engine)
{
    return engine->zygote ? tide_zygote_pid(engine->zygote) : 0;
}

bool tide_engine_lookup(const struct tide_engine *engine, uint32_t index,
                        struct tide_lookup_view *view)
{
    return engine->zygote && tide_zygote_lookup(engine->zygote, index, view);
}

int32_t tide_engine_worker_pid(const struct tide_engine *engine, uint32_t pool, uint32_t index)
{
    return pool < engine->pool_count ? tide_pool_pid(engine->pools[pool], index) : 0;
}

bool tide_engine_worker(const struct tide_engine *engine, uint32_t pool, uint32_t index,
                        struct tide_worker_view *view)
{
    return pool < engine->pool_count && tide_pool_worker(engine->pools[pool], index, view);
}

/* Blocks are mapped at their maximum, and the kernel counts only pages that were written: so this is asked of the
 * kernel. */
int64_t tide_engine_block_memory(const struct tide_engine *engine, uint32_t step, bool input)
{
    const struct tide_block *block;
    int64_t sum = 0;
    if (step >= engine->step_count || !engine->steps[step]->ops->block)
        return tide_fail(TIDE_EINTERNAL, "step %u has no blocks", step);
    for (uint32_t i = 0; (block = engine->steps[step]->ops->block(engine->steps[step], i)); i++) {
        bool is_input = block->worker == TIDE_BLOCK_ENGINE;
        int64_t bytes = is_input == input ? tide_block_memory(block) : 0;
        if (bytes < 0)
            return bytes;
        sum += bytes;
    }
    return sum;
}

/* ---- sizes at run time ---- */

static struct tide_step *sized_step(const struct tide_engine *engine, uint32_t row)
{
    struct tide_step *step = row >= 1 && row <= engine->step_count ? engine->steps[row - 1] : NULL;
    return step && step->ops->get_sizes ? step : NULL;
}

bool tide_engine_get_sizes(const struct tide_engine *engine, uint32_t row, struct tide_sizes *sizes)
{
    struct tide_step *step = sized_step(engine, row);
    if (step)
        step->ops->get_sizes(step, sizes);
    return step != NULL;
}

bool tide_engine_retry_wait(const struct tide_engine *engine, uint32_t row,
                            struct tide_retry_wait *wait)
{
    struct tide_step *step = sized_step(engine, row);
    return step && step->ops->retry_wait(step, wait);
}

int tide_engine_set_sizes(struct tide_engine *engine, uint32_t row, const struct tide_sizes *sizes)
{
    struct tide_step *step = sized_step(engine, row);
    if (!step)
        return tide_fail(TIDE_ECONFIG, "row %u is no step with workers", row);
    return step->ops->set_sizes(step, sizes, tide_clock_us());
}
