/* SPDX-License-Identifier: MIT
 * The values of keyed state in memory: a table of keys, and the list of the changes that are not stored yet. A change
 * keeps its own value, since the position of a commit may lie between two changes of a key. Start at tide_states_change. */
#include "chain/states.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/status.h"
#include "io/source.h"
#include "shm/layout.h"

enum {
    FIRST_PLACES = 1 << 12,
    CACHE_BYTES = 64 << 20, /* of values without changes; beyond it they are dropped */
    SWEPT = 1000 /* values of the store that each commit looks at, whether they have expired */
};

struct change {
    struct tide_state_entry *entry;
    struct tide_state_value *value;
    int64_t offset;
    uint32_t index; /* of the partition */
};

struct input {
    char *name; /* NULL = its position is not stored */
    struct tide_store_position position;
};

struct state {
    char *name, *by;
    uint32_t number; /* in the store */
};

struct tide_states {
    char *dir, *pipeline;
    struct tide_store *store;
    int status;
    struct state *states;
    uint32_t state_count;
    struct tide_state_entry **places; /* a power of two */
    uint32_t place_count, entry_count;
    uint64_t bytes; /* of entries and their values */
    uint64_t fills;
    struct tide_states_totals counted; /* but for what is known otherwise */
    struct change *changes;            /* in the order in which they were accepted */
    uint32_t change_count, change_room;
    struct input *inputs; /* by partition */
    uint32_t input_count;
};

struct tide_states *tide_states_new(const char *dir, const char *pipeline)
{
    struct tide_states *states = tide_alloc(sizeof(*states));
    states->dir = tide_copy(dir);
    states->pipeline = tide_copy(pipeline);
    states->place_count = FIRST_PLACES;
    states->places = tide_alloc(sizeof(struct tide_state_entry *) * FIRST_PLACES);
    return states;
}

uint32_t tide_states_add(struct tide_states *states, const char *name, const char *by)
{
    uint32_t index = states->state_count;
    tide_grow(&states->states, &states->state_count, index + 1, sizeof(*states->states));
    states->states[index] = (struct state){tide_copy(name), tide_copy(by), 0};
    return index;
}

int tide_states_open(struct tide_states *states)
{
    int status = TIDE_OK;
    states->store = tide_store_open(states->dir, states->pipeline, 0);
    if (!states->store)
        return tide_failure();
    for (uint32_t i = 0; i < states->state_count && status == TIDE_OK; i++) {
        struct state *state = &states->states[i];
        status = tide_store_state(states->store, state->name, state->by, &state->number);
    }
    return status;
}

int tide_states_status(const struct tide_states *states)
{
    return states->status;
}

uint64_t tide_states_fill(struct tide_states *states)
{
    return ++states->fills;
}

/* ---- values ---- */

static struct tide_state_value *new_value(const struct tide_store_value *from)
{
    struct tide_state_value *value = tide_alloc(sizeof(*value) + from->length);
    value->references = 1;
    value->kind = from->kind;
    value->expires_ms = from->expires_ms;
    value->length = from->length;
    if (from->length > 0)
        memcpy(value->bytes, from->bytes, from->length);
    return value;
}

static void release(struct tide_state_value *value)
{
    if (value && --value->references == 0)
        free(value);
}

static void set_value(struct tide_states *states, struct tide_state_entry *entry,
                      struct tide_state_value *value)
{
    states->bytes -= entry->value ? sizeof(*value) + entry->value->length : 0;
    states->bytes += value ? sizeof(*value) + value->length : 0;
    release(entry->value);
    entry->value = value;
}

static void fill_key(const struct tide_states *states, const struct tide_state_entry *entry,
                     struct tide_store_key *key)
{
    *key = (struct tide_store_key){states->states[entry->state].number, entry->partition,
                                   entry->key, entry->key_length};
}

static int load(struct tide_states *states, struct tide_state_entry *entry)
{
    struct tide_store_value found = {.kind = TIDE_STATE_NONE};
    struct tide_store_key key;
    fill_key(states, entry, &key);
    int status = tide_store_get(states->store, &key, &found);
    if (status < 0)
        return states->status = status;
    set_value(states, entry, new_value(&found));
    return TIDE_OK;
}

/* ---- the table ---- */

static uint32_t hash_of(uint32_t state, int32_t partition, const char *key, uint32_t length)
{
    uint64_t hash = tide_store_hash(state * 0x9E3779B1u + (uint32_t)partition, key, length);
    return (uint32_t)(hash >> 32);
}

