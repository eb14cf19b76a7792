/* SPDX-License-Identifier: MIT
 * engine/kafka/outage.h - an outage while the engine runs: logs once that no broker can be reached, and when one is back. Of a
 * client's brokers; it asks in the blocking thread. */
#ifndef TIDE_KAFKA_OUTAGE_H
#define TIDE_KAFKA_OUTAGE_H

#include <stdbool.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct tide_kafka_outage;

struct tide_kafka_outage *tide_kafka_outage_new(struct rd_kafka_s *client,
                                                struct tide_blocking *blocking);
/** librdkafka says that all brokers are down, or nothing came from any for long: finds out. */
void tide_kafka_outage_begin(struct tide_kafka_outage *outage);
/** It was logged that no broker can be reached, and none was reached since. */
bool tide_kafka_outage_lasts(const struct tide_kafka_outage *outage);
/** The client goes: nothing is asked any more. To be called before its destroy is submitted. NULL is fine. */
void tide_kafka_outage_free(struct tide_kafka_outage *outage);

#endif
