/* SPDX-License-Identifier: MIT
 * engine/kafka/write_permission.h - whether topics may be written. Kafka has no request for it, and librdkafka before 2.3.0 no
 * call. But a broker checks a Produce request in this order: its authorization (TOPIC_AUTHORIZATION_FAILED), its number of
 * acknowledgements (INVALID_REQUIRED_ACKS, nothing is written), and only then its records. So a request for two
 * acknowledgements gets one of these answers and writes nothing. Source: Kafka's KafkaApis.handleProduceRequest and
 * ReplicaManager.appendRecords, 0.10 to 4.1; tried on 3.9 and 4.1. */
#ifndef TIDE_KAFKA_WRITE_PERMISSION_H
#define TIDE_KAFKA_WRITE_PERMISSION_H

#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;

/** Blocking, in a job of `blocking` (NULL: called directly), for some seconds at most, once the brokers were reached.
 * `client`: for its configuration. TIDE_ECONFIG names the topic that must not be written; TIDE_OK otherwise, also when
 * no answer came. Does not ask librdkafka's mock cluster, which takes such a request for a good one. */
int tide_kafka_check_write_permission(struct rd_kafka_s *client, const char *const *topics,
                                      uint32_t count, struct tide_blocking *blocking);

#endif
