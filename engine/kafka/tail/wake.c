/* SPDX-License-Identifier: MIT
 * Makes librdkafka fetch again before its queue is empty: in 2.0.2 a broker's thread that found it full looks again after a
 * second, unless a request wakes it (source/wake.c has the reasons). Start reading at tide_tail_wake. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "kafka/tail/inside.h"

enum { MAX_PARTITIONS = 4, TIMEOUT_MS = 1000 };
static const int64_t MIN_INTERVAL_US = 2000;

struct wake {
    struct tide_blocking_job job;
    struct tide_tail *tail;
    rd_kafka_t *client;
    int32_t numbers[MAX_PARTITIONS];
    uint32_t count;
};

/* In the blocking thread. The answers do not matter. */
static void ask_watermarks(struct tide_blocking_job *job)
{
    struct wake *wake = (struct wake *)job;
    int64_t low, high;
    for (uint32_t i = 0; i < wake->count; i++)
        rd_kafka_query_watermark_offsets(wake->client, wake->tail->topic, wake->numbers[i], &low,
                                         &high, TIMEOUT_MS);
}

static void asked(struct tide_blocking_job *job)
{
    struct wake *wake = (struct wake *)job;
    wake->tail->waking = false;
    free(wake);
}

/* Some of the partitions that have more to fetch, in turn: their leaders are the brokers whose threads may be waiting. */
void tide_tail_wake(struct tide_tail *tail)
{
    int64_t now_us = tide_clock_us();
    if (tail->waking || now_us - tail->woken_us < MIN_INTERVAL_US)
        return;
    struct wake chosen = {
        .job = {.run = ask_watermarks, .done = asked}, .tail = tail, .client = tail->client};
    tail->woken_us = now_us;
    for (uint32_t i = 0; i < tail->count && chosen.count < MAX_PARTITIONS; i++) {
        uint32_t number = tail->next_woken++ % tail->count;
        if (tide_tail_partition_lag(tail, number) > 0)
            chosen.numbers[chosen.count++] = (int32_t)number;
    }
    if (chosen.count == 0)
        return;
    struct wake *wake = tide_alloc(sizeof(*wake));
    *wake = chosen;
    tail->waking = true;
    if (tide_blocking_submit(tail->blocking, &wake->job) < 0)
        asked(&wake->job);
}
