/* SPDX-License-Identifier: MIT
 * Sends dead letters, one partition queue for each partition of the input, and takes their reports. A dead letter
 * keeps a reference on its message (chain/offsets.h) from tide_dlq_writer_take until it is acknowledged, so that an
 * offset is never committed before its dead letter is written. The queues are the only state: how many wait is
 * counted from them when it is asked for, as there are few. A dead letter that is not written waits here rather than
 * in its input block, up to max_buffered of them, so that the messages after it in its partition go on in the
 * meantime. When a queue is full, the step stops with all its partitions; what other queues keep is still sent. A
 * transaction is the exception: it could not end without the dead letter, so there nothing waits past it. Start
 * reading at tide_dlq_writer_take, then tide_dlq_reported, then poll_queue. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/dlq_inside.h"
#include "chain/offsets.h"
#include "io/sink.h"
#include "shm/counters.h"
#include "shm/topics.h"

/* What failing queues may keep in all. max_buffered counts messages, and 1000 large ones in each of many partitions
 * would be more than the memory has. */
enum { MAX_KEPT_BYTES = 64 << 20 };

int tide_dlq_writer_open(struct tide_dlq *dlq)
{
    dlq->writer.file.fd = -1;
    if (dlq->plan.kind == TIDE_DLQ_FILE)
        return tide_dead_letter_file_open(&dlq->writer.file, dlq->target);
    if (dlq->plan.kind != TIDE_DLQ_TOPIC)
        return TIDE_OK;
    int topic = tide_topics_number(dlq->chain->topics, dlq->target);
    dlq->writer.topic = (uint16_t)topic;
    return topic;
}

void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink)
{
    dlq->writer.sink = sink;
}

/* ---- the queues ---- */

static uint64_t count_waiting(const struct tide_dlq *dlq)
{
    struct tide_queue_totals totals = tide_partition_queues_totals(&dlq->writer.queues);
    return totals.kept + totals.sent;
}

static void observe(struct tide_dlq *dlq)
{
    struct tide_queue_totals totals = tide_partition_queues_totals(&dlq->writer.queues);
    struct tide_counters *counters = dlq->chain->counters;
    tide_observe(counters, 0, TIDE_M_DLQ_WAITING, (double)(totals.kept + totals.sent));
    tide_observe(counters, 0, TIDE_M_DLQ_PARTITIONS, totals.used);
}

/* Counts an episode in which the queue is full once. */
static bool note_full(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                      const struct tide_queue_totals *totals)
{
    uint32_t max = dlq->plan.max_buffered;
    bool full = (max > 0 && queue->sent + queue->kept.count >= max) ||
                (queue->dlq.state != TIDE_DLQ_GOOD && totals->kept_bytes >= MAX_KEPT_BYTES);
    if (full && !queue->dlq.full)
        tide_count(dlq->chain->counters, 0, TIDE_M_DLQ_EXCEEDED, 1);
    queue->dlq.full = full;
    return full;
}

/* A transaction cannot end without a dead letter that waits for the end of a pause, so the step waits with it. */
static bool is_paused(const struct tide_dlq *dlq, const struct tide_partition_queue *queue)
{
    return dlq->chain->exactly_once && queue->dlq.state != TIDE_DLQ_GOOD &&
           tide_clock_us() < queue->next_us;
}

/* True if the probe is answered by what happens now. */
static bool end_probe(struct tide_partition_queue *queue)
{
    bool probe = queue->dlq.state == TIDE_DLQ_PROBING;
    if (probe)
        queue->dlq.state = TIDE_DLQ_FAILING;
    return probe;
}

bool tide_dlq_joined(const struct tide_dlq *dlq)
{
    return tide_partition_queues_totals(&dlq->writer.queues).kept == 0;
}

void tide_dlq_forget(struct tide_dlq *dlq, uint32_t partition)
{
    struct tide_offsets *offsets = dlq->chain->offsets;
    struct tide_partition_queue *queue = tide_partition_queues_at(&dlq->writer.queues, partition);
    for (uint32_t left = queue->kept.count; left > 0; left--) {
        const struct tide_message *dead_letter = tide_partition_queue_oldest(queue);
        struct tide_origin origin = dead_letter->origin;
        /* A group of which only some partitions were revoked is current still: it goes to the end of the queue. */
        if (tide_offsets_current(offsets, origin))
            tide_partition_queue_keep(queue, dead_letter, false);
        else
            tide_offsets_drop(offsets, origin);
        tide_partition_queue_drop(queue);
    }
}

