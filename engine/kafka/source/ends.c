/* SPDX-License-Identifier: MIT
 * The ends of partitions: when until_end is reached, how far a partition is behind, and what an open transaction
 * holds back. A fetch that reaches the end of a partition ends at its last stable offset, the first offset of the
 * oldest transaction that is open. When the high watermark lies after it, there are messages that a reader of
 * committed messages does not get yet; without a warning that looks like a source that stands still. */
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/outage.h"
#include "kafka/source/inside.h"

static const int64_t LONG_US = 30000000; /* a transaction that is open so long is worth a warning */

/* Both offsets came with the last answer to a fetch, so nobody has to be asked. With messages in a queue or borrowed,
 * the difference would only be what is yet to be taken. */
static bool is_held_back(const struct tide_kafka_source *source, uint32_t index, int64_t *high)
{
    const struct tide_kafka_partition *partition = &source->partitions[index];
    return partition->read.stable >= 0 && !tide_kafka_fetch_is_any_borrowed(source) &&
           rd_kafka_queue_length(source->data) == 0 &&
           tide_kafka_partition_high(source, index, high) && *high > partition->read.stable;
}

static void log_held_back(const struct tide_kafka_source *source, uint32_t index, int64_t high)
{
    const struct tide_kafka_partition *partition = &source->partitions[index];
    tide_log(TIDE_LOG_WARN,
             "topic \"%s\" partition %d: a transaction that has not ended begins at offset %lld: "
             "what is there up to %lld is %s",
             tide_kafka_partition_topic(source, index), partition->number,
             (long long)partition->read.stable, (long long)high,
             source->plan.until_end ? "not read (until_end stops before it)" : "read once it has");
}

static void watch_transaction(struct tide_kafka_source *source, uint32_t index, int64_t now_us)
{
    struct tide_kafka_open_transaction *open = &source->partitions[index].open_transaction;
    int64_t high;
    if (source->paused || !is_held_back(source, index, &high)) {
        *open = (struct tide_kafka_open_transaction){0};
        return;
    }
    if (open->since_us == 0)
        open->since_us = now_us;
    if (!open->logged && now_us - open->since_us >= LONG_US) {
        log_held_back(source, index, high);
        open->logged = true;
    }
}

void tide_kafka_ends_watch(struct tide_kafka_source *source, int64_t now_us)
{
    bool outage = tide_kafka_outage_lasts(source->outage);
    for (uint32_t i = 0; i < source->events.shown_count; i++) {
        struct tide_partition *shown = &source->events.shown[i];
        int64_t high;
        if (outage) {
            shown->end = -1; /* it may have moved since */
        } else if (shown->owned && tide_kafka_partition_high(source, i, &high) && high >= 0) {
            shown->end = high;
            watch_transaction(source, i, now_us);
        }
    }
}

/* ---- until_end ---- */

static bool is_before_its_end(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_OWNED && !partition->read.at_end;
}

/* Nothing is on its way to the engine, and no partition is on its way to this source. */
static bool is_settled(const struct tide_kafka_source *source)
{
    return source->group == TIDE_KAFKA_SETTLED && source->events.assigned == 0 &&
           !tide_kafka_fetch_is_any_borrowed(source) && !source->rebalance.resolving &&
           !source->rebalance.leaving && STAILQ_EMPTY(&source->rebalance.queue);
}

/* The source ends long before a transaction counts as open for long, so what is left unread is logged here. */
void tide_kafka_ends_emit(struct tide_kafka_source *source)
{
    if (!source->plan.until_end || source->ended || !is_settled(source) ||
        tide_kafka_partitions_any(source, is_before_its_end))
        return;
    int64_t high;
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].assignment == TIDE_KAFKA_OWNED && is_held_back(source, i, &high))
            log_held_back(source, i, high);
    source->ended = true;
    tide_kafka_source_emit(source, TIDE_SOURCE_END, TIDE_OK, NULL, 0, NULL);
}

void tide_kafka_ends_rewind(struct tide_kafka_source *source)
{
    source->ended = false;
}
