/* SPDX-License-Identifier: MIT
 * Opens the store; what a commit covers of the changes, and its transaction in the store. It is chosen when the commit begins, and stored
 * once its answer is there (with a changelog) or before it is asked for (files): meanwhile a partition may be revoked, and
 * is not covered any more. Start reading at tide_states_begin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/states_inside.h"
#include "io/source.h"
#include "shm/layout.h"

enum {
    SWEPT =
        1000 /* values of the store that are looked at in each commit, whether they have expired */
};

/* ---- opening ---- */

/* Its values are what they were when a step had it last. */
static int tell_left(const struct tide_states *states)
{
    struct tide_store_state left;
    int64_t after = -1;
    int found;
    while ((found = tide_store_next_state(states->store, after, &left)) == 1) {
        uint32_t i = 0;
        while (i < states->state_count && states->states[i].number != left.number)
            i++;
        if (i == states->state_count && states->dir)
            tide_log(TIDE_LOG_INFO,
                     "state_dir %s: no step has the state \"%.*s\"; it stays as it is, and misses "
                     "what is read from now on: a step that begins anew needs another name",
                     states->dir, (int)left.length, left.text);
        after = left.number;
    }
    return found;
}

int tide_states_open(struct tide_states *states)
{
    int status = TIDE_OK;
    char owner[600];
    bool copy = states->inputs_text != NULL;
    /* What files were counted into is not what the changelog of this input has. */
    snprintf(owner, sizeof(owner), "%.180s%s%.380s", states->pipeline,
             copy ? TIDE_STORE_CHANGELOG : "", copy ? states->inputs_text : "");
    states->store = copy ? tide_store_open_copy(states->dir, owner)
                         : tide_store_open(states->dir, owner, 0);
    if (!states->store)
        return tide_failure();
    for (uint32_t i = 0; i < states->state_count && status == TIDE_OK; i++) {
        struct tide_state_named *state = &states->states[i];
        status = tide_store_state(states->store, state->name, state->by, &state->number);
        if (status == TIDE_OK && tide_timers_has(states->timers, i))
            status = tide_store_has_timers(states->store, state->number);
    }
    return status == TIDE_OK ? tell_left(states) : status;
}

/* ---- a commit ---- */

static int write_change(struct tide_states *states, const struct tide_state_change *change)
{
    const struct tide_state_value *value = change->value;
    struct tide_store_key key;
    tide_states_fill_key(states, change->entry, &key);
    if (value->kind == TIDE_STATE_NONE)
        return tide_store_delete(states->store, &key);
    struct tide_store_value stored = {value->expires_ms, value->kind, value->length, value->bytes};
    return tide_fault("bug.state_lost") ? TIDE_OK : tide_store_put(states->store, &key, &stored);
}

static int write_positions(struct tide_states *states)
{
    int status = TIDE_OK;
    for (uint32_t i = 0; i < states->input_count && status == TIDE_OK; i++) {
        struct tide_state_input *input = &states->inputs[i];
        if (!input->name || i >= states->limit_count || states->limits[i] < 0)
            continue;
        input->position.offset = states->limits[i];
        status = tide_store_put_position(states->store, input->name, 0, &input->position);
    }
    return status;
}

/* The changes that are covered, in the order of the store; how many. */
static uint32_t put_in_order(struct tide_states *states)
{
    uint32_t count = 0;
    tide_grow(&states->order, &states->order_room, states->change_count, sizeof(*states->order));
    for (uint32_t i = 0; i < states->change_count; i++) {
        const struct tide_state_change *change = &states->changes[i];
        if (!change->last || !tide_states_covers(states, change))
            continue;
        tide_states_fill_key(states, change->entry, &states->order[count].key);
        states->order[count++].index = i;
    }
    tide_store_sort(states->order, count);
    return count;
}

static int write_end(struct tide_states *states)
{
    int status = write_positions(states);
    if (status == TIDE_OK)
        status = tide_states_write_logs(states);
    if (status == TIDE_OK)
        status = tide_store_sweep(states->store, tide_clock_day_ms(), SWEPT);
    return status;
}

/* One transaction, of the changes from *next on: of files all of them. The positions are in the last one. TIDE_BUSY: call it
 * again. */
