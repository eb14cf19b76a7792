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

/* Those that are done do not count, though what is before them may wait (to be tried again, or for room). */
static uint32_t with_pool(const struct tide_task *task)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < task->order_count; i++) {
        const struct tide_slot *slot = task->order[(task->order_head + i) % task->slot_count];
        count += slot->work.state == TIDE_WORK_WAITING || slot->work.state == TIDE_WORK_GIVEN;
    }
    return count;
}

void tide_task_observe_progress(struct tide_task *task)
{
    uint32_t in_progress = with_pool(task);
    if (in_progress == task->in_progress)
        return;
    task->in_progress = in_progress;
    /* How many processes this step can use now: batches that wait behind a running one do not count. */
    uint32_t processes = tide_pool_processes(task->pool);
    tide_observe(task->step.chain->counters, task->step.row, TIDE_M_BATCHES_IN_PROGRESS,
                 task->in_progress < processes ? task->in_progress : processes);
}

void tide_task_submit(struct tide_task *task, struct tide_slot *slot, uint32_t first, uint32_t end)
{
    struct tide_job *job = &slot->work.job;
    struct tide_output *output = (struct tide_output *)(void *)slot->output->data;
    tide_require(first < end && end <= slot->count);
    *job = (struct tide_job){
        .step = task->step.number,
        .first = first,
        .end = end,
        .record = slot->input->data + (uint64_t)slot->places[first] * 8,
        .output = output,
        .output_size = task->output.now,
        .output_max = task->output.max,
        .one_by_one = slot->one_by_one,
    };
    if (task->reduces)
        tide_reduce_mark(task, slot, first, end);
    else
        tide_retry_mark(task, slot, first, end);
    output->progress = first;
    output->running = 0;
    slot->work.continued = first > 0;
    slot->work.fresh = slot->attempts > 0;
    slot->work.blamed = slot->work.late = slot->work.several = slot->work.distrusted = false;
    tide_pool_submit(task->pool, &slot->work);
    tide_task_observe_progress(task);
}

/* With the record behind `released`. */
static void go_on(struct tide_slot *slot)
{
    slot->released++;
    slot->results_before = slot->results;
    slot->rejected = false;
    slot->attempts = 0;
}

void tide_task_finish_record(struct tide_task *task, struct tide_slot *slot)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_origin origin = slot->origins[slot->released];
    if (tide_offsets_current(chain->offsets, origin)) {
        tide_offsets_done(chain->offsets, origin, TIDE_FATE_FILTERED);
        if (!slot->rejected && !(task->reduces && tide_reduce_dropped(slot, slot->released)))
            tide_dlq_passed(chain->dlq, tide_offsets_partition(chain->offsets, origin));
        if (!slot->rejected && !task->reduces && slot->results == slot->results_before)
            tide_count(chain->counters, task->step.row, TIDE_M_FILTER_DROPPED_MESSAGES, 1);
    } else {
        tide_offsets_drop(chain->offsets, origin);
    }
    tide_retry_finished(task, slot);
    go_on(slot);
}

int tide_task_reject(struct tide_task *task, struct tide_slot *slot, uint32_t record,
                     const struct tide_reject *fields)
{
    struct tide_reject reject = *fields;
    struct tide_message message;
    tide_slot_message(slot, record, &message);
    reject.message = &message;
    reject.stage = task->word;
    if (!tide_offsets_current(task->step.chain->offsets, message.origin))
        return TIDE_OK;
    int status = tide_dlq_reject(task->step.chain->dlq, &reject);
    slot->rejected = status == TIDE_OK;
    return status;
}

static int reject_told(struct tide_task *task, struct tide_slot *slot, uint32_t record,
                       const struct tide_message *message, int64_t now_us, bool retry)
{
    struct tide_told told;
    tide_results_told(message, &told);
    if (retry && !task->reduces)
        return tide_retry_again(task, slot, message, told.error, now_us);
    struct tide_reject fields = {.reason = told.reason,
                                 .error = told.error,
                                 .traceback = told.traceback,
                                 .attempts = slot->attempts + 1};
    return tide_task_reject(task, slot, record, &fields);
}

/* Messages of the span that can go in one call: up to the next reject, all of the present assignment. */
static uint32_t run_length(struct tide_task *task, const struct tide_slot *slot,
                           const struct tide_span *span)
{
    uint32_t count = 0;
    for (uint32_t i = span->item_at; i < span->item_count; i++) {
        const struct tide_item *item = &span->items[i];
        if (tide_retry_waits(task, slot, item->record))
            break;
        if (item->kind == TIDE_ITEM_FINISHED)
            continue;
        if (item->kind != TIDE_ITEM_MESSAGE ||
            !tide_offsets_current(task->step.chain->offsets, span->messages[item->message].origin))
            break;
        count++;
    }
    return count;
}

