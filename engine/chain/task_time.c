/* SPDX-License-Identifier: MIT
 * How long the step took no message, and what it waited for then; how long a batch was filled while no worker had one.
 * What binds a pipeline is judged by these sums (lua/tidemill/tuning). They are charged once a turn, with the cause as it
 * was when the last turn ended: between turns nothing moves but the workers. Start reading at tide_task_charge. */
#include "chain/task.h"
#include "shm/counters.h"

/* In the lane of the message that was not taken. */
static bool has_room(const struct tide_task *task)
{
    uint32_t lane = task->time.lane;
    return task->lanes[lane].open || tide_task_has_free(task, lane);
}

static bool is_any_open(const struct tide_task *task)
{
    for (uint32_t i = 0; i < task->filled; i++) {
        if (task->lanes[i].open)
            return true;
    }
    return false;
}

/* Of the oldest batch, since the others are given back after it (by key: the others of the full lane). A worker that is idle
 * beside a batch that is run, while others are done already, says that one batch holds up all the others; by key, that one
 * lane does. */
static enum tide_metric cause_of(const struct tide_task *task)
{
    bool by_key = task->plan.order == TIDE_ORDER_KEY;
    const struct tide_batch *oldest = by_key
                                          ? STAILQ_FIRST(&task->lanes[task->time.lane].sealed.list)
                                          : tide_task_oldest(task);
    if (has_room(task) || !oldest || oldest->state == TIDE_BATCH_PAUSED)
        return TIDE_M_BLOCKED_RETRY;
    if (oldest->state == TIDE_BATCH_CRASHED)
        return TIDE_M_BLOCKED_DLQ;
    const struct tide_parsed *parsed = &task->lanes[oldest->lane].parsed;
    if (oldest->state == TIDE_BATCH_RESULTS)
        return parsed->item_at < parsed->item_count &&
                       parsed->items[parsed->item_at].kind != TIDE_ITEM_MESSAGE
                   ? TIDE_M_BLOCKED_DLQ
                   : TIDE_M_BLOCKED_NEXT_STEP;
    return task->size.in_progress < task->order.count && tide_pool_has_idle(task->pool)
               ? TIDE_M_BLOCKED_OLDEST
               : TIDE_M_BLOCKED_WORKERS;
}

void tide_task_blocked(struct tide_task *task, uint32_t lane)
{
    task->time.blocked = true;
    task->time.lane = lane;
    task->time.cause = cause_of(task);
}

/* While the source is paused nothing is submitted that could be taken, so a step that has room again is not blocked. */
void tide_task_unblocked(struct tide_task *task)
{
    if (!task->time.blocked)
        return;
    if (has_room(task))
        task->time.blocked = false;
    else
        task->time.cause = cause_of(task);
}

void tide_task_charge(struct tide_task *task, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    int64_t passed_us = task->time.charged_us > 0 ? now_us - task->time.charged_us : 0;
    task->time.charged_us = now_us;
    if (task->time.blocked)
        tide_count(counters, task->step.row, task->time.cause, (uint64_t)passed_us);
    else if (task->order.count == 0 && is_any_open(task))
        tide_count(counters, task->step.row, TIDE_M_BATCH_FILLING_TIME, (uint64_t)passed_us);
    if (tide_retry_any(task))
        tide_count(counters, task->step.row, TIDE_M_RETRY_TIME, (uint64_t)passed_us);
}
