/* SPDX-License-Identifier: MIT
 * engine/kafka/committed.h - committed offsets with their metadata, of a group that never has members: what
 * `tidemill dlq` remembers of a topic. All of it blocks, up to `timeout_us` a call; no engine may be forked while
 * one is open (librdkafka has threads). */
#ifndef TIDE_KAFKA_COMMITTED_H
#define TIDE_KAFKA_COMMITTED_H

#include <stddef.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_committed_offset {
    int32_t partition;
    int64_t offset;       /* -1 = nothing committed */
    const char *metadata; /* never NULL; valid until the next call */
};

struct tide_kafka_committed;

/** Connects. NULL with tide_error(), the status through `status`:
 * TIDE_EUNREACHED, TIDE_ECONFIG when the topic is not there. */
struct tide_kafka_committed *tide_kafka_committed_new(const struct tide_property *properties,
                                                      uint32_t count, const char *group,
                                                      const char *topic, int64_t timeout_us,
                                                      int *status);
uint32_t tide_kafka_committed_partitions(const struct tide_kafka_committed *committed);
/** What is committed of a partition, read when it was opened or as it was set. */
void tide_kafka_committed_get(const struct tide_kafka_committed *committed, uint32_t partition,
                              struct tide_committed_offset *item);
/** Says what the next commit commits. Both are copied. */
void tide_kafka_committed_set(struct tide_kafka_committed *committed, uint32_t partition,
                              int64_t offset, const char *metadata);
/** Commits what was set: TIDE_OK, or TIDE_ETEMPORARY with its text. */
int tide_kafka_committed_commit(struct tide_kafka_committed *committed);
void tide_kafka_committed_free(struct tide_kafka_committed *committed); /* NULL is fine */

#endif
