/* SPDX-License-Identifier: MIT
 * The last step of every chain: sends messages to the output, and turns delivery reports into outcomes. Reports of dead
 * letters come here as well, since one producer may write both topics, and are handed to the dlq. The sink never calls
 * the chain; its reports are fetched in each turn, so that a report that cannot be handled now (the dlq is full) just
 * stays where it is, and everything after it too.
 * In exactly_once a refusal names a batch of records, not the bad one. As long as bad records are searched for
 * (chain/bad_records.h), this step sends one record at a time.
 * Start reading at produce_submit for the way to the sink, and at handle_fetched for the way back. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "chain/bad_records.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/step.h"
#include "chain/tally.h"
#include "io/sink.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { REPORTS = 256 };

/* A sink, and the reports that were fetched from it. */
struct output {
    struct tide_sink *sink; /* the engine's */
    struct tide_report reports[REPORTS];
    uint32_t report_count;
    uint32_t next_report; /* the first that is not handled yet */
};

struct produce {
    struct tide_step step;
    /* The output (its sink is NULL when messages are thrown away), and the topic of the dlq and the
     * changelogs if they have other sinks. */
    struct output outputs[3];
    uint32_t output_count;
    uint64_t acknowledged;
    struct tide_tally tally;
    bool full;          /* the output took fewer messages than it was offered last */
    int64_t charged_us; /* until when the time is charged in which it was full */
    bool alone; /* the one record that is with the sink is tested: nothing may be sent beside it */
};

static struct produce *produce_of(struct tide_step *step)
{
    return (struct produce *)(void *)step;
}

/* ---- sending ---- */

/* How many of the messages, from the first, the transaction needs that is about to end. The rest waits in its output
 * block and goes into the next transaction, so that this one can end without it. */
static size_t count_needed(const struct tide_offsets *offsets, const struct tide_message *messages,
                           size_t count)
{
    size_t needed = 0;
    while (needed < count && tide_offsets_in_transaction(offsets, messages[needed].origin))
        needed++;
    return needed;
}

/* The topic that the record is really sent to: a dead letter names it, and bad records are told apart by it. */
static void set_target_topic(const struct produce *produce, struct tide_message *record)
{
    if (record->target_topic == TIDE_TOPIC_NONE)
        record->target_topic = produce->outputs[0].sink->topic;
}

/* Hands a record that the broker refuses to the dlq, which takes over its reference. `only_copy`: the record is with
 * nobody else, so the dlq takes it even when its queue is full. */
static int reject_record(struct produce *produce, const struct tide_message *record,
                         const char *error, uint32_t attempts, bool only_copy)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_reject reject = {.message = record,
                                 .stage = "produce",
                                 .reason = "refused",
                                 .error = error,
                                 .attempts = attempts,
                                 .only_copy = only_copy,
                                 .refused = true};
    int status = tide_dlq_reject(chain->dlq, &reject);
    /* The dead letter has a reference of its own, which decides the outcome. */
    if (status == TIDE_OK) {
        produce->tally.failed++;
        tide_offsets_unref(chain->offsets, record->origin, TIDE_OUTCOME_FILTERED);
    }
    return status;
}

/* TIDE_OK = the message is sent, or is bad and with the dlq; TIDE_BUSY = not now. A record that is tested is sent
 * alone, as only then a refusal names it and not its batch: so it waits until nothing is with the sink, and the
 * records after it wait for its report. */
static int submit_one(struct produce *produce, const struct tide_message *message)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_sink *sink = produce->outputs[0].sink;
    struct tide_origin_info info = tide_offsets_look_up(chain->offsets, message->origin);
    struct tide_message record = *message;
    const char *error = NULL;
    set_target_topic(produce, &record);
    enum tide_send_rule rule = tide_bad_records_rule(chain->bad_records, info.partition,
                                                     info.offset, &record, &error);
    bool idle = sink->ops->pending(sink) == 0;
    produce->alone = produce->alone && !idle;
    if (produce->alone || (rule == TIDE_SEND_ALONE && !idle))
        return TIDE_BUSY;
    if (rule == TIDE_SEND_DEAD_LETTER)
        return reject_record(produce, &record, error, 2, false);
    ssize_t sent = sink->ops->send(sink, message, 1);
    if (sent <= 0)
        return sent < 0 ? (int)sent : TIDE_BUSY;
    tide_offsets_mark_sent(chain->offsets, message->origin);
    produce->alone = rule == TIDE_SEND_ALONE;
    return TIDE_OK;
}

