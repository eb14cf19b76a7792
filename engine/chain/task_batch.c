/* SPDX-License-Identifier: MIT
 * What the other files of the step do with one batch: take it from the free list, seal it, give its records to the
 * pool, finish or reject the record that is released next, and give it back. It stands below them, so that they need
 * not call each other; what differs between kinds of steps is called through task->kind. Start reading at
 * tide_task_seal, which every batch goes through. */
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"

struct tide_batch *tide_task_oldest(const struct tide_task *task)
{
    return STAILQ_FIRST(&task->order.list);
}

/* A lane by key has batches of its own, whatever the number of processes is now: where it is lower than the number of lanes,
 * a worker has several lanes. */
bool tide_task_has_free(const struct tide_task *task, uint32_t lane)
{
    const struct tide_lane *filled = &task->lanes[lane];
    uint32_t open = filled->open ? 1 : 0;
    if (task->plan.order == TIDE_ORDER_KEY)
        return filled->sealed.count + open < 2 + task->plan.prefetch_batches;
    return task->order.free && task->order.count + open < tide_task_batches(task);
}

struct tide_batch *tide_task_take_free(struct tide_task *task, uint32_t lane, int64_t now_us)
{
    struct tide_batch *batch = task->order.free;
    if (!tide_task_has_free(task, lane))
        return NULL;
    tide_require(batch != NULL);
    task->order.free = batch->next;
    if (task->plan.order != TIDE_ORDER_NONE) /* there the lane is the batch's for good */
        batch->lane = lane;
    batch->state = TIDE_BATCH_FILLING;
    batch->records.opened_us = now_us;
    return batch;
}

/* The number of the job is the pool's, as is the output block, which comes with the worker; what is here tells the worker where the records are and how much room results
 * have. `output_max` is there for a single result that is larger than the present size. */
void tide_task_submit(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end)
{
    struct tide_work *work = &batch->work;
    tide_require(first < end && end <= batch->records.count);
    work->job = (struct tide_job){
        .step = task->step.number,
        .first = first,
        .end = end,
        .record = (const char *)tide_batch_record(batch, first),
        .output_size = task->size.output.now,
        .output_max = task->size.output.max,
        .one_by_one = batch->release.one_by_one,
    };
    if (task->has_state) {
        work->job.end = end = tide_state_fill(task, batch, first, end);
        work->job.states = (const struct tide_state_place *)(const void *)batch->keyed.block->data;
    }
    task->kind->mark(task, batch, first, end);
    work->outputs = task->outputs;
    work->row = task->step.row;
    work->begins_again = task->plan.kind == TIDE_STEP_REDUCE;
    work->pinned = task->plan.order == TIDE_ORDER_KEY;
    work->lane = batch->lane;
    work->continued = first > 0;
    /* A worker that ran other messages before may die of what those have left, and the record would be rejected for
     * it. */
    work->fresh = batch->record.attempts > 0;
    work->attributed = work->timed_out = work->over_cpu = work->several = work->violation = false;
    batch->state = TIDE_BATCH_WITH_POOL;
    tide_pool_submit(task->pool, work);
    tide_task_observe_progress(task);
}

/* A run that ended with a death is none, unless the worker had published its last record by then. */
bool tide_task_is_run(const struct tide_batch *batch)
{
    const struct tide_work *work = &batch->work;
    if (batch->state == TIDE_BATCH_RESULTS)
        return batch->run.ready == batch->records.count && !batch->run.crashed;
    return batch->state == TIDE_BATCH_WITH_POOL && work->state == TIDE_WORK_DONE &&
           work->status == TIDE_JOB_DONE && work->job.end == batch->records.count;
}

static bool may_run(const struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_batch *before;
    if (task->plan.order != TIDE_ORDER_KEY)
        return true;
    if (task->has_state) /* what the batch before it changes has to be accepted first */
        return STAILQ_FIRST(&task->lanes[batch->lane].sealed.list) == batch;
    STAILQ_FOREACH(before, &task->lanes[batch->lane].sealed.list, in_lane)
    {
        if (before != batch && !tide_task_is_run(before))
            return false;
    }
    return true;
}

