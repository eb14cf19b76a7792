/* SPDX-License-Identifier: MIT
 * engine/kafka/settings.h - the settings of topics (DescribeConfigs) that decide what becomes of messages. It blocks:
 * kafka/blocking.h. */
#ifndef TIDE_KAFKA_SETTINGS_H
#define TIDE_KAFKA_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;
struct tide_blocking;

enum tide_kafka_use { TIDE_KAFKA_READ, TIDE_KAFKA_WRITTEN, TIDE_KAFKA_DEAD_LETTERS };

/** Logs a warning for each setting that will surprise whoever uses the topics so (patterns are passed over); `letters`: the
 * last of them takes dead letters, and may be an output too, which is named before. Returns the least max.message.bytes of the topics: how large a batch
 * of records may be. 0 = not known: it must not be asked for, the brokers do not answer, or are the mock Kafka.
 * `blocking` runs it; NULL: called directly. */
int64_t tide_kafka_settings_look(struct rd_kafka_s *client, const char *const *topics,
                                 uint32_t count, enum tide_kafka_use use, bool letters,
                                 struct tide_blocking *blocking);

#endif
