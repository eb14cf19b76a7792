/* SPDX-License-Identifier: MIT
 * engine/kafka/compatible.h - whether a Kafka source and the Kafka output of its pipeline go together, which is known
 * once both were reached. */
#ifndef TIDE_KAFKA_COMPATIBLE_H
#define TIDE_KAFKA_COMPATIBLE_H

#include "kafka/kafka.h"
#include "kafka/known_topics.h"

/** `plan`: its topics and apart_topics are looked at; `known_topics`: those of the source; `cluster`: the id of the source's
 * cluster, or NULL. TIDE_ECONFIG with the reason. */
int tide_kafka_compatible(const struct tide_source_plan *plan,
                          const struct tide_known_topics *known_topics, const char *cluster,
                          const struct tide_kafka_output *output);

#endif
