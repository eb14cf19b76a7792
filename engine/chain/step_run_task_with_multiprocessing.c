/* SPDX-License-Identifier: MIT
 * The way into run_task_with_multiprocessing: messages are copied once into the open batch; it closes on the
 * first of max_batch_size, max_batch_time, a full block, the end of the stream, or (eager) when the source
 * has nothing more right now and a worker is idle, or when its messages take long enough (tide_task_measure). Rules and names are those of Arroyo's RunTaskWithMultiprocessing. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"

static struct tide_task *task_of(struct tide_step *step)
{
    return (struct tide_task *)(void *)step;
}

void tide_task_seal(struct tide_task *task, struct tide_batch *batch, enum tide_metric reason,
                    int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    batch->sealed_us = now_us;
    batch->work.turn = ++task->turns;
    task->order[(task->order_head + task->order_count++) % task->batch_count] = batch;
    tide_count(counters, row, reason, 1);
    tide_observe(counters, row, TIDE_M_BATCH_SIZE_MSG, batch->count);
    tide_observe(counters, row, TIDE_M_BATCH_SIZE_BYTES, (double)batch->bytes);
    tide_observe(counters, row, TIDE_M_BATCH_SUBMIT_TIME,
                 (double)(now_us - batch->opened_us) / 1e6);
    if (task->reduces)
        tide_observe(counters, row, TIDE_M_REDUCE_BATCH_TIME,
                     (double)(now_us - batch->opened_us) / 1e6);
    tide_task_submit(task, batch, 0, batch->count);
}

static void seal(struct tide_task *task, enum tide_metric reason, int64_t now_us)
{
    struct tide_batch *batch = task->open;
    task->open = NULL;
    tide_task_seal(task, batch, reason, now_us);
}

static bool open_batch(struct tide_task *task, int64_t now_us)
{
    if (!task->free)
        return false;
    task->open = task->free;
    task->free = task->open->next;
    task->open->opened_us = now_us;
    return true;
}

static int reject_too_large(struct tide_task *task, const struct tide_message *message,
                            uint64_t need)
{
    struct tide_reject fields = {
        .message = message, .stage = task->word, .reason = "too_large", .attempts = 0};
    tide_fail(TIDE_EDATA, "the message takes %llu bytes, more than max_input_block_size (%llu)",
              (unsigned long long)need, (unsigned long long)task->input.max);
    fields.error = tide_error();
    int status = tide_dlq_reject(task->step.chain->dlq, &fields);
    if (status == TIDE_OK)
        tide_offsets_unref(task->step.chain->offsets, message->origin, TIDE_OUTCOME_FILTERED);
    return status;
}

/* 1 = taken, 0 = no room now, negative = failure. */
static int take(struct tide_task *task, const struct tide_message *message, int64_t now_us)
{
    uint64_t need = tide_batch_need(message);
    if (need > task->input.max) {
        int status = reject_too_large(task, message, need);
        return status < 0 ? status : status == TIDE_OK;
    }
    if (task->open && task->open->bytes + need > task->input.now && task->open->count > 0) {
        tide_count(task->step.chain->counters, task->step.row, TIDE_M_BATCH_INPUT_OVERFLOW, 1);
        task->open->input_overflowed = true;
        seal(task, TIDE_M_BATCH_CLOSE_BLOCK, now_us);
    }
    if (task->waiting_bytes > task->input.max || (!task->open && !open_batch(task, now_us)))
        return 0;
    struct tide_batch *batch = task->open;
    tide_batch_append(batch, message);
    if (batch->bytes > task->input.now) {
        /* Larger than a whole block: it has this one alone, which may use its maximum. */
        tide_count(task->step.chain->counters, task->step.row, TIDE_M_BATCH_INPUT_OVERFLOW, 1);
        batch->input_overflowed = true;
        seal(task, TIDE_M_BATCH_CLOSE_BLOCK, now_us);
    } else if (batch->count >= task->most) {
        bool full = batch->count == task->plan.max_batch_size;
        seal(task, full ? TIDE_M_BATCH_CLOSE_SIZE : TIDE_M_BATCH_CLOSE_RUN_TIME, now_us);
    }
    return 1;
}

