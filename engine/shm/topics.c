/* SPDX-License-Identifier: MIT
 * Topic numbers. There are two tables: the engine's own, which decides, and a copy in shared memory for the workers. They
 * could be one, since workers cannot write to it; but then a mistake in how it is mapped would let a transform rename the
 * topic that the engine sends messages to. */
#include "shm/topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"

enum { MOST = 4096, NAME_BYTES = 256 }; /* a Kafka topic name has at most 249 characters */

struct shared {
    uint32_t count; /* raised by a release store once the name is written */
    char names[MOST][NAME_BYTES];
};

struct tide_topics {
    uint32_t count;
    char *names[MOST]; /* the engine's own */
    struct tide_block *memory;
    struct shared *shared; /* in it */
};

struct tide_topics *tide_topics_new(void)
{
    struct tide_topics *topics = tide_alloc(sizeof(*topics));
    topics->memory = tide_block_new(sizeof(*topics->shared));
    if (!topics->memory) {
        free(topics);
        return NULL;
    }
    topics->shared = (struct shared *)(void *)topics->memory->data;
    return topics;
}

/* A linear search will do: messages carry numbers, and names are looked up when partitions are assigned, at the start,
 * and for a delivery that failed (kafka/sink/report.c). */
int tide_topics_number(struct tide_topics *topics, const char *name)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        if (strcmp(topics->names[i], name) == 0)
            return (int)i;
    }
    if (topics->count == MOST)
        return tide_fail(TIDE_ECONFIG, "more than %d topics; the next one is \"%s\"", MOST, name);
    if (strlen(name) >= NAME_BYTES)
        return tide_fail(TIDE_ECONFIG, "topic name \"%.40s...\" is longer than %d bytes", name,
                         NAME_BYTES - 1);
    uint32_t number = topics->count++;
    topics->names[number] = tide_copy(name);
    /* First the name, then the count that shows it: a worker looks names up without a lock. */
    strcpy(topics->shared->names[number], name);
    __atomic_store_n(&topics->shared->count, topics->count, __ATOMIC_RELEASE);
    return (int)number;
}

const char *tide_topics_name(const struct tide_topics *topics, uint32_t number)
{
    return number < topics->count ? topics->names[number] : NULL;
}

const char *tide_topics_shared_name(const struct tide_topics *topics, uint32_t number)
{
    uint32_t count = __atomic_load_n(&topics->shared->count, __ATOMIC_ACQUIRE);
    return number < count ? topics->shared->names[number] : NULL;
}

uint32_t tide_topics_count(const struct tide_topics *topics)
{
    return topics->count;
}

struct tide_block *tide_topics_memory(const struct tide_topics *topics)
{
    return topics->memory;
}

void tide_topics_free(struct tide_topics *topics)
{
    if (!topics)
        return;
    for (uint32_t i = 0; i < topics->count; i++)
        free(topics->names[i]);
    tide_block_free(topics->memory);
    free(topics);
}
