/* SPDX-License-Identifier: MIT
 * engine/kafka/leaders.h - the brokers that lead the partitions of some topics. Each is needed, and each is reached only at
 * the address that it advertises. */
#ifndef TIDE_KAFKA_LEADERS_H
#define TIDE_KAFKA_LEADERS_H

#include <stdint.h>

struct rd_kafka_s;
struct rd_kafka_metadata;

/** A broker, and one of the partitions that it leads. */
struct tide_kafka_leader {
    int32_t broker; /* -1: the partition has no leader */
    char *address;
    char *topic;
    int32_t partition;
};

/** Zero it to begin with. */
struct tide_kafka_leaders {
    struct tide_kafka_leader *items;
    uint32_t count;
};

/** Adds the leaders of the metadata's topic with this index. */
void tide_kafka_leaders_add(struct tide_kafka_leaders *leaders,
                            const struct rd_kafka_metadata *metadata, int topic);
/** Asks a leader for its partition. 0: it was reached; otherwise librdkafka's error, and it may be reached later. */
int tide_kafka_leader_ask(struct rd_kafka_s *client, const struct tide_kafka_leader *leader,
                          int timeout_ms);
void tide_kafka_leaders_free(struct tide_kafka_leaders *leaders);

#endif
