/* SPDX-License-Identifier: MIT
 * Topic numbers. There are two tables: the engine's own, which decides, and a copy in shared memory for the workers. They
 * could be one, but workers can write to shared memory, and the engine must not send messages to a topic that a transform's
 * stray pointer has renamed. */
#include "shm/topics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/status.h"

enum { MOST = 4096, NAME_BYTES = 256 }; /* a Kafka topic name has at most 249 characters */

struct shared {
    uint32_t count; /* raised by a release store once the name is written */
    char names[MOST][NAME_BYTES];
};

struct tide_topics {
    uint32_t count;
    char *names[MOST]; /* the engine's own */
    struct shared *shared;
};

struct tide_topics *tide_topics_new(void)
{
    struct tide_topics *topics = tide_alloc(sizeof(*topics));
    topics->shared = mmap(NULL, sizeof(*topics->shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (topics->shared == MAP_FAILED) {
        tide_fail_system("the topic table");
        free(topics);
        return NULL;
    }
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

/* The count is checked against the size of the table as well, since another worker may have written nonsense there. */
const char *tide_topics_shared_name(const struct tide_topics *topics, uint32_t number)
{
    uint32_t count = __atomic_load_n(&topics->shared->count, __ATOMIC_ACQUIRE);
    return number < count && number < MOST ? topics->shared->names[number] : NULL;
}

uint32_t tide_topics_count(const struct tide_topics *topics)
{
    return topics->count;
}

void tide_topics_free(struct tide_topics *topics)
{
    if (!topics)
        return;
    for (uint32_t i = 0; i < topics->count; i++)
        free(topics->names[i]);
    munmap(topics->shared, sizeof(*topics->shared));
    free(topics);
}
