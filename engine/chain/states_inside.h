/* SPDX-License-Identifier: MIT
 * engine/chain/states_inside.h - what the files of keyed state share. Each calls only those above it in this list:
 *   changelog_record.c   the bytes of a record of a changelog; no state
 *   key_places.c     keys that come in several partitions
 *   watermark.c      how far event time has come
 *   timers.c         timers that are not stored yet
 *   states_values.c  one value
 *   states_changes.c changes that are not stored yet
 *   states.c         the keys in memory
 *   states_changelog.c   sends what a commit covers to the changelog
 *   states_restore.c     restores partitions from it ...
 *   states_records.c     ... the records of which it keeps, until there are many to be stored
 *   states_store.c   opens the store; what a commit can cover, and its transaction in the store
 *   states_timers.c  which timers are due */
#ifndef TIDE_CHAIN_STATES_INSIDE_H
#define TIDE_CHAIN_STATES_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
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

/** A partition of the source, where there is a changelog. */
struct tide_state_index {
    bool here;  /* it is assigned ... */
    bool ready; /* ... and restored */
    int32_t number;
    char *topic;
    int64_t newest; /* the largest offset that the state is known to have in it; -1 = none */
};

/** A partition of one state in its changelog. */
struct tide_state_log {
    int64_t
        restored; /* what the store had of it up to this offset when it was assigned, and since then; -1 = nothing */
    int64_t end; /* after the last record that was acknowledged and is not stored yet; -1 = none */
    bool has_by; /* it has the entry TIDE_STATES_BY, or a change that makes it waits */
};

struct tide_state_partition {
    uint32_t here;               /* of so many topics it is assigned */
    struct tide_state_log *logs; /* of each state */
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
    uint64_t waiting_bytes;      /* what they take ... */
    uint64_t waiting_keys_bytes; /* ... and the entries that they keep in memory */
    uint32_t crossed; /* up to the last one that was accepted out of order: tide_states_choose */
    struct tide_state_input *inputs; /* by partition */
    uint32_t input_count;
    struct tide_key_places key_places; /* where there is a changelog */
    struct tide_timers *timers;

    /* states_store.c: the commit that is being made. By partition, the offset before which it covers the changes; -1 =
     * none of them. */
    int64_t *limits;
    uint32_t limit_count;
    uint64_t commits; /* that were begun */
    uint64_t passes;  /* of tide_states_choose */
    int64_t *chosen;  /* by index */
    uint32_t chosen_count;
    struct tide_store_order *order; /* room: what is written, in the order of the store */
    uint32_t order_room;

    /* states_changelog.c */
    char *inputs_text; /* the topics that are read, with commas; NULL = there is no changelog */
    uint32_t input_topics;
    struct tide_state_index *indexes; /* of the source */
    uint32_t index_count;
    struct tide_state_partition *partitions; /* by number */
    uint32_t partition_count;
    uint32_t send_next; /* of the changes: the first that is not looked at yet */
    uint32_t send_end;
    uint32_t unreported; /* records that were sent */
    struct tide_text record;

    struct tide_state_records *records; /* states_records.c: that are not stored yet; NULL = none */
};

/* states_values.c */

/** With one reference. The bytes are copied. */
struct tide_state_value *tide_state_value_new(const struct tide_store_value *from);
void tide_state_value_release(struct tide_state_value *value); /* NULL is fine */
/** The entry takes over the reference; NULL = its value has to be read from the store. */
void tide_states_set_value(struct tide_states *states, struct tide_state_entry *entry,
                           struct tide_state_value *value);

/* states.c */

/** A store with a changelog takes so many changes in one transaction and no more, since LMDB has the pages that a
 * transaction writes in memory. A crash between two of them leaves values that are newer than the offset of the changelog
 * beside them: they are put again when it is restored from there. */
bool tide_states_portion_is_full(uint32_t changes, size_t bytes);

/** Keeps the failure, which is in tide_error(), and returns it. */
int tide_states_failed(struct tide_states *states, int status);
/** The values of a partition have to be read from the store again. */
void tide_states_reload(struct tide_states *states, int32_t number);
void tide_states_fill_key(const struct tide_states *states, const struct tide_state_entry *entry,
                          struct tide_store_key *key);
/** Drops values that are not in use, if there are too many. */
void tide_states_shrink(struct tide_states *states);

/* states_changes.c */

/** The commit that is being made covers this change. */
bool tide_states_covers(const struct tide_states *states, const struct tide_state_change *change);
/** The change is stored, or forgotten. */
void tide_states_drop_change(struct tide_states *states, const struct tide_state_change *change);
/** Drops all of a partition of the source, and what the commit that is being made covers of it. */
void tide_states_forget_changes(struct tide_states *states, uint32_t index);

/* states_store.c */

/** The entry that has the newest time of a partition of the source. NULL when the store fails. */
struct tide_state_entry *tide_states_time_entry(struct tide_states *states,
                                                const struct tide_rises *rises);

/* states_changelog.c */

/** Within the transaction that stores a commit: how far the changelog of each partition stands for it. */
int tide_states_write_logs(struct tide_states *states);

#endif
