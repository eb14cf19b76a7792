/* SPDX-License-Identifier: MIT
 * engine/chain/states_inside.h - what the files of keyed state share. Each calls only those above it in this list:
 *   gaps.c           positions at which there is no state to be stored
 *   timers.c         watermarks, and timers that are not stored yet
 *   states.c         values in memory, changes that are not stored yet
 *   states_store.c   what a commit covers, and its transaction in the store
 *   states_timers.c  which timers are due */
#ifndef TIDE_CHAIN_STATES_INSIDE_H
#define TIDE_CHAIN_STATES_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/gaps.h"
#include "chain/states.h"
#include "chain/timers.h"
#include "store/store.h"

struct tide_state_change {
    struct tide_state_entry *entry;
    struct tide_state_value *value;
    int64_t offset;
    uint32_t index; /* of the partition */
};

struct tide_state_input {
    char *name; /* NULL = its position is not stored */
    struct tide_store_position position;
};

struct tide_state_named {
    char *name, *by;
    uint32_t number; /* in the store */
};

struct tide_states {
    char *dir, *pipeline;
    struct tide_store *store;
    int status;
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
    struct tide_timers *timers;
};

/* states.c */

void tide_states_fill_key(const struct tide_states *states, const struct tide_state_entry *entry,
                          struct tide_store_key *key);
/** The change is stored, or forgotten. */
void tide_states_drop_change(const struct tide_state_change *change);
/** Drops values that are not in use, if there are too many. */
void tide_states_shrink(struct tide_states *states);

#endif