static ssize_t submit_one_by_one(struct produce *produce, const struct tide_message *messages,
                                 size_t count)
{
    size_t taken = 0;
    int status = TIDE_OK;
    while (taken < count && (status = submit_one(produce, &messages[taken])) == TIDE_OK)
        taken++;
    produce->step.chain->progress |= taken > 0;
    return status < 0 ? status : (ssize_t)taken;
}

/* Only what the sink took is marked as sent, since a delivery report will come for just these; a commit waits for all
 * that are marked. */
static ssize_t produce_submit(struct tide_step *step, const struct tide_message *messages,
                              size_t count, int64_t now_us)
{
    struct produce *produce = produce_of(step);
    struct tide_chain *chain = step->chain;
    struct tide_sink *sink = produce->outputs[0].sink;
    (void)now_us;
    if (!sink) { /* messages are thrown away, which counts as produced */
        for (size_t i = 0; i < count; i++)
            tide_offsets_unref(chain->offsets, messages[i].origin, TIDE_OUTCOME_PRODUCED);
        produce->acknowledged += count;
        produce->tally.messages += count;
        return (ssize_t)count;
    }
    if (chain->send_only_needed)
        count = count_needed(chain->offsets, messages, count);
    if (chain->bad_records && !tide_bad_records_empty(chain->bad_records))
        return submit_one_by_one(produce, messages, count);
    produce->alone = false;
    ssize_t sent = count > 0 ? sink->ops->send(sink, messages, count) : 0;
    produce->full = sent >= 0 && (size_t)sent < count;
    if (sent > 0)
        tide_offsets_mark_sent_many(chain->offsets, messages, (size_t)sent);
    chain->progress |= sent > 0;
    return sent;
}

/* ---- delivery reports ---- */

/* A record that was tested and is delivered says something about its message: see chain/bad_records.h. */
static void record_is_good(struct produce *produce, struct tide_origin origin)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_origin_info info = tide_offsets_look_up(chain->offsets, origin);
    tide_bad_records_acknowledged(chain->bad_records, info.partition, info.offset);
}

static bool is_delivered(const struct tide_report *report)
{
    return report->kind == TIDE_REPORT_DELIVERED &&
           !(report->origin.epoch & TIDE_ORIGIN_DEAD_LETTER) &&
           report->origin.partition != TIDE_ORIGIN_STATE;
}

/* Nearly all reports are such, so they are dealt with together. */
static void handle_delivered(struct produce *produce, struct output *output)
{
    struct tide_origin origins[REPORTS];
    size_t count = 0;
    for (; output->next_report < output->report_count; output->next_report++, count++) {
        const struct tide_report *report = &output->reports[output->next_report];
        if (!is_delivered(report))
            break;
        origins[count] = report->origin;
    }
    for (size_t i = 0; produce->alone && i < count; i++)
        record_is_good(produce, origins[i]);
    produce->acknowledged += count;
    produce->tally.messages += count;
    tide_offsets_unref_many(produce->step.chain->offsets, origins, count, TIDE_OUTCOME_PRODUCED);
}

/* The sink has given the record back, and no block of the chain has it any more: this is its only copy. */
static int refused(struct produce *produce, const struct tide_report *report)
{
    struct tide_message record = report->message;
    set_target_topic(produce, &record);
    return reject_record(produce, &record, report->text, 1, true);
}

