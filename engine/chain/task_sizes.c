/* SPDX-License-Identifier: MIT
 * The sizes that a step finds out by itself, from batch to batch. Blocks grow when something did not fit, and shrink when
 * a quarter would have done for a minute; they are mapped at their maximum, so a size is only a number, and shrinking
 * gives pages back. An eager step measures how long messages take and keeps batches to 50 ms of work: large enough that
 * what a batch costs does not matter, small enough that all workers have some, and smaller where a target of latency asks
 * for it. An automatic batch holds no more than 1 MiB of messages or of results either, since what lies in the processor's
 * cache is quicker. The number of processes is changed from outside (tide_task_set_sizes; lua/tidemill/tuning/controller.lua). All rules are in
 * docs/tuning.md. Start reading at tide_task_resize for the blocks, and at tide_task_measure for the batches. */
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/outputs.h"

enum { SMALLEST = 64 * 1024 }; /* bytes; below that shrinking gains nothing */
/* Of eager steps: the time that a worker is to have with one batch. */
static const double RUN_TIME_NS = 50e6;
/* Of automatic batches, in bytes: measured, and what an automatic block begins with. */
enum { LARGE = 1024 * 1024 };
/* The parts of the time that a message may take in a step: its batch fills, waits for a worker, is run, and waits for
 * older batches. */
enum { LATENCY_PARTS = 4 };
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
    task->size.max_batch_size = plan->max_batch_size;
    task->size.max_batch_time_us = plan->max_batch_time_us;
    task->size.max_messages = plan->eager ? 1 : plan->max_batch_size;
    task->size.idle_us = now_us;
    tide_task_pace(task, now_us);
}

uint32_t tide_task_batches(const struct tide_task *task)
{
    return tide_pool_processes(task->pool) * (1 + task->plan.prefetch_batches) + 1;
}

/* A source that has had messages all the time for longer than the target is behind by more than it: then only the rate
 * counts, and batches are as large as is good for it. */
void tide_task_pace(struct tide_task *task, int64_t now_us)
{
    int64_t latency_us = task->plan.latency_us;
    double limit_ns = (double)latency_us * 1000 / LATENCY_PARTS;
    if (task->step.chain && task->step.chain->source_idle)
        task->size.idle_us = now_us;
    bool behind = now_us - task->size.idle_us > latency_us;
    task->size.run_limit_ns = latency_us > 0 && !behind && limit_ns < RUN_TIME_NS ? limit_ns
                                                                                  : RUN_TIME_NS;
}

bool tide_task_is_large(const struct tide_task *task, uint64_t bytes)
{
    return task->plan.auto_batch && bytes > LARGE;
}

void tide_task_measure(struct tide_task *task, const struct tide_work *work, uint32_t messages,
                       uint32_t result_bytes)
{
    double fit;
    if (!task->plan.eager)
        return;
    task->size.run_ns = task->size.run_ns * KEPT + (double)work->busy_ns;
    task->size.run_bytes = task->size.run_bytes * KEPT + result_bytes;
    task->size.run_messages = task->size.run_messages * KEPT + messages;
    fit = task->size.run_limit_ns * task->size.run_messages / (task->size.run_ns + 1);
    /* The time of a function that takes the whole batch says nothing of one message. */
    if (work->whole_batch || fit > task->size.max_batch_size)
        fit = task->size.max_batch_size;
    double fit_bytes = LARGE * task->size.run_messages / (task->size.run_bytes + 1);
    if (task->plan.auto_batch && fit > fit_bytes)
        fit = fit_bytes;
    task->size.max_messages = fit < 1 ? 1 : (uint32_t)fit;
}

/* Returns whether the size changed. What did not fit an earlier, smaller size says nothing of the present one: all batches
 * that are under way when a size grows were filled and run with the one before. */
