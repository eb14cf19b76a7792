/* SPDX-License-Identifier: MIT
 * engine/kafka/compatible.h - do a Kafka source and the Kafka output of its pipeline go together? Known once both were reached. */
#ifndef TIDE_KAFKA_COMPATIBLE_H
#define TIDE_KAFKA_COMPATIBLE_H

#include "kafka/kafka.h"
#include "kafka/known_topics.h"

/** `plan`: topics and apart_topics; `known_topics`: the source's topics; `cluster`: the id of the source's, may be NULL.
 * TIDE_ECONFIG with the reason. */
int tide_kafka_compatible(const struct tide_source_plan *plan,
                          const struct tide_known_topics *known_topics, const char *cluster,
                          const struct tide_kafka_output *output);

#endif