void tide_task_seal(struct tide_task *task, struct tide_batch *batch, enum tide_metric reason,
                    int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    double open_s = (double)(now_us - batch->records.opened_us) / 1e6;
    struct tide_lane *lane = &task->lanes[batch->lane];
    batch->work.sequence = ++task->order.sequence;
    batch->state = TIDE_BATCH_SEALED;
    STAILQ_INSERT_TAIL(&task->order.list, batch, in_order);
    STAILQ_INSERT_TAIL(&lane->sealed.list, batch, in_lane);
    task->order.count++;
    lane->sealed.count++;
    tide_count(counters, row, reason, 1);
    tide_observe(counters, row, TIDE_M_BATCH_SIZE_MSG, batch->records.count);
    tide_observe(counters, row, TIDE_M_BATCH_SIZE_BYTES, (double)batch->records.bytes);
    tide_observe(counters, row, TIDE_M_BATCH_SUBMIT_TIME, open_s);
    if (task->plan.kind == TIDE_STEP_REDUCE)
        tide_observe(counters, row, TIDE_M_REDUCE_BATCH_TIME, open_s);
    if (may_run(task, batch))
        tide_task_submit(task, batch, 0, batch->records.count);
}

void tide_task_give_back(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_lane *lane = &task->lanes[batch->lane];
    tide_require(batch == STAILQ_FIRST(&lane->sealed.list));
    batch->work.job.output_size = task->size.output.now; /* as it is since tide_task_resize */
    tide_pool_results_taken(&batch->work);
    tide_state_end(task, batch);
    tide_batch_reset(batch);
    /* To the front: its pages are warm, and those of the others can be given back. */
    batch->next = task->order.free;
    task->order.free = batch;
    STAILQ_REMOVE_HEAD(&lane->sealed.list, in_lane);
    STAILQ_REMOVE(&task->order.list, batch, tide_batch, in_order);
    lane->sealed.count--;
    task->order.count--;
}

/* The message comes from the input block, which no worker can write: a dead letter holds what was read, whatever the
 * transform has done. */
int tide_task_reject(struct tide_task *task, struct tide_batch *batch, uint32_t record,
                     const struct tide_reject *fields)
{
    struct tide_reject reject = *fields;
    struct tide_message message;
    tide_batch_message(batch, record, &message);
    reject.message = &message;
    reject.stage = task->stage;
    reject.row = task->step.row;
    if (!tide_offsets_current(task->step.chain->offsets, message.origin))
        return TIDE_OK; /* its next owner reads it again, and rejects it */
    int status = tide_dlq_reject(task->step.chain->dlq, &reject);
    batch->record.rejected = status == TIDE_OK;
    if (status == TIDE_OK) {
        tide_tally_add(&task->tally, batch->work.revision, 0, 1);
        tide_state_end_timer(task, batch, record);
    }
    return status;
}

void tide_task_next_record(struct tide_batch *batch)
{
    batch->release.released++;
    batch->record = (struct tide_batch_record){0};
}

static void finish(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                   uint32_t filtered, bool rejected)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    const struct tide_origin *origins = &batch->origins[batch->release.released];
    bool current = tide_offsets_current(offsets, origins[0]);
    /* First, since the origin of a group is gone with its last reference. */
    task->kind->finish(task, batch, count, filtered, current && !rejected);
    if (current)
        tide_offsets_unref_many_before(offsets, origins, count, task->waiting.next,
                                       TIDE_OUTCOME_FILTERED);
    for (uint32_t i = 0; i < count && !current; i++)
        tide_offsets_drop(offsets, origins[i]);
    batch->release.released += count;
}

void tide_task_finish_record(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_batch_record record = batch->record;
    batch->record = (struct tide_batch_record){0};
    finish(task, batch, 1, !record.has_results, record.rejected);
}

void tide_task_finish_records(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                              uint32_t filtered)
{
    finish(task, batch, count, filtered, false);
}
