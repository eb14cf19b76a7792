/* SPDX-License-Identifier: MIT
 * Makes librdkafka fetch again before its queue is empty. In 2.0.2, a broker's thread stops fetching while the queue
 * is full, and with no request under way it looks again only when its wait of a second is over: a reader that
 * empties the queue sooner would stand still for the rest of that second. Any request wakes the thread, and the one
 * for a partition's watermarks goes to the broker that leads it. So the queue need not hold what is read in a second
 * (hundreds of megabytes): it is asked when half of it is left. From 2.2.0 on the property fetch.queue.backoff.ms
 * does the same (source/connect.c), but this is needed as long as older versions are supported. Start reading at
 * tide_kafka_wake_fetcher. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "kafka/source/inside.h"

enum { MAX_PARTITIONS = 4, TIMEOUT_MS = 1000 };
static const int64_t MIN_INTERVAL_US = 2000;

struct wake {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    char *topics[MAX_PARTITIONS];
    int32_t numbers[MAX_PARTITIONS];
    uint32_t count;
};

/* In the blocking thread. The answers do not matter. */
static void ask_watermarks(struct tide_blocking_job *job)
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
    wake->source->wake.under_way = false;
    for (uint32_t i = 0; i < wake->count; i++)
        free(wake->topics[i]);
    free(wake);
}

/* Some of the partitions that have more to fetch, in turn: their leaders are the brokers whose threads may be
 * waiting. */
static void choose_partitions(struct tide_kafka_source *source, struct wake *wake)
{
    for (uint32_t i = 0; i < source->partition_count && wake->count < MAX_PARTITIONS; i++) {
        uint32_t index = source->wake.next++ % source->partition_count;
        const struct tide_kafka_partition *partition = &source->partitions[index];
        int64_t high;
        if (partition->assignment != TIDE_KAFKA_OWNED || partition->paused ||
            !tide_kafka_partition_high(source, index, &high) || high <= partition->read.next)
            continue;
        wake->topics[wake->count] = tide_copy(tide_kafka_partition_topic(source, index));
        wake->numbers[wake->count++] = partition->number;
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
    int64_t now_us = tide_clock_us();
    if (source->wake.under_way || now_us - source->wake.asked_us < MIN_INTERVAL_US)
        return;
    struct wake chosen = {
        .job = {.run = ask_watermarks, .done = asked}, .source = source, .client = source->client};
    source->wake.asked_us = now_us;
    source->wake.most = 0;
    choose_partitions(source, &chosen);
    if (chosen.count == 0)
        return;
    struct wake *wake = tide_alloc(sizeof(*wake));
    *wake = chosen;
    source->wake.under_way = true;
    if (tide_blocking_submit(source->blocking, &wake->job) < 0)
        asked(&wake->job);
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
    if (taken == 0 || runs_low(source, taken, bytes))
        ask_leaders(source);
}