/* ---- sending ---- */

/* The dead letter is safe. Any success shows that the topic or file takes something again, also that of a dead letter
 * which was sent before the queue began to fail: so the pause ends, whether it was the probe or not. */
static void note_written(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                         struct tide_origin origin)
{
    tide_dlq_recovered(dlq, queue);
    dlq->chain->progress = true;
    tide_count(dlq->chain->counters, 0, TIDE_M_DLQ_MESSAGES, 1);
    tide_offsets_unref(dlq->chain->offsets, origin, TIDE_OUTCOME_DEAD_LETTERED);
}

/* A file answers at once, so there is nothing in flight and no report. Once the reader of a pipe is gone, trying again
 * would never help: then the pipeline stops even with on_failure = "wait". */
static int write_to_file(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                         const struct tide_message *dead_letter)
{
    int status = tide_dead_letter_file_write(&dlq->writer.file, dead_letter);
    if (status == TIDE_OK)
        note_written(dlq, queue, dead_letter->origin);
    if (status >= 0 || dlq->writer.file.reader_gone)
        return status;
    status = tide_dlq_failed(dlq, queue, dead_letter, status, tide_error());
    return status < 0 ? status : TIDE_BUSY;
}

/* TIDE_OK: the dead letter is with the sink, or in the file. TIDE_BUSY: neither, so keep it. */
static int send_dead_letter(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                            const struct tide_message *dead_letter)
{
    struct tide_sink *sink = dlq->writer.sink;
    if (dlq->plan.kind == TIDE_DLQ_FILE)
        return write_to_file(dlq, queue, dead_letter);
    if (dlq->writer.size.alone && tide_partition_queues_totals(&dlq->writer.queues).sent > 0)
        return TIDE_BUSY;
    ssize_t sent = sink->ops->send(sink, dead_letter, 1);
    if (sent <= 0)
        return sent < 0 ? (int)sent : TIDE_BUSY;
    queue->sent++;
    tide_offsets_mark_sent(dlq->chain->offsets,
                           dead_letter->origin); /* a commit has to wait for its report */
    dlq->chain->progress = true;
    return TIDE_OK;
}

/* Sends the dead letter, or keeps it. TIDE_BUSY: neither, since nothing is kept while the queue is GOOD and empty. */
static int send_or_keep(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                        const struct tide_message *dead_letter, bool only_copy)
{
    bool send_now = queue->dlq.state == TIDE_DLQ_GOOD && queue->kept.count == 0;
    int status = send_now ? send_dead_letter(dlq, queue, dead_letter) : TIDE_BUSY;
    bool keep = only_copy || queue->dlq.state != TIDE_DLQ_GOOD || queue->kept.count > 0;
    if (status != TIDE_BUSY || !keep)
        return status;
    tide_partition_queue_keep(queue, dead_letter, false);
    return TIDE_OK;
}

int tide_dlq_writer_take(struct tide_dlq *dlq, const struct tide_message *original, bool only_copy)
{
    struct tide_offsets *offsets = dlq->chain->offsets;
    struct tide_message dead_letter = *original;
    struct tide_origin origin = original->origin;
    struct tide_partition_queue *queue = tide_partition_queues_at(
        &dlq->writer.queues, tide_offsets_partition(offsets, origin));
    struct tide_queue_totals totals = tide_partition_queues_totals(&dlq->writer.queues);
    bool full = note_full(dlq, queue, &totals);
    if (!only_copy && (full || is_paused(dlq, queue)))
        return TIDE_BUSY;
    if (tide_dlq_size_too_large(&dlq->writer.size, tide_message_size(original))) {
        int refused = tide_dlq_refuse_group(dlq, original);
        if (refused < 0)
            return refused;
        (void)tide_dlq_truncate(dlq, &dead_letter);
    }
    /* This reference is the dead letter's own: the step that rejects the message gives back its one at once. */
    tide_offsets_ref(offsets, origin);
    if (totals.kept + totals.sent == 0)
        tide_dlq_restart_timer(dlq);
    int status = send_or_keep(dlq, queue, &dead_letter, only_copy);
    if (status == TIDE_OK)
        observe(dlq);
    else
        tide_offsets_unref(offsets, origin,
                           TIDE_OUTCOME_FILTERED); /* the message has its own reference */
    return status;
}

