/* SPDX-License-Identifier: MIT
 * tide.retry: a message that is to be tried again waits in the queue of its partition, and what follows it in the
 * partition waits behind it, so that the order is kept; its batch goes on with the others. Nothing of a message that
 * waits is handed on: it is run anew. After a pause the first of a queue is run alone, in a batch of its own; once it
 * is through the rest follows in batches. The queue keeps what such a batch has until each message is through, so a
 * batch that is told to wait again is simply dropped.
 *
 * A step that reduces has no queues: its batch waits as a whole, and the ones behind it.
 *
 * Results of several messages (groups) have one queue together: their members are of any partition. */
#include <stdio.h>

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

enum { FIRST_PAUSE_US = 100000, LONGEST_PAUSE_US = 10000000, LOG_EVERY_US = 60000000 };

static struct tide_partition_queue *queue_of(struct tide_task *task, struct tide_origin origin)
{
    bool group = origin.partition == TIDE_ORIGIN_GROUP;
    return tide_partition_queues_at(&task->queues, group ? 0 : origin.partition);
}

static struct tide_partition_queue *queue_run(struct tide_task *task,
                                              const struct tide_batch *batch)
{
    return tide_partition_queues_at(&task->queues, batch->queue - 1);
}

static struct tide_record *record_at(const struct tide_batch *batch, uint32_t index)
{
    return (struct tide_record *)(void *)(batch->input->data + (uint64_t)batch->places[index] * 8);
}

/* The first of the queue is another message now. */
static void begin(struct tide_partition_queue *queue)
{
    queue->since_us = queue->next_us = queue->pause_us = 0;
    queue->tries = 0;
}

static void drop_first(struct tide_task *task, struct tide_partition_queue *queue)
{
    task->waiting--;
    task->waiting_bytes -= tide_message_size(&queue->kept->message);
    tide_partition_queue_drop(queue);
    begin(queue);
}

void tide_retry_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end && task->waiting > 0 && batch->queue == 0; i++) {
        if (queue_of(task, batch->origins[i])->kept) {
            record_at(batch, i)->flags |= TIDE_RECORD_WAITS;
            batch->marked = true;
        }
    }
}

bool tide_retry_waits(struct tide_task *task, const struct tide_batch *batch, uint32_t index)
{
    if (batch->queue > 0 || (task->waiting == 0 && !batch->marked && !batch->retried))
        return false;
    if (tide_fault("bug.retry_overtaken"))
        return batch->retried;
    return batch->retried || record_at(batch, index)->flags & TIDE_RECORD_WAITS ||
           queue_of(task, batch->origins[index])->kept;
}

void tide_retry_park(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_message message;
    tide_batch_message(batch, batch->released, &message);
    if (tide_offsets_current(task->step.chain->offsets, message.origin)) {
        tide_partition_queue_keep(queue_of(task, message.origin), &message, false);
        task->waiting++;
        task->waiting_bytes += tide_message_size(&message);
    } else {
        tide_offsets_drop(task->step.chain->offsets, message.origin);
    }
    batch->retried = false;
}

/* Said at once, and then once a minute. */
static void say(struct tide_task *task, const struct tide_message *message, const char *reason,
                int64_t now_us)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_message from = *message;
    tide_count(chain->counters, task->step.row, TIDE_M_MESSAGE_RETRY, 1);
    task->retries++;
    if (task->retry_said_us > 0 && now_us - task->retry_said_us < LOG_EVERY_US)
        return;
    tide_log(TIDE_LOG_WARN,
             "%s: %s/%d/%lld is tried again, and what follows it in its partition waits: %s (%llu "
             "times since this was said last)",
             task->word, tide_topics_name(chain->topics, from.topic), from.partition,
             (long long)from.offset, reason, (unsigned long long)task->retries);
    task->retries = 0;
    task->retry_said_us = now_us;
}

static bool too_late(const struct tide_task *task, int64_t since_us, int64_t now_us)
{
    int64_t limit_us = task->step.chain->retry_timeout_us;
    return limit_us > 0 && since_us > 0 && now_us - since_us >= limit_us;
}

/* The rest of the batch's messages are in the queue still. */
static void put_off(struct tide_task *task, struct tide_batch *batch)
{
    task->parsed.item_at = task->parsed.item_count;
    batch->released = batch->ready = batch->count;
    batch->work.blamed = false;
}

