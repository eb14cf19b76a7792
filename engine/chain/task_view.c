/* SPDX-License-Identifier: MIT
 * What the engine asks a step about its batches: their blocks, and what the oldest batch is doing, for the stuck
 * detector. Nothing here changes the step. Start reading at tide_task_waits. */
#include <stdio.h>

#include "chain/canary.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/layout.h"
#include "shm/outputs.h"
#include "shm/topics.h"

/* The record that the worker is at, or the one that it begins with while no worker has the batch. The worker writes it, so
 * it may be any number. */
static uint32_t record_of(const struct tide_batch *batch)
{
    const struct tide_output *output = batch->work.output ? batch->work.output->output : NULL;
    return output ? (uint32_t)__atomic_load_n(&output->progress, __ATOMIC_ACQUIRE)
                  : batch->work.job.first;
}

/* The zygote has to know all of them before the fork, to make the input blocks read-only there (engine_start.c). */
struct tide_block *tide_task_block(const struct tide_step *step, uint32_t index)
{
    const struct tide_task *task = (const struct tide_task *)(const void *)step;
    uint32_t kinds = task->has_state ? 2 : 1, copies = task->canary ? 1 : 0;
    uint32_t count = task->batch_count + copies;
    if (index >= count * kinds)
        return tide_outputs_memory(task->outputs, index - count * kinds);
    uint32_t at = index % count;
    const struct tide_batch *batch = task->canary && at == task->batch_count ? task->canary->batch
                                                                             : task->batches[at];
    return index < count ? batch->input : batch->keyed.block;
}

struct tide_outputs *tide_task_outputs(const struct tide_task *task)
{
    return task->outputs;
}

uint64_t tide_task_progress(const struct tide_step *step)
{
    const struct tide_task *task = (const struct tide_task *)(const void *)step;
    const struct tide_batch *batch = tide_task_oldest(task);
    uint32_t records = batch ? record_of(batch) : 0;
    /* Where batches do not wait for the oldest one, each of them gets on by itself. */
    while (batch && task->plan.order != TIDE_ORDER_PARTITION &&
           (batch = STAILQ_NEXT(batch, in_order)))
        records += record_of(batch);
    /* Batches that are done in the high half, so that the number never goes back when a new batch is the oldest. */
    return ((task->order.sequence - task->order.count) << 32) + records;
}

struct tide_tally *tide_task_tally(struct tide_step *step)
{
    return &((struct tide_task *)(void *)step)->tally;
}

struct tide_canary *tide_task_canary(const struct tide_step *step)
{
    return ((const struct tide_task *)(const void *)step)->canary;
}

/* Without a batch that is sealed the wait is meant to be: messages are collected for max_batch_time, which may be
 * longer than the detector's limit. */
bool tide_task_waits(const struct tide_step *step, char *text, size_t size)
{
    const struct tide_task *task = (const struct tide_task *)(const void *)step;
    const struct tide_batch *batch = tide_task_oldest(task);
    struct tide_message message;
    if (!batch && task->retry.waiting > 0) {
        snprintf(text, size, "%u messages of %s wait to be tried again (tide.retry)",
                 task->retry.waiting, task->stage);
        return true;
    }
    if (!batch)
        return false;
    uint32_t record = record_of(batch);
    switch (batch->work.state) {
    case TIDE_WORK_WAITING:
        snprintf(text, size, "%s has no worker for its batch", task->stage);
        break;
    case TIDE_WORK_GIVEN:
        tide_batch_message(batch, record < batch->records.count ? record : batch->records.count - 1,
                           &message);
        snprintf(text, size, "worker %d of %s is at %s/%d/%lld",
                 tide_pool_pid(task->pool, batch->work.worker), task->stage,
                 tide_topics_name(task->step.chain->topics, message.topic), message.partition,
                 (long long)message.offset);
        break;
    default:
        if (batch->state == TIDE_BATCH_PAUSED) {
            snprintf(text, size, "a batch of %s waits to be tried again: %s", task->stage,
                     batch->pause.reason);
            break;
        }
        snprintf(text, size, "the step after %s takes nothing", task->stage);
    }
    return true;
}
