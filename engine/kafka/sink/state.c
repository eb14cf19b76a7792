/* SPDX-License-Identifier: MIT
 * What may go wrong with the sink as a whole: it fails, or its producer has to be replaced. Every file of the sink
 * finds out about such things, so they are only noted here, at the bottom: a failure is returned by the next call of
 * the engine, and replace.c makes the new producer when it is polled. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"
#include "shm/topics.h"

/* A producer that breaks again and again would otherwise hide that nothing gets through. */
enum { MAX_REPLACED = 5, WITHIN_US = 60000000 };

/* Later failures are mostly what the first one led to. */
int tide_kafka_sink_fail(struct tide_kafka_sink *sink, int status, const char *text)
{
    if (sink->failure.status == TIDE_OK) {
        snprintf(sink->failure.text, sizeof(sink->failure.text), "produce: %.1000s", text);
        sink->failure.status = status;
    }
    return sink->failure.status;
}

int tide_kafka_sink_failure(const struct tide_kafka_sink *sink)
{
    return tide_fail(sink->failure.status, "%s", sink->failure.text);
}

void tide_kafka_sink_replace(struct tide_kafka_sink *sink, const char *why)
{
    int64_t now_us = tide_clock_us();
    if (sink->state != TIDE_KAFKA_SINK_READY) /* one fatal error is reported in several ways */
        return;
    if (now_us - sink->failure.replaced_us > WITHIN_US) {
        sink->failure.replaced = 0;
        sink->failure.replaced_us = now_us;
    }
    if (++sink->failure.replaced > MAX_REPLACED) {
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, why);
        return;
    }
    tide_log(TIDE_LOG_WARN, "produce: the producer is replaced: %s", why);
    tide_count(sink->counters, 0, TIDE_M_PRODUCER_REPLACED, 1);
    /* NON_BLOCKING: otherwise the purge waits for librdkafka's broker threads. */
    sink->state = TIDE_KAFKA_SINK_REPLACING;
    rd_kafka_purge(sink->producer.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                              RD_KAFKA_PURGE_F_NON_BLOCKING);
}

bool tide_kafka_sink_partition_existed(const struct tide_kafka_sink *sink, int topic,
                                       int32_t partition)
{
    for (uint32_t i = 0; sink->output.partitions && i < sink->plan.topic_count; i++) {
        if (tide_topics_number(sink->topics, sink->plan.topics[i]) == topic)
            return partition < 0 || (uint32_t)partition < sink->output.partitions[i];
    }
    return false;
}
