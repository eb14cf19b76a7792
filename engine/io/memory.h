/* SPDX-License-Identifier: MIT
 * engine/io/memory.h - a source and a sink in memory, for specs, for tidemill.testing and for the in-process benchmark. */
#ifndef TIDE_IO_MEMORY_H
#define TIDE_IO_MEMORY_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

struct tide_topics;

/** Has plan->partitions partitions (at most 4096) of plan->topics[0]; all are assigned at start. With plan->together those of the
 * other topics follow. The functions below take a partition's index from 0; one that does not exist is a bug of the caller. */
struct tide_source *tide_memory_source_new(const struct tide_source_plan *plan,
                                           struct tide_topics *topics);
/** Appends a copy of the message to the partition; its offset is the number of messages before it. */
void tide_memory_push(struct tide_source *source, uint32_t partition,
                      const struct tide_message *message);
/** Reads `total` messages in all, those that were pushed again and again: for benchmarks. */
void tide_memory_repeat(struct tide_source *source, uint64_t total);
/** No more messages will be pushed: an END event comes once all were read. */
void tide_memory_end(struct tide_source *source);
/** Acts as a rebalance does: a REVOKED (or LOST) event comes and, once the engine has answered it, an ASSIGNED event; the
 * partition is then read from the offset last committed. */
void tide_memory_revoke(struct tide_source *source, uint32_t partition, bool lost);
/** The offset last committed; -1 = none was. */
int64_t tide_memory_committed(struct tide_source *source, uint32_t partition);

struct tide_sink *tide_memory_sink_new(const struct tide_sink_plan *plan);
/** A blocked sink takes no message. */
void tide_memory_block(struct tide_sink *sink, bool blocked);
/** While `held`, delivery reports are kept back. */
void tide_memory_hold(struct tide_sink *sink, bool held);
/** Refuses each message whose value is exactly `value`; NULL = refuses none. */
void tide_memory_refuse(struct tide_sink *sink, const char *value);
/** From now on messages are counted only, not kept. */
void tide_memory_discard(struct tide_sink *sink);
uint64_t tide_memory_count(const struct tide_sink *sink);
/** Message `index` (from 0) of those kept; NULL past the last. Borrowed, valid as long as the sink. */
const struct tide_message *tide_memory_get(const struct tide_sink *sink, uint64_t index);

#endif
