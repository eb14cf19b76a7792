/* SPDX-License-Identifier: MIT
 * engine/kafka/changelog.h - the changelogs of a Kafka (io/changelog.h). Their topics are made or checked at the start
 * (changelog_topics.h). It is a consumer without a group, beside the source's.
 *
 * Few partitions are READING at a time, since a store takes the records of few in the least time; others wait for it.
 *
 * The end is the high watermark and not the last stable offset: a transaction whose records are there may be committed, and
 * its marker on its way. One that is open (of an engine that was killed) is waited for, until the broker ends it. */
#ifndef TIDE_KAFKA_CHANGELOG_H
#define TIDE_KAFKA_CHANGELOG_H

#include <stdint.h>

#include "base/plan.h"
#include "io/changelog.h"

struct tide_loop;

/** Starts no thread yet. `input`: the topic that is read by the pipeline. NULL with tide_error(). */
struct tide_changelog *tide_kafka_changelog_new(const char *input, int64_t timeout_us,
                                                struct tide_loop *loop);
/** Before start(): the topic of state number 0, 1, ... */
void tide_kafka_changelog_topic(struct tide_changelog *base, const char *topic);
/** Before start(). `properties` are copied, and the copy is wiped once the client is made. */
void tide_kafka_changelog_connect(struct tide_changelog *base,
                                  const struct tide_property *properties, uint32_t count);
#endif
