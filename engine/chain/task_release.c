/* SPDX-License-Identifier: MIT
 * The way out of run_task_with_multiprocessing. A crash, a broken report and a full output block are one
 * case here: results up to what was published stand, the engine deals with the one message at which it
 * ended if there is one to blame, and the rest goes on from the next. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

void tide_task_submit(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end)
{
    struct tide_job *job = &batch->work.job;
    struct tide_output *output = (struct tide_output *)(void *)batch->output->data;
    tide_require(first < end && end <= batch->count);
    *job = (struct tide_job){
        .step = task->step.number,
        .first = first,
        .end = end,
        .record = batch->input->data + (uint64_t)batch->places[first] * 8,
        .output = output,
        .output_size = task->output.now,
        .output_max = task->output.max,
        .one_by_one = batch->one_by_one,
    };
    if (task->reduces)
        tide_reduce_mark(task, batch, first, end);
    else
        tide_retry_mark(task, batch, first, end);
    output->progress = first;
    output->running = 0;
    batch->work.continued = first > 0;
    batch->work.fresh = batch->attempts > 0;
    batch->work.blamed = batch->work.late = batch->work.several = batch->work.distrusted = false;
    tide_pool_submit(task->pool, &batch->work);
    tide_task_observe_progress(task);
}

/* With the record behind `released`. */
static void go_on(struct tide_batch *batch)
{
    batch->released++;
    batch->results_before = batch->results;
    batch->rejected = false;
    batch->attempts = 0;
}

void tide_task_finish_record(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_origin origin = batch->origins[batch->released];
    if (tide_offsets_current(chain->offsets, origin)) {
        uint32_t partition = tide_offsets_partition(chain->offsets, origin);
        /* This may be the last reference of a group, which is gone then. */
        tide_offsets_unref(chain->offsets, origin, TIDE_OUTCOME_FILTERED);
        if (!batch->rejected && !(task->reduces && tide_reduce_dropped(batch, batch->released)))
            tide_dlq_passed(chain->dlq, partition);
        if (!batch->rejected && !task->reduces && batch->results == batch->results_before)
            tide_count(chain->counters, task->step.row, TIDE_M_FILTER_DROPPED_MESSAGES, 1);
    } else {
        tide_offsets_drop(chain->offsets, origin);
    }
    tide_retry_finished(task, batch);
    go_on(batch);
}

int tide_task_reject(struct tide_task *task, struct tide_batch *batch, uint32_t record,
                     const struct tide_reject *fields)
{
    struct tide_reject reject = *fields;
    struct tide_message message;
    tide_batch_message(batch, record, &message);
    reject.message = &message;
    reject.stage = task->word;
    if (!tide_offsets_current(task->step.chain->offsets, message.origin))
        return TIDE_OK;
    int status = tide_dlq_reject(task->step.chain->dlq, &reject);
    batch->rejected = status == TIDE_OK;
    return status;
}

static int reject_told(struct tide_task *task, struct tide_batch *batch, uint32_t record,
                       const struct tide_message *message, int64_t now_us, bool retry)
{
    struct tide_failure failure;
    tide_results_failure(message, &failure);
    if (retry && !task->reduces)
        return tide_retry_again(task, batch, message, failure.error, now_us);
    struct tide_reject fields = {.reason = failure.reason,
                                 .error = failure.error,
                                 .traceback = failure.traceback,
                                 .attempts = batch->attempts + 1};
    return tide_task_reject(task, batch, record, &fields);
}

/* Messages of the parsed that can go in one call: up to the next reject, all of the present assignment. */
static uint32_t run_length(struct tide_task *task, const struct tide_batch *batch,
                           const struct tide_parsed *parsed)
{
    uint32_t count = 0;
    for (uint32_t i = parsed->item_at; i < parsed->item_count; i++) {
        const struct tide_item *item = &parsed->items[i];
        if (tide_retry_waits(task, batch, item->record))
            break;
        if (item->kind == TIDE_ITEM_FINISHED)
            continue;
        if (item->kind != TIDE_ITEM_MESSAGE ||
            !tide_offsets_current(task->step.chain->offsets,
                                  parsed->messages[item->message].origin))
            break;
        count++;
    }
    return count;
}

/* Goes past the items of `taken` messages and of what needs no room behind them. */
static void pass(struct tide_task *task, struct tide_batch *batch, uint32_t taken)
{
    struct tide_parsed *parsed = &task->parsed;
    struct tide_offsets *offsets = task->step.chain->offsets;
    for (; parsed->item_at < parsed->item_count; parsed->item_at++) {
        const struct tide_item *item = &parsed->items[parsed->item_at];
        if (tide_retry_waits(task, batch, item->record)) {
            if (item->kind != TIDE_ITEM_FINISHED)
                continue; /* it is run again */
            tide_retry_park(task, batch);
            go_on(batch);
        } else if (item->kind == TIDE_ITEM_FINISHED) {
            tide_task_finish_record(task, batch);
        } else if (item->kind == TIDE_ITEM_MESSAGE && taken > 0) {
            taken--;
            batch->results++;
            batch->result_bytes += item->bytes;
        } else if (item->kind != TIDE_ITEM_MESSAGE ||
                   tide_offsets_current(offsets, parsed->messages[item->message].origin)) {
            return;
        } /* else: revoked, dropped */
    }
}