static int write_portion(struct tide_states *states, uint32_t *next, uint32_t count)
{
    size_t bytes = 0;
    uint32_t at = *next;
    int status = tide_store_begin(states->store);
    for (; at < count && status == TIDE_OK; at++) {
        const struct tide_state_change *change = &states->changes[states->order[at].index];
        if (states->inputs_text && tide_states_portion_is_full(at - *next, bytes))
            break;
        bytes += change->value->length;
        status = write_change(states, change);
    }
    if (status == TIDE_OK && at == count)
        status = write_end(states);
    if (status == TIDE_OK) {
        tide_fault("states.commit"); /* store.commit is passed by a clear, too */
        status = tide_store_commit(states->store);
    }
    if (status != TIDE_OK)
        return status; /* TIDE_BUSY: the map has grown */
    *next = at;
    return at < count ? TIDE_BUSY : TIDE_OK;
}

struct tide_state_entry *tide_states_time_entry(struct tide_states *states,
                                                const struct tide_rises *rises)
{
    char key[TIDE_STORE_KEY] = TIDE_TIMERS_KEY;
    uint32_t length = TIDE_TIMERS_KEY_LENGTH;
    size_t more = rises->topic ? strlen(rises->topic) : 0;
    tide_require(length + more <= sizeof(key));
    if (more > 0)
        memcpy(key + length, rises->topic, more);
    return tide_states_find(states, rises->line->state, rises->line->number, key,
                            length + (uint32_t)more);
}

/* What the positions cover of the watermarks becomes a change like any other, of the last message before them. */
static int settle_times(struct tide_states *states)
{
    const struct tide_rises *rises;
    uint32_t at = 0;
    while ((rises = tide_timers_cover(states->timers, &at, states->limits, states->limit_count))) {
        struct tide_state_entry *entry = tide_states_time_entry(states, rises);
        if (tide_fault("bug.watermark_not_stored")) /* the simulation must find it */
            continue;
        double newest = (double)rises->before_ms;
        struct tide_store_value value = {0, TIDE_STATE_NUMBER, sizeof(newest),
                                         (const char *)&newest};
        tide_require(states->limits && rises->index < states->limit_count);
        if (!entry)
            return tide_states_status(states);
        tide_states_change(states, entry, rises->index, states->limits[rises->index] - 1, &value);
    }
    return TIDE_OK;
}

static int settle_by_of(struct tide_states *states, uint32_t state, uint32_t index)
{
    const char *by = states->states[state].by;
    struct tide_store_value value = {0, TIDE_STATE_STRING, (uint32_t)strlen(by), by};
    struct tide_state_entry *entry = tide_states_find(states, state, states->indexes[index].number,
                                                      TIDE_STATES_BY, TIDE_STATES_BY_LENGTH);
    if (!entry)
        return tide_states_status(states);
    if (entry->value->kind == TIDE_STATE_NONE)
        tide_states_change(states, entry, index, states->limits[index] - 1, &value);
    return TIDE_OK;
}

/* The first commit of a partition says by what its keys are made. It covers a message, as a change is of one. */
static int settle_by(struct tide_states *states)
{
    int status = TIDE_OK;
    for (uint32_t i = 0; i < states->index_count && i < states->limit_count; i++) {
        const struct tide_state_index *index = &states->indexes[i];
        for (uint32_t state = 0; index->here && states->limits[i] > 0 && status == TIDE_OK &&
                                 state < states->state_count;
             state++) {
            struct tide_state_log *log = &states->partitions[index->number].logs[state];
            if (!log->has_by)
                status = settle_by_of(states, state, i);
            log->has_by = true;
        }
    }
    return status;
}

/* A change that is covered behind one of its key that is not would count twice: once in the value, and once more when the other
 * one's message is read again. Lowering one position may leave another change uncovered; the largest positions are found, since
 * none is lowered further than it has to be. */
static void lower(struct tide_states *states, int64_t *positions, uint32_t count)
{
    bool again = states->crossed > 0 && !tide_fault("bug.state_crossed");
    while (again) {
        again = false;
        states->passes++;
        for (uint32_t i = 0; i < states->crossed; i++) {
            const struct tide_state_change *change = &states->changes[i];
            bool covered = change->index < count && change->offset < positions[change->index];
            if (!covered) {
                change->entry->lowered = states->passes;
            } else if (change->entry->lowered == states->passes) {
                positions[change->index] = change->offset;
                again = true;
            }
        }
    }
}

