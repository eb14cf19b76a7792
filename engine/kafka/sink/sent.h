/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/sent.h - what the sink knows of a message that is with librdkafka. A delivery report with an error
 * does not give back the time with which its message was sent, so that is kept here. */
#ifndef TIDE_KAFKA_SINK_SENT_H
#define TIDE_KAFKA_SINK_SENT_H

#include <stdint.h>

#include "shm/message.h"

struct tide_kafka_sent {
    struct tide_origin origin;
    int64_t timestamp; /* ms since the epoch, -1 = none */
};

/** A table of them. Zero it to begin with; it grows to the most that were with librdkafka at once. */
struct tide_kafka_sents {
    struct tide_kafka_sent *items;
    uint32_t *free; /* places of items that are free; the one at the end is taken next */
    uint32_t free_count;
    uint32_t count;
};

/** Keeps one; returns the opaque pointer for librdkafka. */
void *tide_kafka_sent_keep(struct tide_kafka_sents *sents, struct tide_origin origin,
                           int64_t timestamp);
/** What was kept under this pointer, which is free from then on. */
struct tide_kafka_sent tide_kafka_sent_take(struct tide_kafka_sents *sents, const void *opaque);
void tide_kafka_sent_free(struct tide_kafka_sents *sents);

#endif
