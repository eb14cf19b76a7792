/* SPDX-License-Identifier: MIT
 * engine/kafka/settings.h - the settings of topics (DescribeConfigs) that decide what becomes of messages. Its call blocks,
 * see kafka/blocking.h. */
#ifndef TIDE_KAFKA_SETTINGS_H
#define TIDE_KAFKA_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;
struct tide_blocking;

enum tide_kafka_use {
    TIDE_KAFKA_READ,
    TIDE_KAFKA_TABLE, /* read from its beginning at each start */
    TIDE_KAFKA_WRITTEN,
    TIDE_KAFKA_DEAD_LETTERS
};

/** Logs a warning for each setting that is dangerous for this use of the topics; patterns are skipped. `dead_letters`: the last
 * topic takes dead letters; if it is an output as well, it stands among the others too. Returns the smallest
 * max.message.bytes of the topics, the limit for a batch of records; 0 = not known, since it may not be asked for, the brokers
 * do not answer, or they are the mock Kafka. `blocking` runs it, or NULL when it is called directly. */
int64_t tide_kafka_settings_look(struct rd_kafka_s *client, const char *const *topics,
                                 uint32_t count, enum tide_kafka_use use, bool dead_letters,
                                 struct tide_blocking *blocking);

#endif
