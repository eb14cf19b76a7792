/* SPDX-License-Identifier: MIT
 * engine/kafka/seen.h - the topics that were there when the source began, with their numbers of partitions: what comes
 * up later is new to the group, and "latest" is all of it. */
#ifndef TIDE_KAFKA_SEEN_H
#define TIDE_KAFKA_SEEN_H

#include <stdint.h>

/** Zero it to begin with. */
struct tide_kafka_seen {
    char **names;
    uint32_t *counts;
    uint32_t count;
};

void tide_kafka_seen_add(struct tide_kafka_seen *seen, const char *topic, uint32_t partitions);
/** How many partitions the topic had; 0 = it was not there. */
uint32_t tide_kafka_seen_partitions(const struct tide_kafka_seen *seen, const char *topic);
/** It was deleted: one of its name that is there later was not seen. */
void tide_kafka_seen_forget(struct tide_kafka_seen *seen, const char *topic);
void tide_kafka_seen_free(struct tide_kafka_seen *seen);

#endif
