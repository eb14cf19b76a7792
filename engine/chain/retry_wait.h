/* SPDX-License-Identifier: MIT
 * engine/chain/retry_wait.h - what is to be seen of the messages of a step that wait for tide.retry (chain/task_retry.c,
 * task_reduce.c). */
#ifndef TIDE_CHAIN_RETRY_WAIT_H
#define TIDE_CHAIN_RETRY_WAIT_H

#include <stdint.h>

/** The message of a step that has been tried again for the longest time; of a step that reduces, the first of its batch. */
struct tide_retry_wait {
    int64_t since_us;  /* of its first try, on tide_clock_us */
    int64_t offset;    /* of the message ... */
    int32_t partition; /* ... its partition ... */
    uint32_t topic;    /* ... and its number in the topic table */
    uint32_t messages; /* that wait: it, and those after it */
};

#endif
