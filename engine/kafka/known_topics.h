/* SPDX-License-Identifier: MIT
 * engine/kafka/known_topics.h - the topics that were there when the source began, with their numbers of partitions: what comes
 * up later is new to the group, and "latest" is all of it. */
#ifndef TIDE_KAFKA_KNOWN_TOPICS_H
#define TIDE_KAFKA_KNOWN_TOPICS_H

#include <stdint.h>

/** Zero it to begin with. */
struct tide_known_topics {
    char **names;
    uint32_t *counts;
    uint32_t count;
};

void tide_known_topics_add(struct tide_known_topics *known, const char *topic, uint32_t partitions);
/** How many partitions the topic had; 0 = it was not there. */
uint32_t tide_known_topics_partitions(const struct tide_known_topics *known, const char *topic);
/** It was deleted: one of its name that is there later was not known. */
void tide_known_topics_forget(struct tide_known_topics *known, const char *topic);
void tide_known_topics_free(struct tide_known_topics *known);

#endif
