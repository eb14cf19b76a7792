/* SPDX-License-Identifier: MIT
 * Rejects messages: checks the limits, makes the dead letter and gives it to dlq_writer.c. The dead letter gets topic,
 * partition and offset of the input message from the offset tracker, not from the caller: a record that comes back
 * from the output knows only its origin, and a result of reduce or batch stands for several messages.
 *
 * A message that is rejected counts against the limits once its dead letter is taken, not when that is acknowledged:
 * the limits are there to stop a pipeline whose transform is wrong, and must not wait for a slow topic.
 *
 * Start reading at tide_dlq_reject. */
#include "chain/dlq.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "base/text.h"
#include "chain/dlq_inside.h"
#include "chain/offsets.h"
#include "chain/tap.h"
#include "io/source.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

/* The sink comes later (tide_dlq_sink), since sinks are built after the dlq. */
struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status)
{
    struct tide_dlq *dlq = tide_alloc(sizeof(*dlq));
    dlq->plan = *plan;
    dlq->plan.target = NULL;
    dlq->target = tide_copy(plan->target);
    dlq->chain = chain;
    dlq->reject.limits.max_invalid_ratio = plan->max_invalid_ratio;
    dlq->reject.limits.max_consecutive_count = plan->max_consecutive_count;
    *status = tide_dlq_writer_open(dlq);
    if (*status >= 0)
        return dlq;
    tide_dlq_free(dlq);
    return NULL;
}

