/* SPDX-License-Identifier: MIT
 * The topics of the start with their numbers of partitions, in a plain array: a pipeline reads few topics, and they
 * are looked up only when partitions are assigned. */
#include "kafka/known_topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"

void tide_known_topics_add(struct tide_known_topics *known, const char *topic, uint32_t partitions)
{
    uint32_t index = known->count;
    tide_grow(&known->items, &known->count, index + 1, sizeof(*known->items));
    known->items[index] = (struct tide_known_topic){tide_copy(topic), partitions};
}

static struct tide_known_topic *find(const struct tide_known_topics *known, const char *topic)
{
    for (uint32_t i = 0; i < known->count; i++)
        if (strcmp(known->items[i].name, topic) == 0)
            return &known->items[i];
    return NULL;
}

uint32_t tide_known_topics_partitions(const struct tide_known_topics *known, const char *topic)
{
    const struct tide_known_topic *found = find(known, topic);
    return found ? found->partitions : 0;
}

void tide_known_topics_forget(struct tide_known_topics *known, const char *topic)
{
    struct tide_known_topic *found = find(known, topic);
    if (found)
        found->partitions = 0;
}

void tide_known_topics_free(struct tide_known_topics *known)
{
    for (uint32_t i = 0; i < known->count; i++)
        free(known->items[i].name);
    free(known->items);
    *known = (struct tide_known_topics){0};
}
