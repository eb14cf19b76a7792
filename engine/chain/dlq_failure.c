/* SPDX-License-Identifier: MIT
 * What follows when a dead letter is not written. The failure is of the topic or file, not of the message, so nothing
 * is given up: the partition queue pauses and tries again. A warning comes with the first failure only and then every
 * 30 s, whatever the number of queues and tries, also when the broker just does not answer (as with too few in-sync
 * replicas). Start reading at tide_dlq_failed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/dlq_inside.h"
#include "chain/offsets.h"
#include "io/source.h"
#include "shm/counters.h"
#include "shm/topics.h"

static const int64_t FIRST_PAUSE_US = 100000;
static const int64_t MAX_PAUSE_US = 10000000;
static const int64_t WARN_EVERY_US = 30000000;

/* The log tells of the dlq as a whole: one topic that is gone makes all queues fail, and one warning is enough for
 * it. */
static bool any_failing(const struct tide_dlq *dlq)
{
    const struct tide_partition_queues *queues = &dlq->writer.queues;
    for (uint32_t i = 0; i < queues->count; i++) {
        if (queues->items[i].dlq.state != TIDE_DLQ_GOOD)
            return true;
    }
    return false;
}

/* The pause begins small again with each success. The log says so only when the last queue has recovered: while one
 * fails the dlq as a whole does not work. */
void tide_dlq_recovered(struct tide_dlq *dlq, struct tide_partition_queue *queue)
{
    bool was_good = queue->dlq.state == TIDE_DLQ_GOOD;
    queue->dlq.state = TIDE_DLQ_GOOD;
    queue->pause_us = 0;
    if (!was_good && !any_failing(dlq))
        tide_log(TIDE_LOG_INFO, "the dlq \"%s\" takes dead letters again", dlq->target);
    tide_dlq_restart_timer(dlq);
}

/* "events/3/1234": where the message of a dead letter came from. It is looked up by the origin, not taken from the
 * dead letter, which in a file is only a line. */
static void name_message(const struct tide_dlq *dlq, const struct tide_message *dead_letter,
                         char *text, size_t size)
{
    const struct tide_chain *chain = dlq->chain;
    struct tide_origin_info info = tide_offsets_look_up(chain->offsets, dead_letter->origin);
    const struct tide_partition *from = &chain->source->partitions[info.partition];
    snprintf(text, size, "%.250s/%d/%lld", tide_topics_name(chain->topics, from->topic),
             from->number, (long long)info.offset);
}

/* A queue need not be failing for that: a broker that never answers makes no failure, as the producer then waits
 * without a limit (message.timeout.ms is 0 but in exactly_once). */
void tide_dlq_check_timer(struct tide_dlq *dlq, uint64_t waiting, int64_t now_us)
{
    bool failing = any_failing(dlq);
    if (waiting == 0 || now_us < dlq->failure.warn_us)
        return;
    dlq->failure.warn_us = now_us + WARN_EVERY_US;
    tide_log(TIDE_LOG_WARN,
             "the dlq \"%s\" has taken nothing for %lld s; %llu dead letters wait%s%s", dlq->target,
             (long long)(now_us - dlq->failure.since_us) / 1000000, (unsigned long long)waiting,
             failing ? ": " : "", failing ? dlq->failure.text : "");
}

/* While a queue is failing the time counts from the first failure on. */
void tide_dlq_restart_timer(struct tide_dlq *dlq)
{
    if (any_failing(dlq))
        return;
    dlq->failure.since_us = tide_clock_us();
    dlq->failure.warn_us = dlq->failure.since_us + WARN_EVERY_US;
}

int tide_dlq_failed(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                    const struct tide_message *dead_letter, int status, const char *text)
{
    char name[300];
    bool first = !any_failing(dlq);
    char *copy = tide_copy(text); /* before anything changes it: it may be tide_error() */
    name_message(dlq, dead_letter, name, sizeof(name));
    tide_count(dlq->chain->counters, 0, TIDE_M_DLQ_FAILED, 1);
    free(dlq->failure.text);
    dlq->failure.text = copy;
    if (dlq->plan.stop_on_failure)
        return tide_fail(status,
                         "%s: the dlq \"%s\" did not take its dead letter: %s; the pipeline stops "
                         "here (on_failure = \"stop\")",
                         name, dlq->target, copy);
    tide_dlq_restart_timer(dlq);
    queue->dlq.state = TIDE_DLQ_FAILING;
    /* The pause doubles up to MAX_PAUSE_US: a topic that is created soon loses little time, and one that stays away
     * costs the broker little. */
    tide_partition_queue_pause(queue, tide_clock_us(), FIRST_PAUSE_US, MAX_PAUSE_US);
    if (first)
        tide_log(TIDE_LOG_WARN,
                 "%s: the dlq \"%s\" did not take its dead letter: %s; it is tried again, and "
                 "offsets of its partition are not committed until then (on_failure = \"wait\")",
                 name, dlq->target, copy);
    return TIDE_OK;
}

int tide_dlq_refuse_group(const struct tide_dlq *dlq, const struct tide_message *dead_letter)
{
    char name[300];
    uint32_t count = tide_offsets_look_up(dlq->chain->offsets, dead_letter->origin).count;
    if (count == 1)
        return TIDE_OK;
    name_message(dlq, dead_letter, name, sizeof(name));
    return tide_fail(TIDE_EDATA,
                     "%s: the dead letter of what was made of %u messages from there on, %llu "
                     "bytes, is too large for the dlq \"%s\"; "
                     "it is not cut, since it is all that would be left of them, and the pipeline "
                     "stops here: raise the "
                     "max.message.bytes of that topic or of the output, lower max_batch_size, or "
                     "have dead letters in a file "
                     "(path)",
                     name, count, (unsigned long long)tide_message_size(dead_letter), dlq->target);
}

/* It is cut in two sizes rather than to the limit, since no answer of a broker names the limit of the topic: 64 KiB is
 * enough to see what the message was, and 1 KiB fits any sensible topic. */
enum tide_truncation tide_dlq_truncate(struct tide_dlq *dlq, struct tide_message *dead_letter)
{
    char name[300];
    struct tide_text *packed = &dlq->failure.packed;
    enum tide_truncation done = tide_dead_letter_truncate(dead_letter, TIDE_DLQ_TRUNCATED_BYTES,
                                                          packed);
    if (done == TIDE_NOT_TRUNCATED)
        done = tide_dead_letter_truncate(dead_letter, TIDE_DLQ_TRUNCATED_AGAIN_BYTES, packed);
    else if (tide_dlq_size_too_large(&dlq->writer.size, tide_message_size(dead_letter)))
        (void)tide_dead_letter_truncate(dead_letter, TIDE_DLQ_TRUNCATED_AGAIN_BYTES, packed);
    if (done == TIDE_NOT_TRUNCATED)
        return done;
    name_message(dlq, dead_letter, name, sizeof(name));
    tide_log(
        TIDE_LOG_WARN,
        "%s: its dead letter is too large for \"%s\"; it goes there with the first %u bytes of "
        "its value, marked as truncated",
        name, dlq->target, dead_letter->value_length);
    tide_count(dlq->chain->counters, 0, TIDE_M_DLQ_TRUNCATED, done == TIDE_TRUNCATED);
    return done;
}