static ssize_t task_submit(struct tide_step *step, const struct tide_message *messages,
                           size_t count, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    for (size_t i = 0; i < count; i++) {
        int taken = take(task, &messages[i], now_us);
        if (taken < 0 && i == 0)
            return taken;
        if (taken <= 0) /* a failure is told again when the rest is tried */
            return (ssize_t)i;
    }
    return (ssize_t)count;
}

static int task_poll(struct tide_step *step, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    int status = tide_task_release(task, now_us);
    if (status < 0)
        return status;
    tide_retry_poll(task, now_us);
    if (task->open && now_us - task->open->opened_us >= task->plan.max_batch_time_us)
        seal(task, TIDE_M_BATCH_CLOSE_TIME, now_us);
    else if (task->open && task->plan.eager && step->chain->source_idle &&
             tide_pool_has_idle(task->pool))
        seal(task, TIDE_M_BATCH_CLOSE_IDLE, now_us);
    return TIDE_OK;
}

static void task_close(struct tide_step *step, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    if (task->open)
        seal(task, TIDE_M_BATCH_CLOSE_FLUSH, now_us);
}

static bool task_join(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    return !task->open && task->order_count == 0 && task->waiting == 0;
}

static int64_t task_deadline_us(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    int64_t open_us = task->open ? task->open->opened_us + task->plan.max_batch_time_us : INT64_MAX;
    int64_t retry_us = tide_retry_deadline(task);
    return open_us < retry_us ? open_us : retry_us;
}

static void task_terminate(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    for (uint32_t i = 0; i < task->batch_count; i++)
        tide_batch_free(task->batches[i]);
    free(task->batches);
    tide_retry_free(task);
    free(task->order);
    free(task->word);
    free(task);
}

struct tide_task *tide_task_new(struct tide_chain *chain, const struct tide_step_plan *plan,
                                struct tide_pool *pool, uint32_t processes, uint32_t number,
                                uint32_t row)
{
    static const struct tide_step_ops ops = {.submit = task_submit,
                                             .poll = task_poll,
                                             .close = task_close,
                                             .join = task_join,
                                             .deadline_us = task_deadline_us,
                                             .terminate = task_terminate,
                                             .blocks = tide_task_blocks,
                                             .progress = tide_task_progress,
                                             .waits = tide_task_waits};
    uint32_t batches = processes * (1 + plan->prefetch_batches) +
                       1; /* one more to fill meanwhile */
    struct tide_task *task = tide_alloc(sizeof(*task));
    task->step = (struct tide_step){.ops = &ops, .chain = chain, .number = number, .row = row};
    task->plan = *plan;
    task->plan.word = task->word = tide_copy(plan->word);
    task->reduces = plan->kind == TIDE_STEP_REDUCE;
    task->pool = pool;
    task->batches = tide_alloc(sizeof(*task->batches) * batches);
    task->order = tide_alloc(sizeof(*task->order) * batches);
    tide_task_sizes(task, tide_clock_us());
    for (; task->batch_count < batches; task->batch_count++) {
        struct tide_batch *batch = tide_batch_new(plan->max_batch_size, task->input.max,
                                                  task->output.max);
        if (!batch) {
            task_terminate(&task->step);
            return NULL;
        }
        task->batches[task->batch_count] = batch;
        batch->next = task->free;
        task->free = batch;
    }
    tide_observe(chain->counters, row, TIDE_M_INPUT_BLOCK_BYTES, (double)task->input.now);
    tide_observe(chain->counters, row, TIDE_M_OUTPUT_BLOCK_BYTES, (double)task->output.now);
    return task;
}
