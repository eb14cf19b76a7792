/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/sent.h - the messages that are in flight: given to librdkafka, with no delivery report yet. A
 * report with an error does not give back the time with which its message was sent, so that is kept here. */
#ifndef TIDE_KAFKA_SINK_SENT_H
#define TIDE_KAFKA_SINK_SENT_H

#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_kafka_sent {
    struct tide_origin origin;
    int64_t timestamp; /* ms since the epoch, -1 = none */
    uint64_t size;     /* bytes of value, key and headers */
};

/** A table of them. Zero it to begin with; it grows to the largest number that was in flight at once. */
struct tide_kafka_sents {
    struct tide_kafka_sent *items;
    uint32_t *free; /* indices of free items; the last one is taken next */
    uint32_t free_count;
    uint32_t capacity;
    size_t count; /* in flight */
    uint64_t bytes;
};

/** Keeps one; returns the opaque pointer for librdkafka. */
void *tide_kafka_sent_keep(struct tide_kafka_sents *sents, struct tide_kafka_sent sent);
/** Takes what was kept under this pointer, which may be used again from then on. */
struct tide_kafka_sent tide_kafka_sent_take(struct tide_kafka_sents *sents, const void *opaque);
void tide_kafka_sent_free(struct tide_kafka_sents *sents);

#endif