int tide_retry_again(struct tide_task *task, struct tide_batch *batch,
                     const struct tide_message *message, const char *reason, int64_t now_us)
{
    struct tide_partition_queue *queue = batch->queue > 0 ? queue_run(task, batch)
                                                          : queue_of(task, message->origin);
    if (!tide_offsets_current(task->step.chain->offsets, message->origin))
        return TIDE_OK;
    if (batch->queue > 0 && too_late(task, queue->since_us, now_us)) {
        struct tide_reject fields = {
            .reason = "retry_timeout", .error = reason, .attempts = queue->tries + 1};
        return tide_task_reject(task, batch, batch->released, &fields);
    }
    if (queue->since_us == 0)
        queue->since_us = now_us;
    queue->tries++;
    tide_partition_queue_pause(queue, now_us, FIRST_PAUSE_US, LONGEST_PAUSE_US);
    say(task, message, reason, now_us);
    if (batch->queue > 0)
        put_off(task, batch);
    else
        batch->retried = true;
    return TIDE_OK;
}

void tide_retry_finished(struct tide_task *task, struct tide_batch *batch)
{
    if (batch->queue == 0)
        return;
    queue_run(task, batch)->sent--;
    drop_first(task, queue_run(task, batch));
}

void tide_retry_end(struct tide_task *task, struct tide_batch *batch)
{
    if (batch->queue > 0)
        queue_run(task, batch)->sent = 0;
}

/* What was revoked meanwhile is read again by its next owner. */
static void sweep(struct tide_task *task, struct tide_partition_queue *queue)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    while (queue->kept && !tide_offsets_current(offsets, queue->kept->message.origin)) {
        tide_offsets_drop(offsets, queue->kept->message.origin);
        drop_first(task, queue);
    }
}

static void run(struct tide_task *task, uint32_t number, int64_t now_us)
{
    struct tide_partition_queue *queue = &task->queues.items[number];
    struct tide_batch *batch = task->free;
    uint32_t most = queue->tries > 0 ? 1 : task->most;
    task->free = batch->next;
    batch->opened_us = now_us;
    batch->queue = number + 1;
    for (struct tide_kept *kept = queue->kept; kept && batch->count < most; kept = kept->next) {
        if (batch->count > 0 && batch->bytes + tide_batch_need(&kept->message) > task->input.now)
            break;
        tide_batch_append(batch, &kept->message);
    }
    queue->sent = batch->count;
    tide_task_seal(task, batch, TIDE_M_BATCH_CLOSE_RETRY, now_us);
}

void tide_retry_poll(struct tide_task *task, int64_t now_us)
{
    for (uint32_t i = 0; i < task->queues.count && task->waiting > 0; i++) {
        struct tide_partition_queue *queue = &task->queues.items[i];
        if (queue->sent > 0)
            continue;
        sweep(task, queue);
        if (queue->kept && task->free && now_us >= queue->next_us)
            run(task, i, now_us);
    }
}

int64_t tide_retry_deadline(const struct tide_task *task)
{
    int64_t due_us = INT64_MAX;
    const struct tide_batch *oldest = task->order_count > 0 ? task->order[task->order_head] : NULL;
    if (oldest && oldest->again)
        due_us = oldest->wait.next_us;
    for (uint32_t i = 0; i < task->queues.count && task->waiting > 0 && task->free; i++) {
        const struct tide_partition_queue *queue = &task->queues.items[i];
        if (queue->kept && queue->sent == 0 && queue->next_us < due_us)
            due_us = queue->next_us;
    }
    return due_us;
}

void tide_retry_free(struct tide_task *task)
{
    tide_partition_queues_free(&task->queues);
}

/* ---- a step that reduces ---- */

void tide_retry_note(struct tide_task *task, struct tide_batch *batch, const char *reason,
                     int64_t now_us)
{
    struct tide_message message;
    tide_batch_message(batch, batch->released, &message);
    snprintf(batch->reason, sizeof(batch->reason), "%s", reason);
    if (batch->wait.since_us == 0)
        batch->wait.since_us = now_us;
    batch->wait.tries++;
    batch->again = true;
    tide_partition_queue_pause(&batch->wait, now_us, FIRST_PAUSE_US, LONGEST_PAUSE_US);
    say(task, &message, reason, now_us);
}

int tide_retry_batch(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    if (!batch->again)
        return TIDE_OK;
    if (too_late(task, batch->wait.since_us, now_us)) {
        struct tide_reject fields = {
            .reason = "retry_timeout", .error = batch->reason, .attempts = batch->wait.tries};
        batch->suspect = batch->count; /* none of them more than another */
        int status = tide_reduce_reject(task, batch, &fields);
        batch->again = status != TIDE_OK;
        return status;
    }
    if (now_us < batch->wait.next_us)
        return TIDE_BUSY;
    batch->again = false;
    return TIDE_OK;
}