static void grow_table(struct tide_states *states)
{
    uint32_t count = states->place_count * 2;
    struct tide_state_entry **places = tide_alloc(sizeof(*places) * count);
    for (uint32_t i = 0; i < states->place_count; i++) {
        struct tide_state_entry *entry = states->places[i], *next;
        for (; entry; entry = next) {
            next = entry->next;
            entry->next = places[entry->hash & (count - 1)];
            places[entry->hash & (count - 1)] = entry;
        }
    }
    free(states->places);
    states->places = places;
    states->place_count = count;
}

static struct tide_state_entry *look_up(const struct tide_states *states, uint32_t hash,
                                        uint32_t state, int32_t partition, const char *key,
                                        uint32_t length)
{
    struct tide_state_entry *entry = states->places[hash & (states->place_count - 1)];
    while (entry &&
           (entry->hash != hash || entry->state != state || entry->partition != partition ||
            entry->key_length != length || memcmp(entry->key, key, length) != 0))
        entry = entry->next;
    return entry;
}

struct tide_state_entry *tide_states_find(struct tide_states *states, uint32_t state,
                                          int32_t partition, const char *key, uint32_t length)
{
    uint32_t hash = hash_of(state, partition, key, length);
    struct tide_state_entry *entry = look_up(states, hash, state, partition, key, length);
    if (!entry) {
        if (states->entry_count++ >= states->place_count)
            grow_table(states);
        entry = tide_alloc(sizeof(*entry) + length);
        entry->hash = hash;
        entry->state = state;
        entry->partition = partition;
        entry->key_length = length;
        if (length > 0)
            memcpy(entry->key, key, length);
        entry->next = states->places[hash & (states->place_count - 1)];
        states->places[hash & (states->place_count - 1)] = entry;
        states->bytes += sizeof(*entry) + length;
    }
    bool known = entry->value != NULL;
    states->counted.hits += known;
    states->counted.misses += !known;
    return known || load(states, entry) == TIDE_OK ? entry : NULL;
}

int tide_states_look(const struct tide_states *states, const char *name, int32_t partition,
                     const char *key, uint32_t length, struct tide_store_value *value)
{
    uint32_t state = 0;
    while (state < states->state_count && strcmp(states->states[state].name, name) != 0)
        state++;
    if (state == states->state_count || !states->store || length > TIDE_STORE_KEY)
        return 0;
    uint32_t hash = hash_of(state, partition, key, length);
    struct tide_state_entry *entry = look_up(states, hash, state, partition, key, length);
    if (!entry || !entry->value) {
        struct tide_store_key stored = {states->states[state].number, partition, key, length};
        return tide_store_get(states->store, &stored, value);
    }
    *value = (struct tide_store_value){entry->value->expires_ms, entry->value->kind,
                                       entry->value->length, entry->value->bytes};
    return value->kind != TIDE_STATE_NONE;
}

/* What is stored and not in use can be read again. */
static void drop_unused(struct tide_states *states, bool all)
{
    for (uint32_t i = 0; i < states->place_count; i++) {
        struct tide_state_entry **at = &states->places[i], *entry;
        while ((entry = *at)) {
            if (!all && (entry->waiting > 0 || entry->pins > 0)) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            set_value(states, entry, NULL);
            states->bytes -= sizeof(*entry) + entry->key_length;
            states->entry_count--;
            free(entry);
        }
    }
}

/* ---- changes ---- */

void tide_states_change(struct tide_states *states, struct tide_state_entry *entry, uint32_t index,
                        int64_t offset, const struct tide_store_value *value)
{
    struct tide_state_value *changed = new_value(value);
    changed->references = 2;
    set_value(states, entry, changed);
    entry->waiting++;
    states->counted.changes++;
    if (states->change_count == states->change_room)
        tide_grow(&states->changes, &states->change_room, states->change_room * 2 + 1024,
                  sizeof(*states->changes));
    states->changes[states->change_count++] = (struct change){entry, changed, offset, index};
}

static void drop_change(const struct change *change)
{
    change->entry->waiting--;
    release(change->value);
}

