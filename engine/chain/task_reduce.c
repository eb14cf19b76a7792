/* SPDX-License-Identifier: MIT
 * A step that reduces: its functions see a whole batch, and what they return stands for all messages of it, so all of
 * them are complete when the last result is delivered (a group, chain/offsets.h). The accumulation lives nowhere but in
 * the worker's run over the batch, whose messages stay in their block until then. So:
 *   - a worker that is lost, at whatever message, costs nothing: the batch is run again from its start;
 *   - messages whose partition was revoked meanwhile are marked and the batch is run again without them: nothing of
 *     them is in what is delivered, and of a batch that is revoked as a whole nothing is left;
 *   - a message that workers die of is rejected and marked, and the others are run again;
 *   - when the function asks for tide.retry the batch waits as a whole, and so do the batches after it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/layout.h"
#include "shm/topics.h"

static bool is_left_out(const struct tide_batch *batch, uint32_t index)
{
    return tide_batch_record(batch, index)->flags & TIDE_RECORD_LEFT_OUT;
}

/* The mark is in the input block, where workers see it; the batch keeps its length, so that indexes mean the same in
 * every run. */
static void leave_out(const struct tide_batch *batch, uint32_t index)
{
    tide_batch_record(batch, index)->flags |= TIDE_RECORD_LEFT_OUT;
}

/* Returns whether any record was revoked since the last time. */
static bool leave_out_revoked(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                              uint32_t end)
{
    bool any = false;
    for (uint32_t i = first; i < end; i++) {
        if (is_left_out(batch, i) ||
            tide_offsets_current(task->step.chain->offsets, batch->origins[i]))
            continue;
        leave_out(batch, i);
        any = true;
    }
    return any;
}

static void reduce_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                        uint32_t end)
{
    leave_out_revoked(task, batch, first, end);
}

static void open_group(struct tide_task *task, struct tide_batch *batch)
{
    uint32_t first = batch->release.released, end = batch->run.ready, count = 0;
    struct tide_origin *members = tide_alloc(sizeof(*members) * (end - first + 1));
    for (uint32_t i = first; i < end; i++) {
        if (!is_left_out(batch, i))
            members[count++] = batch->origins[i];
    }
    /* All members may be left out by now: then there is no result either. */
    batch->group.open = count > 0;
    if (batch->group.open)
        batch->group.origin = tide_offsets_group(task->step.chain->offsets, members, count);
    free(members);
}

/* Remembers what the worker died of: the record that it was looking at or, once it had looked at all of them, the
 * result. What makes no sense may have come of any record. */
static void attribute_crash(struct tide_batch *batch)
{
    struct tide_batch_group *group = &batch->group;
    bool all = batch->work.violation || batch->run.ready == batch->records.count;
    if (all == group->attributed_to_all && (all || batch->run.ready == group->attributed))
        return;
    group->attributed_to_all = all;
    group->attributed = all ? 0 : batch->run.ready;
    batch->record.attempts = 0;
}

static void pause_batch(struct tide_task *task, struct tide_batch *batch, const char *reason,
                        int64_t now_us)
{
    struct tide_message message;
    tide_batch_message(batch, batch->release.released, &message);
    snprintf(batch->pause.reason, sizeof(batch->pause.reason), "%s", reason);
    batch->pause.wanted = true;
    tide_retry_begin_pause(task, &batch->pause.times, &message, reason, now_us);
}

/* The results are used all together, or none of them: after a crash because they are not complete, after a revocation
 * because messages are in them that their next owner reads again. The batch is then run again from its start. */
static int reduce_take(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    const struct tide_work *work = &batch->work;
    uint32_t topics = tide_topics_count(task->step.chain->topics);
    bool lost = work->state == TIDE_WORK_WORKER_LOST || work->attributed;
    struct tide_failure failure;
    if (!work->violation && tide_results_check(batch, topics) < 0)
        return TIDE_EDATA;
    bool retry = !lost && tide_results_retry(batch, topics, &failure);
    bool whole = !lost &&
                 !leave_out_revoked(task, batch, batch->release.released, batch->run.ready);
    if (whole && !retry) {
        open_group(task, batch);
        batch->pause.times = (struct tide_partition_queue){0};
        return TIDE_OK;
    }
    if (whole)
        pause_batch(task, batch, failure.error, now_us);
    if (lost)
        attribute_crash(batch);
    batch->run = (struct tide_batch_run){.ready = batch->release.released,
                                         .crashed = work->attributed || work->violation};
    return TIDE_OK;
}

/* The group is complete when its outputs are, which have references of their own; this gives back the first one. */
static void reduce_leave(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    if (batch->group.open && tide_offsets_current(offsets, batch->group.origin))
        tide_offsets_unref(offsets, batch->group.origin, TIDE_OUTCOME_FILTERED);
    else if (batch->group.open)
        tide_offsets_drop(offsets, batch->group.origin);
    batch->group.open = false;
}

/* The result is made of all messages, so a crash in it is attributed to all of them. */
static int reject_all(struct tide_task *task, struct tide_batch *batch,
                      const struct tide_reject *fields)
{
    uint32_t attempts = batch->record.attempts; /* of all records, so each dead letter has them */
    while (batch->release.released < batch->records.count) {
        uint32_t record = batch->release.released;
        int status = is_left_out(batch, record) ? TIDE_OK
                                                : tide_task_reject(task, batch, record, fields);
        if (status != TIDE_OK)
            return status;
        tide_task_finish_record(task, batch);
        batch->record.attempts = attempts;
    }
    return TIDE_OK;
}

static int reduce_reject(struct tide_task *task, struct tide_batch *batch,
                         const struct tide_reject *fields)
{
    struct tide_batch_group *group = &batch->group;
    uint32_t count = batch->records.count;
    /* The worker does nothing with what is left out: it was on its way to the next record. */
    while (!group->attributed_to_all && group->attributed < count &&
           is_left_out(batch, group->attributed))
        group->attributed++;
    if (group->attributed_to_all || group->attributed == count)
        return reject_all(task, batch, fields);
    int status = tide_task_reject(task, batch, group->attributed, fields);
    if (status != TIDE_OK)
        return status;
    leave_out(batch, group->attributed);
    batch->record = (struct tide_batch_record){
        0}; /* it was rejected for another one than is released next */
    return TIDE_OK;
}

static void reduce_finish(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                          uint32_t filtered, bool passed)
{
    struct tide_chain *chain = task->step.chain;
    uint32_t first = batch->release.released, reduced = 0;
    (void)filtered; /* their result is that of the batch */
    for (uint32_t i = first; i < first + count; i++)
        reduced += !is_left_out(batch, i);
    if (passed && reduced > 0)
        tide_dlq_passed(chain->dlq, tide_offsets_partition(chain->offsets, batch->origins[first]),
                        reduced);
}

int tide_reduce_resume(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_batch_pause *pause = &batch->pause;
    if (tide_retry_timed_out(task, &pause->times, now_us)) {
        struct tide_reject fields = {
            .reason = "retry_timeout", .error = pause->reason, .attempts = pause->times.tries};
        int status = reject_all(task, batch, &fields);
        pause->wanted = status != TIDE_OK;
        return status;
    }
    if (now_us < pause->times.next_us)
        return TIDE_BUSY;
    pause->wanted = false;
    return TIDE_OK;
}

const struct tide_task_kind tide_task_reduce = {
    .mark = reduce_mark,
    .take = reduce_take,
    .leave = reduce_leave,
    .reject = reduce_reject,
    .finish = reduce_finish,
};
