/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/status.h"
#include "io/memory.h"
#include "io/memory_list.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { MOST_PARTITIONS = 64 };

enum change { NONE, REVOKE, LOSE, ASSIGN };

struct lane {
    struct tide_memory_list list;
    int64_t next; /* offset to give next */
    int64_t committed;
    enum change change;
};

struct memory_source {
    struct tide_source source;
    struct tide_partition partitions[MOST_PARTITIONS];
    struct lane lanes[MOST_PARTITIONS];
    uint32_t turn; /* lane to read first: partitions take turns */
    uint32_t lent_lane;
    uint64_t total; /* to give, in repeat mode */
    uint64_t given;
    bool ended;
    bool end_told;
    bool paused;
    bool closed;
    bool committed;   /* a COMMITTED event is due */
    bool leaving;     /* REVOKED was told; revoke_done is awaited */
    uint32_t changed; /* the partition of the last event */
};

static struct memory_source *source_of(struct tide_source *source)
{
    return (struct memory_source *)(void *)source;
}

static struct lane *lane_of(struct memory_source *memory, uint32_t partition)
{
    tide_require(partition < memory->source.partition_count);
    return &memory->lanes[partition];
}

static int source_start(struct tide_source *source)
{
    for (size_t i = 0; i < source->partition_count; i++)
        source_of(source)->lanes[i].change = ASSIGN;
    return TIDE_OK;
}

/* Message `offset` of the lane; the pushed ones come again in repeat mode. */
static size_t lend(struct memory_source *memory, uint32_t index, struct tide_message *messages,
                   size_t max)
{
    struct lane *lane = &memory->lanes[index];
    uint64_t limit = memory->total ? memory->total - memory->given : UINT64_MAX;
    size_t count = 0;
    for (; count < max && count < limit; count++) {
        uint64_t at = (uint64_t)lane->next + count;
        if (!memory->total && at >= lane->list.count)
            break;
        if (lane->list.count == 0)
            break;
        messages[count] = lane->list.items[at % lane->list.count].message;
        messages[count].offset = (int64_t)at;
    }
    return count;
}

static ssize_t source_poll(struct tide_source *source, struct tide_message *messages, size_t max)
{
    struct memory_source *memory = source_of(source);
    for (uint32_t tried = 0; tried < source->partition_count && !memory->paused; tried++) {
        uint32_t index = (memory->turn + tried) % (uint32_t)source->partition_count;
        if (!memory->partitions[index].owned || memory->lanes[index].change != NONE)
            continue;
        size_t count = lend(memory, index, messages, max);
        if (count == 0)
            continue;
        memory->lent_lane = index;
        memory->turn = index + 1;
        return (ssize_t)count;
    }
    return 0;
}

static void source_take(struct tide_source *source, size_t count)
{
    struct memory_source *memory = source_of(source);
    memory->lanes[memory->lent_lane].next += (int64_t)count;
    memory->given += count;
}

static bool all_read(const struct memory_source *memory)
{
    if (memory->total)
        return memory->given >= memory->total;
    for (size_t i = 0; i < memory->source.partition_count; i++) {
        if ((uint64_t)memory->lanes[i].next < memory->lanes[i].list.count ||
            memory->lanes[i].change != NONE)
            return false;
    }
    return memory->ended;
}

static bool tell_change(struct memory_source *memory, struct tide_source_event *event)
{
    for (uint32_t i = 0; i < memory->source.partition_count && !memory->leaving; i++) {
        struct lane *lane = &memory->lanes[i];
        if (lane->change == NONE)
            continue;
        event->kind = lane->change == ASSIGN ? TIDE_SOURCE_ASSIGNED
                      : lane->change == LOSE ? TIDE_SOURCE_LOST
                                             : TIDE_SOURCE_REVOKED;
        memory->partitions[i].owned = lane->change == ASSIGN;
        memory->leaving = lane->change != ASSIGN;
        if (lane->change == ASSIGN) {
            lane->next = lane->committed < 0 ? 0 : lane->committed;
            memory->partitions[i].begin = lane->next;
            lane->change = NONE;
        }
        memory->changed = i;
        event->partitions = &memory->changed;
        event->partition_count = 1;
        return true;
    }
    return false;
}

