/* SPDX-License-Identifier: MIT
 * A topic that was deleted while it is read may come again, as another of the same name. librdkafka goes on with it where it
 * was, and says nothing when that is just its end, which it has queued already: so the brokers are asked. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/source/inside.h"

enum { TIMEOUT_MS = 1000 };

struct look {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    uint32_t partition; /* one of the topic */
    char *topic;
    bool back;
};

/* In the blocking thread. */
static void ask(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(look->client, look->topic, NULL);
    if (topic && !rd_kafka_metadata(look->client, 0, topic, &metadata, TIMEOUT_MS)) {
        look->back = metadata->topic_cnt == 1 && !metadata->topics[0].err &&
                     metadata->topics[0].partition_cnt > 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

static void asked(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    struct tide_kafka_source *source = look->source;
    source->looking = false;
    for (uint32_t i = 0; i < source->partition_count && look->back; i++)
        if (source->partitions[i].missing &&
            source->partitions[i].topic == source->partitions[look->partition].topic)
            source->partitions[i].out_of_range = true;
    free(look->topic);
    free(look);
}

void tide_kafka_recreated_look(struct tide_kafka_source *source)
{
    uint32_t index = 0;
    bool found = false;
    for (uint32_t i = 0; i < source->partition_count && !found; i++) {
        index = source->look_from++ % source->partition_count;
        const struct tide_kafka_partition *partition = &source->partitions[index];
        found = partition->missing && !partition->out_of_range && tide_kafka_is_assigned(partition);
    }
    if (!found || source->looking)
        return;
    struct look *look = tide_alloc(sizeof(*look));
    look->job.run = ask;
    look->job.done = asked;
    look->source = source;
    look->client = source->client;
    look->partition = index;
    look->topic = tide_copy(tide_kafka_source_topic(source, index));
    source->looking = true;
    if (tide_blocking_submit(source->blocking, &look->job) < 0)
        asked(&look->job);
}
