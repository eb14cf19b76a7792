/* SPDX-License-Identifier: MIT
 * engine/kafka/committed.h - the committed offsets of a group that never has members, with their metadata: what
 * `tidemill dlq` remembers of a topic. Every call blocks, up to `timeout_us`. No engine may be forked while one is open, since
 * librdkafka has threads. */
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

/** Connects. NULL with tide_error(), and `*status` says why: TIDE_EUNREACHED, or TIDE_ECONFIG when the topic is not there. */
struct tide_kafka_committed *tide_kafka_committed_new(const struct tide_property *properties,
                                                      uint32_t count, const char *group,
                                                      const char *topic, int64_t timeout_us,
                                                      int *status);
uint32_t tide_kafka_committed_partitions(const struct tide_kafka_committed *committed);
/** What is committed for a partition: as it was when this was opened, or as it was set since. */
void tide_kafka_committed_get(const struct tide_kafka_committed *committed, uint32_t partition,
                              struct tide_committed_offset *item);
/** Sets what the next commit commits. `metadata` is copied. */
void tide_kafka_committed_set(struct tide_kafka_committed *committed, uint32_t partition,
                              int64_t offset, const char *metadata);
/** Commits what was set. TIDE_ETEMPORARY when that fails. */
int tide_kafka_committed_commit(struct tide_kafka_committed *committed);
void tide_kafka_committed_free(struct tide_kafka_committed *committed); /* NULL is fine */

#endif
