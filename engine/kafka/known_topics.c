/* SPDX-License-Identifier: MIT */
#include "kafka/known_topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void tide_known_topics_add(struct tide_known_topics *known, const char *topic, uint32_t partitions)
{
    uint32_t count = known->count + 1;
    known->names = tide_realloc(known->names, count * sizeof(*known->names));
    known->counts = tide_realloc(known->counts, count * sizeof(*known->counts));
    known->names[known->count] = tide_copy(topic);
    known->counts[known->count] = partitions;
    known->count = count;
}

uint32_t tide_known_topics_partitions(const struct tide_known_topics *known, const char *topic)
{
    for (uint32_t i = 0; i < known->count; i++)
        if (strcmp(known->names[i], topic) == 0)
            return known->counts[i];
    return 0;
}

void tide_known_topics_forget(struct tide_known_topics *known, const char *topic)
{
    for (uint32_t i = 0; i < known->count; i++)
        if (strcmp(known->names[i], topic) == 0)
            known->counts[i] = 0;
}

void tide_known_topics_free(struct tide_known_topics *known)
{
    for (uint32_t i = 0; i < known->count; i++)
        free(known->names[i]);
    free(known->names);
    free(known->counts);
    *known = (struct tide_known_topics){0};
}
