/* SPDX-License-Identifier: MIT
 * librdkafka carries one pointer with each message and gives it back in the delivery report. It stands for an entry of
 * this table rather than for memory of its own: an allocation for each message would cost more than sending it. Free
 * entries are a stack, so that those in use stay few and in the cache. */
#include "kafka/sink/sent.h"

#include <stdlib.h>

#include "base/grow.h"
#include "base/status.h"

enum { FIRST_CAPACITY = 1024 };

static void grow_sents(struct tide_kafka_sents *sents)
{
    uint32_t from = sents->capacity, room = from;
    uint32_t need = from > 0 ? from * 2 : FIRST_CAPACITY;
    tide_grow(&sents->items, &sents->capacity, need, sizeof(*sents->items));
    tide_grow(&sents->free, &room, need, sizeof(*sents->free));
    while (from < need)
        sents->free[sents->free_count++] = from++;
}

void *tide_kafka_sent_keep(struct tide_kafka_sents *sents, struct tide_kafka_sent sent)
{
    if (sents->free_count == 0)
        grow_sents(sents);
    uint32_t index = sents->free[--sents->free_count];
    sents->items[index] = sent;
    sents->count++;
    sents->bytes += sent.size;
    return (void *)((uintptr_t)index + 1); /* never NULL, which librdkafka has for "none" */
}

struct tide_kafka_sent tide_kafka_sent_take(struct tide_kafka_sents *sents, const void *opaque)
{
    uintptr_t index = (uintptr_t)opaque - 1;
    tide_require(index < sents->capacity);
    sents->free[sents->free_count++] = (uint32_t)index;
    sents->count--;
    sents->bytes -= sents->items[index].size;
    return sents->items[index];
}

void tide_kafka_sent_free(struct tide_kafka_sents *sents)
{
    free(sents->items);
    free(sents->free);
    *sents = (struct tide_kafka_sents){0};
}
