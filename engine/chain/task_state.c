/* SPDX-License-Identifier: MIT
 * A step with state (chain/states.h): what a job is filled with, and what becomes of the changes that its results hold. It
 * is a worker that writes these, but which key they change it cannot say: that is the key of the record, as it was found
 * here when the job was filled. Start reading at tide_state_fill. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/layout.h"

enum { BLOCK = 16 << 20, KEPT = 1 << 20 /* bytes of it that keep their pages */ };

int tide_state_prepare(struct tide_task *task, struct tide_batch *batch)
{
    (void)task;
    batch->keyed.entries = tide_alloc(sizeof(struct tide_state_entry *) * batch->capacity);
    batch->keyed.block = tide_block_new(BLOCK);
    return batch->keyed.block ? TIDE_OK : tide_failure();
}

const char *tide_state_problem(bool has_key, uint32_t length)
{
    static char text[160];
    if (!has_key)
        return "the message has no key (option \"by\"), so it has no state";
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
    for (uint32_t i = batch->keyed.first; i < batch->keyed.end; i++)
        batch->keyed.entries[i]->pins--;
    batch->keyed.first = batch->keyed.end = 0;
}

/* Returns the bytes that are used then; 0 = it does not fit. */
static uint64_t write_value(struct tide_block *block, uint64_t used,
                            const struct tide_state_value *value, uint32_t number, int64_t now_ms)
{
    bool expired = value->expires_ms > 0 && value->expires_ms <= now_ms;
    uint32_t length = expired ? 0 : value->length;
    struct tide_state *state = (struct tide_state *)(void *)(block->data + used);
    uint64_t end = used + ((sizeof(*state) + length + 7) & ~(uint64_t)7);
    if (end > block->max)
        return 0;
    *state = (struct tide_state){
        .number = number, .kind = expired ? TIDE_STATE_NONE : value->kind, .length = length};
    if (length > 0)
        memcpy(state + 1, value->bytes, length);
    return end;
}

static struct tide_state_entry *entry_of(struct tide_task *task, const struct tide_batch *batch,
                                         uint32_t record)
{
    struct tide_message message;
    const char *key = NULL;
    uint32_t length = 0;
    tide_batch_message(batch, record, &message);
    bool has_key = tide_lane_key_read(task->by_key.key, &message, &key, &length);
    tide_require(has_key && length <= TIDE_STORE_KEY); /* else it was rejected */
    return tide_states_find(task->step.chain->states, task->state, message.partition, key, length);
}

/* A batch may hold messages of an assignment that is over, and behind them those of the next one. Within a job a message
 * sees what the ones before it wrote, and these must not see what will be dropped: so they are another job. */
static bool begins_anew(struct tide_task *task, const struct tide_batch *batch, uint32_t record)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    return !tide_offsets_current(offsets, batch->origins[record - 1]) &&
           tide_offsets_current(offsets, batch->origins[record]);
}

/* At least one value fits, since none is longer than TIDE_STORE_VALUE. */
uint32_t tide_state_fill(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                         uint32_t end)
{
    struct tide_block *block = batch->keyed.block;
    uint32_t *places = (uint32_t *)(void *)block->data;
    uint64_t fill = tide_states_fill(task->step.chain->states);
    uint64_t used = ((uint64_t)(end - first) * sizeof(*places) + 7) & ~(uint64_t)7;
    int64_t now_ms = tide_clock_wall_ms();
    uint32_t number = 0, record = first;
    unpin(batch);
    batch->keyed.first = batch->keyed.end = first;
    for (; record < end && (record == first || !begins_anew(task, batch, record)); record++) {
        struct tide_state_entry *entry = entry_of(task, batch, record);
        if (!entry) { /* the store has failed, and the run ends before this job counts */
            memset(places, 0, used + sizeof(struct tide_state));
            return end;
        }
        if (entry->fill != fill) {
            uint64_t after = write_value(block, used, entry->value, number, now_ms);
            if (after == 0)
                break;
            entry->fill = fill;
            entry->place = (uint32_t)(used / 8);
            used = after;
            number++;
        }
        entry->pins++;
        batch->keyed.entries[record] = entry;
        batch->keyed.end = record + 1;
        places[record - first] = entry->place;
    }
    if (used > block->touched)
        block->touched = used;
    return record > first ? record : end;
}

/* ---- what came of it ---- */

void tide_state_take(struct tide_batch *batch, const struct tide_store_value *change)
{
    batch->record.changed = true;
    batch->record.change = *change;
}

void tide_state_accept(struct tide_task *task, struct tide_batch *batch, uint32_t record)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_store_value change = batch->record.change;
    struct tide_origin origin = batch->origins[record];
    int64_t ttl_ms = change.expires_ms < 0 ? task->plan.state_ttl_ms : change.expires_ms;
    batch->record.changed = false;
    if (!tide_offsets_current(chain->offsets, origin) || tide_states_status(chain->states) < 0)
        return;
    tide_require(record >= batch->keyed.first && record < batch->keyed.end);
    change.expires_ms = ttl_ms > 0 ? tide_clock_wall_ms() + ttl_ms : 0;
    tide_states_change(chain->states, batch->keyed.entries[record],
                       tide_offsets_partition(chain->offsets, origin),
                       tide_batch_record(batch, record)->offset, &change);
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
