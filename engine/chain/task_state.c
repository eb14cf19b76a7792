/* SPDX-License-Identifier: MIT
 * A step with state (chain/states.h): what a job is filled with, and what becomes of the changes that its results hold. It
 * is a worker that writes these, but which key they change it cannot say: that is the key of the record, as it was found
 * here when the job was filled. Start reading at tide_state_fill. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/task.h"
#include "chain/task_timers.h"
#include "chain/timers.h"
#include "shm/block.h"
#include "shm/layout.h"

enum {
    BLOCK = 16 << 20,
    PLACES =
        4
        << 20, /* bytes of it for the numbers of a job, so that the values of one record fit behind them */
    KEPT = 1 << 20 /* bytes of it that keep their pages */
};

_Static_assert(PLACES + TIDE_STATES_MOST * (TIDE_STORE_VALUE + 600) <= BLOCK, "a record fits");

int tide_state_prepare(struct tide_task *task, struct tide_batch *batch)
{
    batch->keyed.states = task->plan.state_count;
    batch->keyed.entries = tide_alloc(sizeof(struct tide_state_entry *) * batch->capacity *
                                      batch->keyed.states);
    if (task->timers.time)
        batch->keyed.watermarks = tide_alloc(sizeof(int64_t) * batch->capacity);
    batch->keyed.block = tide_block_new(BLOCK);
    return batch->keyed.block ? TIDE_OK : tide_failure();
}

const char *tide_state_problem(const char *missing, const char *key, uint32_t length)
{
    static char text[300];
    if (missing) {
        snprintf(text, sizeof(text), "the message has no key (option \"by\"): %s", missing);
        return text;
    }
    if ((length >= TIDE_TIMERS_KEY_LENGTH &&
         memcmp(key, TIDE_TIMERS_KEY, TIDE_TIMERS_KEY_LENGTH) == 0) ||
        (length == TIDE_STATES_BY_LENGTH && memcmp(key, TIDE_STATES_BY, length) == 0))
        return "the key of the message is one that tidemill uses itself";
    if (length <= TIDE_STORE_KEY)
        return NULL;
    snprintf(text, sizeof(text),
             "the key of the message has %u bytes; state has keys of %d at most", length,
             TIDE_STORE_KEY);
    return text;
}

/* ---- a job is given ---- */

static void unpin(struct tide_batch *batch)
{
    uint32_t states = batch->keyed.states;
    for (uint32_t i = batch->keyed.first * states; i < batch->keyed.end * states; i++)
        batch->keyed.entries[i]->pins--;
    batch->keyed.first = batch->keyed.end = 0;
}

/* Returns the bytes that are used then; 0 = it does not fit. */
static uint64_t write_value(struct tide_block *block, uint64_t used,
                            const struct tide_state_entry *entry, uint32_t number, int64_t now_ms)
{
    const struct tide_state_value *value = entry->value;
    bool expired = value->expires_ms > 0 && value->expires_ms <= now_ms;
    uint32_t length = expired ? 0 : value->length;
    struct tide_state *state = (struct tide_state *)(void *)(block->data + used);
    uint64_t end = used + ((sizeof(*state) + length + entry->key_length + 7) & ~(uint64_t)7);
    if (end > block->max)
        return 0;
    *state = (struct tide_state){.number = number,
                                 .kind = expired ? TIDE_STATE_NONE : value->kind,
                                 .length = length,
                                 .key_length = entry->key_length};
    if (length > 0)
        memcpy(state + 1, value->bytes, length);
    if (entry->key_length > 0)
        memcpy((char *)(state + 1) + length, entry->key, entry->key_length);
    return end;
}

/* Finds the entries of the record, and its watermark. False when the store has failed. */
static bool find_entries(struct tide_task *task, const struct tide_batch *batch, uint32_t record,
                         struct tide_state_place *places)
{
    struct tide_state_entry **entries = &batch->keyed.entries[(size_t)record * batch->keyed.states];
    struct tide_message message;
    tide_batch_message(batch, record, &message);
    const char *key = message.key;
    uint32_t length = message.key_length;
    bool has_key = message.flags & TIDE_MESSAGE_TIMER ||
                   tide_lane_key_read(task->by_key.key, &message, &key, &length);
    tide_require(has_key && length <= TIDE_STORE_KEY); /* else it was rejected */
    for (uint32_t i = 0; i < batch->keyed.states; i++) {
        entries[i] = tide_states_find(task->step.chain->states, task->state + i, message.partition,
                                      key, length);
        if (!entries[i])
            return false;
    }
    tide_task_time_place(task, &message, places);
    for (uint32_t i = 1; i < batch->keyed.states; i++)
        places[i] = places[0];
    return true;
}

/* What the block has so far. */
struct filling {
    uint64_t number; /* of this fill */
    uint64_t used;
    uint32_t states;
    int64_t now_ms;
};

/* Writes the values of the record that are not in the block yet. False when they do not all fit; those that do then
 * are in the block for nobody. */
