/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum { SMALLEST = 64 * 1024 };
static const double RUN_TIME_NS = 50e6;
static const double KEPT = 0.875; /* of what was measured before, at each batch */
static const int64_t SHRINK_AFTER_US = (int64_t)60 * 1000000;

void tide_task_sizes(struct tide_task *task, int64_t now_us)
{
    const struct tide_step_plan *plan = &task->plan;
    task->input = (struct tide_size){plan->input_block_size, plan->max_input_block_size,
                                     plan->auto_input, 0, now_us};
    task->output = (struct tide_size){plan->output_block_size, plan->max_output_block_size,
                                      plan->auto_output, 0, now_us};
    task->most = plan->eager ? 1 : plan->max_batch_size;
}

void tide_task_measure(struct tide_task *task, const struct tide_work *work, uint32_t messages)
{
    double fit;
    if (!task->plan.eager)
        return;
    task->measured_ns = task->measured_ns * KEPT + (double)work->busy_ns;
    task->measured = task->measured * KEPT + messages;
    fit = RUN_TIME_NS * task->measured / (task->measured_ns + 1);
    if (work->together || fit > task->plan.max_batch_size)
        fit = task->plan.max_batch_size;
    task->most = fit < 1 ? 1 : (uint32_t)fit;
}

/* Returns whether the size changed. Doubles after an overflow (to hold what did not fit, when that was more);
 * halves when a quarter would have done for a minute. */
static bool adapt(struct tide_size *size, bool overflowed, uint64_t used, int64_t now_us)
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

static void trim(struct tide_task *task, struct tide_batch *batch)
{
    tide_block_trim(batch->input, task->input.now);
    tide_block_trim(batch->output, sizeof(struct tide_output) + task->output.now);
}

void tide_task_resize(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    uint64_t before = task->input.now + task->output.now;
    if (adapt(&task->input, batch->input_overflowed, batch->bytes, now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_INPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_INPUT_BLOCK_BYTES, (double)task->input.now);
    }
    if (adapt(&task->output, batch->output_overflowed, batch->result_bytes, now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_OUTPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_OUTPUT_BLOCK_BYTES, (double)task->output.now);
    }
    trim(task, batch);
    /* Batches that are seldom used keep what they once had: they give it back when the size falls. */
    for (batch = task->input.now + task->output.now < before ? task->free : NULL; batch;
         batch = batch->next)
        trim(task, batch);
}

/* Those that are done do not count, though what is before them may wait (to be tried again, or for room). */
static uint32_t with_pool(const struct tide_task *task)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < task->order_count; i++) {
        const struct tide_batch *batch = task->order[(task->order_head + i) % task->batch_count];
        count += batch->work.state == TIDE_WORK_WAITING || batch->work.state == TIDE_WORK_GIVEN;
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