/* Goes past the items of `taken` messages and of what needs no room behind them. */
static void pass(struct tide_task *task, struct tide_slot *slot, uint32_t taken)
{
    struct tide_span *span = &task->span;
    struct tide_offsets *offsets = task->step.chain->offsets;
    for (; span->item_at < span->item_count; span->item_at++) {
        const struct tide_item *item = &span->items[span->item_at];
        if (tide_retry_waits(task, slot, item->record)) {
            if (item->kind != TIDE_ITEM_FINISHED)
                continue; /* it is run again */
            tide_retry_park(task, slot);
            go_on(slot);
        } else if (item->kind == TIDE_ITEM_FINISHED) {
            tide_task_finish_record(task, slot);
        } else if (item->kind == TIDE_ITEM_MESSAGE && taken > 0) {
            taken--;
            slot->results++;
            slot->result_bytes += item->bytes;
        } else if (item->kind != TIDE_ITEM_MESSAGE ||
                   tide_offsets_current(offsets, span->messages[item->message].origin)) {
            return;
        } /* else: revoked, dropped */
    }
}

/* TIDE_OK = the span is empty; TIDE_BUSY = the next step or the dlq takes no more now. */
static int hand_on(struct tide_task *task, struct tide_slot *slot, int64_t now_us)
{
    struct tide_span *span = &task->span;
    struct tide_step *next = task->step.next;
    struct tide_offsets *offsets = task->step.chain->offsets;
    pass(task, slot, 0);
    while (span->item_at < span->item_count) {
        const struct tide_item *item = &span->items[span->item_at];
        if (item->kind != TIDE_ITEM_MESSAGE) {
            int status = reject_told(task, slot, item->record, &span->messages[item->message],
                                     now_us, item->kind == TIDE_ITEM_RETRY);
            if (status != TIDE_OK)
                return status;
            if (span->item_at == span->item_count)
                break; /* the whole slot is put off */
            span->item_at++;
            pass(task, slot, 0);
            continue;
        }
        const struct tide_message *messages = &span->messages[item->message];
        uint32_t count = run_length(task, slot, span);
        for (uint32_t i = 0; i < count; i++)
            tide_offsets_hold(offsets, messages[i].origin);
        ssize_t taken = next->ops->submit(next, messages, count, now_us);
        for (uint32_t i = taken < 0 ? 0 : (uint32_t)taken; i < count; i++)
            tide_offsets_done(offsets, messages[i].origin, TIDE_FATE_FILTERED);
        if (taken < 0)
            return (int)taken;
        task->step.chain->progress |= taken > 0;
        bool twice = (uint32_t)taken < count && tide_fault("bug.double_release");
        pass(task, slot, twice ? 0 : (uint32_t)taken);
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
static uint32_t retries(const struct tide_task *task, const struct tide_slot *slot)
{
    const struct tide_job *job = &slot->work.job;
    bool unsure = slot->work.distrusted && job->end - job->first > 1;
    return unsure && task->plan.crash_retries == 0 ? 1 : task->plan.crash_retries;
}

static void describe_death(const struct tide_slot *slot, struct tide_reject *fields)
{
    if (slot->work.late) {
        fields->reason = "timeout";
        fields->error = "the message took longer than message_timeout, so its worker was killed";
    } else if (slot->work.distrusted) {
        fields->cause = "protocol";
        fields->error = "what the worker left of this message makes no sense, so it was killed";
    } else if (slot->work.starved) {
        fields->reason = "memory";
        fields->cause = "worker_memory";
        fields->error = "the worker wanted more than worker_memory while it ran this message";
    }
}

/* What is left, from record `released` on; that alone, when a worker died of it. */
static void submit_rest(struct tide_task *task, struct tide_slot *slot)
{
    bool alone = slot->attempts > 0 && !task->reduces;
    tide_task_submit(task, slot, slot->released, alone ? slot->released + 1 : slot->count);
}

/* The worker died of record `released`, or left what is no result there: run once more alone, then out. A
 * record that took too long is not run again. */
static int deal_with_blamed(struct tide_task *task, struct tide_slot *slot)
{
    char cause[32];
    struct tide_reject fields = {.reason = "crash",
                                 .cause = cause,
                                 .attempts = slot->attempts + 1,
                                 .error = "the worker died while it ran this message"};
    if (slot->work.several && !slot->one_by_one) {
        slot->one_by_one = true;
        tide_task_submit(task, slot, slot->released, slot->count);
        return TIDE_OK;
    }
    if (!slot->work.late && slot->attempts < retries(task, slot)) {
        slot->attempts++;
        slot->work.state = TIDE_WORK_IDLE;
        submit_rest(task, slot);
        return TIDE_OK;
    }
    cause_text(slot->work.death, cause, sizeof(cause));
    describe_death(slot, &fields);
    uint32_t record = slot->released;
    record += record + 1 < slot->count && tide_fault("bug.attribution_off_by_one");
    int status = task->reduces ? tide_reduce_reject(task, slot, &fields)
                               : tide_task_reject(task, slot, record, &fields);
    if (status != TIDE_OK || task->reduces)
        return status;
    slot->work.blamed = false;
    slot->ready = slot->released + 1; /* so that the record below is its end */
    tide_task_finish_record(task, slot);
    return TIDE_OK;
}

/* What a worker left does not hold together: none of it is used from here on, and the worker goes. Until it is
 * gone the slot is GIVEN again: its blocks are not run by another while this one may write to them. */
static void distrust(struct tide_task *task, struct tide_slot *slot)
{
    tide_log(TIDE_LOG_ERROR, "worker %u broke the block protocol (%s); it is replaced",
             slot->work.worker, tide_error());
    tide_pool_distrust(task->pool, &slot->work);
    tide_task_observe_progress(task);
}

static void accept_nothing(struct tide_task *task, struct tide_slot *slot)
{
    slot->work.blamed = true;
    slot->ready = task->reduces ? slot->count : slot->released; /* what reduces: all are suspect */
    slot->ready_bytes = slot->result_at = 0;
}

static bool holds_together(const struct tide_task *task, struct tide_slot *slot)
{
    if (tide_results_accept(slot) < 0)
        return false;
    return !task->reduces ||
           tide_results_check(slot, tide_topics_count(task->step.chain->topics)) == TIDE_OK;
}

static void take_results(struct tide_task *task, struct tide_slot *slot, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    uint32_t before = slot->released;
    tide_task_observe_progress(task);
    if (!slot->work.distrusted && !holds_together(task, slot)) {
        distrust(task, slot);
        return;
    }
    if (slot->work.distrusted)
        accept_nothing(task, slot);
    else if (slot->ready == slot->work.job.end && !task->reduces)
        slot->work.blamed = false; /* it had published its last record: none is left to blame */
    if (task->reduces)
        tide_reduce_take(task, slot, now_us);
    if (slot->work.state == TIDE_WORK_DONE && slot->ready > before) {
        tide_task_measure(task, &slot->work, slot->ready - before);
        tide_observe_many(counters, row, TIDE_M_MESSAGE_TIME,
                          (double)slot->work.busy_ns / 1e9 / (slot->ready - before),
                          slot->ready - before);
    }
    if (slot->work.state == TIDE_WORK_DONE && slot->work.outcome == TIDE_OUTCOME_FULL) {
        tide_count(counters, row, TIDE_M_BATCH_OUTPUT_OVERFLOW, 1);
        slot->output_overflowed = true;
    }
    if (slot->ready_bytes > task->output.now)
        slot->output_overflowed =
            true; /* one result larger than the block: it was given the maximum */
    slot->work.state = TIDE_WORK_IDLE;
}

/* All that was ready is handed on: to the end, or on with the next record. TIDE_OK = the slot is free. */
static int end_or_go_on(struct tide_task *task, struct tide_slot *slot, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    tide_reduce_leave(task, slot);
    if (slot->work.blamed) {
        int status = deal_with_blamed(task, slot);
        if (status != TIDE_OK || slot->work.state != TIDE_WORK_IDLE)
            return status == TIDE_OK ? TIDE_BUSY : status;
    }
    int status = tide_retry_batch(task, slot, now_us);
    if (status != TIDE_OK)
        return status;
    if (slot->released < slot->count) {
        submit_rest(task, slot);
        return TIDE_BUSY;
    }
    tide_retry_end(task, slot);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_MSG, slot->results);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_BYTES,
                 (double)slot->result_bytes);
    tide_task_resize(task, slot, now_us);
    tide_slot_reset(slot);
    slot->next = task->free;
    task->free = slot;
    task->order_head = (task->order_head + 1) % task->slot_count;
    task->order_count--;
    return TIDE_OK;
}

