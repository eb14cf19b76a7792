/* SPDX-License-Identifier: MIT
 * A source that keeps its messages in memory, and does to its partitions what a spec asks for: revokes, loses and
 * assigns them again. All messages stay, since a partition that is assigned again is read from its committed offset.
 * It keeps to the protocol of io/source.h as a Kafka source does (no message before ASSIGNED, none after REVOKED), so
 * that what a spec sees of a rebalance holds for Kafka too. Start reading at source_poll, and at next_change for
 * rebalances. */
#include <stdlib.h>

#include "base/status.h"
#include "io/memory.h"
#include "io/memory_list.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { MOST_PARTITIONS = 4096 /* of a topic */ };

/* The event that is due for a partition. */
enum change { NONE, REVOKE, LOSE, ASSIGN };

struct content {
    struct tide_memory_list list; /* by offset */
    int64_t next;                 /* offset to read next */
    int64_t committed;            /* -1 = none */
    enum change change;
};

struct memory_source {
    struct tide_source source;
    struct tide_partition *partitions;
    struct content *contents;  /* of `partitions` */
    uint32_t next_partition;   /* partitions take turns */
    uint32_t polled_partition; /* of the last poll's messages */
    uint64_t total;            /* to read in repeat mode; 0 = not that mode */
    uint64_t read;
    bool ended; /* tide_memory_end was called */
    bool end_reported;
    bool paused;
    bool closed;
    bool committed;    /* a COMMITTED event is due */
    bool leaving;      /* revoke_done is awaited */
    uint32_t *changed; /* the partitions of the last event */
    size_t changed_count;
};

static struct memory_source *source_of(struct tide_source *source)
{
    return (struct memory_source *)(void *)source;
}

/* A partition that does not exist is a mistake of the spec, which a crash names at once. */
static struct content *content_of(struct memory_source *memory, uint32_t partition)
{
    tide_require(partition < memory->source.partition_count);
    return &memory->contents[partition];
}

/* Partitions come as events, one after the other, as an assignment of the group would. */
static int source_start(struct tide_source *source)
{
    for (size_t i = 0; i < source->partition_count; i++)
        source_of(source)->contents[i].change = ASSIGN;
    return TIDE_OK;
}

/* In repeat mode the offsets go on rising, while the messages are those that were pushed. A benchmark so reads as many
 * messages as it likes without having them in memory. */
static size_t fill_in(struct memory_source *memory, uint32_t partition,
                      struct tide_message *messages, size_t max)
{
    struct content *content = &memory->contents[partition];
    uint64_t pushed = content->list.count, next = (uint64_t)content->next;
    uint64_t left = memory->total ? memory->total - memory->read
                                  : (next < pushed ? pushed - next : 0);
    size_t count = left < max ? (size_t)left : max;
    if (pushed == 0)
        return 0;
    for (size_t i = 0, at = next % pushed; i < count; i++, at = at + 1 < pushed ? at + 1 : 0) {
        messages[i] = content->list.items[at]->message;
        messages[i].offset = (int64_t)(next + i);
    }
    return count;
}

/* A poll returns messages of one partition, so that `take` needs no more than a count. The next poll begins with the
 * partition after it, or the first one would be read to its end before the others. A partition with a change that is
 * due gives nothing more: its event may not be overtaken. */
static ssize_t source_poll(struct tide_source *source, struct tide_message *messages, size_t max)
{
    struct memory_source *memory = source_of(source);
    for (uint32_t i = 0; i < source->partition_count && !memory->paused; i++) {
        uint32_t partition = (memory->next_partition + i) % (uint32_t)source->partition_count;
        if (!memory->partitions[partition].owned || memory->contents[partition].change != NONE)
            continue;
        size_t count = fill_in(memory, partition, messages, max);
        if (count == 0)
            continue;
        memory->polled_partition = partition;
        memory->next_partition = partition + 1;
        return (ssize_t)count;
    }
    return 0;
}

static void source_take(struct tide_source *source, size_t count)
{
    struct memory_source *memory = source_of(source);
    memory->contents[memory->polled_partition].next += (int64_t)count;
    memory->read += count;
}

/* A partition that has a change due is read again from its committed offset, so it is not at its end. */
static bool all_read(const struct memory_source *memory)
{
    if (memory->total)
        return memory->read >= memory->total;
    for (size_t i = 0; i < memory->source.partition_count; i++) {
        const struct content *content = &memory->contents[i];
        if ((uint64_t)content->next < content->list.count || content->change != NONE)
            return false;
    }
    return memory->ended;
}

static void change_partition(struct memory_source *memory, uint32_t partition)
{
    struct content *content = &memory->contents[partition];
    memory->partitions[partition].owned = content->change == ASSIGN;
    if (content->change != ASSIGN)
        return;
    content->next = content->committed < 0 ? 0 : content->committed;
    memory->partitions[partition].begin = content->next;
    content->change = NONE;
}

