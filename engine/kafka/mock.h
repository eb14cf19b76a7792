/* SPDX-License-Identifier: MIT
 * engine/kafka/mock.h - a Kafka in this process (librdkafka's mock cluster): for `--mock-kafka` and
 * specs. It keeps 5 MB or 100,000 messages a partition, so the feeder never runs far ahead of the
 * reader. */
#ifndef TIDE_KAFKA_MOCK_H
#define TIDE_KAFKA_MOCK_H

#include <stdbool.h>
#include <stdint.h>

struct tide_mock;

/** Starts threads: after the fork only. NULL with tide_error(). */
struct tide_mock *tide_mock_new(uint32_t brokers);
const char *tide_mock_brokers(const struct tide_mock *mock);
int tide_mock_topic(struct tide_mock *mock, const char *name, uint32_t partitions);
/** Feeds the lines of `path` ("-" = standard input) into `topic`, round robin over its partitions.
 */
int tide_mock_feed(struct tide_mock *mock, const char *topic, uint32_t partitions,
                   const char *path);
/** Writes what arrives in `topic` to `path` ("-" = standard output), one value a line. */
int tide_mock_drain(struct tide_mock *mock, const char *topic, uint32_t partitions,
                    const char *path);
/** To be called between turns of the engine: drains what is there, and feeds at most 2 MB beyond the `complete`
 * messages that are complete in the engine. Negative on failure. May block: up to a second for the ends of the topic,
 * and as long as the output takes nothing. */
int tide_mock_turn(struct tide_mock *mock, uint64_t complete);
/** All lines are fed and acknowledged: `complete` has to reach tide_mock_fed(). */
bool tide_mock_fed_all(const struct tide_mock *mock);
uint64_t tide_mock_fed(const struct tide_mock *mock);
uint64_t tide_mock_drained(const struct tide_mock *mock);
void tide_mock_free(struct tide_mock *mock);

#endif
