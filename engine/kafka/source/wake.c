/* SPDX-License-Identifier: MIT
 * A consumer that has emptied its queue wakes librdkafka. Of 2.0.2 a broker's thread stops fetching when the
 * queue is full, and with no request under way it looks again only when its wait of a second is over: a
 * reader that empties the queue sooner would stand still for the rest of it. Any request wakes the thread; the
 * one for a partition's watermarks goes to the broker that leads it. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "kafka/source/inside.h"

enum { WAKES = 4, TIMEOUT_MS = 1000 };
static const int64_t APART_US = 2000;

struct wake {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    char *topics[WAKES];
    int32_t numbers[WAKES];
    uint32_t count;
};

/* In the blocking thread. The answers are not wanted. */
static void ask(struct tide_blocking_job *job)
{
    struct wake *wake = (struct wake *)job;
    int64_t low, high;
    for (uint32_t i = 0; i < wake->count; i++)
        rd_kafka_query_watermark_offsets(wake->client, wake->topics[i], wake->numbers[i], &low,
                                         &high, TIMEOUT_MS);
}

static void asked(struct tide_blocking_job *job)
{
    struct wake *wake = (struct wake *)job;
    wake->source->waking = false;
    for (uint32_t i = 0; i < wake->count; i++)
        free(wake->topics[i]);
    free(wake);
}

/* Some partitions that have more to give, in turn: their leaders are the brokers to wake. */
static void choose(struct tide_kafka_source *source, struct wake *wake)
{
    for (uint32_t i = 0; i < source->partition_count && wake->count < WAKES; i++) {
        uint32_t index = source->wake_from++ % source->partition_count;
        const struct tide_kafka_partition *partition = &source->partitions[index];
        int64_t low, high;
        const char *topic = tide_kafka_source_topic(source, index);
        if (partition->assignment != TIDE_KAFKA_OWNED || partition->paused ||
            rd_kafka_get_watermark_offsets(source->client, topic, partition->number, &low, &high) ||
            high <= partition->next)
            continue;
        wake->topics[wake->count] = tide_copy(topic);
        wake->numbers[wake->count++] = partition->number;
    }
}

void tide_kafka_wake_fetcher(struct tide_kafka_source *source)
{
    int64_t now_us = tide_clock_us();
    if (source->waking || now_us - source->woken_us < APART_US)
        return;
    struct wake chosen = {
        .job = {.run = ask, .done = asked}, .source = source, .client = source->client};
    source->woken_us = now_us;
    choose(source, &chosen);
    if (chosen.count == 0)
        return;
    struct wake *wake = tide_alloc(sizeof(*wake));
    *wake = chosen;
    source->waking = true;
    if (tide_blocking_submit(source->blocking, &wake->job) < 0)
        asked(&wake->job);
}
