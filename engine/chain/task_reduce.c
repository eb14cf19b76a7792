/* SPDX-License-Identifier: MIT
 * A step that reduces: its functions see a whole batch and what they return stands for all messages of it, so all
 * become through when the last result is delivered (a group, chain/offsets.h). The accumulation lives nowhere
 * but in the worker's run over the batch, whose messages stay in their block until then. So:
 *   - a worker that is lost, at whatever message, costs nothing: the batch is run again from its start;
 *   - messages whose partition was revoked meanwhile are marked and the batch is run again without them: nothing
 *     of them is in what is delivered, and of a batch that is revoked as a whole nothing is left;
 *   - a message that workers die of is rejected, marked, and the rest run again. */
#include <stdlib.h>

#include "base/status.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/layout.h"
#include "shm/topics.h"

static struct tide_record *record_at(const struct tide_slot *slot, uint32_t index)
{
    return (struct tide_record *)(void *)(slot->input->data + (uint64_t)slot->places[index] * 8);
}

bool tide_reduce_dropped(const struct tide_slot *slot, uint32_t index)
{
    return record_at(slot, index)->flags & TIDE_RECORD_DROPPED;
}

bool tide_reduce_mark(struct tide_task *task, struct tide_slot *slot, uint32_t first, uint32_t end)
{
    bool marked = false;
    for (uint32_t i = first; i < end; i++) {
        if (tide_reduce_dropped(slot, i) ||
            tide_offsets_current(task->step.chain->offsets, slot->origins[i]))
            continue;
        record_at(slot, i)->flags |= TIDE_RECORD_DROPPED;
        marked = true;
    }
    return marked;
}

static void open_group(struct tide_task *task, struct tide_slot *slot)
{
    struct tide_origin *members = tide_alloc(sizeof(*members) * (slot->ready - slot->released + 1));
    uint32_t count = 0;
    for (uint32_t i = slot->released; i < slot->ready; i++) {
        if (!tide_reduce_dropped(slot, i))
            members[count++] = slot->origins[i];
    }
    slot->grouped = count > 0;
    if (slot->grouped)
        slot->group = tide_offsets_group(task->step.chain->offsets, members, count);
    free(members);
}

void tide_reduce_take(struct tide_task *task, struct tide_slot *slot, int64_t now_us)
{
    struct tide_told told;
    bool failed = slot->work.state == TIDE_WORK_LOST || slot->work.blamed;
    bool retry = !failed &&
                 tide_results_retry(slot, tide_topics_count(task->step.chain->topics), &told);
    bool whole = !failed && !tide_reduce_mark(task, slot, slot->released, slot->ready);
    if (whole && !retry) {
        open_group(task, slot);
        slot->wait = (struct tide_lane){0};
        return;
    }
    if (whole)
        tide_retry_note(task, slot, told.error, now_us);
    if (failed && slot->suspect != slot->ready) {
        slot->suspect = slot->ready;
        slot->attempts = 0;
    }
    slot->ready = slot->released;
    slot->ready_bytes = slot->result_at = 0;
}

void tide_reduce_leave(struct tide_task *task, struct tide_slot *slot)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    if (slot->grouped && tide_offsets_current(offsets, slot->group))
        tide_offsets_done(offsets, slot->group, TIDE_FATE_FILTERED);
    else if (slot->grouped)
        tide_offsets_drop(offsets, slot->group);
    slot->grouped = false;
}

/* Workers die of the result, which is made of all messages: none of them is more to blame than another. */
static int reject_all(struct tide_task *task, struct tide_slot *slot,
                      const struct tide_reject *fields)
{
    uint32_t attempts = slot->attempts;
    while (slot->released < slot->count) {
        int status = tide_reduce_dropped(slot, slot->released)
                         ? TIDE_OK
                         : tide_task_reject(task, slot, slot->released, fields);
        if (status != TIDE_OK)
            return status;
        tide_task_finish_record(task, slot);
        slot->attempts = attempts;
    }
    slot->ready = slot->released;
    slot->work.blamed = false;
    return TIDE_OK;
}

int tide_reduce_reject(struct tide_task *task, struct tide_slot *slot,
                       const struct tide_reject *fields)
{
    while (slot->suspect < slot->count && tide_reduce_dropped(slot, slot->suspect))
        slot->suspect++; /* what is left out does nothing: it was on its way to the next */
    if (slot->suspect >= slot->count)
        return reject_all(task, slot, fields);
    int status = tide_task_reject(task, slot, slot->suspect, fields);
    if (status != TIDE_OK)
        return status;
    record_at(slot, slot->suspect)->flags |= TIDE_RECORD_DROPPED;
    slot->rejected = false; /* that flag is about the record that is released next */
    slot->attempts = 0;
    slot->work.blamed = false;
    return TIDE_OK;
}
