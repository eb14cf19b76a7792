/* SPDX-License-Identifier: MIT
 * Counts messages for the limits of the dlq. The counts are by partition, since only the messages of one partition
 * have an order, and so a run of bad ones. They live as long as the engine does: a restart begins anew. */
#include "chain/dlq_limits.h"

#include <stdlib.h>

#include "base/grow.h"

/* In exactly_once a message of an aborted transaction is run again, so the counts are kept as of the last commit
 * too. */
struct tide_dlq_counts {
    struct tide_dlq_count now;
    struct tide_dlq_count committed;
};

static struct tide_dlq_count *count_of(struct tide_dlq_limits *limits, uint32_t partition)
{
    tide_grow(&limits->partitions, &limits->count, partition + 1, sizeof(*limits->partitions));
    return &limits->partitions[partition].now;
}

void tide_dlq_limits_passed(struct tide_dlq_limits *limits, uint32_t partition, uint32_t passed)
{
    struct tide_dlq_count *count = count_of(limits, partition);
    count->all += passed;
    count->consecutive = 0;
}

static struct tide_dlq_count one_more_bad(struct tide_dlq_count count)
{
    return (struct tide_dlq_count){count.all + 1, count.invalid + 1, count.consecutive + 1};
}

/* A ratio says nothing of the first bad message, which would be 100 % at the start of a partition. */
const char *tide_dlq_limits_exceeded(struct tide_dlq_limits *limits, uint32_t partition,
                                     struct tide_dlq_count *with)
{
    *with = one_more_bad(*count_of(limits, partition));
    if (limits->max_consecutive_count >= 0 &&
        with->consecutive > (uint64_t)limits->max_consecutive_count)
        return "max_consecutive_count";
    if (limits->max_invalid_ratio >= 0 && with->invalid > 1 &&
        (double)with->invalid > limits->max_invalid_ratio * (double)with->all)
        return "max_invalid_ratio";
    return NULL;
}

/* It is apart from the check, since between the two the dlq may refuse the dead letter: then the message is offered
 * again, and must count once. */
void tide_dlq_limits_rejected(struct tide_dlq_limits *limits, uint32_t partition)
{
    struct tide_dlq_count *count = count_of(limits, partition);
    *count = one_more_bad(*count);
}

void tide_dlq_limits_committed(struct tide_dlq_limits *limits)
{
    for (size_t i = 0; i < limits->count; i++)
        limits->partitions[i].committed = limits->partitions[i].now;
}

void tide_dlq_limits_aborted(struct tide_dlq_limits *limits)
{
    for (size_t i = 0; i < limits->count; i++)
        limits->partitions[i].now = limits->partitions[i].committed;
}

void tide_dlq_limits_free(struct tide_dlq_limits *limits)
{
    free(limits->partitions);
}
