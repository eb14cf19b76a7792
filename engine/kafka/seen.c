/* SPDX-License-Identifier: MIT */
#include "kafka/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void tide_kafka_seen_add(struct tide_kafka_seen *seen, const char *topic, uint32_t partitions)
{
    uint32_t count = seen->count + 1;
    seen->names = tide_realloc(seen->names, count * sizeof(*seen->names));
    seen->counts = tide_realloc(seen->counts, count * sizeof(*seen->counts));
    seen->names[seen->count] = tide_copy(topic);
    seen->counts[seen->count] = partitions;
    seen->count = count;
}

uint32_t tide_kafka_seen_partitions(const struct tide_kafka_seen *seen, const char *topic)
{
    for (uint32_t i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i], topic) == 0)
            return seen->counts[i];
    return 0;
}

void tide_kafka_seen_forget(struct tide_kafka_seen *seen, const char *topic)
{
    for (uint32_t i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i], topic) == 0)
            seen->counts[i] = 0;
}

void tide_kafka_seen_free(struct tide_kafka_seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++)
        free(seen->names[i]);
    free(seen->names);
    free(seen->counts);
    *seen = (struct tide_kafka_seen){0};
}
