/* SPDX-License-Identifier: MIT
 * Whether a Kafka source and the Kafka output of its pipeline go together. The pipeline file alone does not tell:
 * numbers of partitions, and whether two lists of brokers are one cluster, are known once both were reached. */
#include "kafka/compatible.h"

#include <string.h>

#include "base/status.h"
#include "kafka/pattern.h"

static int check_limit(const struct tide_source_plan *plan,
                       const struct tide_known_topics *known_topics,
                       const struct tide_kafka_output *output)
{
    for (uint32_t i = 0; i < plan->topic_count && output->limit_topic; i++) {
        uint32_t partitions = tide_known_topics_partitions(known_topics, plan->topics[i]);
        if (partitions > output->limit)
            return tide_fail(
                TIDE_ECONFIG,
                "partition = \"same\": topic \"%s\" has %u partitions, the output \"%s\" only %u",
                plan->topics[i], partitions, output->limit_topic, output->limit);
    }
    return TIDE_OK;
}

/* Partition P of each of them has the keys of partition P of the state. A topic that is not there is missed elsewhere. */
static int check_together(const struct tide_source_plan *plan,
                          const struct tide_known_topics *known_topics)
{
    uint32_t first = plan->together ? tide_known_topics_partitions(known_topics, plan->topics[0])
                                    : 0;
    for (uint32_t i = 1; i < plan->topic_count && first > 0; i++) {
        uint32_t partitions = tide_known_topics_partitions(known_topics, plan->topics[i]);
        if (partitions > 0 && partitions != first)
            return tide_fail(TIDE_ECONFIG,
                             "topic \"%s\" has %u partitions, topic \"%s\" has %u: a state of both "
                             "needs as many of each, filled by the same partitioner; make one of "
                             "them anew with as many",
                             plan->topics[0], first, plan->topics[i], partitions);
    }
    return TIDE_OK;
}

int tide_kafka_compatible(const struct tide_source_plan *plan,
                          const struct tide_known_topics *known_topics, const char *cluster,
                          const struct tide_kafka_output *output)
{
    int status = check_limit(plan, known_topics, output);
    if (status == TIDE_OK)
        status = check_together(plan, known_topics);
    if (status == TIDE_OK && cluster && output->cluster && strcmp(cluster, output->cluster) == 0)
        status = tide_kafka_pattern_apart(plan, cluster);
    return status;
}
