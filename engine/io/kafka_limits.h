/* SPDX-License-Identifier: MIT
 * engine/io/kafka_limits.h - how large a batch of records may be that topics take. It blocks: io/blocking.h. */
#ifndef TIDE_IO_KAFKA_LIMITS_H
#define TIDE_IO_KAFKA_LIMITS_H

#include <stdint.h>

struct rd_kafka_s;
struct tide_blocking;

/** The least max.message.bytes of the topics. 0 = not known: it must not be asked for (DescribeConfigs), the brokers do
 * not answer, or are the mock Kafka. `blocking` runs it; NULL: called directly. */
int64_t tide_kafka_batch_limit(struct rd_kafka_s *client, const char *const *topics, uint32_t count,
                               struct tide_blocking *blocking);

#endif
