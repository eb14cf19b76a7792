/* SPDX-License-Identifier: MIT
 * engine/chain/dlq_limits.h - counts good and bad messages by partition, for max_invalid_ratio and
 * max_consecutive_count. One bad message never exceeds a ratio; from the second on it is checked against the messages
 * seen so far. */
#ifndef TIDE_CHAIN_DLQ_LIMITS_H
#define TIDE_CHAIN_DLQ_LIMITS_H

#include <stdint.h>

struct tide_dlq_count {
    uint64_t all;
    uint64_t invalid;
    uint64_t consecutive; /* bad ones since the last good one */
};

/** Zero it, but for the two limits, to begin with. */
struct tide_dlq_limits {
    double max_invalid_ratio;      /* negative = no limit */
    int64_t max_consecutive_count; /* negative = no limit */
    struct tide_dlq_counts *partitions;
    uint32_t count;
};

/** So many messages of the partition are good, at least one. */
void tide_dlq_limits_passed(struct tide_dlq_limits *limits, uint32_t partition, uint32_t passed);
/** The option that one more bad message of the partition would exceed, NULL = none; `with` are the counts with it. */
const char *tide_dlq_limits_exceeded(struct tide_dlq_limits *limits, uint32_t partition,
                                     struct tide_dlq_count *with);
void tide_dlq_limits_rejected(struct tide_dlq_limits *limits, uint32_t partition);
/** The transaction is committed: what was counted stays counted. */
void tide_dlq_limits_committed(struct tide_dlq_limits *limits);
/** The transaction is aborted: counts as of the last commit, since one bad message that is read ten times is one. */
void tide_dlq_limits_aborted(struct tide_dlq_limits *limits);
void tide_dlq_limits_free(struct tide_dlq_limits *limits);

#endif
