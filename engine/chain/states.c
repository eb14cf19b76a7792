/* SPDX-License-Identifier: MIT
 * The values of keyed state in memory: a table of keys, over the store. What of them is not stored yet is in
 * states_changes.c. Start at tide_states_find. */
#include "chain/states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/grow.h"
#include "base/status.h"
#include "chain/states_inside.h"
#include "shm/layout.h"

enum {
    FIRST_PLACES = 1 << 12,
    CACHE_BYTES = 16 << 20 /* of values without changes; beyond it they are dropped */
};

struct tide_states *tide_states_new(const char *dir, const char *pipeline)
{
    struct tide_states *states = tide_alloc(sizeof(*states));
    states->dir = tide_copy(dir);
    states->pipeline = tide_copy(pipeline);
    states->timers = tide_timers_new();
    states->place_count = FIRST_PLACES;
    states->places = tide_alloc(sizeof(struct tide_state_entry *) * FIRST_PLACES);
    return states;
}

uint32_t tide_states_add(struct tide_states *states, const char *name, const char *by)
{
    uint32_t index = states->state_count;
    tide_grow(&states->states, &states->state_count, index + 1, sizeof(*states->states));
    states->states[index] = (struct tide_state_named){.name = tide_copy(name), .by = tide_copy(by)};
    return index;
}

void tide_states_add_timers(struct tide_states *states, uint32_t state, int64_t grace_ms)
{
    tide_timers_add(states->timers, state, grace_ms);
}

int tide_states_status(const struct tide_states *states)
{
    return states->status < 0 ? tide_fail(states->status, "%s", states->text) : TIDE_OK;
}

int tide_states_failed(struct tide_states *states, int status)
{
    if (states->status == TIDE_OK) {
        states->status = status;
        snprintf(states->text, sizeof(states->text), "%s", tide_error());
    }
    return status;
}

uint64_t tide_states_fill(struct tide_states *states)
{
    return ++states->fills;
}

/* ---- values ---- */

void tide_states_fill_key(const struct tide_states *states, const struct tide_state_entry *entry,
                          struct tide_store_key *key)
{
    *key = (struct tide_store_key){states->states[entry->state].number, entry->partition,
                                   entry->key, entry->key_length};
}

static int load(struct tide_states *states, struct tide_state_entry *entry)
{
    struct tide_store_value found = {.kind = TIDE_STATE_NONE};
    struct tide_store_key key;
    tide_states_fill_key(states, entry, &key);
    int status = tide_store_get(states->store, &key, &found);
    if (status >= 0)
        tide_states_set_value(states, entry, tide_state_value_new(&found));
    return status < 0 ? tide_states_failed(states, status) : TIDE_OK;
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
        struct tide_store_key at = {state, partition, key, length};
        if (states->inputs_text)
            tide_key_places_note(&states->key_places, &at, states->states[state].name,
                                 states->inputs_text);
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
            while (entry->taken) /* at the end of the process alone: it pins the entry */
                tide_timers_end(states->timers, entry, entry->taken->at);
            tide_states_set_value(states, entry, NULL);
            states->bytes -= sizeof(*entry) + entry->key_length;
            states->entry_count--;
            free(entry);
        }
    }
}

void tide_states_shrink(struct tide_states *states)
{
    if (states->bytes > CACHE_BYTES)
        drop_unused(states, false);
}

/* ---- partitions ---- */

void tide_states_reload(struct tide_states *states, int32_t number)
{
    for (uint32_t i = 0; i < states->place_count; i++)
        for (struct tide_state_entry *entry = states->places[i]; entry; entry = entry->next)
            if (entry->partition == number)
                tide_states_set_value(states, entry, NULL);
}

/* What is in flight of the partition is dropped, so nobody will say that it has ended. */
static void give_up_timers(struct tide_states *states, uint32_t index)
{
    for (uint32_t i = 0; i < states->place_count && tide_timers_taken(states->timers) > 0; i++)
        for (struct tide_state_entry *entry = states->places[i]; entry; entry = entry->next)
            tide_timers_give_up(states->timers, entry, index);
}

/* Another engine may have the partition before it comes back, and change any of its values. */
void tide_states_forget(struct tide_states *states, uint32_t index)
{
    tide_states_forget_changes(states, index);
    tide_timers_forget(states->timers, index);
    if (!tide_fault("bug.timer_taken_kept"))
        give_up_timers(states, index);
    if (index >= states->index_count || !states->indexes[index].here)
        return;
    int32_t number = states->indexes[index].number;
    struct tide_state_partition *partition = &states->partitions[number];
    states->indexes[index].here = false;
    partition->here--;
    for (uint32_t i = 0; i < states->state_count; i++)
        partition->logs[i].end = -1;
    tide_states_reload(states, number);
}

void tide_states_free(struct tide_states *states)
{
    if (!states)
        return;
    for (uint32_t i = 0; i < states->change_count; i++)
        tide_states_drop_change(states, &states->changes[i]);
    drop_unused(states, true);
    for (uint32_t i = 0; i < states->state_count; i++) {
        free(states->states[i].name);
        free(states->states[i].by);
        free(states->states[i].topic);
    }
    for (uint32_t i = 0; i < states->input_count; i++)
        free(states->inputs[i].name);
    for (uint32_t i = 0; i < states->partition_count; i++)
        free(states->partitions[i].logs);
    tide_store_close(states->store);
    tide_text_free(&states->record);
    for (uint32_t i = 0; i < states->index_count; i++)
        free(states->indexes[i].topic);
    free(states->indexes);
    free(states->order);
    free(states->records);
    free(states->partitions);
    free(states->limits);
    free(states->chosen);
    free(states->inputs_text);
    tide_timers_free(states->timers);
    free(states->inputs);
    free(states->states);
    free(states->changes);
    free(states->places);
    free(states->pipeline);
    free(states->dir);
    free(states);
}
