/* SPDX-License-Identifier: MIT
 * Says when librdkafka is to fetch again (kafka/fetch_again.h has the reasons), which is when half of its queue is left or
 * a partition was resumed, and which partitions' leaders are asked for that. Start reading at tide_kafka_wake_fetcher. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "kafka/source/inside.h"

static const int64_t INTERVAL_US = 2000;

static bool has_more(const struct tide_kafka_source *source, uint32_t index)
{
    int64_t high;
    return tide_kafka_partition_high(source, index, &high) &&
           high > source->partitions[index].read.next;
}

/* Some of those that have more to fetch, in turn; or of those that were resumed, of which nothing may be known yet. */
static void choose_partitions(struct tide_kafka_source *source, struct tide_fetch_again_of *chosen,
                              bool resumed)
{
    for (uint32_t i = 0; i < source->partition_count && chosen->count < TIDE_FETCH_AGAIN_MOST;
         i++) {
        uint32_t index = source->wake.again.next++ % source->partition_count;
        struct tide_kafka_partition *partition = &source->partitions[index];
        if (partition->assignment != TIDE_KAFKA_OWNED || partition->paused ||
            !(resumed ? partition->resumed : has_more(source, index)))
            continue;
        chosen->resumed |= partition->resumed;
        partition->resumed = false;
        chosen->topics[chosen->count] = tide_kafka_partition_topic(source, index);
        chosen->numbers[chosen->count++] = partition->number;
    }
}

static int64_t limit_of(const struct tide_kafka_source *source, const char *name)
{
    char text[32];
    size_t size = sizeof(text);
    return rd_kafka_conf_get(rd_kafka_conf(source->client), name, text, &size) == RD_KAFKA_CONF_OK
               ? strtoll(text, NULL, 10)
               : INT64_MAX / 1024;
}

void tide_kafka_wake_begin(struct tide_kafka_source *source)
{
    source->wake.max_messages = limit_of(source, "queued.min.messages");
    source->wake.max_bytes = limit_of(source, "queued.max.messages.kbytes") * 1024;
}

static void ask_leaders(struct tide_kafka_source *source)
{
    struct tide_fetch_again_of chosen = {.count = 0};
    if (!tide_fetch_again_may_ask(&source->wake.again, INTERVAL_US))
        return;
    source->wake.most = 0;
    if (source->wake.resumed)
        choose_partitions(source, &chosen, true);
    source->wake.resumed = chosen.count == TIDE_FETCH_AGAIN_MOST; /* there may be more */
    choose_partitions(source, &chosen, false);
    tide_fetch_again_ask(&source->wake.again, source->blocking, source->client, &chosen);
}

/* librdkafka may have stopped when the queue was longest, and has no reason to begin again before half of that is read. */
static bool runs_low(struct tide_kafka_source *source, size_t taken, size_t bytes)
{
    int64_t length = (int64_t)rd_kafka_queue_length(source->data);
    int64_t average = taken > 0 ? (int64_t)(bytes / taken) : 0;
    if (length > source->wake.most)
        source->wake.most = length;
    bool was_full = source->wake.most >= source->wake.max_messages ||
                    source->wake.most * average >= source->wake.max_bytes;
    return was_full && length < source->wake.most / 2;
}

void tide_kafka_wake_fetcher(struct tide_kafka_source *source, size_t taken, size_t bytes)
{
    if (taken == 0 || source->wake.resumed || runs_low(source, taken, bytes))
        ask_leaders(source);
}

void tide_kafka_wake_resumed(struct tide_kafka_source *source, uint32_t index)
{
    source->partitions[index].resumed = source->wake.resumed = true;
    source->wake.again.asked_us =
        0; /* an engine that sleeps would ask when it wakes, not after the interval */
}
