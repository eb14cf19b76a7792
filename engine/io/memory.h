/* SPDX-License-Identifier: MIT
 * engine/io/memory.h - a source and a sink in memory, driven by specs and by the in-process benchmark. */
#ifndef TIDE_IO_MEMORY_H
#define TIDE_IO_MEMORY_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

struct tide_topics;

/** plan->partitions partitions (at most 64) of plan->topics[0], all assigned at start. Below, a partition is one of
 * them, from 0; any other is a bug of the caller. */
struct tide_source *tide_memory_source_new(const struct tide_source_plan *plan,
                                           struct tide_topics *topics);
/** Copies a message in; its offset is the count of those before it in its partition. */
void tide_memory_push(struct tide_source *source, uint32_t partition,
                      const struct tide_message *message);
/** Gives `total` messages in all, the pushed ones again and again: for benchmarks. */
void tide_memory_repeat(struct tide_source *source, uint64_t total);
/** Nothing more will be pushed: END once all was read. */
void tide_memory_end(struct tide_source *source);
/** As a rebalance would: REVOKED (or LOST), and once the engine has answered, ASSIGNED again, read from the
 * offset last committed. */
void tide_memory_revoke(struct tide_source *source, uint32_t partition, bool lost);
/** The offset last committed, -1 when none was. */
int64_t tide_memory_committed(struct tide_source *source, uint32_t partition);

struct tide_sink *tide_memory_sink_new(const struct tide_sink_plan *plan);
/** A blocked sink takes nothing; `held` reports wait until it is let go. */
void tide_memory_block(struct tide_sink *sink, bool blocked);
void tide_memory_hold(struct tide_sink *sink, bool held);
/** Refuses for good each message whose value is exactly `value` (NULL = none again). */
void tide_memory_refuse(struct tide_sink *sink, const char *value);
/** Counts messages instead of keeping them. */
void tide_memory_discard(struct tide_sink *sink);
uint64_t tide_memory_count(const struct tide_sink *sink);
/** Message `index` (from 0) of those kept; lent as long as the sink. NULL past the last. */
const struct tide_message *tide_memory_get(const struct tide_sink *sink, uint64_t index);

#endif
