/* SPDX-License-Identifier: MIT
 * engine/chain/gaps.h - positions at which state cannot be stored. The value of a key has all of its changes in it, in the
 * order in which they were accepted. That is mostly the order of the offsets; where a change of an earlier message is
 * accepted after one of a later message (a step before it does not keep the order; a timer of the earlier message), no
 * position between the two has a value: the first one's change cannot be stored without the second one's. So a commit in
 * such a gap is made at its beginning. */
#ifndef TIDE_CHAIN_GAPS_H
#define TIDE_CHAIN_GAPS_H

#include <stddef.h>
#include <stdint.h>

struct tide_gap {
    uint32_t index; /* of the partition */
    int64_t low;    /* the position before the earlier message is good, and ... */
    int64_t high;   /* ... those behind this offset are */
};

/** Zero it before the first use; free `list` at the end. */
struct tide_gaps {
    struct tide_gap *list;
    uint32_t count, room;
};

/** A change of message `offset` was accepted after one of message `later` > `offset`, of the same key. */
void tide_gaps_add(struct tide_gaps *gaps, uint32_t index, int64_t offset, int64_t later);
/** The largest position up to `position` that is in no gap. */
int64_t tide_gaps_limit(const struct tide_gaps *gaps, uint32_t index, int64_t position);
/** Everything before `position` is stored; INT64_MAX = the partition is forgotten. */
void tide_gaps_pass(struct tide_gaps *gaps, uint32_t index, int64_t position);

#endif
