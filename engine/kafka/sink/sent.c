/* SPDX-License-Identifier: MIT */
#include "kafka/sink/sent.h"

#include <stdlib.h>

#include "base/status.h"

enum { FIRST_ROOM = 1024 };

static void grow(struct tide_kafka_sents *sents)
{
    uint32_t room = sents->count > 0 ? sents->count * 2 : FIRST_ROOM;
    sents->items = tide_realloc(sents->items, sizeof(*sents->items) * room);
    sents->free = tide_realloc(sents->free, sizeof(*sents->free) * room);
    while (sents->count < room)
        sents->free[sents->free_count++] = sents->count++;
}

void *tide_kafka_sent_keep(struct tide_kafka_sents *sents, struct tide_origin origin,
                           int64_t timestamp)
{
    if (sents->free_count == 0)
        grow(sents);
    uint32_t place = sents->free[--sents->free_count];
    sents->items[place] = (struct tide_kafka_sent){origin, timestamp};
    return (void *)((uintptr_t)place + 1);
}

struct tide_kafka_sent tide_kafka_sent_take(struct tide_kafka_sents *sents, const void *opaque)
{
    uintptr_t place = (uintptr_t)opaque - 1;
    tide_require(place < sents->count);
    sents->free[sents->free_count++] = (uint32_t)place;
    return sents->items[place];
}

void tide_kafka_sent_free(struct tide_kafka_sents *sents)
{
    free(sents->items);
    free(sents->free);
    *sents = (struct tide_kafka_sents){0};
}
