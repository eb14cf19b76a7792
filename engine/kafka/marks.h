/* SPDX-License-Identifier: MIT
 * engine/kafka/marks.h - committed offsets with their metadata, of a group that never has members: what
 * `tidemill dlq` remembers of a topic. All of it blocks, up to `timeout_us` a call; no engine may be forked while
 * one is open (librdkafka has threads). */
#ifndef TIDE_KAFKA_MARKS_H
#define TIDE_KAFKA_MARKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_mark {
    int32_t partition;
    int64_t offset;       /* -1 = nothing committed */
    const char *metadata; /* never NULL; lent until the next call */
};

struct tide_kafka_marks;

/** Connects. NULL with tide_error(), the status through `status`:
 * TIDE_EUNREACHED, TIDE_ECONFIG when the topic is not there. */
struct tide_kafka_marks *tide_kafka_marks_new(const struct tide_property *properties,
                                              uint32_t count, const char *group, const char *topic,
                                              int64_t timeout_us, int *status);
uint32_t tide_kafka_marks_partitions(const struct tide_kafka_marks *marks);
/** What is committed of a partition, read when it was opened or as it was set. */
void tide_kafka_marks_get(const struct tide_kafka_marks *marks, uint32_t partition,
                          struct tide_mark *mark);
/** Says what the next commit commits. Both are copied. */
void tide_kafka_marks_set(struct tide_kafka_marks *marks, uint32_t partition, int64_t offset,
                          const char *metadata);
/** Commits what was set: TIDE_OK, or TIDE_ETEMPORARY with its text. */
int tide_kafka_marks_commit(struct tide_kafka_marks *marks);
void tide_kafka_marks_free(struct tide_kafka_marks *marks); /* NULL is fine */

#endif
