/* SPDX-License-Identifier: MIT
 * engine/shm/topics.h - numbers for topic names, shared with the workers. The engine appends (a pattern may match new
 * topics at any time), the workers read, and have it mapped read-only; the name of a number never changes. */
#ifndef TIDE_SHM_TOPICS_H
#define TIDE_SHM_TOPICS_H

#include <stdint.h>

struct tide_block;
struct tide_topics;

/** To be called before the fork, since it maps shared memory. NULL with tide_error(). */
struct tide_topics *tide_topics_new(void);
/** The number of `name`, which is added when it is new. TIDE_ECONFIG when the table (4,096 names) is full. */
int tide_topics_number(struct tide_topics *topics, const char *name);
/** The name, from the engine's own table, valid as long as that; NULL when the number is unknown. */
const char *tide_topics_name(const struct tide_topics *topics, uint32_t number);
/** The same for a worker, from shared memory, which has what was added after the fork too. */
const char *tide_topics_shared_name(const struct tide_topics *topics, uint32_t number);
uint32_t tide_topics_count(const struct tide_topics *topics);
/** The shared memory, for the zygote to make it read-only. */
struct tide_block *tide_topics_memory(const struct tide_topics *topics);
void tide_topics_free(struct tide_topics *topics);

#endif
