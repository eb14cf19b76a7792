/* SPDX-License-Identifier: MIT
 * Lanes by key: messages of one key go into one lane, whose batches run one after another in one worker, so that they
 * keep their order whatever the other lanes do. Which worker that is, the pool decides (tide_work.lane).
 *
 * A lane has batches of its own: one to be filled, one that runs, and as many as are prefetched. Were they shared, a lane
 * that is slower than its messages come would have all of them soon, and the others none. When all of a lane are in use
 * its next messages are copied to a list, but only as long as another lane has little to do (is_hungry): else the source
 * can wait, as with any step. Start reading at tide_lanes_keep. */
#include <stdlib.h>

#include "base/fault.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/task.h"

enum {
    /* Messages that may wait for a lane in exactly_once, in batches: a commit waits until they are run, and an automatic
     * batch takes a worker 50 ms. */
    MOST_BATCHES = 16
};

/* A message without a key may go anywhere: it does not wait for a full lane. */
static uint32_t choose_any(struct tide_task *task)
{
    const uint32_t count = task->lane_count;
    uint32_t lane = task->by_key.next;
    tide_require(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        lane = (task->by_key.next + i) % count;
        const struct tide_lane *at = &task->lanes[lane];
        if (at->waiting.count == 0 && (at->open || tide_task_has_free(task, lane)))
            break;
    }
    task->by_key.next = (lane + 1) % count;
    return lane;
}

uint32_t tide_lanes_choose(struct tide_task *task, const struct tide_message *message,
                           const char **problem)
{
    const char *bytes = message->key;
    uint32_t length = message->key_length;
    *problem = NULL;
    if (message->flags & TIDE_MESSAGE_TIMER)
        return tide_lane_of_key(bytes, length, task->lane_count);
    bool has_key = tide_lane_key_read(task->by_key.key, message, &bytes, &length);
    if (!has_key && !task->has_state)
        return choose_any(task);
    if (task->has_state) {
        const char *missing = has_key ? NULL : tide_lane_key_missing(task->by_key.key, message);
        *problem = tide_state_problem(missing, bytes, length);
    }
    if (*problem)
        return 0;
    uint32_t lane = tide_lane_of_key(bytes, length, task->lane_count);
    /* A mistake that the simulation must find: the key changes its lane. */
    bool wrong = message->offset % 2 == 1 && tide_fault("bug.lane_of_another");
    return wrong ? (lane + 1) % task->lane_count : lane;
}

/* ---- what may run ---- */

void tide_lanes_run(struct tide_task *task)
{
    struct tide_batch *batch;
    for (uint32_t i = 0; task->by_key.key && i < task->lane_count; i++) {
        STAILQ_FOREACH(batch, &task->lanes[i].sealed.list, in_lane)
        {
            if (batch->state == TIDE_BATCH_SEALED)
                tide_task_submit(task, batch, 0, batch->records.count);
            if (task->has_state || /* its changes have to be accepted first */
                (!tide_task_is_run(batch) && !tide_fault("bug.lane_together")))
                break;
        }
    }
}

bool tide_lanes_is_idle(const struct tide_task *task, uint32_t lane)
{
    struct tide_batch *batch;
    STAILQ_FOREACH(batch, &task->lanes[lane].sealed.list, in_lane)
    {
        if (!tide_task_is_run(batch))
            return false;
    }
    return true;
}

/* ---- messages that wait ---- */

/* It could have one more batch beside the one that is filled. */
static bool is_hungry(const struct tide_task *task, uint32_t number)
{
    const struct tide_lane *lane = &task->lanes[number];
    return lane->waiting.count == 0 && lane->sealed.count <= task->plan.prefetch_batches;
}

/* The lane that was hungry the last time mostly is so still. */
static bool is_any_hungry(struct tide_task *task)
{
    for (uint32_t i = 0; i < task->lane_count; i++) {
        uint32_t lane = (task->by_key.hungry + i) % task->lane_count;
        if (is_hungry(task, lane)) {
            task->by_key.hungry = lane;
            return true;
        }
    }
    return false;
}

static uint64_t bytes_of(const struct tide_message *message)
{
    return sizeof(struct tide_message_item) + tide_message_size(message);
}

static void count_waiting(struct tide_task *task, uint32_t count)
{
    task->by_key.waiting = count;
    tide_observe(task->step.chain->counters, task->step.row, TIDE_M_LANES_WAITING, count);
}

bool tide_lanes_keep(struct tide_task *task, uint32_t lane, const struct tide_message *message)
{
    struct tide_message_list *waiting = &task->lanes[lane].waiting;
    uint64_t bytes = task->by_key.waiting_bytes + task->retry.waiting_bytes;
    bool full = task->step.chain->exactly_once &&
                waiting->count >= MOST_BATCHES * task->size.max_messages;
    if (!task->by_key.key || full || bytes > task->size.input.max || !is_any_hungry(task))
        return false;
    struct tide_message_item *item = tide_message_item_new(message,
                                                           sizeof(struct tide_message_item));
    /* A mistake that the simulation must find: what waits is overtaken. */
    if (tide_fault("bug.waiting_overtaken"))
        tide_message_list_prepend(waiting, item);
    else
        tide_message_list_append(waiting, item);
    task->by_key.waiting_bytes += bytes_of(message);
    count_waiting(task, task->by_key.waiting + 1);
    return true;
}

void tide_lanes_drop_oldest(struct tide_task *task, uint32_t lane)
{
    struct tide_message_item *item = tide_message_list_take(&task->lanes[lane].waiting);
    task->by_key.waiting_bytes -= bytes_of(&item->message);
    count_waiting(task, task->by_key.waiting - 1);
    free(item);
}

const struct tide_message *tide_lanes_oldest(struct tide_task *task, uint32_t lane)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    const struct tide_message_item *item;
    while (task->lanes[lane].waiting.count > 0 &&
           (item = STAILQ_FIRST(&task->lanes[lane].waiting.items))) {
        if (tide_offsets_current(offsets, item->message.origin))
            return &item->message;
        tide_offsets_drop(offsets, item->message.origin);
        tide_lanes_drop_oldest(task, lane);
    }
    return NULL;
}
