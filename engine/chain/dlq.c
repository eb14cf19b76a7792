/* SPDX-License-Identifier: MIT */
#include "chain/dlq.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "base/text.h"
#include "chain/letters.h"
#include "chain/offsets.h"
#include "io/source.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

struct tally {
    uint64_t all;
    uint64_t invalid;
    uint64_t consecutive;
};

/* Of a partition. */
struct seen {
    struct tally now;
    struct tally settled; /* as of the last transaction */
};

struct tide_dlq {
    struct tide_dlq_plan plan;
    struct tide_chain *chain;
    struct tide_letters *letters;
    struct seen *seen;
    size_t seen_count;
    struct tide_text text; /* packed headers, or a line */
};

struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status)
{
    struct tide_dlq *dlq = tide_alloc(sizeof(*dlq));
    dlq->plan = *plan;
    dlq->plan.target = NULL;
    dlq->chain = chain;
    dlq->letters = tide_letters_new(plan, chain, status);
    if (dlq->letters)
        return dlq;
    tide_dlq_free(dlq);
    return NULL;
}

void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink)
{
    tide_letters_sink(dlq->letters, sink);
}

static struct tally *tally(struct tide_dlq *dlq, uint32_t partition)
{
    while (dlq->seen_count <= partition) {
        dlq->seen = tide_realloc(dlq->seen, sizeof(struct seen) * (dlq->seen_count + 1));
        dlq->seen[dlq->seen_count++] = (struct seen){0};
    }
    return &dlq->seen[partition].now;
}

void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition)
{
    struct tally *seen = tally(dlq, partition);
    seen->all++;
    seen->consecutive = 0;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static const char *topic_name(const struct tide_dlq *dlq, uint16_t topic)
{
    return or_empty(tide_topics_name(dlq->chain->topics, topic));
}

static const char *topic_of(const struct tide_dlq *dlq, const struct tide_message *message)
{
    return topic_name(dlq, message->topic);
}

/* One bad message is never too many for a ratio; from the second on it holds for what was seen so far. */
static int check_limits(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    const struct tally *seen = tally(dlq,
                                     tide_offsets_partition(dlq->chain->offsets, message->origin));
    const char *limit = NULL;
    if (dlq->plan.max_consecutive_count >= 0 &&
        seen->consecutive + 1 > (uint64_t)dlq->plan.max_consecutive_count)
        limit = "max_consecutive_count";
    else if (dlq->plan.max_invalid_ratio >= 0 && seen->invalid >= 1 &&
             (double)(seen->invalid + 1) > dlq->plan.max_invalid_ratio * (double)(seen->all + 1))
        limit = "max_invalid_ratio";
    if (!limit)
        return TIDE_OK;
    return tide_fail(TIDE_EDATA,
                     "the dlq's %s is reached at %s/%d/%lld: %llu of %llu messages of this "
                     "partition are bad, %llu in a row; "
                     "the last one: %s: %s%s%s%s",
                     limit, topic_of(dlq, message), message->partition, (long long)message->offset,
                     (unsigned long long)seen->invalid + 1, (unsigned long long)seen->all + 1,
                     (unsigned long long)seen->consecutive + 1, or_empty(reject->reason),
                     or_empty(reject->error), reject->cause ? " (" : "", or_empty(reject->cause),
                     reject->cause ? ")" : "");
}

static void count_reject(struct tide_dlq *dlq, uint32_t partition)
{
    struct tally *seen = tally(dlq, partition);
    seen->invalid++;
    seen->consecutive++;
    seen->all++;
    tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
}

/* ---- one message ---- */

/* As its topic or file gets it. */
static struct tide_message write_letter(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    struct tide_message letter = *message;
    struct tide_letter_origin from = {.topic = topic_of(dlq, message),
                                      .partition = message->partition,
                                      .offset = message->offset,
                                      .count = 1,
                                      .target_partition = message->target_partition};
    (void)tide_offsets_first(dlq->chain->offsets, message->origin, &from.count);
    if (reject->refused && message->target_topic != TIDE_TOPIC_NONE)
        from.target = topic_name(dlq, message->target_topic);
    from.intermediate = !reject->refused && message->flags & TIDE_MESSAGE_RESULT;
    letter.origin.epoch |= TIDE_ORIGIN_DEAD_LETTER;
    if (dlq->plan.kind == TIDE_DLQ_TOPIC) {
        tide_letter_headers(&dlq->text, reject, &from);
        letter.headers = dlq->text.data;
        letter.headers_length = (uint32_t)dlq->text.length;
        letter.target_topic = tide_letters_topic(dlq->letters);
        letter.target_partition = TIDE_PARTITION_ANY;
        letter.timestamp = -1; /* now: by the message's own its topic might delete it at once */
        return letter;
    }
    tide_letter_line(&dlq->text, reject, &from);
    return (struct tide_message){.value = dlq->text.data,
                                 .value_length = (uint32_t)dlq->text.length,
                                 .origin = letter.origin};
}

static int no_dlq(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
    bool traced = reject->traceback && *reject->traceback;
    return tide_fail(
        TIDE_EDATA, "%s/%d/%lld: %s: %s%s%s%s; there is no dlq, so the pipeline stops here%s%s",
        topic_of(dlq, message), message->partition, (long long)message->offset,
        or_empty(reject->reason), or_empty(reject->error), reject->cause ? " (" : "",
        or_empty(reject->cause), reject->cause ? ")" : "",
        traced && *reject->traceback != '\n' ? "\n" : "", traced ? reject->traceback : "");
}

/* A record that came back from the output does not know where it came from; what was made of several messages has the
 * place of the last one, and is told by the first: everything from there on is in it. */
static void locate(const struct tide_chain *chain, struct tide_message *message)
{
    struct tide_origin first = tide_offsets_first(chain->offsets, message->origin, NULL);
    const struct tide_partition *from = &chain->source->partitions[first.partition];
    int64_t offset = tide_offsets_offset(chain->offsets, first);
    if (offset < 0 && message->topic != TIDE_TOPIC_NONE)
        return; /* The first one's partition is away: another member reads it again. */
    message->topic = from->topic;
    message->partition = from->number;
    message->offset = offset;
}

int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *given)
{
    struct tide_message located = *given->message;
    struct tide_reject here = *given;
    const struct tide_message *message = here.message = &located;
    const struct tide_reject *reject = &here;
    int64_t from_us = tide_clock_us();
    locate(dlq->chain, &located);
    if (dlq->plan.kind == TIDE_DLQ_NONE)
        return no_dlq(dlq, reject);
    if (dlq->chain->send_only_needed &&
        !tide_offsets_in_transaction(dlq->chain->offsets, message->origin))
        return TIDE_BUSY;
    int status = check_limits(dlq, reject);
    if (status < 0)
        return status;
    struct tide_message letter = write_letter(dlq, reject);
    status = tide_letters_take(dlq->letters, &letter, reject->orphan);
    if (status != TIDE_OK)
        return status;
    count_reject(dlq, tide_offsets_partition(dlq->chain->offsets, message->origin));
    if (tide_fault("bug.dlq_before_ack"))
        tide_offsets_unref(dlq->chain->offsets, message->origin, TIDE_OUTCOME_DEAD_LETTERED);
    tide_observe(dlq->chain->counters, 0, TIDE_M_DLQ_TIME,
                 (double)(tide_clock_us() - from_us) / 1e6);
    return TIDE_OK;
}

