/* SPDX-License-Identifier: MIT
 * produce, and the end of every chain: hands messages to the sink, and turns its reports into offsets. A
 * dead letter's report comes here too, since one producer writes both topics. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "chain/bad_records.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/step.h"
#include "io/sink.h"
#include "io/source.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { REPORTS = 256 };

/* A sink and what it reported. */
struct outlet {
    struct tide_sink *sink; /* the engine's */
    struct tide_report reports[REPORTS];
    uint32_t report_count; /* fetched */
    uint32_t report_at;    /* dealt with */
};

struct produce {
    struct tide_step step;
    struct outlet
        outlets[2]; /* the output (sink NULL = drop), and the dlq's topic where that is apart */
    uint32_t outlet_count;
    uint64_t acknowledged;
    bool alone; /* what is with the sink is one record of a message whose records are sent alone */
};

static struct produce *produce_of(struct tide_step *step)
{
    return (struct produce *)(void *)step;
}

/* What the transaction that is about to end still needs. */
static size_t owed(const struct tide_offsets *offsets, const struct tide_message *messages,
                   size_t count)
{
    size_t needed = 0;
    while (needed < count && tide_offsets_in_transaction(offsets, messages[needed].origin))
        needed++;
    return needed;
}

struct place {
    uint32_t partition;
    int64_t offset;
};

static struct place place_of(const struct tide_chain *chain, struct tide_origin origin)
{
    struct tide_origin first = tide_offsets_first(chain->offsets, origin, NULL);
    return (struct place){first.partition, tide_offsets_offset(chain->offsets, first)};
}

static void name_target(const struct produce *produce, struct tide_message *record)
{
    if (record->target_topic == TIDE_TOPIC_NONE)
        record->target_topic = produce->outlets[0].sink->topic;
}

/* In place of a record that the broker would refuse again. */
static int send_dead_letter(struct produce *produce, const struct tide_message *record,
                            const char *text)
{
    struct tide_reject reject = {.message = record,
                                 .stage = "produce",
                                 .reason = "refused",
                                 .error = text,
                                 .attempts = 2,
                                 .refused = true};
    int status = tide_dlq_reject(produce->step.chain->dlq, &reject);
    if (status == TIDE_OK)
        tide_offsets_unref(produce->step.chain->offsets, record->origin,
                           TIDE_OUTCOME_DEAD_LETTERED);
    return status;
}

/* While bad records are known, records are sent one at a time. 1 = taken, 0 = not now, negative. */
static int submit_one(struct produce *produce, const struct tide_message *message)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_sink *sink = produce->outlets[0].sink;
    struct place place = place_of(chain, message->origin);
    struct tide_message record = *message;
    const char *text = NULL;
    name_target(produce, &record);
    enum tide_send_rule rule = tide_bad_records_rule(chain->bad_records, place.partition,
                                                     place.offset, &record, &text);
    size_t pending = sink->ops->pending(sink);
    produce->alone = produce->alone && pending > 0;
    if (produce->alone || (rule == TIDE_SEND_ALONE && pending > 0))
        return 0;
    if (rule == TIDE_SEND_DEAD_LETTER) {
        int status = send_dead_letter(produce, &record, text);
        return status < 0 ? status : status == TIDE_OK;
    }
    ssize_t sent = sink->ops->send(sink, message, 1);
    if (sent <= 0)
        return (int)sent;
    tide_offsets_mark_sent(chain->offsets, message->origin);
    produce->alone = rule == TIDE_SEND_ALONE;
    return 1;
}

static ssize_t submit_by_one(struct produce *produce, const struct tide_message *messages,
                             size_t count)
{
    size_t taken = 0;
    int status = 1;
    while (taken < count && (status = submit_one(produce, &messages[taken])) == 1)
        taken++;
    produce->step.chain->progress |= taken > 0;
    return status < 0 ? status : (ssize_t)taken;
}

static ssize_t produce_submit(struct tide_step *step, const struct tide_message *messages,
                              size_t count, int64_t now_us)
{
    struct produce *produce = produce_of(step);
    struct tide_offsets *offsets = step->chain->offsets;
    struct tide_sink *sink = produce->outlets[0].sink;
    (void)now_us;
    if (!sink) {
        for (size_t i = 0; i < count; i++)
            tide_offsets_unref(offsets, messages[i].origin, TIDE_OUTCOME_PRODUCED);
        produce->acknowledged += count;
        return (ssize_t)count;
    }
    if (step->chain->send_only_needed)
        count = owed(offsets, messages, count);
    if (step->chain->bad_records && !tide_bad_records_empty(step->chain->bad_records))
        return submit_by_one(produce, messages, count);
    produce->alone = false;
    ssize_t sent = count > 0 ? sink->ops->send(sink, messages, count) : 0;
    for (ssize_t i = 0; i < sent; i++)
        tide_offsets_mark_sent(offsets, messages[i].origin);
    step->chain->progress |= sent > 0;
    return sent;
}