/* One event at a time, and none until the last revocation was answered: as a consumer group does it. The `change` of a
 * revocation stays until it was answered, so that the partition is not read in between. A partition of several topics comes and
 * goes in one event. */
static bool next_change(struct memory_source *memory, struct tide_source_event *event)
{
    static const enum tide_source_event_kind kinds[] = {
        [REVOKE] = TIDE_SOURCE_REVOKED, [LOSE] = TIDE_SOURCE_LOST, [ASSIGN] = TIDE_SOURCE_ASSIGNED};
    uint32_t partition = 0;
    while (partition < memory->source.partition_count && memory->contents[partition].change == NONE)
        partition++;
    if (memory->leaving || partition == memory->source.partition_count)
        return false;
    enum change change = memory->contents[partition].change;
    int32_t number = memory->partitions[partition].number;
    memory->changed_count = 0;
    for (; partition < memory->source.partition_count; partition++)
        if (memory->partitions[partition].number == number &&
            memory->contents[partition].change == change)
            memory->changed[memory->changed_count++] = partition;
    *event = (struct tide_source_event){.kind = kinds[change],
                                        .partitions = memory->changed,
                                        .partition_count = memory->changed_count};
    memory->leaving = change != ASSIGN;
    for (size_t i = 0; i < memory->changed_count; i++)
        change_partition(memory, memory->changed[i]);
    return true;
}

/* The answer to a commit comes first: a revocation waits for it, and the end of a run too. The end comes last, since a
 * revoked partition is read again. */
static void source_event(struct tide_source *source, struct tide_source_event *event)
{
    struct memory_source *memory = source_of(source);
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (memory->committed) {
        memory->committed = false;
        event->kind = TIDE_SOURCE_COMMITTED;
    } else if (!next_change(memory, event) && !memory->end_reported && all_read(memory)) {
        memory->end_reported = true;
        event->kind = TIDE_SOURCE_END;
    }
}

/* A spec has no second consumer, so a partition that is given back comes again at once. It is read from its last
 * commit, so messages that were in flight come a second time, as they do for a new owner. */
static void source_revoke_done(struct tide_source *source)
{
    struct memory_source *memory = source_of(source);
    memory->leaving = false;
    for (size_t i = 0; i < memory->changed_count; i++)
        memory->contents[memory->changed[i]].change = ASSIGN;
}

/* The answer is an event of a later turn, as of every source: the commit only becomes UNDER_WAY after this has
 * returned. */
static int source_commit(struct tide_source *source, const struct tide_position *positions,
                         size_t count)
{
    struct memory_source *memory = source_of(source);
    for (size_t i = 0; i < count; i++)
        content_of(memory, positions[i].partition)->committed = positions[i].offset;
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
        tide_memory_list_free(&source_of(source)->contents[i].list);
    free(source_of(source)->partitions);
    free(source_of(source)->contents);
    free(source_of(source)->changed);
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
    uint32_t each = plan->partitions ? plan->partitions : 1;
    uint32_t count = each * (plan->together ? plan->topic_count : 1);
    tide_require(each <= MOST_PARTITIONS);
    memory->source.ops = &ops;
    memory->source.partitions = memory->partitions = tide_alloc(sizeof(*memory->partitions) *
                                                                count);
    memory->source.partition_count = count;
    memory->contents = tide_alloc(sizeof(*memory->contents) * count);
    memory->changed = tide_alloc(sizeof(*memory->changed) * count);
    for (uint32_t i = 0; i < count; i++) {
        int topic = tide_topics_number(topics,
                                       plan->topic_count ? plan->topics[i / each] : "memory");
        tide_require(topic >= 0);
        memory->partitions[i] = (struct tide_partition){.topic = (uint16_t)topic,
                                                        .number = (int32_t)(i % each)};
        memory->contents[i].committed = -1;
    }
    return &memory->source;
}

/* ---- what a spec does with it ---- */

void tide_memory_push(struct tide_source *source, uint32_t partition,
                      const struct tide_message *message)
{
    struct memory_source *memory = source_of(source);
    struct content *content = content_of(memory, partition);
    struct tide_message *kept = tide_memory_list_append(&content->list, message);
    /* Whatever the spec has put into these fields, a source alone says where a message came from; where it goes is for
     * the steps to say. */
    kept->topic = memory->partitions[partition].topic;
    kept->partition = memory->partitions[partition].number;
    kept->target_topic = TIDE_TOPIC_NONE;
    kept->target_partition = TIDE_PARTITION_ANY;
    kept->origin.partition = (uint16_t)partition;
    memory->partitions[partition].end = (int64_t)content->list.count;
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
    content_of(source_of(source), partition)->change = lost ? LOSE : REVOKE;
}

int64_t tide_memory_committed(struct tide_source *source, uint32_t partition)
{
    return content_of(source_of(source), partition)->committed;
}
