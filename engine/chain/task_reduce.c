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

static struct tide_record *record_at(const struct tide_batch *batch, uint32_t index)
{
    return (struct tide_record *)(void *)(batch->input->data + (uint64_t)batch->places[index] * 8);
}

bool tide_reduce_dropped(const struct tide_batch *batch, uint32_t index)
{
    return record_at(batch, index)->flags & TIDE_RECORD_DROPPED;
}

bool tide_reduce_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end)
{
    bool marked = false;
    for (uint32_t i = first; i < end; i++) {
        if (tide_reduce_dropped(batch, i) ||
            tide_offsets_current(task->step.chain->offsets, batch->origins[i]))
            continue;
        record_at(batch, i)->flags |= TIDE_RECORD_DROPPED;
        marked = true;
    }
    return marked;
}

static void open_group(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_origin *members = tide_alloc(sizeof(*members) *
                                             (batch->ready - batch->released + 1));
    uint32_t count = 0;
    for (uint32_t i = batch->released; i < batch->ready; i++) {
        if (!tide_reduce_dropped(batch, i))
            members[count++] = batch->origins[i];
    }
    batch->grouped = count > 0;
    if (batch->grouped)
        batch->group = tide_offsets_group(task->step.chain->offsets, members, count);
    free(members);
}

void tide_reduce_take(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_failure failure;
    bool failed = batch->work.state == TIDE_WORK_LOST || batch->work.blamed;
    bool retry = !failed &&
                 tide_results_retry(batch, tide_topics_count(task->step.chain->topics), &failure);
    bool whole = !failed && !tide_reduce_mark(task, batch, batch->released, batch->ready);
    if (whole && !retry) {
        open_group(task, batch);
        batch->wait = (struct tide_partition_queue){0};
        return;
    }
    if (whole)
        tide_retry_note(task, batch, failure.error, now_us);
    if (failed && batch->suspect != batch->ready) {
        batch->suspect = batch->ready;
        batch->attempts = 0;
    }
    batch->ready = batch->released;
    batch->ready_bytes = batch->result_at = 0;
}

void tide_reduce_leave(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    if (batch->grouped && tide_offsets_current(offsets, batch->group))
        tide_offsets_unref(offsets, batch->group, TIDE_OUTCOME_FILTERED);
    else if (batch->grouped)
        tide_offsets_drop(offsets, batch->group);
    batch->grouped = false;
}

/* Workers die of the result, which is made of all messages: none of them is more to blame than another. */
static int reject_all(struct tide_task *task, struct tide_batch *batch,
                      const struct tide_reject *fields)
{
    uint32_t attempts = batch->attempts;
    while (batch->released < batch->count) {
        int status = tide_reduce_dropped(batch, batch->released)
                         ? TIDE_OK
                         : tide_task_reject(task, batch, batch->released, fields);
        if (status != TIDE_OK)
            return status;
        tide_task_finish_record(task, batch);
        batch->attempts = attempts;
    }
    batch->ready = batch->released;
    batch->work.blamed = false;
    return TIDE_OK;
}

int tide_reduce_reject(struct tide_task *task, struct tide_batch *batch,
                       const struct tide_reject *fields)
{
    while (batch->suspect < batch->count && tide_reduce_dropped(batch, batch->suspect))
        batch->suspect++; /* what is left out does nothing: it was on its way to the next */
    if (batch->suspect >= batch->count)
        return reject_all(task, batch, fields);
    int status = tide_task_reject(task, batch, batch->suspect, fields);
    if (status != TIDE_OK)
        return status;
    record_at(batch, batch->suspect)->flags |= TIDE_RECORD_DROPPED;
    batch->rejected = false; /* that flag is about the record that is released next */
    batch->attempts = 0;
    batch->work.blamed = false;
    return TIDE_OK;
}
