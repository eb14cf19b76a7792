/* SPDX-License-Identifier: MIT
 * Restores the state of partitions that were assigned from its changelogs (chain/states.h), before the first message of them
 * is read: the source holds them until they are released. The engine goes on meanwhile: the group hears of it, and other
 * partitions are read. Start reading at tide_engine_restore_poll. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "io/changelog.h"
#include "shm/counters.h"
#include "shm/topics.h"

static const int64_t LOG_US = 5000000;

/* `index`: of the first topic that has the partition. */
static int read_changelogs(struct tide_engine *engine, uint32_t index)
{
    const struct tide_states *states = engine->chain.states;
    int32_t number = engine->source->partitions[index].number;
    int status = TIDE_OK;
    for (uint32_t state = 0; state < tide_states_count(states) && status == TIDE_OK; state++)
        status = engine->changelog->ops->read(engine->changelog, state, index, number,
                                              tide_states_log(states, state, index));
    return status;
}

int tide_engine_restore(struct tide_engine *engine, const uint32_t *partitions, size_t count,
                        int64_t now_us)
{
    struct tide_states *states = engine->chain.states;
    struct tide_restore *restore = &engine->restore;
    int status = TIDE_OK;
    if (!engine->changelog || count == 0)
        return TIDE_OK;
    if (!restore->records)
        restore->records = tide_alloc(sizeof(*restore->records) * TIDE_CHANGELOG_MOST);
    if (restore->since_us == 0)
        *restore = (struct tide_restore){
            .records = restore->records, .since_us = now_us, .logged_us = now_us};
    for (size_t i = 0; i < count && status == TIDE_OK; i++) {
        uint32_t index = partitions[i];
        const struct tide_partition *partition = &engine->source->partitions[index];
        status = tide_states_assigned(states, index,
                                      tide_topics_name(engine->chain.topics, partition->topic),
                                      partition->number);
        if (status > 0)
            status = read_changelogs(engine, index);
    }
    for (size_t i = 0; i < count && status == TIDE_OK; i++)
        status = tide_states_together(states, engine->source->partitions[partitions[i]].number);
    return status;
}

void tide_engine_restore_end(struct tide_engine *engine, uint32_t partition)
{
    if (!engine->changelog)
        return;
    engine->changelog->ops->stop(engine->changelog, partition);
    tide_states_restore_rest(engine->chain.states); /* a failure is kept */
}

static double seconds(const struct tide_restore *restore, int64_t now_us)
{
    double time = (double)(now_us - restore->since_us) / 1e6;
    return time > 1e-6 ? time : 1e-6;
}

/* Of all topics, since they have come together. */
static int release(struct tide_engine *engine, int32_t number)
{
    struct tide_source *source = engine->source;
    int status = TIDE_OK;
    engine->restore.partitions++;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        const struct tide_partition *partition = &source->partitions[i];
        if (partition->number != number || !partition->owned)
            continue;
        status = tide_states_restored(engine->chain.states, i, partition->begin);
        if (status < 0)
            return status;
        source->ops->release(source, i);
    }
    engine->chain.progress = true;
    return status;
}

static void ended(struct tide_engine *engine, int64_t now_us)
{
    struct tide_restore *restore = &engine->restore;
    double time = seconds(restore, now_us);
    if (restore->partitions > 0) {
        tide_observe(engine->chain.counters, 0, TIDE_M_STATE_RESTORE_TIME, time);
        tide_log(TIDE_LOG_INFO,
                 "state: %u partitions are restored: %llu records in %.2f s (%.0f/s)",
                 restore->partitions, (unsigned long long)restore->restored, time,
                 (double)restore->restored / time);
    }
    free(restore->records);
    restore->records = NULL;
    restore->since_us = 0;
}

static void log_progress(struct tide_engine *engine, int64_t now_us)
{
    struct tide_restore *restore = &engine->restore;
    if (now_us - restore->logged_us < LOG_US)
        return;
    restore->logged_us = now_us;
    tide_log(TIDE_LOG_INFO, "state: restoring: %llu records so far, about %lld left (%.0f/s)",
             (unsigned long long)restore->restored,
             (long long)engine->changelog->ops->left(engine->changelog),
             (double)restore->restored / seconds(restore, now_us));
}

/* Returns how many records came, or negative. */
static ssize_t take(struct tide_engine *engine)
{
    struct tide_restore *restore = &engine->restore;
    ssize_t count = engine->changelog->ops->poll(engine->changelog, restore->records,
                                                 TIDE_CHANGELOG_MOST);
    if (count <= 0)
        return count;
    int status = tide_states_restore(engine->chain.states, restore->records, (size_t)count);
    if (status < 0)
        return status;
    restore->restored += (uint64_t)count;
    tide_count(engine->chain.counters, 0, TIDE_M_STATE_RESTORED, (uint64_t)count);
    engine->chain.progress = true;
    return count;
}

int tide_engine_restore_poll(struct tide_engine *engine, int64_t now_us)
{
    uint32_t index;
    int status;
    if (engine->restore.since_us == 0 || engine->run.state != TIDE_ENGINE_READING)
        return TIDE_OK;
    ssize_t count = take(engine);
    if (count < 0)
        return (int)count;
    while (!tide_fault("restore.held") &&
           engine->changelog->ops->ended(engine->changelog, &index)) {
        status = tide_states_restore_rest(engine->chain.states);
        if (status == TIDE_OK)
            status = release(engine, engine->source->partitions[index].number);
        if (status < 0)
            return status;
    }
    if (engine->changelog->ops->busy(engine->changelog))
        log_progress(engine, now_us);
    else
        ended(engine, tide_clock_us());
    return TIDE_OK;
}