/* ---- reports ---- */

static bool is_too_large(const struct tide_report *report)
{
    return report->kind == TIDE_REPORT_TOO_LARGE || report->kind == TIDE_REPORT_TOO_LARGE_ABORTED;
}

static int note_failure(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                        const struct tide_report *report)
{
    int status = report->kind == TIDE_REPORT_UNAVAILABLE ? TIDE_ETEMPORARY : TIDE_EDATA;
    return tide_dlq_failed(dlq, queue, &report->message, status, report->text);
}

/* The dead letter is sent again: at once where truncating helps, else after a pause. */
static int keep_refused(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                        const struct tide_report *report)
{
    struct tide_message dead_letter = report->message;
    bool probe = end_probe(queue);
    if (is_too_large(report) && !dlq->plan.fail_on_too_large) {
        int status = tide_dlq_refuse_group(dlq, &dead_letter);
        if (status < 0)
            return status;
        if (tide_dlq_truncate(dlq, &dead_letter) != TIDE_NOT_TRUNCATED) {
            tide_partition_queue_keep(queue, &dead_letter, true);
            queue->next_us = 0;
            return TIDE_OK;
        }
    }
    /* The queue failed already when this one was on its way: it does not make the pause longer. */
    bool failed_before = queue->dlq.state == TIDE_DLQ_FAILING && !probe;
    int status = failed_before ? TIDE_OK : note_failure(dlq, queue, report);
    if (status == TIDE_OK)
        tide_partition_queue_keep(queue, &dead_letter, !failed_before);
    return status;
}

/* The transaction is aborted for it, so its message is run again and makes another dead letter. This one is dropped;
 * what stays is what it says about the size limit. */
static int learn_from_aborted(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                              const struct tide_report *report)
{
    struct tide_message dead_letter = report->message;
    struct tide_dlq_size *size = &dlq->writer.size;
    bool shortest = size->alone &&
                    tide_dead_letter_truncate(&dead_letter, TIDE_DLQ_TRUNCATED_AGAIN_BYTES,
                                              &dlq->failure.packed) == TIDE_NOT_TRUNCATED;
    int status = TIDE_OK;
    if (!is_too_large(report) || dlq->plan.fail_on_too_large || shortest)
        status = note_failure(dlq, queue, report);
    else
        tide_dlq_size_refused(size, tide_message_size(&report->message));
    (void)end_probe(queue);
    tide_offsets_drop(dlq->chain->offsets, report->origin);
    return status;
}

void tide_dlq_writer_aborted(struct tide_dlq *dlq)
{
    for (uint32_t i = 0; i < dlq->writer.queues.count; i++) {
        dlq->writer.queues.items[i].sent = 0;
        (void)end_probe(&dlq->writer.queues.items[i]);
    }
    if (tide_dlq_size_aborted(&dlq->writer.size))
        tide_log(TIDE_LOG_WARN,
                 "the dlq \"%s\" takes no batch as large as the producer makes them: dead letters "
                 "are sent alone from now on; raise the topic's max.message.bytes, or lower "
                 "batch.size, for speed",
                 dlq->target);
}

/* Takes the dead letter off the queue's `sent`. Reports of an aborted transaction may come late, after the messages
 * were read again and have other dead letters on their way. False: its transaction was aborted, so it is not counted
 * there. */
static bool take_back(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                      const struct tide_origin_info *info)
{
    if (queue->sent == 0 || (dlq->chain->exactly_once && info->offset < 0))
        return false;
    queue->sent--;
    return true;
}