static int write_change(struct tide_states *states, const struct change *change)
{
    const struct tide_state_value *value = change->value;
    struct tide_store_key key;
    fill_key(states, change->entry, &key);
    if (value->kind == TIDE_STATE_NONE)
        return tide_store_delete(states->store, &key);
    struct tide_store_value stored = {value->expires_ms, value->kind, value->length, value->bytes};
    return tide_store_put(states->store, &key, &stored);
}

static bool is_covered(const struct change *change, const int64_t *limits, uint32_t count)
{
    return change->index < count && change->offset < limits[change->index];
}

/* All of a transaction. Of the changes of one key in it the last one stands. */
static int write_all(struct tide_states *states, const int64_t *limits, uint32_t count)
{
    int status = tide_store_begin(states->store);
    for (uint32_t i = 0; i < states->change_count && status == TIDE_OK; i++)
        if (is_covered(&states->changes[i], limits, count))
            status = write_change(states, &states->changes[i]);
    for (uint32_t i = 0; i < states->input_count && status == TIDE_OK; i++) {
        struct input *input = &states->inputs[i];
        if (!input->name || i >= count || limits[i] < 0)
            continue;
        input->position.offset = limits[i];
        status = tide_store_put_position(states->store, input->name, 0, &input->position);
    }
    if (status == TIDE_OK)
        status = tide_store_sweep(states->store, tide_clock_wall_ms(), SWEPT);
    return status == TIDE_OK ? tide_store_commit(states->store) : status;
}

int tide_states_store(struct tide_states *states, const struct tide_position *positions,
                      size_t count)
{
    int64_t *limits = NULL;
    uint32_t partitions = 0;
    int status;
    int64_t begin_us = tide_clock_us();
    if (states->status < 0)
        return states->status;
    for (size_t i = 0; i < count; i++) {
        uint32_t known = partitions;
        tide_grow(&limits, &partitions, positions[i].partition + 1, sizeof(*limits));
        for (uint32_t j = known; j < partitions; j++)
            limits[j] = -1;
        limits[positions[i].partition] = positions[i].offset;
    }
    do /* TIDE_BUSY: the map has grown */
        status = write_all(states, limits, partitions);
    while (status == TIDE_BUSY);
    states->counted.stores++;
    states->counted.store_us += tide_clock_us() - begin_us;
    states->counted.store_bytes = tide_store_bytes(states->store);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < states->change_count && status == TIDE_OK; i++) {
        struct change change = states->changes[i];
        if (is_covered(&change, limits, partitions))
            drop_change(&change);
        else
            states->changes[kept++] = change;
    }
    if (status == TIDE_OK)
        states->change_count = kept;
    free(limits);
    if (states->bytes > CACHE_BYTES)
        drop_unused(states, false);
    return states->status = status;
}

void tide_states_totals(const struct tide_states *states, struct tide_states_totals *totals)
{
    *totals = states->counted;
    totals->keys = states->entry_count;
    totals->bytes = states->bytes;
    totals->waiting = states->change_count;
    totals->expired = states->store ? tide_store_expired(states->store) : 0;
}

/* An entry is read from the store again, which has what was stored before. */
void tide_states_forget(struct tide_states *states, uint32_t index)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < states->change_count; i++) {
        struct change change = states->changes[i];
        if (change.index == index) {
            set_value(states, change.entry, NULL);
            drop_change(&change);
        } else {
            states->changes[kept++] = change;
        }
    }
    states->change_count = kept;
}

int tide_states_input(struct tide_states *states, uint32_t index, const char *input,
                      struct tide_store_position *position)
{
    struct tide_store_position stored;
    tide_grow(&states->inputs, &states->input_count, index + 1, sizeof(*states->inputs));
    free(states->inputs[index].name);
    states->inputs[index] = (struct input){tide_copy(input), *position};
    int found = tide_store_get_position(states->store, input, 0, &stored);
    if (found == 1)
        *position = stored;
    return found;
}

void tide_states_free(struct tide_states *states)
{
    if (!states)
        return;
    for (uint32_t i = 0; i < states->change_count; i++)
        drop_change(&states->changes[i]);
    drop_unused(states, true);
    for (uint32_t i = 0; i < states->state_count; i++) {
        free(states->states[i].name);
        free(states->states[i].by);
    }
    for (uint32_t i = 0; i < states->input_count; i++)
        free(states->inputs[i].name);
    tide_store_close(states->store);
    free(states->inputs);
    free(states->states);
    free(states->changes);
    free(states->places);
    free(states->pipeline);
    free(states->dir);
    free(states);
}