int tide_task_release(struct tide_task *task, int64_t now_us)
{
    struct tide_span *span = &task->span;
    tide_task_observe_progress(task);
    while (task->order_count > 0) {
        struct tide_slot *slot = task->order[task->order_head];
        if (slot->work.state == TIDE_WORK_WAITING || slot->work.state == TIDE_WORK_GIVEN)
            return TIDE_OK;
        if (slot->work.state != TIDE_WORK_IDLE)
            take_results(task, slot, now_us);
        if (slot->work.state != TIDE_WORK_IDLE)
            continue;
        int status = hand_on(task, slot, now_us);
        if (status != TIDE_OK)
            return status;
        if (tide_results_read(slot, span, tide_topics_count(task->step.chain->topics)) < 0)
            distrust(task, slot);
        for (uint32_t i = 0; slot->grouped && i < span->message_count; i++) {
            span->messages[i].origin = slot->group;
            span->messages[i].flags |= TIDE_MESSAGE_RESULT;
        }
        if (span->item_count > 0 || slot->work.state != TIDE_WORK_IDLE)
            continue;
        status = end_or_go_on(task, slot, now_us);
        if (status == TIDE_BUSY && slot->work.state != TIDE_WORK_IDLE)
            return TIDE_OK; /* with the pool again: wait for it */
        if (status != TIDE_OK)
            return status;
    }
    return TIDE_OK;
}