static bool size_adapt(struct tide_size *size, uint64_t overflowed, uint64_t used, int64_t now_us)
{
    uint64_t before = size->now;
    if (!size->automatic)
        return false;
    if (used > size->most_used)
        size->most_used = used;
    if (overflowed >= size->now) {
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

static void log_resize(const struct tide_task *task, const char *side, uint64_t before,
                       uint64_t now)
{
    bool grown = now > before;
    tide_log(TIDE_LOG_INFO, "%s: %s_block_size is %llu KiB now, after %llu KiB: %s", task->stage,
             side, (unsigned long long)now / 1024, (unsigned long long)before / 1024,
             !grown           ? "a quarter of it was enough for a minute"
             : side[0] == 'i' ? "the messages of a batch did not fit"
                              : "the results of a batch did not fit");
}

/* The batches that are not in use keep what they once had: they give it back when the sizes fall. */
static void trim_free(struct tide_task *task)
{
    for (struct tide_batch *batch = task->order.free; batch; batch = batch->next)
        tide_block_trim(batch->input, task->size.input.now);
    tide_outputs_trim(task->outputs, task->size.output.now);
}

void tide_task_resize(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    uint32_t row = task->step.row;
    uint64_t input = task->size.input.now, output = task->size.output.now;
    if (size_adapt(&task->size.input, batch->records.overflowed, batch->records.bytes, now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_INPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_INPUT_BLOCK_BYTES, (double)task->size.input.now);
        log_resize(task, "input", input, task->size.input.now);
    }
    if (size_adapt(&task->size.output, batch->release.overflowed, batch->release.result_bytes,
                   now_us)) {
        tide_count(counters, row, TIDE_M_BATCH_OUTPUT_RESIZE, 1);
        tide_observe(counters, row, TIDE_M_OUTPUT_BLOCK_BYTES, (double)task->size.output.now);
        log_resize(task, "output", output, task->size.output.now);
    }
    /* Its output block is trimmed when it is given back. */
    tide_block_trim(batch->input, task->size.input.now);
    if (task->size.input.now < input || task->size.output.now < output)
        trim_free(task);
}

/* ---- changes from outside ---- */

void tide_task_get_sizes(const struct tide_step *step, struct tide_sizes *sizes)
{
    const struct tide_task *task = (const struct tide_task *)(const void *)step;
    *sizes = (struct tide_sizes){
        .max_batch_size = task->size.max_batch_size,
        .processes = tide_pool_processes(task->pool),
        .max_batch_time_us = task->size.max_batch_time_us,
        .input_block_size = task->size.input.now,
        .output_block_size = task->size.output.now,
    };
}

static int check_sizes(const struct tide_task *task, const struct tide_sizes *sizes)
{
    const struct {
        const char *name;
        uint64_t size, max;
    } list[] = {
        {"max_batch_size", sizes->max_batch_size, task->plan.max_batch_size},
        {"processes", sizes->processes, tide_pool_most(task->pool)},
        {"max_batch_time", (uint64_t)sizes->max_batch_time_us, INT64_MAX},
        {"input_block_size", sizes->input_block_size, task->size.input.max},
        {"output_block_size", sizes->output_block_size, task->size.output.max},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (list[i].size < 1 || list[i].size > list[i].max)
            return tide_fail(TIDE_ECONFIG, "%s = %llu: it is 1 to %llu here", list[i].name,
                             (unsigned long long)list[i].size, (unsigned long long)list[i].max);
    }
    return TIDE_OK;
}

static void set_block(struct tide_size *size, uint64_t to, int64_t now_us)
{
    if (size->now == to)
        return;
    size->now = to;
    size->most_used = 0;
    size->since_us = now_us;
}

/* What is sealed already keeps its sizes, which its job says. The open batch is closed by the new ones with its next
 * message, or by its time. */
int tide_task_set_sizes(struct tide_step *step, const struct tide_sizes *sizes, int64_t now_us)
{
    struct tide_task *task = (struct tide_task *)(void *)step;
    int status = check_sizes(task, sizes);
    if (status < 0)
        return status;
    task->size.max_batch_size = sizes->max_batch_size;
    if (!task->plan.eager || task->size.max_messages > sizes->max_batch_size)
        task->size.max_messages = sizes->max_batch_size;
    task->size.max_batch_time_us = sizes->max_batch_time_us;
    set_block(&task->size.input, sizes->input_block_size, now_us);
    set_block(&task->size.output, sizes->output_block_size, now_us);
    tide_pool_resize(task->pool, sizes->processes);
    trim_free(task);
    return TIDE_OK;
}

/* ---- batches in progress ---- */

/* A batch whose results are there does not count, though it may have to wait until it is the oldest one. */
static uint32_t count_with_pool(const struct tide_task *task)
{
    uint32_t count = 0;
    const struct tide_batch *batch;
    STAILQ_FOREACH(batch, &task->order.list, in_order)
    {
        enum tide_work_state state = batch->work.state;
        count += state == TIDE_WORK_WAITING || state == TIDE_WORK_GIVEN;
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