/* TIDE_OK = the parsed is empty; TIDE_BUSY = the next step or the dlq takes no more now. */
static int hand_on(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_parsed *parsed = &task->parsed;
    struct tide_step *next = task->step.next;
    struct tide_offsets *offsets = task->step.chain->offsets;
    pass(task, batch, 0);
    while (parsed->item_at < parsed->item_count) {
        const struct tide_item *item = &parsed->items[parsed->item_at];
        if (item->kind != TIDE_ITEM_MESSAGE) {
            int status = reject_told(task, batch, item->record, &parsed->messages[item->message],
                                     now_us, item->kind == TIDE_ITEM_RETRY);
            if (status != TIDE_OK)
                return status;
            if (parsed->item_at == parsed->item_count)
                break; /* the whole batch is put off */
            parsed->item_at++;
            pass(task, batch, 0);
            continue;
        }
        const struct tide_message *messages = &parsed->messages[item->message];
        uint32_t count = run_length(task, batch, parsed);
        for (uint32_t i = 0; i < count; i++)
            tide_offsets_ref(offsets, messages[i].origin);
        ssize_t taken = next->ops->submit(next, messages, count, now_us);
        for (uint32_t i = taken < 0 ? 0 : (uint32_t)taken; i < count; i++)
            tide_offsets_unref(offsets, messages[i].origin, TIDE_OUTCOME_FILTERED);
        if (taken < 0)
            return (int)taken;
        task->step.chain->progress |= taken > 0;
        bool twice = (uint32_t)taken < count && tide_fault("bug.double_release");
        pass(task, batch, twice ? 0 : (uint32_t)taken);
        if ((uint32_t)taken < count) {
            tide_count(task->step.chain->counters, task->step.row, TIDE_M_BATCH_BACKPRESSURE, 1);
            return TIDE_BUSY;
        }
    }
    return TIDE_OK;
}

static void cause_text(int32_t death, char *text, size_t size)
{
    if (WIFSIGNALED(death))
        snprintf(text, size, "SIG%s", sigabbrev_np(WTERMSIG(death)));
    else
        snprintf(text, size, "exit %d", WEXITSTATUS(death));
}

/* One that broke the protocol may have done so at any record of its job: that needs one more run to be known. */
static uint32_t retries(const struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_job *job = &batch->work.job;
    bool unsure = batch->work.distrusted && job->end - job->first > 1;
    return unsure && task->plan.crash_retries == 0 ? 1 : task->plan.crash_retries;
}

static void describe_death(const struct tide_batch *batch, struct tide_reject *fields)
{
    if (batch->work.late) {
        fields->reason = "timeout";
        fields->error = "the message took longer than message_timeout, so its worker was killed";
    } else if (batch->work.distrusted) {
        fields->cause = "protocol";
        fields->error = "what the worker left of this message makes no sense, so it was killed";
    } else if (batch->work.starved) {
        fields->reason = "memory";
        fields->cause = "worker_memory";
        fields->error = "the worker wanted more than worker_memory while it ran this message";
    }
}

/* What is left, from record `released` on; that alone, when a worker died of it. */
static void submit_rest(struct tide_task *task, struct tide_batch *batch)
{
    bool alone = batch->attempts > 0 && !task->reduces;
    tide_task_submit(task, batch, batch->released, alone ? batch->released + 1 : batch->count);
}

/* The worker died of record `released`, or left what is no result there: run once more alone, then out. A
 * record that took too long is not run again. */
static int deal_with_blamed(struct tide_task *task, struct tide_batch *batch)
{
    char cause[32];
    struct tide_reject fields = {.reason = "crash",
                                 .cause = cause,
                                 .attempts = batch->attempts + 1,
                                 .error = "the worker died while it ran this message"};
    if (batch->work.several && !batch->one_by_one) {
        batch->one_by_one = true;
        tide_task_submit(task, batch, batch->released, batch->count);
        return TIDE_OK;
    }
    if (!batch->work.late && batch->attempts < retries(task, batch)) {
        batch->attempts++;
        batch->work.state = TIDE_WORK_IDLE;
        submit_rest(task, batch);
        return TIDE_OK;
    }
    cause_text(batch->work.death, cause, sizeof(cause));
    describe_death(batch, &fields);
    uint32_t record = batch->released;
    record += record + 1 < batch->count && tide_fault("bug.attribution_off_by_one");
    int status = task->reduces ? tide_reduce_reject(task, batch, &fields)
                               : tide_task_reject(task, batch, record, &fields);
    if (status != TIDE_OK || task->reduces)
        return status;
    batch->work.blamed = false;
    batch->ready = batch->released + 1; /* so that the record below is its end */
    tide_task_finish_record(task, batch);
    return TIDE_OK;
}

