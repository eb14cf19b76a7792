/* SPDX-License-Identifier: MIT
 * engine/kafka/changelog.h - reads the topics of changelogs (chain/changelog_record.h), which are made or checked before.
 * It is a consumer without a group, beside the source's: partitions are read from an offset to their end, and then no more.
 *
 * A partition of a topic:
 *   state      what happens                                          next
 *   IDLE       nothing                                               READING: tide_kafka_changelog_read
 *   READING    its records come, from that offset on; those of       ENDED: all up to the high watermark were given
 *              transactions that were aborted are left out           IDLE: tide_kafka_changelog_stop
 *   ENDED      its end was not fetched yet                           IDLE: tide_kafka_changelog_ended
 * The end is the high watermark and not the last stable offset: a transaction whose records are there may be committed, and
 * its marker on its way. One that is open (of an engine that was killed) is waited for, until the broker ends it. */
#ifndef TIDE_KAFKA_CHANGELOG_H
#define TIDE_KAFKA_CHANGELOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/plan.h"
#include "shm/message.h"

struct tide_loop;
struct tide_kafka_changelog;

/** Starts no thread yet. `input`: the topic that is read by the pipeline. NULL with tide_error(). */
struct tide_kafka_changelog *tide_kafka_changelog_new(const char *input, int64_t timeout_us,
                                                      struct tide_loop *loop);
/** Before start(): the topic of state number 0, 1, ... */
void tide_kafka_changelog_topic(struct tide_kafka_changelog *changelog, const char *topic);
/** Before start(). `properties` are copied, and the copy is wiped once the client is made. */
void tide_kafka_changelog_connect(struct tide_kafka_changelog *changelog,
                                  const struct tide_property *properties, uint32_t count);
/** Makes the client, and begins to make or check the topics (changelog_topics.h). */
int tide_kafka_changelog_start(struct tide_kafka_changelog *changelog);
/** 1 = the topics are there; 0 = not yet; negative = that will not happen. */
int tide_kafka_changelog_ready(const struct tide_kafka_changelog *changelog);

/** Begins to read a partition of the topic of `state`. `index` names it in its messages; `offset` -1 = from its
 * beginning. TIDE_ECONFIG: the topic has no such
 * partition. */
int tide_kafka_changelog_read(struct tide_kafka_changelog *changelog, uint32_t state,
                              uint32_t index, int32_t partition, int64_t offset);
/** Reads nothing more of this index. */
void tide_kafka_changelog_stop(struct tide_kafka_changelog *changelog, uint32_t index);
/** True while any partition is READING or ENDED. */
bool tide_kafka_changelog_busy(const struct tide_kafka_changelog *changelog);
/** Fills in at most `max` records, borrowed until the next call: key, value, partition, offset, and as its origin's partition
 * the index, as its sequence the state. Negative: the changelog cannot be read (TIDE_EDATA: its offset is not there). */
ssize_t tide_kafka_changelog_poll(struct tide_kafka_changelog *changelog,
                                  struct tide_message *records, size_t max);
/** An index of which all that was asked for has ended, and whose records were all fetched by poll; false when there is
 * none. Each is given once. */
bool tide_kafka_changelog_ended(struct tide_kafka_changelog *changelog, uint32_t *index);
/** How many records (offsets) are left to be read, as far as it is known. */
int64_t tide_kafka_changelog_left(const struct tide_kafka_changelog *changelog);
void tide_kafka_changelog_free(struct tide_kafka_changelog *changelog); /* NULL is fine */

#endif
