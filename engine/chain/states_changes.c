/* SPDX-License-Identifier: MIT
 * The changes of keyed state that are not stored yet, in the order in which they were accepted. A change keeps its own value,
 * since the position of a commit may lie between two changes of a key. What they take is bounded: a function may keep a
 * mebibyte for each message. Start at tide_states_change. */
#include "base/fault.h"
#include "base/grow.h"
#include "chain/states_inside.h"

/* More commits cost nothing as long as their keys are different ones, and a record of the changelog for each key that is in
 * several: so what the keys take counts apart. */
static const uint64_t COMMIT_KEYS_BYTES = 7 << 20, FULL_KEYS_BYTES = 14 << 20;
static const uint64_t COMMIT_BYTES = 64 << 20, FULL_BYTES = 96 << 20;

/* A timer that the entry has already is in the heap, or in the list of the store. */
static void note_timer(struct tide_states *states, struct tide_state_entry *entry, uint32_t index,
                       int64_t offset, const struct tide_state_value *value)
{
    int64_t at = tide_state_timer(value);
    if (at != 0 && at != (entry->value ? tide_state_timer(entry->value) : 0))
        tide_timers_set(states->timers, entry, index, offset, at);
}

/* The change that is accepted next may be covered by a commit that does not cover one before it. Mostly there is none. */
static void note_order(struct tide_states *states, struct tide_state_entry *entry, uint32_t index,
                       int64_t offset)
{
    bool same = entry->waiting > 0 && entry->newest_index == index;
    if ((entry->waiting > 0 && !same) || (same && entry->newest_offset > offset))
        states->crossed = states->change_count + 1;
    if (same && entry->newest_offset > offset)
        return;
    entry->newest_index = index;
    entry->newest_offset = offset;
}

/* To be called while the other changes alone are counted as waiting. The first of an entry keeps the entry in memory. */
static void count_bytes(struct tide_states *states, const struct tide_state_change *change,
                        int sign)
{
    const struct tide_state_entry *entry = change->entry;
    states->waiting_bytes += (uint64_t)sign *
                             (sizeof(*change) + sizeof(*change->value) + change->value->length);
    if (entry->waiting == 0)
        states->waiting_keys_bytes += (uint64_t)sign * (sizeof(*entry) + entry->key_length);
}

void tide_states_change(struct tide_states *states, struct tide_state_entry *entry, uint32_t index,
                        int64_t offset, const struct tide_store_value *value)
{
    struct tide_state_value *changed = tide_state_value_new(value);
    note_timer(states, entry, index, offset, changed);
    note_order(states, entry, index, offset);
    changed->references = 2;
    tide_states_set_value(states, entry, changed);
    states->counted.changes++;
    if (states->change_count == states->change_room)
        tide_grow(&states->changes, &states->change_room, states->change_room * 2 + 1024,
                  sizeof(*states->changes));
    struct tide_state_change *change = &states->changes[states->change_count++];
    *change = (struct tide_state_change){entry, changed, offset, index, false};
    count_bytes(states, change, 1);
    entry->waiting++;
}

void tide_states_drop_change(struct tide_states *states, const struct tide_state_change *change)
{
    change->entry->waiting--;
    count_bytes(states, change, -1);
    tide_state_value_release(change->value);
}

enum tide_states_room tide_states_room(const struct tide_states *states)
{
    if (!states)
        return TIDE_STATES_HAVE_ROOM;
    uint64_t keys = states->waiting_keys_bytes, all = keys + states->waiting_bytes;
    return keys >= FULL_KEYS_BYTES || all >= FULL_BYTES       ? TIDE_STATES_FULL
           : keys >= COMMIT_KEYS_BYTES || all >= COMMIT_BYTES ? TIDE_STATES_WANT_COMMIT
                                                              : TIDE_STATES_HAVE_ROOM;
}

bool tide_states_covers(const struct tide_states *states, const struct tide_state_change *change)
{
    return change->index < states->limit_count &&
           (change->offset < states->limits[change->index] || tide_fault("bug.state_ahead"));
}

/* An entry is read from the store again, which has what was stored before. The commit that is being made does not cover the
 * partition any more. */
void tide_states_forget_changes(struct tide_states *states, uint32_t index)
{
    uint32_t kept = 0, next = states->send_next, end = states->send_end, crossed = states->crossed;
    for (uint32_t i = 0; i < states->change_count; i++) {
        struct tide_state_change change = states->changes[i];
        if (change.index != index || tide_fault("bug.state_kept")) {
            states->changes[kept++] = change;
            continue;
        }
        tide_states_set_value(states, change.entry, NULL);
        tide_states_drop_change(states, &change);
        states->send_next -= i < next;
        states->send_end -= i < end;
        states->crossed -= i < crossed;
    }
    states->change_count = kept;
    if (index < states->limit_count)
        states->limits[index] = -1;
}