/* What a worker left does not hold together: none of it is used from here on, and the worker goes. Until it is
 * gone the batch is GIVEN again: its blocks are not run by another while this one may write to them. */
static void distrust(struct tide_task *task, struct tide_batch *batch)
{
    tide_log(TIDE_LOG_ERROR, "worker %u broke the block protocol (%s); it is replaced",
             batch->work.worker, tide_error());
    tide_pool_distrust(task->pool, &batch->work);
    tide_task_observe_progress(task);
}

static void accept_nothing(struct tide_task *task, struct tide_batch *batch)
{
    batch->work.blamed = true;
    batch->ready = task->reduces ? batch->count
                                 : batch->released; /* what reduces: all are suspect */
    batch->ready_bytes = batch->result_at = 0;
}

static bool holds_together(const struct tide_task *task, struct tide_batch *batch)
{
    if (tide_results_accept(batch) < 0)
        return false;
    return !task->reduces ||
           tide_results_check(batch, tide_topics_count(task->step.chain->topics)) == TIDE_OK;
}

static void take_results(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    uint32_t before = batch->released;
    tide_task_observe_progress(task);
    if (!batch->work.distrusted && !holds_together(task, batch)) {
        distrust(task, batch);
        return;
    }
    if (batch->work.distrusted)
        accept_nothing(task, batch);
    else if (batch->ready == batch->work.job.end && !task->reduces)
        batch->work.blamed = false; /* it had published its last record: none is left to blame */
    if (task->reduces)
        tide_reduce_take(task, batch, now_us);
    if (batch->work.state == TIDE_WORK_DONE && batch->ready > before) {
        tide_task_measure(task, &batch->work, batch->ready - before);
        tide_observe_many(counters, row, TIDE_M_MESSAGE_TIME,
                          (double)batch->work.busy_ns / 1e9 / (batch->ready - before),
                          batch->ready - before);
    }
    if (batch->work.state == TIDE_WORK_DONE && batch->work.outcome == TIDE_JOB_FULL) {
        tide_count(counters, row, TIDE_M_BATCH_OUTPUT_OVERFLOW, 1);
        batch->output_overflowed = true;
    }
    if (batch->ready_bytes > task->output.now)
        batch->output_overflowed =
            true; /* one result larger than the block: it was given the maximum */
    batch->work.state = TIDE_WORK_IDLE;
}

/* All that was ready is handed on: to the end, or on with the next record. TIDE_OK = the batch is free. */
static int end_or_go_on(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    tide_reduce_leave(task, batch);
    if (batch->work.blamed) {
        int status = deal_with_blamed(task, batch);
        if (status != TIDE_OK || batch->work.state != TIDE_WORK_IDLE)
            return status == TIDE_OK ? TIDE_BUSY : status;
    }
    int status = tide_retry_batch(task, batch, now_us);
    if (status != TIDE_OK)
        return status;
    if (batch->released < batch->count) {
        submit_rest(task, batch);
        return TIDE_BUSY;
    }
    tide_retry_end(task, batch);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_MSG, batch->results);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_BYTES,
                 (double)batch->result_bytes);
    tide_task_resize(task, batch, now_us);
    tide_batch_reset(batch);
    batch->next = task->free;
    task->free = batch;
    task->order_head = (task->order_head + 1) % task->batch_count;
    task->order_count--;
    return TIDE_OK;
}

int tide_task_release(struct tide_task *task, int64_t now_us)
{
    struct tide_parsed *parsed = &task->parsed;
    tide_task_observe_progress(task);
    while (task->order_count > 0) {
        struct tide_batch *batch = task->order[task->order_head];
        if (batch->work.state == TIDE_WORK_WAITING || batch->work.state == TIDE_WORK_GIVEN)
            return TIDE_OK;
        if (batch->work.state != TIDE_WORK_IDLE)
            take_results(task, batch, now_us);
        if (batch->work.state != TIDE_WORK_IDLE)
            continue;
        int status = hand_on(task, batch, now_us);
        if (status != TIDE_OK)
            return status;
        if (tide_results_read(batch, parsed, tide_topics_count(task->step.chain->topics)) < 0)
            distrust(task, batch);
        for (uint32_t i = 0; batch->grouped && i < parsed->message_count; i++) {
            parsed->messages[i].origin = batch->group;
            parsed->messages[i].flags |= TIDE_MESSAGE_RESULT;
        }
        if (parsed->item_count > 0 || batch->work.state != TIDE_WORK_IDLE)
            continue;
        status = end_or_go_on(task, batch, now_us);
        if (status == TIDE_BUSY && batch->work.state != TIDE_WORK_IDLE)
            return TIDE_OK; /* with the pool again: wait for it */
        if (status != TIDE_OK)
            return status;
    }
    return TIDE_OK;
}
