/* SPDX-License-Identifier: MIT
 * engine/kafka/fit.h - do a Kafka source and the Kafka output of its pipeline go together? Known once both were reached. */
#ifndef TIDE_KAFKA_FIT_H
#define TIDE_KAFKA_FIT_H

#include "kafka/kafka.h"
#include "kafka/seen.h"

/** `plan`: topics and apart_topics; `seen`: the source's topics; `cluster`: the id of the source's, may be NULL.
 * TIDE_ECONFIG with the reason. */
int tide_kafka_fit(const struct tide_source_plan *plan, const struct tide_kafka_seen *seen,
                   const char *cluster, const struct tide_kafka_output *output);

#endif
