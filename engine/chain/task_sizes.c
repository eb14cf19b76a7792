/* SPDX-License-Identifier: MIT
 * The sizes that a step finds out by itself. Blocks grow when something did not fit, and shrink when a quarter would
 * have done for a minute; they are mapped at their maximum, so a size is only a number, and shrinking gives pages
 * back. An eager step measures how long messages take and keeps batches to 50 ms of work: large enough that what a
 * batch costs does not matter, small enough that all workers have some. Start reading at tide_task_resize for the
 * blocks, and at tide_task_measure for the batches. */
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum { SMALLEST = 64 * 1024 }; /* bytes; below that shrinking gains nothing */
/* Of eager steps: the time that a worker is to have with one batch. */
static const double RUN_TIME_NS = 50e6;
static const double KEPT = 0.875; /* of what was measured before, at each batch */
static const int64_t SHRINK_AFTER_US = (int64_t)60 * 1000000;

/* An eager step begins with batches of one message, since nothing is known of its messages yet: a large batch of slow
 * ones would keep one worker busy and the others idle. */
void tide_task_sizes(struct tide_task *task, int64_t now_us)
{
    const struct tide_step_plan *plan = &task->plan;
    task->size.input = (struct tide_size){plan->input_block_size, plan->max_input_block_size,
                                          plan->auto_input, 0, now_us};
    task->size.output = (struct tide_size){plan->output_block_size, plan->max_output_block_size,
                                           plan->auto_output, 0, now_us};
    task->size.max_messages = plan->eager ? 1 : plan->max_batch_size;
}

void tide_task_measure(struct tide_task *task, const struct tide_work *work, uint32_t messages)
{
    double fit;
    if (!task->plan.eager)
        return;
    task->size.run_ns = task->size.run_ns * KEPT + (double)work->busy_ns;
    task->size.run_messages = task->size.run_messages * KEPT + messages;
    fit = RUN_TIME_NS * task->size.run_messages / (task->size.run_ns + 1);
    /* The time of a function that takes the whole batch says nothing of one message. */
    if (work->whole_batch || fit > task->plan.max_batch_size)
        fit = task->plan.max_batch_size;
    task->size.max_messages = fit < 1 ? 1 : (uint32_t)fit;
}

/* Returns whether the size changed. */
static bool size_adapt(struct tide_size *size, bool overflowed, uint64_t used, int64_t now_us)
{
    uint64_t before = size->now;
    if (!size->automatic)
        return false;
    if (used > size->most_used)
        size->most_used = used;
    if (overflowed) {
        size->now = size->now > size->max / 2 ? size->max : size->now * 2;
    } else if (now_us - size->since_us < SHRINK_AFTER_US) {
        return false;
    } else if (size->most_used <= size->now / 4 && size->now / 2 >= SMALLEST) {
        size->now /= 2;
    }
    size->since_us = now_us;
    size->most_used = 0;
    return size->now != before;
}

static void batch_trim(struct tide_task *task, struct tide_batch *batch)
{
    tide_block_trim(batch->input, task->size.input.now);
    tide_block_trim(batch->output, sizeof(struct tide_output) + task->size.output.now);
}

void tide_task_resize(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    uint64_t before = task->size.input.now + task->size.output.now;
    if (size_adapt(&task->size.input, batch->records.overflowed, batch->records.bytes, now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_INPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_INPUT_BLOCK_BYTES, (double)task->size.input.now);
    }
    if (size_adapt(&task->size.output, batch->release.overflowed, batch->release.result_bytes,
                   now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_OUTPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_OUTPUT_BLOCK_BYTES, (double)task->size.output.now);
    }
    batch_trim(task, batch);
    /* Batches that are seldom used keep what they once had: they give it back when the size falls. */
    for (batch = task->size.input.now + task->size.output.now < before ? task->order.free : NULL;
         batch; batch = batch->next)
        batch_trim(task, batch);
}

/* A batch whose results are there does not count, though it may have to wait until it is the oldest one. */
static uint32_t count_with_pool(const struct tide_task *task)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < task->order.count; i++) {
        uint32_t at = (task->order.head + i) % task->batch_count;
        const struct tide_work *work = &task->order.ring[at]->work;
        count += work->state == TIDE_WORK_WAITING || work->state == TIDE_WORK_GIVEN;
    }
    return count;
}

void tide_task_observe_progress(struct tide_task *task)
{
    uint32_t in_progress = count_with_pool(task);
    if (in_progress == task->size.in_progress)
        return;
    task->size.in_progress = in_progress;
    /* How many processes this step can use now: batches that wait for a busy worker do not count. */
    uint32_t processes = tide_pool_processes(task->pool);
    tide_observe(task->step.chain->counters, task->step.row, TIDE_M_BATCHES_IN_PROGRESS,
                 task->size.in_progress < processes ? task->size.in_progress : processes);
}
