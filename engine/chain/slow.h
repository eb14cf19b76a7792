/* SPDX-License-Identifier: MIT
 * engine/chain/slow.h - the slowest messages of the last minute. Workers are not asked for them: the engine sees from turn
 * to turn where each worker is (proc/stall.h), so a message costs nothing, no worker can lie, and a message that is still
 * running is seen too. The time is the shortest that it can have been: from the first turn that found the worker at
 * the message to the last one.
 *
 * Memory is bounded: the slowest are kept for each of the last ten-second windows. */
#ifndef TIDE_CHAIN_SLOW_H
#define TIDE_CHAIN_SLOW_H

#include <stdint.h>

enum {
    TIDE_SLOW_WINDOWS = 7, /* the present one, and six that are over */
    TIDE_SLOW_MESSAGES = 10,
    TIDE_SLOW_WINDOW_US = 10000000
};

/** A message, or all those that a function of a whole batch had at once. */
struct tide_slow_message {
    int64_t time_us;
    int64_t seen_us;   /* when a worker was last seen at it */
    int64_t offset;    /* of a batch, that of its first message */
    uint32_t topic;    /* number in the topic table */
    int32_t partition; /* likewise */
    uint32_t step;     /* of the plan, from 0 */
    uint32_t whole;    /* 0, or the number of messages that the function had at once */
};

struct tide_slow {
    struct tide_slow_window {
        int64_t number; /* of the window since the clock began; others are over */
        uint32_t count;
        struct tide_slow_message messages[TIDE_SLOW_MESSAGES];
    } windows[TIDE_SLOW_WINDOWS];
};

/** Takes note of a message. One that is known already is the same message, at which the worker still is. */
void tide_slow_add(struct tide_slow *slow, const struct tide_slow_message *message);
/** Writes the slowest of the last minute, the slowest first, and returns how many there are. */
uint32_t tide_slow_list(const struct tide_slow *slow, int64_t now_us,
                        struct tide_slow_message list[TIDE_SLOW_MESSAGES]);

#endif
