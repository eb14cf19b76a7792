/* SPDX-License-Identifier: MIT
 * engine/chain/offsets_inside.h - the tracker's own structs, for offsets.c and offsets_transaction.c. */
#ifndef TIDE_CHAIN_OFFSETS_INSIDE_H
#define TIDE_CHAIN_OFFSETS_INSIDE_H

#include "chain/groups.h"
#include "chain/offsets.h"

struct tide_entry {
    int64_t offset;
    uint32_t holds;
    uint16_t fate;
    uint16_t released; /* counted in partition.released */
};

enum tide_track_state { TIDE_TRACK_AWAY, TIDE_TRACK_OWNED, TIDE_TRACK_LEAVING };

/* Entries [head, tail) of a ring: messages read and not yet passed by the position. */
struct tide_track {
    enum tide_track_state state;
    bool aborted; /* the transaction of what is through is gone */
    uint16_t epoch;
    uint32_t head;
    uint32_t tail;
    uint32_t capacity; /* a power of two */
    struct tide_entry *entries;
    int64_t passed;     /* the offset after the last entry that left the ring; -1 = none yet */
    int64_t skipped_to; /* nothing more comes before it; -1 = not known */
    uint64_t released;
    uint64_t unfinished; /* entries with holds */
    uint32_t sent_to;    /* behind the last entry that left the last step */
    uint64_t unsettled[TIDE_FATES];
};

struct tide_offsets {
    struct tide_track *partitions;
    size_t count;
    struct tide_offsets_totals totals;
    struct tide_groups *groups;
    uint64_t changes; /* of what is current: groups count their members again after one */
    bool transactional;
};

/** How many members of the group are current. */
uint32_t tide_offsets_count_current(struct tide_offsets *offsets, struct tide_group *group);

#endif