void tide_states_choose(struct tide_states *states, const struct tide_offsets *offsets)
{
    uint32_t count = (uint32_t)tide_offsets_partitions(offsets);
    tide_grow(&states->chosen, &states->chosen_count, count, sizeof(*states->chosen));
    for (uint32_t i = 0; i < count; i++)
        states->chosen[i] = tide_offsets_may_commit(offsets, i) ? tide_offsets_position(offsets, i)
                                                                : -1;
    lower(states, states->chosen, count);
}

int64_t tide_states_limit(const struct tide_states *states, uint32_t index)
{
    return index < states->chosen_count ? states->chosen[index] : -1;
}

static void set_limits(struct tide_states *states, const struct tide_position *positions,
                       size_t count)
{
    for (uint32_t i = 0; i < states->limit_count; i++)
        states->limits[i] = -1;
    for (size_t i = 0; i < count; i++) {
        uint32_t known = states->limit_count;
        tide_grow(&states->limits, &states->limit_count, positions[i].partition + 1,
                  sizeof(*states->limits));
        for (uint32_t j = known; j < states->limit_count; j++)
            states->limits[j] = -1;
        states->limits[positions[i].partition] = positions[i].offset;
    }
}

/* Of each key that is covered the last change is marked. */
int tide_states_begin(struct tide_states *states, const struct tide_position *positions,
                      size_t count)
{
    int status = tide_states_status(states);
    if (status < 0)
        return status;
    set_limits(states, positions, count);
    if ((status = settle_times(states)) < 0 || (status = settle_by(states)) < 0)
        return status;
    for (uint32_t i = 0; i < states->partition_count * states->state_count; i++)
        if (states->partitions[i / states->state_count].logs)
            states->partitions[i / states->state_count].logs[i % states->state_count].end = -1;
    states->commits++;
    for (uint32_t i = states->change_count; i-- > 0;) {
        struct tide_state_change *change = &states->changes[i];
        bool covered = tide_states_covers(states, change);
        change->last = covered && change->entry->commit != states->commits;
        if (covered)
            change->entry->commit = states->commits;
    }
    states->send_next = 0;
    states->send_end = states->inputs_text ? states->change_count : 0;
    return TIDE_OK;
}

int tide_states_store(struct tide_states *states)
{
    int status = tide_states_status(states);
    int64_t begin_us = tide_clock_us();
    if (status < 0)
        return status;
    uint32_t next = 0, count = put_in_order(states);
    do
        status = write_portion(states, &next, count);
    while (status == TIDE_BUSY);
    states->counted.stores++;
    states->counted.store_us += tide_clock_us() - begin_us;
    states->counted.store_bytes = tide_store_bytes(states->store);
    if (status < 0)
        return tide_states_failed(states, status);
    uint32_t kept = 0, crossed = states->crossed;
    for (uint32_t i = 0; i < states->change_count; i++) {
        struct tide_state_change change = states->changes[i];
        if (!tide_states_covers(states, &change)) {
            states->changes[kept++] = change;
            continue;
        }
        tide_states_drop_change(states, &change);
        states->crossed -= i < crossed;
    }
    states->change_count = kept;
    tide_timers_stored(states->timers, states->limits, states->limit_count);
    tide_states_shrink(states);
    return TIDE_OK;
}

void tide_states_totals(const struct tide_states *states, struct tide_states_totals *totals)
{
    *totals = states->counted;
    totals->keys = states->entry_count;
    totals->bytes = states->bytes;
    totals->waiting = states->change_count;
    totals->expired = states->store ? tide_store_expired(states->store) : 0;
}

int tide_states_input(struct tide_states *states, uint32_t index, const char *input,
                      struct tide_store_position *position)
{
    struct tide_store_position stored;
    tide_grow(&states->inputs, &states->input_count, index + 1, sizeof(*states->inputs));
    free(states->inputs[index].name);
    states->inputs[index] = (struct tide_state_input){tide_copy(input), *position};
    int found = tide_store_get_position(states->store, input, 0, &stored);
    if (found == 1)
        *position = stored;
    return found;
}
