/* SPDX-License-Identifier: MIT
 * What a commit covers of the changes, and its transaction in the store. Start reading at tide_states_store. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/status.h"
#include "chain/states_inside.h"
#include "io/source.h"
#include "shm/layout.h"

enum {
    SWEPT =
        1000 /* values of the store that are looked at in each commit, whether they have expired */
};

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

static bool is_covered(const struct tide_state_change *change, const int64_t *limits,
                       uint32_t count)
{
    return change->index < count &&
           (change->offset < limits[change->index] || tide_fault("bug.state_ahead"));
}

/* All of a transaction. Of the changes of one key in it the last one stands. */
static int write_all(struct tide_states *states, const int64_t *limits, uint32_t count)
{
    int status = tide_store_begin(states->store);
    for (uint32_t i = 0; i < states->change_count && status == TIDE_OK; i++)
        if (is_covered(&states->changes[i], limits, count))
            status = write_change(states, &states->changes[i]);
    for (uint32_t i = 0; i < states->input_count && status == TIDE_OK; i++) {
        struct tide_state_input *input = &states->inputs[i];
        if (!input->name || i >= count || limits[i] < 0)
            continue;
        input->position.offset = limits[i];
        status = tide_store_put_position(states->store, input->name, 0, &input->position);
    }
    if (status == TIDE_OK)
        status = tide_store_sweep(states->store, tide_clock_wall_ms(), SWEPT);
    return status == TIDE_OK ? tide_store_commit(states->store) : status;
}

/* What the positions cover of the watermarks becomes a change like any other, of the last message before them. */
static int settle_times(struct tide_states *states, const int64_t *limits, uint32_t count)
{
    struct tide_timeline *line;
    uint32_t at = 0, index;
    int64_t newest_ms;
    while (tide_timers_cover(states->timers, &at, limits, count, &index, &line, &newest_ms)) {
        tide_require(limits && index < count);
        struct tide_state_entry *entry = tide_states_find(states, line->state, line->number,
                                                          TIDE_TIMERS_KEY, TIDE_TIMERS_KEY_LENGTH);
        double newest = (double)newest_ms;
        struct tide_store_value value = {0, TIDE_STATE_NUMBER, sizeof(newest),
                                         (const char *)&newest};
        if (!entry)
            return states->status;
        tide_states_change(states, entry, index, limits[index] - 1, &value);
    }
    return TIDE_OK;
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
    status = settle_times(states, limits, partitions);
    do /* TIDE_BUSY: the map has grown */
        status = status < 0 ? status : write_all(states, limits, partitions);
    while (status == TIDE_BUSY);
    states->counted.stores++;
    states->counted.store_us += tide_clock_us() - begin_us;
    states->counted.store_bytes = tide_store_bytes(states->store);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < states->change_count && status == TIDE_OK; i++) {
        struct tide_state_change change = states->changes[i];
        if (is_covered(&change, limits, partitions))
            tide_states_drop_change(&change);
        else
            states->changes[kept++] = change;
    }
    if (status == TIDE_OK)
        states->change_count = kept;
    for (uint32_t i = 0; i < partitions && status == TIDE_OK; i++)
        tide_gaps_pass(&states->gaps, i, limits[i]);
    if (status == TIDE_OK)
        tide_timers_stored(states->timers, limits, partitions);
    free(limits);
    tide_states_shrink(states);
    return states->status = status;
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
