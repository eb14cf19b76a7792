/* SPDX-License-Identifier: MIT
 * The table of partitions. A partition gets its index when the source first hears of it and keeps it for good, so
 * the engine can use the index as the partition's name, and a message that was read before a rebalance is never
 * taken for one of another partition. Rows are found by topic and number through an array for each topic, since
 * every message asks. All other files of the source stand on this one, which calls none of them. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"
#include "kafka/source/inside.h"
#include "shm/topics.h"

/* A search is good enough: a pipeline reads few topics, and source/fetch.c asks only when the partition changes. */
static struct tide_kafka_topic *find_topic(struct tide_kafka_source *source, uint16_t number)
{
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (source->by_topic[i].topic == number)
            return &source->by_topic[i];
    uint32_t index = source->topic_count;
    tide_grow(&source->by_topic, &source->topic_count, index + 1, sizeof(*source->by_topic));
    source->by_topic[index].topic = number;
    return &source->by_topic[index];
}

/* The limit comes from the origin of a message, which has 16 bits for its partition. */
int tide_kafka_partition_find(struct tide_kafka_source *source, const char *topic, int32_t number)
{
    int topic_number = tide_topics_number(source->topics, topic);
    if (topic_number < 0)
        return topic_number;
    struct tide_kafka_topic *found = find_topic(source, (uint16_t)topic_number);
    tide_grow(&found->index, &found->capacity, (uint32_t)number + 1, sizeof(*found->index));
    if (found->index[number])
        return (int)found->index[number] - 1;
    if (source->partition_count > UINT16_MAX)
        return tide_fail(TIDE_ECONFIG, "more than %d partitions", UINT16_MAX + 1);
    uint32_t index = source->partition_count;
    tide_grow(&source->partitions, &source->partition_count, index + 1,
              sizeof(*source->partitions));
    source->partitions[index] = (struct tide_kafka_partition){
        .topic = (uint16_t)topic_number, .number = number, .read.stop = -1};
    found->index[number] = source->partition_count;
    return (int)index;
}

const char *tide_kafka_partition_topic(const struct tide_kafka_source *source, uint32_t index)
{
    return tide_topics_name(source->topics, source->partitions[index].topic);
}

/* ---- the states of a partition ---- */

bool tide_kafka_is_assigned(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_PENDING || partition->assignment == TIDE_KAFKA_OWNED;
}

bool tide_kafka_is_misplaced(const struct tide_kafka_partition *partition)
{
    return tide_kafka_is_assigned(partition) && (partition->presence == TIDE_KAFKA_OUT_OF_RANGE ||
                                                 partition->presence == TIDE_KAFKA_BACK);
}

bool tide_kafka_is_missing(const struct tide_kafka_partition *partition)
{
    return partition->presence == TIDE_KAFKA_MISSING || partition->presence == TIDE_KAFKA_BACK;
}

/* Whether any is misplaced is asked several times in each turn, and a source may have thousands of partitions: so they
 * are counted where they change. */
static void change(struct tide_kafka_source *source, struct tide_kafka_partition *partition,
                   enum tide_kafka_assignment assignment, enum tide_kafka_presence presence)
{
    source->misplaced -= tide_kafka_is_misplaced(partition);
    partition->assignment = assignment;
    partition->presence = presence;
    source->misplaced += tide_kafka_is_misplaced(partition);
}

void tide_kafka_partition_move(struct tide_kafka_source *source,
                               struct tide_kafka_partition *partition,
                               enum tide_kafka_assignment assignment)
{
    change(source, partition, assignment, partition->presence);
}

/* The table of enum tide_kafka_presence. BACK is left by an assignment alone, so that no later observation hides that a
 * start offset has to be resolved. */
void tide_kafka_partition_observe(struct tide_kafka_source *source,
                                  struct tide_kafka_partition *partition,
                                  enum tide_kafka_observation seen)
{
    static const enum tide_kafka_presence next[][4] = {
        [TIDE_KAFKA_PRESENT] = {[TIDE_KAFKA_SEEN_MISSING] = TIDE_KAFKA_MISSING,
                                [TIDE_KAFKA_SEEN_OUT_OF_RANGE] = TIDE_KAFKA_OUT_OF_RANGE,
                                [TIDE_KAFKA_SEEN_THERE] = TIDE_KAFKA_PRESENT,
                                [TIDE_KAFKA_RESOLVED] = TIDE_KAFKA_PRESENT},
        [TIDE_KAFKA_OUT_OF_RANGE] = {[TIDE_KAFKA_SEEN_MISSING] = TIDE_KAFKA_BACK,
                                     [TIDE_KAFKA_SEEN_OUT_OF_RANGE] = TIDE_KAFKA_OUT_OF_RANGE,
                                     [TIDE_KAFKA_SEEN_THERE] = TIDE_KAFKA_OUT_OF_RANGE,
                                     [TIDE_KAFKA_RESOLVED] = TIDE_KAFKA_PRESENT},
        [TIDE_KAFKA_MISSING] = {[TIDE_KAFKA_SEEN_MISSING] = TIDE_KAFKA_MISSING,
                                [TIDE_KAFKA_SEEN_OUT_OF_RANGE] = TIDE_KAFKA_BACK,
                                [TIDE_KAFKA_SEEN_THERE] = TIDE_KAFKA_BACK,
                                [TIDE_KAFKA_RESOLVED] = TIDE_KAFKA_PRESENT},
        [TIDE_KAFKA_BACK] = {[TIDE_KAFKA_SEEN_MISSING] = TIDE_KAFKA_BACK,
                             [TIDE_KAFKA_SEEN_OUT_OF_RANGE] = TIDE_KAFKA_BACK,
                             [TIDE_KAFKA_SEEN_THERE] = TIDE_KAFKA_BACK,
                             [TIDE_KAFKA_RESOLVED] = TIDE_KAFKA_PRESENT},
    };
    change(source, partition, partition->assignment, next[partition->presence][seen]);
}

/* ---- some of the partitions ---- */

struct rd_kafka_topic_partition_list_s *tide_kafka_partitions_where(
    const struct tide_kafka_source *source,
    bool (*is_wanted)(const struct tide_kafka_partition *partition))
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (is_wanted(&source->partitions[i]))
            rd_kafka_topic_partition_list_add(list, tide_kafka_partition_topic(source, i),
                                              source->partitions[i].number)
                ->offset = source->partitions[i].read.next;
    return list;
}

bool tide_kafka_partitions_any(const struct tide_kafka_source *source,
                               bool (*is_wanted)(const struct tide_kafka_partition *partition))
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (is_wanted(&source->partitions[i]))
            return true;
    return false;
}

/* ---- what librdkafka knows without asking ---- */

bool tide_kafka_partition_high(const struct tide_kafka_source *source, uint32_t index,
                               int64_t *high)
{
    int64_t low;
    return !rd_kafka_get_watermark_offsets(source->client,
                                           tide_kafka_partition_topic(source, index),
                                           source->partitions[index].number, &low, high);
}

/* librdkafka is asked each time, since the group decides on the protocol and does so when it is joined. */
bool tide_kafka_is_incremental(const struct tide_kafka_source *source)
{
    const char *protocol = rd_kafka_rebalance_protocol(source->client);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

void tide_kafka_partitions_free(struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->topic_count; i++)
        free(source->by_topic[i].index);
    free(source->by_topic);
    free(source->partitions);
}
