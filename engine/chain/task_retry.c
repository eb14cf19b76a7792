/* SPDX-License-Identifier: MIT
 * tide.retry: a message that is to be tried again waits in the queue of its partition, and what follows it in the
 * partition waits after it, so that the order is kept; its batch goes on with the others. Nothing of a message that
 * waits is forwarded: it is run again. After a pause the first of a queue is run alone, in a batch of its own; once it
 * is complete the others follow in batches. The queue keeps what such a batch has until each message is finished, so a
 * batch that is told to wait again is simply dropped.
 *
 * The messages are copied out of their batch rather than left in its block: a batch that waits for one message would
 * hold up all batches after it, and the step would soon have none left to fill.
 *
 * Results of several messages (groups) share one queue, since their members may be of any partition. Where lanes are by key
 * (chain/task.h) a lane has a queue in place of a partition, and what follows in the lane waits. Where no order is kept
 * only the message itself waits; those of a partition are tried again one after another. A step that reduces has no queues: its batch waits as a whole (task_reduce.c). Start reading at tide_retry_again. */
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/tap.h"
#include "chain/task.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { FIRST_PAUSE_US = 100000, LONGEST_PAUSE_US = 10000000, LOG_EVERY_US = 60000000 };

/* The queue that a message of the batch waits in. */
static struct tide_partition_queue *queue_of(struct tide_task *task, const struct tide_batch *batch,
                                             struct tide_origin origin)
{
    bool group = origin.partition == TIDE_ORIGIN_GROUP;
    bool by_key = task->plan.order == TIDE_ORDER_KEY;
    uint32_t number = by_key ? batch->lane : group ? 0 : origin.partition;
    return tide_partition_queues_at(&task->retry.queues, number);
}

/* The queue that the batch's records come from. */
static struct tide_partition_queue *source_queue(struct tide_task *task,
                                                 const struct tide_batch *batch)
{
    return tide_partition_queues_at(&task->retry.queues, batch->records.queue);
}

/* The oldest message leaves the queue; the next one has not been tried yet. */
static void drop_first(struct tide_task *task, struct tide_partition_queue *queue)
{
    task->retry.waiting--;
    task->retry.waiting_bytes -= tide_message_size(tide_partition_queue_oldest(queue));
    tide_partition_queue_drop(queue);
    queue->since_us = queue->next_us = queue->pause_us = 0;
    queue->tries = 0;
}

/* Without the marks workers would run them, though the results can only be dropped. The queues are asked again on
 * release: a message may have begun to wait since. */
void tide_retry_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first, uint32_t end)
{
    if (batch->records.from_queue || task->retry.waiting == 0 ||
        task->plan.order == TIDE_ORDER_NONE)
        return;
    for (uint32_t i = first; i < end; i++) {
        if (queue_of(task, batch, batch->origins[i])->kept.count > 0) {
            tide_batch_record(batch, i)->flags |= TIDE_RECORD_WAITS;
            batch->release.marked = true;
        }
    }
}

bool tide_retry_waits(struct tide_task *task, const struct tide_batch *batch, uint32_t index)
{
    bool retried = batch->record.waits;
    if (batch->records.from_queue ||
        (task->retry.waiting == 0 && !batch->release.marked && !retried))
        return false;
    /* A mistake that the simulation must find: messages overtake one that is tried again. */
    if (retried || task->plan.order == TIDE_ORDER_NONE || tide_fault("bug.retry_overtaken"))
        return retried;
    return tide_batch_record(batch, index)->flags & TIDE_RECORD_WAITS ||
           queue_of(task, batch, batch->origins[index])->kept.count > 0;
}

void tide_retry_park(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    struct tide_message message;
    tide_batch_message(batch, batch->release.released, &message);
    if (tide_offsets_current(offsets, message.origin)) {
        tide_partition_queue_keep(queue_of(task, batch, message.origin), &message, false);
        task->retry.waiting++;
        task->retry.waiting_bytes += tide_message_size(&message);
    } else {
        tide_offsets_drop(offsets, message.origin);
    }
    batch->record.waits = false;
}