static bool write_values(const struct tide_batch *batch, uint32_t record, struct filling *filling,
                         struct tide_state_place *places)
{
    struct tide_state_entry **entries = &batch->keyed.entries[(size_t)record * batch->keyed.states];
    for (uint32_t i = 0; i < batch->keyed.states; i++) {
        struct tide_state_entry *entry = entries[i];
        if (entry->fill != filling->number) {
            uint64_t end = write_value(batch->keyed.block, filling->used, entry, filling->states,
                                       filling->now_ms);
            if (end == 0)
                return false;
            entry->fill = filling->number;
            entry->place = (uint32_t)(filling->used / 8);
            filling->used = end;
            filling->states++;
        }
        places[i].at = entry->place;
    }
    for (uint32_t i = 0; i < batch->keyed.states; i++)
        entries[i]->pins++;
    return true;
}

/* A batch may hold messages of an assignment that is over, and behind them those of the next one. Within a job a message
 * sees what the ones before it wrote, and these must not see what will be dropped: so they are another job. */
static bool begins_anew(struct tide_task *task, const struct tide_batch *batch, uint32_t record)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    return !tide_fault("bug.state_together") &&
           !tide_offsets_current(offsets, batch->origins[record - 1]) &&
           tide_offsets_current(offsets, batch->origins[record]);
}

/* At least one record fits, since no value is longer than TIDE_STORE_VALUE. */
uint32_t tide_state_fill(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                         uint32_t end)
{
    struct tide_block *block = batch->keyed.block;
    struct tide_state_place *places = (struct tide_state_place *)(void *)block->data;
    uint32_t states = batch->keyed.states;
    uint32_t most = PLACES / (uint32_t)sizeof(*places) / states, record = first;
    struct filling filling = {.number = tide_states_fill(task->step.chain->states),
                              .now_ms = tide_clock_day_ms()};
    if (end - first > most)
        end = first + most;
    filling.used = (uint64_t)(end - first) * states * sizeof(*places);
    unpin(batch);
    batch->keyed.first = batch->keyed.end = first;
    for (; record < end && (record == first || !begins_anew(task, batch, record)); record++) {
        struct tide_state_place *place = &places[(size_t)(record - first) * states];
        if (!find_entries(task, batch, record, place)) { /* the run ends before this job counts */
            memset(places, 0, filling.used + sizeof(struct tide_state));
            return end;
        }
        if (!write_values(batch, record, &filling, place))
            break;
        batch->keyed.end = record + 1;
    }
    if (filling.used > block->touched)
        block->touched = filling.used;
    return record;
}

/* ---- what came of it ---- */

void tide_state_take(struct tide_batch *batch, const struct tide_parsed_change *change)
{
    batch->record.changed |= 1u << change->state;
    batch->keyed.changes[change->state] = change->value;
}

void tide_state_accept(struct tide_task *task, struct tide_batch *batch, uint32_t record)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_origin origin = batch->origins[record];
    uint32_t changed = batch->record.changed, states = batch->keyed.states;
    batch->record.changed = 0;
    bool current = tide_offsets_current(chain->offsets, origin) ||
                   tide_fault("bug.state_of_revoked");
    if (!current || tide_states_status(chain->states) < 0)
        return;
    tide_require(record >= batch->keyed.first && record < batch->keyed.end);
    for (uint32_t i = 0; i < states; i++) {
        if (!(changed & 1u << i))
            continue;
        struct tide_store_value change = batch->keyed.changes[i];
        int64_t ttl_ms = change.expires_ms < 0 ? task->plan.state_ttl_ms : change.expires_ms;
        change.expires_ms = ttl_ms > 0 ? tide_clock_latest_ms() + ttl_ms : 0;
        tide_states_change(chain->states, batch->keyed.entries[record * states + i],
                           tide_offsets_partition(chain->offsets, origin),
                           tide_batch_record(batch, record)->offset, &change);
    }
    if (changed & 1u &&
        tide_state_timer(batch->keyed.entries[(size_t)record * states]->value) != 0) {
        struct tide_message message;
        tide_batch_message(batch, record, &message);
        tide_task_time_accepted(task, &message);
    }
}

void tide_state_end_timer(struct tide_task *task, const struct tide_batch *batch, uint32_t record)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_origin origin = batch->origins[record];
    const struct tide_record *timer = tide_batch_record(batch, record);
    if (!task->has_state || !(timer->message_flags & TIDE_MESSAGE_TIMER) ||
        !tide_offsets_current(chain->offsets, origin) || tide_states_status(chain->states) < 0)
        return;
    tide_require(record >= batch->keyed.first && record < batch->keyed.end);
    tide_states_end_timer(chain->states, batch->keyed.entries[(size_t)record * batch->keyed.states],
                          tide_offsets_partition(chain->offsets, origin), timer->offset,
                          timer->timestamp);
}

void tide_state_end(struct tide_task *task, struct tide_batch *batch)
{
    if (!task->has_state)
        return;
    unpin(batch);
    if (batch->keyed.block->touched > KEPT) {
        tide_block_trim(batch->keyed.block, KEPT);
        batch->keyed.block->touched = KEPT;
    }
}