int tide_dlq_reported(struct tide_dlq *dlq, const struct tide_report *report)
{
    return tide_letters_reported(dlq->letters, report);
}

int tide_dlq_poll(struct tide_dlq *dlq, int64_t now_us)
{
    return tide_letters_poll(dlq->letters, now_us);
}

int64_t tide_dlq_deadline_us(const struct tide_dlq *dlq)
{
    return tide_letters_deadline_us(dlq->letters);
}

bool tide_dlq_joined(const struct tide_dlq *dlq)
{
    return tide_letters_kept(dlq->letters) == 0;
}

void tide_dlq_forget(struct tide_dlq *dlq, uint32_t partition)
{
    tide_letters_forget(dlq->letters, partition);
}

void tide_dlq_settled(struct tide_dlq *dlq)
{
    for (size_t i = 0; i < dlq->seen_count; i++)
        dlq->seen[i].settled = dlq->seen[i].now;
}

/* One bad message whose transaction is aborted ten times is not ten. */
void tide_dlq_aborted(struct tide_dlq *dlq)
{
    for (size_t i = 0; i < dlq->seen_count; i++)
        dlq->seen[i].now = dlq->seen[i].settled;
    tide_letters_aborted(dlq->letters);
}

int tide_dlq_reopen(struct tide_dlq *dlq)
{
    return tide_letters_reopen(dlq->letters);
}

void tide_dlq_free(struct tide_dlq *dlq)
{
    if (!dlq)
        return;
    tide_letters_free(dlq->letters);
    tide_text_free(&dlq->text);
    free(dlq->seen);
    free(dlq);
}