/* The first retry is logged at once, and then one line a minute says how many there were. */
static void log_retry(struct tide_task *task, const struct tide_message *message,
                      const char *reason, int64_t now_us)
{
    task->retry.unlogged++;
    if (task->retry.logged_us > 0 && now_us - task->retry.logged_us < LOG_EVERY_US)
        return;
    static const char *const who_waits[] = {
        [TIDE_ORDER_PARTITION] = ", and what follows it in its partition waits",
        [TIDE_ORDER_KEY] = ", and what follows it in its lane waits",
        [TIDE_ORDER_NONE] = "",
    };
    tide_log(TIDE_LOG_WARN,
             "%s: %s/%d/%lld is tried again%s: %s (%llu times since this was said last)",
             task->stage, tide_topics_name(task->step.chain->topics, message->topic),
             message->partition, (long long)message->offset, who_waits[task->plan.order], reason,
             (unsigned long long)task->retry.unlogged);
    task->retry.unlogged = 0;
    task->retry.logged_us = now_us;
}

static void tell_taps(const struct tide_task *task, const struct tide_partition_queue *times,
                      const struct tide_message *message, const char *reason)
{
    struct tide_taps *taps = task->step.chain->taps;
    struct tide_tap_event event = {.row = task->step.row,
                                   .fate = TIDE_FATE_RETRY,
                                   .before = message,
                                   .attempts = times->tries,
                                   .error = reason};
    tide_taps_wanted(taps, task->step.row);
    tide_taps_offer(taps, &event);
}

void tide_retry_begin_pause(struct tide_task *task, struct tide_partition_queue *times,
                            const struct tide_message *message, const char *reason, int64_t now_us)
{
    if (times->since_us == 0)
        times->since_us = now_us;
    times->tries++;
    tide_partition_queue_pause(times, now_us, FIRST_PAUSE_US, LONGEST_PAUSE_US);
    tide_count(task->step.chain->counters, task->step.row, TIDE_M_MESSAGE_RETRY, 1);
    if (tide_taps_armed(task->step.chain->taps))
        tell_taps(task, times, message, reason);
    log_retry(task, message, reason, now_us);
}

bool tide_retry_timed_out(const struct tide_task *task, const struct tide_partition_queue *times,
                          int64_t now_us)
{
    int64_t limit_us = task->step.chain->retry_timeout_us;
    return limit_us > 0 && times->since_us > 0 && now_us - times->since_us >= limit_us;
}

/* All records that are left are in the queue still, and will be run again from there. */
static void put_off(struct tide_batch *batch)
{
    batch->release.released = batch->records.count;
    batch->run = (struct tide_batch_run){.ready = batch->records.count};
}

int tide_retry_again(struct tide_task *task, struct tide_batch *batch, const char *reason,
                     int64_t now_us)
{
    bool from_queue = batch->records.from_queue;
    struct tide_message message;
    tide_batch_message(batch, batch->release.released, &message);
    struct tide_partition_queue *queue = from_queue ? source_queue(task, batch)
                                                    : queue_of(task, batch, message.origin);
    if (!tide_offsets_current(task->step.chain->offsets, message.origin))
        return TIDE_OK;
    if (from_queue && tide_retry_timed_out(task, queue, now_us)) {
        struct tide_reject fields = {
            .reason = "retry_timeout", .error = reason, .attempts = queue->tries + 1};
        return tide_task_reject(task, batch, batch->release.released, &fields);
    }
    tide_retry_begin_pause(task, queue, &message, reason, now_us);
    if (from_queue)
        put_off(batch);
    else
        batch->record.waits = true;
    return TIDE_OK;
}

void tide_retry_finished(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_partition_queue *queue = source_queue(task, batch);
    queue->sent--;
    drop_first(task, queue);
}

void tide_retry_end(struct tide_task *task, struct tide_batch *batch)
{
    if (batch->records.from_queue)
        source_queue(task, batch)->sent = 0;
}

/* What was revoked meanwhile is read again by its next owner. */
static void drop_revoked(struct tide_task *task, struct tide_partition_queue *queue)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    const struct tide_message *oldest;
    while ((oldest = tide_partition_queue_oldest(queue)) &&
           !tide_offsets_current(offsets, oldest->origin)) {
        tide_offsets_drop(offsets, oldest->origin);
        drop_first(task, queue);
    }
}

