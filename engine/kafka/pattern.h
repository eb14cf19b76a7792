/* SPDX-License-Identifier: MIT
 * engine/kafka/pattern.h - patterns of topic names, which begin with ^. librdkafka finds topics with the C library's POSIX
 * extended regular expressions, and so they are checked with them. A pattern never finds Kafka's internal topics, nor those
 * that the pipeline itself writes to the same brokers: its results would come back for ever. */
#ifndef TIDE_KAFKA_PATTERN_H
#define TIDE_KAFKA_PATTERN_H

#include <stdbool.h>

#include "kafka/kafka.h"

/** One of `topics` is a pattern that finds the topic. */
bool tide_kafka_pattern_finds(const char *const *topics, uint32_t count, const char *topic);

/** One of the plan's topics is a pattern. */
bool tide_kafka_pattern_any(const struct tide_source_plan *plan);

/** The value of librdkafka's property topic.blacklist: the topics that patterns must not find, after `users`, the value that
 * the user set (or NULL). A topic that the plan names without a pattern stays readable. To be freed. */
char *tide_kafka_pattern_hidden(const struct tide_source_plan *plan, const char *users);

/** The topic is one that patterns of this client must not find (its topic.blacklist). */
bool tide_kafka_pattern_hides(struct rd_kafka_s *client, const char *topic);

/** Warns of the pipeline's own topics that the patterns would have found. */
void tide_kafka_pattern_warn(const struct tide_source_plan *plan);

/** Source and output turned out to be one cluster, which has this id. TIDE_ECONFIG when a pattern finds one of the plan's
 * apart_topics. */
int tide_kafka_pattern_apart(const struct tide_source_plan *plan, const char *cluster);

#endif
