/* SPDX-License-Identifier: MIT
 * engine/chain/lane.h - messages of one partition that wait, oldest first. For chain/letters.c: the dead letters that are
 * not acknowledged, and those of them that are to be sent again. For chain/task_retry.c: what is to be tried again, and
 * what waits behind it. Each has the protocol. */
#ifndef TIDE_CHAIN_LANE_H
#define TIDE_CHAIN_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"

/** One that is kept, with its bytes behind the struct. */
struct tide_kept {
    struct tide_kept *next;
    struct tide_message message;
};

/** Zero it to begin with. */
struct tide_lane {
    struct tide_kept *kept; /* oldest first */
    struct tide_kept *last;
    uint32_t kept_count;
    uint64_t kept_bytes;
    uint32_t sent; /* with the sink, or in a batch */
    bool failing;
    bool probing;    /* what is sent is the probe */
    bool exceeded;   /* it said no since it last said yes */
    int64_t next_us; /* failing: of the next probe */
    int64_t pause_us;
    int64_t since_us; /* a step's: the first one was tried first, 0 = not yet ... */
    uint32_t tries;   /* ... and so many times */
};

/** Zero it to begin with. */
struct tide_lanes {
    struct tide_lane *items; /* by partition */
    uint32_t count;
};

/** Valid until the next call for a partition not seen before. */
struct tide_lane *tide_lanes_at(struct tide_lanes *lanes, uint32_t partition);
/** Bytes of all that is kept. */
uint64_t tide_lanes_bytes(const struct tide_lanes *lanes);
/** Lanes with letters, sent or kept. */
uint32_t tide_lanes_used(const struct tide_lanes *lanes);
void tide_lanes_free(struct tide_lanes *lanes);

/** Doubles its pause, from `first_us` on, and sets when it ends. */
void tide_lane_pause(struct tide_lane *lane, int64_t now_us, int64_t first_us, int64_t longest_us);
void tide_lane_keep(struct tide_lane *lane, const struct tide_message *letter, bool in_front);
/** The first one kept goes. */
void tide_lane_drop(struct tide_lane *lane);

#endif