/* A queue belongs to a lane where these are by key. */
static uint32_t lane_of(const struct tide_task *task, uint32_t number)
{
    return task->plan.order == TIDE_ORDER_KEY ? number : 0;
}

/* Runs the oldest message alone while it is not known to succeed, and then as many as a batch takes. They stay in the
 * queue until each of them is finished. */
static void run_queue(struct tide_task *task, uint32_t number, int64_t now_us)
{
    struct tide_partition_queue *queue = &task->retry.queues.items[number];
    struct tide_batch *batch = tide_task_take_free(task, lane_of(task, number), now_us);
    uint32_t most = queue->tries > 0 ? 1 : task->size.max_messages;
    batch->records.from_queue = true;
    batch->records.queue = number;
    for (const struct tide_message_item *kept = STAILQ_FIRST(&queue->kept.items);
         kept && batch->records.count < most; kept = STAILQ_NEXT(kept, next)) {
        if (batch->records.count > 0 &&
            batch->records.bytes + tide_batch_need(&kept->message) > task->size.input.now)
            break;
        tide_batch_append(batch, &kept->message);
    }
    queue->sent = batch->records.count;
    tide_task_seal(task, batch, TIDE_M_BATCH_CLOSE_RETRY, now_us);
}

void tide_retry_poll(struct tide_task *task, int64_t now_us)
{
    for (uint32_t i = 0; i < task->retry.queues.count && task->retry.waiting > 0; i++) {
        struct tide_partition_queue *queue = &task->retry.queues.items[i];
        if (queue->sent > 0)
            continue;
        drop_revoked(task, queue);
        if (queue->kept.count > 0 && tide_task_has_free(task, lane_of(task, i)) &&
            now_us >= queue->next_us)
            run_queue(task, i, now_us);
    }
}

int64_t tide_retry_deadline(const struct tide_task *task)
{
    const struct tide_batch *oldest = tide_task_oldest(task);
    bool paused = oldest && oldest->state == TIDE_BATCH_PAUSED;
    int64_t due_us = paused ? oldest->pause.times.next_us : INT64_MAX;
    if (task->retry.waiting == 0)
        return due_us;
    for (uint32_t i = 0; i < task->retry.queues.count; i++) {
        const struct tide_partition_queue *queue = &task->retry.queues.items[i];
        if (queue->kept.count > 0 && queue->sent == 0 && queue->next_us < due_us &&
            tide_task_has_free(task, lane_of(task, i)))
            due_us = queue->next_us;
    }
    return due_us;
}

/* ---- what is seen of it ---- */

bool tide_retry_any(const struct tide_task *task)
{
    const struct tide_batch *oldest = tide_task_oldest(task);
    return task->retry.waiting > 0 || (oldest && oldest->state == TIDE_BATCH_PAUSED);
}

static void note_wait(struct tide_retry_wait *wait, const struct tide_message *message,
                      int64_t since_us, uint32_t messages)
{
    if (since_us < wait->since_us)
        *wait = (struct tide_retry_wait){.since_us = since_us,
                                         .offset = message->offset,
                                         .partition = message->partition,
                                         .topic = message->topic,
                                         .messages = messages};
}

/* The first of a queue has no time of a first try once those before it are complete: it runs with the next batch. */
bool tide_task_retry_wait(const struct tide_step *step, struct tide_retry_wait *wait)
{
    const struct tide_task *task = (const struct tide_task *)(const void *)step;
    const struct tide_batch *oldest = tide_task_oldest(task);
    struct tide_message message;
    *wait = (struct tide_retry_wait){.since_us = INT64_MAX};
    if (oldest && oldest->state == TIDE_BATCH_PAUSED) {
        tide_batch_message(oldest, 0, &message);
        note_wait(wait, &message, oldest->pause.times.since_us, oldest->records.count);
    }
    for (uint32_t i = 0; i < task->retry.queues.count && task->retry.waiting > 0; i++) {
        const struct tide_partition_queue *queue = &task->retry.queues.items[i];
        if (queue->kept.count > 0 && queue->since_us > 0)
            note_wait(wait, tide_partition_queue_oldest(queue), queue->since_us,
                      (uint32_t)queue->kept.count);
    }
    return wait->since_us != INT64_MAX;
}

void tide_retry_free(struct tide_task *task)
{
    tide_partition_queues_free(&task->retry.queues);
}
