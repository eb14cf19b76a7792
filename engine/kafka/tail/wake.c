/* SPDX-License-Identifier: MIT
 * Chooses the partitions whose leaders are asked, so that librdkafka fetches again (kafka/fetch_again.h). */
#include "kafka/tail/inside.h"

static const int64_t INTERVAL_US = 2000;

/* Some of those that have more to fetch, in turn. */
void tide_tail_wake(struct tide_tail *tail)
{
    struct tide_fetch_again_of chosen = {.count = 0};
    if (!tide_fetch_again_may_ask(&tail->again, INTERVAL_US))
        return;
    for (uint32_t i = 0; i < tail->count && chosen.count < TIDE_FETCH_AGAIN_MOST; i++) {
        uint32_t number = tail->again.next++ % tail->count;
        if (tide_tail_partition_lag(tail, number) > 0) {
            chosen.topics[chosen.count] = tail->topic;
            chosen.numbers[chosen.count++] = (int32_t)number;
        }
    }
    tide_fetch_again_ask(&tail->again, tail->blocking, tail->client, &chosen);
}