void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition, uint32_t count)
{
    tide_dlq_limits_passed(&dlq->reject.limits, partition, count);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static const char *topic_name(const struct tide_dlq *dlq, uint16_t topic)
{
    return or_empty(tide_topics_name(dlq->chain->topics, topic));
}

/* Before anything is taken: a message that exceeds a limit stays unprocessed, so that the next start reads it again. */
static int check_limits(struct tide_dlq *dlq, const struct tide_reject *reject, uint32_t partition)
{
    const struct tide_message *message = reject->message;
    struct tide_dlq_count with;
    const char *limit = tide_dlq_limits_exceeded(&dlq->reject.limits, partition, &with);
    if (!limit)
        return TIDE_OK;
    return tide_fail(TIDE_EDATA,
                     "the dlq's %s is reached at %s/%d/%lld: %llu of %llu messages of this "
                     "partition are bad, %llu in a row; "
                     "the last one: %s: %s%s%s%s",
                     limit, topic_name(dlq, message->topic), message->partition,
                     (long long)message->offset, (unsigned long long)with.invalid,
                     (unsigned long long)with.all, (unsigned long long)with.consecutive,
                     or_empty(reject->reason), or_empty(reject->error), reject->cause ? " (" : "",
                     or_empty(reject->cause), reject->cause ? ")" : "");
}

/* The dead letter borrows the bytes of the message and of dlq->reject.text. Its origin is the message's, marked, so
 * that its delivery report finds the message again. */
static struct tide_message make_dead_letter(struct tide_dlq *dlq, const struct tide_reject *reject,
                                            uint32_t count)
{
    const struct tide_message *message = reject->message;
    struct tide_text *text = &dlq->reject.text;
    struct tide_message dead_letter = *message;
    struct tide_dead_letter_source from = {.topic = topic_name(dlq, message->topic),
                                           .partition = message->partition,
                                           .offset = message->offset,
                                           .count = count,
                                           .target_partition = message->target_partition};
    if (reject->refused && message->target_topic != TIDE_TOPIC_NONE)
        from.target = topic_name(dlq, message->target_topic);
    from.intermediate = !reject->refused && message->flags & TIDE_MESSAGE_RESULT;
    from.timer = !reject->refused && message->flags & TIDE_MESSAGE_TIMER;
    dead_letter.origin.epoch |= TIDE_ORIGIN_DEAD_LETTER;
    if (dlq->plan.kind == TIDE_DLQ_FILE) {
        tide_dead_letter_line(text, reject, &from);
        return (struct tide_message){.value = text->data,
                                     .value_length = (uint32_t)text->length,
                                     .origin = dead_letter.origin};
    }
    tide_dead_letter_headers(text, reject, &from);
    dead_letter.headers = text->data;
    dead_letter.headers_length = (uint32_t)text->length;
    dead_letter.target_topic = dlq->writer.topic;
    dead_letter.target_partition = TIDE_PARTITION_ANY;
    /* -1 = now. With the timestamp of the message, the topic's retention might delete the dead letter at once. */
    dead_letter.timestamp = -1;
    return dead_letter;
}

/* The message must not be lost silently, and nothing keeps it: so the pipeline stops, and its error has all that a
 * dead letter would have had, the traceback too. The message is counted all the same, so that the metric says why the
 * run ended. */
static int fail_without_dlq(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    bool traced = reject->traceback && *reject->traceback;
    tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
    return tide_fail(
        TIDE_EDATA, "%s/%d/%lld%s: %s: %s%s%s%s; there is no dlq, so the pipeline stops here%s%s",
        topic_name(dlq, message->topic), message->partition, (long long)message->offset,
        message->flags & TIDE_MESSAGE_TIMER ? " (a timer that was due there)" : "",
        or_empty(reject->reason), or_empty(reject->error), reject->cause ? " (" : "",
        or_empty(reject->cause), reject->cause ? ")" : "",
        traced && *reject->traceback != '\n' ? "\n" : "", traced ? reject->traceback : "");
}

/* Sets where the message came from. A group is named by its first member, since its dead letter stands for everything
 * from there on. */
static void set_source(const struct tide_chain *chain, const struct tide_origin_info *info,
                       struct tide_message *message)
{
    const struct tide_partition *from = &chain->source->partitions[info->partition];
    if (info->offset < 0 && message->topic != TIDE_TOPIC_NONE)
        return; /* its partition was revoked, and another member of the consumer group reads it again */
    message->topic = from->topic;
    message->partition = from->number;
    message->offset = info->offset;
}

/* Who looks on sees a rejected message here, wherever it was rejected. */
static void tell_taps(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    struct tide_taps *taps = dlq->chain->taps;
    struct tide_tap_event event = {.row = reject->row,
                                   .fate = TIDE_FATE_REJECTED,
                                   .before = reject->message,
                                   .attempts = reject->attempts,
                                   .stage = reject->stage,
                                   .reason = reject->reason,
                                   .error = reject->error,
                                   .cause = reject->cause,
                                   .traceback = reject->traceback};
    tide_taps_wanted(taps, reject->row);
    tide_taps_offer(taps, &event);
}

int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *given)
{
    struct tide_offsets *offsets = dlq->chain->offsets;
    struct tide_message message = *given->message;
    struct tide_origin_info info = tide_offsets_look_up(offsets, message.origin);
    struct tide_reject reject = *given;
    int64_t from_us = tide_clock_us();
    set_source(dlq->chain, &info, &message);
    reject.message = &message;
    if (dlq->plan.kind == TIDE_DLQ_NONE)
        return fail_without_dlq(dlq, &reject);
    /* The transaction is about to end, and does not need this message: its dead letter goes into the next one. */
    if (dlq->chain->send_only_needed && !info.in_transaction)
        return TIDE_BUSY;
    int status = check_limits(dlq, &reject, info.partition);
    if (status < 0)
        return status;
    struct tide_message dead_letter = make_dead_letter(dlq, &reject, info.count);
    status = tide_dlq_writer_take(dlq, &dead_letter, reject.only_copy);
    if (status != TIDE_OK)
        return status;
    if (tide_taps_armed(dlq->chain->taps))
        tell_taps(dlq, &reject);
    tide_dlq_limits_rejected(&dlq->reject.limits, info.partition);
    tide_dlq_recent_note(&dlq->reject.recent, &reject, topic_name(dlq, message.topic));
    tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
    /* A mistake that the simulation must find: the message is complete before its dead letter is acknowledged. */
    if (tide_fault("bug.dlq_before_ack"))
        tide_offsets_unref(offsets, message.origin, TIDE_OUTCOME_DEAD_LETTERED);
    tide_observe(dlq->chain->counters, 0, TIDE_M_DLQ_TIME,
                 (double)(tide_clock_us() - from_us) / 1e6);
    return TIDE_OK;
}

const struct tide_dlq_recent *tide_dlq_get_recent(const struct tide_dlq *dlq)
{
    return &dlq->reject.recent;
}

void tide_dlq_committed(struct tide_dlq *dlq)
{
    tide_dlq_limits_committed(&dlq->reject.limits);
}

void tide_dlq_aborted(struct tide_dlq *dlq)
{
    tide_dlq_limits_aborted(&dlq->reject.limits);
    tide_dlq_writer_aborted(dlq);
}

void tide_dlq_free(struct tide_dlq *dlq)
{
    if (!dlq)
        return;
    tide_dlq_writer_close(dlq);
    tide_dlq_limits_free(&dlq->reject.limits);
    tide_text_free(&dlq->reject.text);
    tide_text_free(&dlq->failure.packed);
    free(dlq->failure.text);
    free(dlq->target);
    free(dlq);
}
