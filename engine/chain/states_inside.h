/* SPDX-License-Identifier: MIT
 * engine/chain/states_inside.h - what the files of keyed state share. Each calls only those above it in this list:
 *   changelog_record.c   the bytes of a record of a changelog; no state
 *   key_places.c     keys that come in several partitions
 *   gaps.c           positions at which there is no state to be stored
 *   timers.c         watermarks, and timers that are not stored yet
 *   states.c         values in memory, changes that are not stored yet
 *   states_changelog.c   sends what a commit covers to the changelog, and restores partitions from it
 *   states_store.c   what a commit covers, and its transaction in the store
 *   states_timers.c  which timers are due */
#ifndef TIDE_CHAIN_STATES_INSIDE_H
#define TIDE_CHAIN_STATES_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "chain/gaps.h"
#include "chain/key_places.h"
#include "chain/states.h"
#include "chain/timers.h"
#include "store/store.h"

struct tide_state_change {
    struct tide_state_entry *entry;
    struct tide_state_value *value;
    int64_t offset;
    uint32_t index; /* of the partition */
    bool last;      /* of its key, among those that the commit covers: states_store.c */
};

struct tide_state_input {
    char *name; /* NULL = its position is not stored */
    struct tide_store_position position;
};

struct tide_state_named {
    char *name, *by;
    uint32_t number; /* in the store */
    char *topic;     /* its changelog; NULL = it has none ... */
    uint16_t topic_number;
};

/** A partition of one state in its changelog. */
struct tide_state_log {
    int64_t
        restored; /* what the store had of it up to this offset when it was assigned, and since then; -1 = nothing */
    int64_t end; /* after the last record that was acknowledged and is not stored yet; -1 = none */
};

struct tide_state_partition {
    bool here; /* it is assigned */
    int32_t number;
    struct tide_state_log *logs; /* of each state */
    int64_t newest; /* the largest offset of the input that a restored record has; -1 = none */
};

struct tide_states {
    char *dir, *pipeline;
    struct tide_store *store;
    int status;     /* of the first failure ... */
    char text[512]; /* ... and what it was */
    struct tide_state_named *states;
    uint32_t state_count;
    struct tide_state_entry **places; /* a power of two */
    uint32_t place_count, entry_count;
    uint64_t bytes; /* of entries and their values */
    uint64_t fills;
    struct tide_states_totals counted; /* but for what is known otherwise */
    struct tide_state_change *changes; /* in the order in which they were accepted */
    uint32_t change_count, change_room;
    struct tide_state_input *inputs; /* by partition */
    uint32_t input_count;
    struct tide_gaps gaps;
    struct tide_key_places key_places; /* where there is a changelog */
    struct tide_timers *timers;

    /* states_store.c: the commit that is being made. By partition, the offset before which it covers the changes; -1 =
     * none of them. */
    int64_t *limits;
    uint32_t limit_count;
    uint64_t commits; /* that were begun */

    /* states_changelog.c */
    char *input; /* the topic that is read; NULL = there is no changelog */
    struct tide_state_partition *partitions; /* by index */
    uint32_t partition_count;
    uint32_t send_next; /* of the changes: the first that is not looked at yet */
    uint32_t send_end;
    uint32_t unreported; /* records that were sent */
    struct tide_text record;
};

/* states.c */

/** Keeps the failure, which is in tide_error(), and returns it. */
int tide_states_failed(struct tide_states *states, int status);
/** The commit that is being made covers this change. */
bool tide_states_covers(const struct tide_states *states, const struct tide_state_change *change);
/** The values of a partition have to be read from the store again, and its times. */
void tide_states_reload(struct tide_states *states, uint32_t index, int32_t number);
void tide_states_fill_key(const struct tide_states *states, const struct tide_state_entry *entry,
                          struct tide_store_key *key);
/** The change is stored, or forgotten. */
void tide_states_drop_change(const struct tide_state_change *change);
/** Drops values that are not in use, if there are too many. */
void tide_states_shrink(struct tide_states *states);

/* states_changelog.c */

/** Within the transaction that stores a commit: how far the changelog of each partition stands for it. */
int tide_states_write_logs(struct tide_states *states);

#endif
