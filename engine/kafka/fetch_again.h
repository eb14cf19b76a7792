/* SPDX-License-Identifier: MIT
 * engine/kafka/fetch_again.h - makes librdkafka fetch again before its queue is empty. In 2.0.2, a broker's thread stops fetching
 * while the queue is full, and with no request under way it looks again only when its wait of a second is over: a reader that
 * empties the queue sooner would stand still for the rest of that second. Any request wakes the thread, and the one for a
 * partition's watermarks goes to the broker that leads it. So the queue need not hold what is read in a second (hundreds of
 * megabytes). From 2.2.0 on the property fetch.queue.backoff.ms does the same (source/connect.c), but this is needed as long as
 * older versions are supported. */
#ifndef TIDE_KAFKA_FETCH_AGAIN_H
#define TIDE_KAFKA_FETCH_AGAIN_H

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;
struct tide_blocking;

/** Zero it to begin with. */
struct tide_fetch_again {
    bool under_way;   /* in the blocking thread */
    int64_t asked_us; /* when leaders were asked last */
    uint32_t next;    /* the partition to begin with the next time; the caller's */
};

enum { TIDE_FETCH_AGAIN_MOST = 4 };

/** Partitions that have more to fetch: their leaders are the brokers whose threads may be waiting. */
struct tide_fetch_again_of {
    const char *topics[TIDE_FETCH_AGAIN_MOST];
    int32_t numbers[TIDE_FETCH_AGAIN_MOST];
    uint32_t count;
    bool resumed; /* some of them were, since the last question */
};

/** False while leaders are being asked, and for `interval_us` after they were. */
bool tide_fetch_again_may_ask(const struct tide_fetch_again *again, int64_t interval_us);
/** Asks the leaders of these partitions, in the blocking thread of `client`; the topics' names are copied. */
void tide_fetch_again_ask(struct tide_fetch_again *again, struct tide_blocking *blocking,
                          struct rd_kafka_s *client, const struct tide_fetch_again_of *partitions);

#endif