int tide_dlq_reported(struct tide_dlq *dlq, const struct tide_report *report)
{
    struct tide_offsets *offsets = dlq->chain->offsets;
    struct tide_origin origin = report->origin;
    struct tide_origin_info info = tide_offsets_look_up(offsets, origin);
    struct tide_partition_queue *queue = tide_partition_queues_at(&dlq->writer.queues,
                                                                  info.partition);
    bool known = take_back(dlq, queue, &info);
    bool current = known && info.current;
    switch (report->kind) {
    case TIDE_REPORT_DELIVERED:
        if (!known) {
            tide_offsets_unref(offsets, origin, TIDE_OUTCOME_DEAD_LETTERED);
            return TIDE_OK;
        }
        note_written(dlq, queue, origin);
        observe(dlq);
        return TIDE_OK;
    case TIDE_REPORT_REFUSED:
    case TIDE_REPORT_TOO_LARGE:
    case TIDE_REPORT_UNAVAILABLE:
        if (current)
            return keep_refused(dlq, queue, report);
        break;
    case TIDE_REPORT_REFUSED_ABORTED:
    case TIDE_REPORT_TOO_LARGE_ABORTED:
        if (current)
            return learn_from_aborted(dlq, queue, report);
        break;
    case TIDE_REPORT_ABORTED:
        break;
    }
    (void)end_probe(queue); /* It has no answer: the queue stays FAILING, and its pause goes on. */
    tide_offsets_drop(offsets, origin);
    return TIDE_OK;
}

/* ---- sending again ---- */

static int poll_queue(struct tide_dlq *dlq, struct tide_partition_queue *queue, int64_t now_us)
{
    struct tide_offsets *offsets = dlq->chain->offsets;
    const struct tide_message *dead_letter;
    while ((dead_letter = tide_partition_queue_oldest(queue))) {
        struct tide_origin origin = dead_letter->origin;
        if (!tide_offsets_current(offsets, origin)) {
            tide_offsets_drop(offsets, origin);
            tide_partition_queue_drop(queue);
            continue;
        }
        /* What is left of the queue follows the probe, so one dead letter in flight is enough to learn that the topic
         * is back, and a topic that is not back costs one try for each pause, not one for each dead letter. */
        bool probe = queue->dlq.state != TIDE_DLQ_GOOD;
        if (dlq->chain->send_only_needed && !tide_offsets_in_transaction(offsets, origin))
            return TIDE_OK;
        if (probe && (queue->sent > 0 || now_us < queue->next_us))
            return TIDE_OK;
        int status = send_dead_letter(dlq, queue, dead_letter);
        if (status != TIDE_OK)
            return status < 0 ? status : TIDE_OK;
        tide_partition_queue_drop(queue);
        if (queue->dlq.state == TIDE_DLQ_FAILING)
            queue->dlq.state = TIDE_DLQ_PROBING;
        observe(dlq);
    }
    return TIDE_OK;
}

int tide_dlq_poll(struct tide_dlq *dlq, int64_t now_us)
{
    for (uint32_t i = 0; i < dlq->writer.queues.count; i++) {
        int status = poll_queue(dlq, &dlq->writer.queues.items[i], now_us);
        if (status < 0)
            return status;
    }
    tide_dlq_check_timer(dlq, count_waiting(dlq), now_us);
    return TIDE_OK;
}

int64_t tide_dlq_deadline_us(const struct tide_dlq *dlq)
{
    int64_t deadline_us = dlq->failure.warn_us;
    if (count_waiting(dlq) == 0)
        return INT64_MAX; /* so no queue has anything that could be due */
    for (uint32_t i = 0; i < dlq->writer.queues.count; i++) {
        const struct tide_partition_queue *queue = &dlq->writer.queues.items[i];
        bool due = queue->kept.count > 0 && queue->dlq.state == TIDE_DLQ_FAILING &&
                   queue->sent == 0;
        if (due && queue->next_us < deadline_us)
            deadline_us = queue->next_us;
    }
    return deadline_us;
}

/* ---- file ---- */

int tide_dlq_reopen(struct tide_dlq *dlq)
{
    return tide_dead_letter_file_reopen(&dlq->writer.file);
}

void tide_dlq_writer_close(struct tide_dlq *dlq)
{
    tide_partition_queues_free(&dlq->writer.queues);
    tide_dead_letter_file_close(&dlq->writer.file);
}
