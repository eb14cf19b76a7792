/* SPDX-License-Identifier: MIT
 * engine/kafka/tail.h - reads a topic from its beginning and goes on with what comes to it: all partitions, without a group,
 * and nothing is committed. For tables (table/table.h).
 *
 *   state      what happens                              next
 *   NEW        nothing                                   STARTING: tide_tail_start
 *   STARTING   brokers and topic are looked for          READING: they are there; FAILED: they are not
 *   READING    messages come                             FAILED: the topic is another one, or cannot be read
 *   FAILED     nothing
 *
 * It has caught up when each partition was read to the end that it had at the start. A topic that is deleted is logged, and
 * waited for; when it is there again, it is another one, and the tail fails (75): its reader has to begin anew. */
#ifndef TIDE_KAFKA_TAIL_H
#define TIDE_KAFKA_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_loop;
struct tide_tail;

/** A message; its bytes are librdkafka's until it is taken. `value` NULL = a tombstone. */
struct tide_tail_message {
    const char *key; /* NULL = none */
    const char *value;
    uint64_t key_size;
    uint64_t size;
    int32_t partition;
    int64_t offset;
};

/** What reads it, as texts name it ("table \"users\""), and the topic: both are copied. */
struct tide_tail *tide_tail_new(const char *reader, const char *topic, int64_t timeout_us,
                                struct tide_loop *loop);
/** To be called before the start. */
void tide_tail_connect(struct tide_tail *tail, const struct tide_property *properties,
                       uint32_t count);
/** For `check`: TIDE_ECONFIG with librdkafka's reason when the properties do not go together. */
int tide_tail_try(struct tide_tail *tail);
int tide_tail_start(struct tide_tail *tail);
/** The next message, which stays the next one until it is taken. 1 = there is one, 0 = none now; TIDE_EUNREACHED, TIDE_ECONFIG
 * at the start, TIDE_EDATA for what cannot be read, TIDE_ETEMPORARY for another topic of this name. */
int tide_tail_next(struct tide_tail *tail, struct tide_tail_message *message);
void tide_tail_take(struct tide_tail *tail);
bool tide_tail_caught_up(const struct tide_tail *tail);
/** How many offsets are still to be read, as far as is known; -1 = that is not known yet. */
int64_t tide_tail_lag(const struct tide_tail *tail);
/** Once a second: new partitions, brokers that are silent. */
void tide_tail_second(struct tide_tail *tail, int64_t now_us);
/** Waits a second at most. NULL is fine. */
void tide_tail_free(struct tide_tail *tail);

#endif
