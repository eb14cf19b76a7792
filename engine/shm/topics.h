/* SPDX-License-Identifier: MIT
 * engine/shm/topics.h - numbers for topic names, shared with the workers. The engine appends (a pattern
 * may match new topics at any time), workers read; a number never changes its name. */
#ifndef TIDE_SHM_TOPICS_H
#define TIDE_SHM_TOPICS_H

#include <stdint.h>

struct tide_topics;

struct tide_topics *tide_topics_new(void); /* maps its memory: before the fork */
/** The number of `name`, added when it is new. TIDE_ECONFIG when the table (4,096 names) is full. */
int tide_topics_number(struct tide_topics *topics, const char *name);
/** The name, valid as long as the table; NULL for a number that is not there. The engine's own copy. */
const char *tide_topics_name(const struct tide_topics *topics, uint32_t number);
/** The same for a worker, from shared memory: it sees what was added after the fork. */
const char *tide_topics_shared_name(const struct tide_topics *topics, uint32_t number);
uint32_t tide_topics_count(const struct tide_topics *topics);
void tide_topics_free(struct tide_topics *topics);

#endif
