/* SPDX-License-Identifier: MIT
 * The items of the oldest batch of a lane (chain/results.h): which of them can be forwarded together, and what is done with a record
 * once its last item is passed. Every result of every message comes through here, so neighbours are dealt with together:
 * records of one partition are finished in one call. Start reading at tide_task_pass_items. */
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/layout.h"

/* This is asked for each item, and in most runs no message waits. */
static bool waits(struct tide_task *task, const struct tide_batch *batch, uint32_t record)
{
    return (task->retry.waiting > 0 || batch->release.marked || batch->record.waits) &&
           tide_retry_waits(task, batch, record);
}

/* Records from the one that is released next on whose items were passed: they are finished together, for which they have
 * to be of one partition. */
struct passed {
    uint32_t count;
    uint32_t filtered;
};

static void finish_passed(struct tide_task *task, struct tide_batch *batch, struct passed *passed)
{
    if (passed->count > 0)
        tide_task_finish_records(task, batch, passed->count, passed->filtered);
    *passed = (struct passed){0};
}

/* Each group is by itself: what they have in place of a partition says nothing. */
static bool is_same_partition(struct tide_origin a, struct tide_origin b)
{
    return a.partition == b.partition && a.epoch == b.epoch && a.partition != TIDE_ORIGIN_GROUP;
}

/* The record `count` behind the one that is released next. */
static bool is_timer(const struct tide_task *task, const struct tide_batch *batch, uint32_t count)
{
    return task->timers.time &&
           tide_batch_record(batch, batch->release.released + count)->message_flags &
               TIDE_MESSAGE_TIMER;
}

static void pass_record(struct tide_task *task, struct tide_batch *batch, struct passed *passed)
{
    const struct tide_origin *origins = &batch->origins[batch->release.released];
    bool rejected = batch->record.rejected;
    if (rejected || !is_same_partition(origins[0], origins[passed->count]))
        finish_passed(task, batch, passed);
    if (rejected) {
        tide_task_finish_record(task, batch);
        return;
    }
    if (batch->record.changed != 0)
        tide_state_accept(task, batch, batch->release.released + passed->count);
    if (is_timer(task, batch, passed->count))
        tide_state_end_timer(task, batch, batch->release.released + passed->count);
    passed->filtered += !batch->record.has_results && !is_timer(task, batch, passed->count);
    passed->count++;
    batch->record = (struct tide_batch_record){0};
}

/* Its results are dropped: it is run again. */
static void pass_waiting(struct tide_task *task, struct tide_batch *batch, struct tide_item *item,
                         struct passed *passed)
{
    if (item->kind != TIDE_ITEM_FINISHED)
        return;
    item->kind = TIDE_ITEM_WAITED;
    finish_passed(task, batch, passed);
    tide_retry_park(task, batch);
    tide_task_next_record(batch);
}

void tide_task_pass_items(struct tide_task *task, struct tide_batch *batch, uint32_t taken)
{
    struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    struct passed passed = {0};
    for (; parsed->item_at < parsed->item_count; parsed->item_at++) {
        struct tide_item *item = &parsed->items[parsed->item_at];
        if (waits(task, batch, item->record)) {
            pass_waiting(task, batch, item, &passed);
        } else if (item->kind == TIDE_ITEM_FINISHED) {
            pass_record(task, batch, &passed);
        } else if (item->kind == TIDE_ITEM_STATE) {
            tide_state_take(batch, &parsed->changes[item->message]);
        } else if (item->kind == TIDE_ITEM_MESSAGE && taken > 0) {
            taken--;
            batch->release.results++;
            batch->release.result_bytes += item->bytes;
            batch->record.has_results = true;
        } else if (item->kind != TIDE_ITEM_MESSAGE ||
                   tide_offsets_current(task->step.chain->offsets,
                                        parsed->messages[item->message].origin)) {
            break;
        } else {
            item->kind = TIDE_ITEM_REVOKED;
        }
    }
    finish_passed(task, batch, &passed);
}

uint32_t tide_task_count_submittable(struct tide_task *task, const struct tide_batch *batch,
                                     const struct tide_message *messages)
{
    const struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    uint32_t count = 0;
    for (uint32_t i = parsed->item_at; i < parsed->item_count; i++) {
        const struct tide_item *item = &parsed->items[i];
        if (waits(task, batch, item->record) ||
            (item->kind != TIDE_ITEM_FINISHED && item->kind != TIDE_ITEM_MESSAGE &&
             item->kind != TIDE_ITEM_STATE))
            break;
        count += item->kind == TIDE_ITEM_MESSAGE;
    }
    return (uint32_t)tide_offsets_current_many(task->step.chain->offsets, messages, count);
}