static void source_event(struct tide_source *source, struct tide_source_event *event)
{
    struct memory_source *memory = source_of(source);
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (memory->committed) {
        memory->committed = false;
        event->kind = TIDE_SOURCE_COMMITTED;
    } else if (!tell_change(memory, event) && !memory->end_told && all_read(memory)) {
        memory->end_told = true;
        event->kind = TIDE_SOURCE_END;
    }
}

static void source_revoke_done(struct tide_source *source)
{
    struct memory_source *memory = source_of(source);
    memory->leaving = false;
    memory->lanes[memory->changed].change = ASSIGN;
}

static int source_commit(struct tide_source *source, const struct tide_position *positions,
                         size_t count)
{
    struct memory_source *memory = source_of(source);
    for (size_t i = 0; i < count; i++)
        lane_of(memory, positions[i].partition)->committed = positions[i].offset;
    memory->committed = true;
    return TIDE_OK;
}

static void source_pause(struct tide_source *source, bool paused)
{
    source_of(source)->paused = paused;
}

static void source_close(struct tide_source *source)
{
    source_of(source)->closed = true;
}

static bool source_closed(struct tide_source *source)
{
    return source_of(source)->closed;
}

static void source_free(struct tide_source *source)
{
    for (size_t i = 0; i < source->partition_count; i++)
        tide_memory_drop(&source_of(source)->lanes[i].list);
    free(source);
}

struct tide_source *tide_memory_source_new(const struct tide_source_plan *plan,
                                           struct tide_topics *topics)
{
    static const struct tide_source_ops ops = {.start = source_start,
                                               .poll = source_poll,
                                               .take = source_take,
                                               .event = source_event,
                                               .revoke_done = source_revoke_done,
                                               .commit = source_commit,
                                               .pause = source_pause,
                                               .close = source_close,
                                               .closed = source_closed,
                                               .free = source_free};
    struct memory_source *memory = tide_alloc(sizeof(*memory));
    int topic = tide_topics_number(topics, plan->topic_count ? plan->topics[0] : "memory");
    tide_require(plan->partitions <= MOST_PARTITIONS && topic >= 0);
    memory->source.ops = &ops;
    memory->source.partitions = memory->partitions;
    memory->source.partition_count = plan->partitions ? plan->partitions : 1;
    for (size_t i = 0; i < memory->source.partition_count; i++) {
        memory->partitions[i] = (struct tide_partition){.topic = (uint16_t)topic,
                                                        .number = (int32_t)i};
        memory->lanes[i].committed = -1;
    }
    return &memory->source;
}

void tide_memory_push(struct tide_source *source, uint32_t partition,
                      const struct tide_message *message)
{
    struct memory_source *memory = source_of(source);
    struct lane *lane = lane_of(memory, partition);
    struct tide_message *kept = tide_memory_keep(&lane->list, message);
    kept->topic = memory->partitions[partition].topic;
    kept->partition = (int32_t)partition;
    kept->target_topic = TIDE_TOPIC_NONE;
    kept->target_partition = TIDE_PARTITION_ANY;
    kept->origin.partition = (uint16_t)partition;
    memory->partitions[partition].end = (int64_t)lane->list.count;
}

void tide_memory_repeat(struct tide_source *source, uint64_t total)
{
    source_of(source)->total = total;
}

void tide_memory_end(struct tide_source *source)
{
    source_of(source)->ended = true;
}

void tide_memory_revoke(struct tide_source *source, uint32_t partition, bool lost)
{
    lane_of(source_of(source), partition)->change = lost ? LOSE : REVOKE;
}

int64_t tide_memory_committed(struct tide_source *source, uint32_t partition)
{
    return lane_of(source_of(source), partition)->committed;
}
