/* SPDX-License-Identifier: MIT
 * engine/kafka/known_topics.h - the topics that were there when the source began, with their numbers of partitions. What comes
 * later is new to the group, so "latest" includes all of its messages. */
#ifndef TIDE_KAFKA_KNOWN_TOPICS_H
#define TIDE_KAFKA_KNOWN_TOPICS_H

#include <stdint.h>

struct tide_known_topic {
    char *name;
    uint32_t partitions; /* 0: it was deleted */
};

/** Zero it to begin with. */
struct tide_known_topics {
    struct tide_known_topic *items;
    uint32_t count;
};

void tide_known_topics_add(struct tide_known_topics *known, const char *topic, uint32_t partitions);
/** How many partitions the topic had; 0 = it was not there. */
uint32_t tide_known_topics_partitions(const struct tide_known_topics *known, const char *topic);
/** The topic was deleted: one of its name that comes later is not known. */
void tide_known_topics_forget(struct tide_known_topics *known, const char *topic);
void tide_known_topics_free(struct tide_known_topics *known);

#endif
