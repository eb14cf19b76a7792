/* SPDX-License-Identifier: MIT
 * Finds out whether a topic that was deleted is there again. It may come back while it is read, as another topic of
 * the same name. librdkafka then goes on at the offset where it was, and is silent if that is just the new topic's
 * end, which it has reported before. So the brokers are asked once a second while a topic is missing. What follows
 * is up to source/resolve.c. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/source/inside.h"

enum { TIMEOUT_MS = 1000 };

struct look {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    uint16_t number; /* of the topic */
    char *topic;
    bool is_there; /* the answer */
};

/* A topic without partitions is only being made, so it does not count as there. */
static void ask_metadata(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(look->client, look->topic, NULL);
    if (topic && !rd_kafka_metadata(look->client, 0, topic, &metadata, TIMEOUT_MS)) {
        look->is_there = metadata->topic_cnt == 1 && !metadata->topics[0].err &&
                         metadata->topics[0].partition_cnt > 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

/* The answer is one of the topic, so all of its partitions that are missing hear it, not only the one that was
 * chosen. */
static void asked(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    struct tide_kafka_source *source = look->source;
    source->recreated.under_way = false;
    for (uint32_t i = 0; i < source->partition_count && look->is_there; i++)
        if (tide_kafka_is_missing(&source->partitions[i]) &&
            source->partitions[i].topic == look->number)
            tide_kafka_partition_observe(source, &source->partitions[i], TIDE_KAFKA_SEEN_THERE);
    free(look->topic);
    free(look);
}

/* The topics in turn, so that one that stays away does not hide the others. */
static bool find_missing(struct tide_kafka_source *source, uint32_t *index)
{
    for (uint32_t i = 0; i < source->partition_count; i++) {
        *index = source->recreated.next++ % source->partition_count;
        const struct tide_kafka_partition *partition = &source->partitions[*index];
        if (partition->presence == TIDE_KAFKA_MISSING && tide_kafka_is_assigned(partition))
            return true;
    }
    return false;
}

void tide_kafka_recreated_look(struct tide_kafka_source *source)
{
    uint32_t index;
    if (source->recreated.under_way || !find_missing(source, &index))
        return;
    struct look *look = tide_alloc(sizeof(*look));
    look->job.run = ask_metadata;
    look->job.done = asked;
    look->source = source;
    look->client = source->client;
    look->number = source->partitions[index].topic;
    look->topic = tide_copy(tide_kafka_partition_topic(source, index));
    source->recreated.under_way = true;
    if (tide_blocking_submit(source->blocking, &look->job) < 0)
        asked(&look->job);
}