/* The message is read and run again, so its record needs no dead letter yet: it is only remembered. */
static int refused_aborted(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    struct tide_origin_info info = tide_offsets_look_up(chain->offsets, report->origin);
    struct tide_message record = report->message;
    set_target_topic(produce, &record);
    int status = tide_bad_records_refused(chain->bad_records, info.partition, info.offset, &record,
                                          report->text, produce->alone);
    tide_offsets_drop(chain->offsets, report->origin);
    return status;
}

/* Any report but that of a result that is delivered. TIDE_BUSY = the dlq is full: the report is to be handled again. A report
 * of a message that was revoked meanwhile changes nothing but its reference: its next owner reads it again. */
static int handle_other(struct produce *produce, const struct tide_report *report)
{
    struct tide_chain *chain = produce->step.chain;
    if (report->origin.partition == TIDE_ORIGIN_STATE)
        return tide_states_reported(chain->states, report);
    if (report->origin.epoch & TIDE_ORIGIN_DEAD_LETTER)
        return tide_dlq_reported(chain->dlq, report);
    switch (report->kind) {
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
    case TIDE_REPORT_DELIVERED: /* handle_delivered deals with these */
        break;
    }
    tide_offsets_drop(chain->offsets, report->origin);
    return TIDE_OK;
}

/* TIDE_OK = every report that was fetched is handled. */
static int handle_fetched(struct produce *produce, struct output *output)
{
    for (;;) {
        handle_delivered(produce, output);
        if (output->next_report == output->report_count)
            return TIDE_OK;
        int status = handle_other(produce, &output->reports[output->next_report]);
        if (status == TIDE_BUSY)
            return status;
        /* After a failure the next poll goes on after this report: what was delivered still counts. */
        output->next_report++;
        produce->step.chain->progress |= status < 0;
        if (status < 0)
            return status;
    }
}

/* Reports are fetched until there are none, but a portion only after the one before it is handled: the pointers of a
 * report are borrowed until the next call. */
static int poll_output(struct produce *produce, struct output *output)
{
    ssize_t count = output->sink ? 1 : 0;
    while (count > 0) {
        int status = handle_fetched(produce, output);
        if (status != TIDE_OK)
            return status;
        count = output->sink->ops->reports(output->sink, output->reports, REPORTS);
        output->next_report = 0;
        output->report_count = count > 0 ? (uint32_t)count : 0;
    }
    return (int)count;
}

static void charge_full(struct produce *produce, int64_t now_us)
{
    if (produce->full)
        tide_count(produce->step.chain->counters, 0, TIDE_M_PRODUCER_FULL_TIME,
                   (uint64_t)(now_us - produce->charged_us));
    produce->charged_us = now_us;
}

static int produce_poll(struct tide_step *step, int64_t now_us)
{
    struct produce *produce = produce_of(step);
    charge_full(produce, now_us);
    for (uint32_t i = 0; i < produce->output_count; i++) {
        int status = poll_output(produce, &produce->outputs[i]);
        if (status < 0)
            return status;
    }
    return tide_dlq_poll(step->chain->dlq, now_us);
}

/* ---- the other verbs ---- */

static bool produce_join(struct tide_step *step)
{
    struct produce *produce = produce_of(step);
    for (uint32_t i = 0; i < produce->output_count; i++) {
        const struct output *output = &produce->outputs[i];
        if (output->sink && (output->sink->ops->pending(output->sink) > 0 ||
                             output->next_report < output->report_count))
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

static struct tide_tally *produce_tally(struct tide_step *step)
{
    return &produce_of(step)->tally;
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
                                             .tally = produce_tally,
                                             .waits = produce_waits};
    struct produce *produce = tide_alloc(sizeof(*produce));
    produce->step = (struct tide_step){.ops = &ops, .chain = chain};
    produce->outputs[0].sink = sink;
    produce->outputs[1].sink = dlq_sink;
    produce->output_count = dlq_sink && dlq_sink != sink ? 2 : 1;
    if (chain->changelog && chain->changelog != sink)
        produce->outputs[produce->output_count++].sink = chain->changelog;
    return &produce->step;
}

uint64_t tide_step_produce_count(const struct tide_step *step)
{
    return ((const struct produce *)(const void *)step)->acknowledged;
}