static int refused(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_message letter = report->message;
    struct tide_reject reject = {.message = &letter,
                                 .stage = "produce",
                                 .reason = "refused",
                                 .error = report->text,
                                 .attempts = 1,
                                 .only_copy = true,
                                 .refused = true};
    name_target(produce, &letter);
    int status = tide_dlq_reject(chain->dlq, &reject);
    if (status == TIDE_OK)
        tide_offsets_unref(chain->offsets, report->origin, TIDE_OUTCOME_DEAD_LETTERED);
    return status;
}

static int refused_aborted(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_message record = report->message;
    struct place place = place_of(chain, report->origin);
    name_target(produce, &record);
    int status = tide_bad_records_refused(chain->bad_records, place.partition, place.offset,
                                          &record, report->text, produce->alone);
    tide_offsets_drop(chain->offsets, report->origin);
    return status;
}

static int delivered(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    produce->acknowledged++;
    if (produce->alone) {
        struct place place = place_of(chain, report->origin);
        tide_bad_records_acknowledged(chain->bad_records, place.partition, place.offset);
    }
    tide_offsets_unref(chain->offsets, report->origin, TIDE_OUTCOME_PRODUCED);
    return TIDE_OK;
}

static int settle(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    if (report->origin.epoch & TIDE_ORIGIN_DEAD_LETTER)
        return tide_dlq_reported(chain->dlq, report);
    switch (report->kind) {
    case TIDE_REPORT_DELIVERED:
        return delivered(produce, report);
    case TIDE_REPORT_REFUSED:
    case TIDE_REPORT_TOO_LARGE:
    case TIDE_REPORT_UNAVAILABLE: /* a sink reports this of dead letters only */
        if (tide_offsets_current(chain->offsets, report->origin))
            return refused(produce, report);
        break;
    case TIDE_REPORT_REFUSED_ABORTED:
    case TIDE_REPORT_TOO_LARGE_ABORTED:
        if (tide_offsets_current(chain->offsets, report->origin))
            return refused_aborted(produce, report);
        break;
    case TIDE_REPORT_ABORTED:
        break;
    }
    tide_offsets_drop(chain->offsets, report->origin);
    return TIDE_OK;
}

static int poll_outlet(struct produce *produce, struct outlet *outlet)
{
    while (outlet->sink) {
        while (outlet->report_at < outlet->report_count) {
            int status = settle(produce, &outlet->reports[outlet->report_at]);
            if (status == TIDE_BUSY)
                return status;
            /* After a failure the next poll goes on behind it: what was delivered still counts. */
            outlet->report_at++;
            produce->step.chain->progress |= status < 0;
            if (status < 0)
                return status;
        }
        ssize_t count = outlet->sink->ops->reports(outlet->sink, outlet->reports, REPORTS);
        if (count < 0)
            return (int)count;
        outlet->report_at = 0;
        outlet->report_count = (uint32_t)count;
        if (count == 0)
            break;
    }
    return TIDE_OK;
}

static int produce_poll(struct tide_step *step, int64_t now_us)
{
    struct produce *produce = produce_of(step);
    for (uint32_t i = 0; i < produce->outlet_count; i++) {
        int status = poll_outlet(produce, &produce->outlets[i]);
        if (status < 0)
            return status;
    }
    return tide_dlq_poll(step->chain->dlq, now_us);
}

static bool produce_join(struct tide_step *step)
{
    struct produce *produce = produce_of(step);
    for (uint32_t i = 0; i < produce->outlet_count; i++) {
        const struct outlet *outlet = &produce->outlets[i];
        if (outlet->sink && (outlet->sink->ops->pending(outlet->sink) > 0 ||
                             outlet->report_at < outlet->report_count))
            return false;
    }
    return tide_dlq_joined(step->chain->dlq);
}

static int64_t produce_deadline_us(struct tide_step *step)
{
    return tide_dlq_deadline_us(step->chain->dlq);
}

static bool produce_waits(const struct tide_step *step, char *text, size_t size)
{
    (void)step;
    snprintf(text, size, "the output has not acknowledged what was sent");
    return true;
}

static void produce_terminate(struct tide_step *step)
{
    free(step);
}

struct tide_step *tide_step_produce_new(struct tide_chain *chain, struct tide_sink *sink,
                                        struct tide_sink *dlq_sink)
{
    static const struct tide_step_ops ops = {.submit = produce_submit,
                                             .poll = produce_poll,
                                             .close = tide_step_pass_close,
                                             .join = produce_join,
                                             .deadline_us = produce_deadline_us,
                                             .terminate = produce_terminate,
                                             .waits = produce_waits};
    struct produce *produce = tide_alloc(sizeof(*produce));
    produce->step = (struct tide_step){.ops = &ops, .chain = chain};
    produce->outlets[0].sink = sink;
    produce->outlets[1].sink = dlq_sink;
    produce->outlet_count = dlq_sink && dlq_sink != sink ? 2 : 1;
    return &produce->step;
}

uint64_t tide_step_produce_count(const struct tide_step *step)
{
    return ((const struct produce *)(const void *)step)->acknowledged;
}
