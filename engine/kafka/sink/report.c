/* SPDX-License-Identifier: MIT
 * What comes back from librdkafka: delivery reports, errors and statistics, all through one queue, whose events are
 * taken here on the engine's thread (so that nothing of the sink needs a lock), and made into the engine's reports.
 * Begin with tide_kafka_report_next() at the end; which error means what is in classify.h. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "kafka/headers.h"
#include "kafka/sink/classify.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

/* ---- delivery reports ---- */

static int topic_of(const struct tide_kafka_sink *sink, const rd_kafka_message_t *record)
{
    return tide_topics_number(sink->topics, rd_kafka_topic_name(record->rkt));
}

/* Of errors only: the number of a topic is found by a search for its name. */
static enum tide_kafka_report_action classify_error(const struct tide_kafka_sink *sink,
                                                    const rd_kafka_message_t *record, int error,
                                                    struct tide_origin origin)
{
    const struct tide_kafka_facts facts = {.transactional = sink->txn != NULL,
                                           .producer_lost = tide_kafka_producer_is_lost(sink),
                                           .sent_alone = sink->records.alone_sent,
                                           .dead_letter = origin.epoch & TIDE_ORIGIN_DEAD_LETTER,
                                           .partition_existed = tide_kafka_sink_partition_existed(
                                               sink, topic_of(sink, record), record->partition)};
    return tide_kafka_classify_report(error, &facts);
}

/* Whatever fails within a transaction aborts it. */
static void note_error(struct tide_kafka_sink *sink, const rd_kafka_message_t *record, int error,
                       enum tide_kafka_report_action action)
{
    char text[512];
    tide_kafka_topic_text(text, sizeof(text), rd_kafka_topic_name(record->rkt), error);
    if (sink->txn)
        tide_kafka_txn_fail(sink->txn, text);
    else if (action == TIDE_KAFKA_REPORT_STOP)
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, text);
}

/* The message of a record as it was given to send(), but for what librdkafka does not give back: where its input came
 * from, of which only the origin is known. The headers are packed into `packed`. */
static struct tide_message message_of(const struct tide_kafka_sink *sink,
                                      struct tide_kafka_sent sent, const rd_kafka_message_t *record,
                                      struct tide_text *packed)
{
    rd_kafka_headers_t *headers = NULL;
    int topic = topic_of(sink, record);
    rd_kafka_message_headers(record, &headers);
    tide_kafka_headers_pack(packed, headers);
    if (tide_fault("bug.report_time"))
        sent.timestamp = rd_kafka_message_timestamp(record, NULL);
    return (struct tide_message){
        .value = record->payload,
        .key = record->key,
        .headers = packed->data,
        .value_length = (uint32_t)record->len,
        .key_length = (uint32_t)record->key_len,
        .headers_length = (uint32_t)packed->length,
        .topic = TIDE_TOPIC_NONE,
        .timestamp = sent.timestamp,
        .offset = -1,
        .partition = -1,
        .target_topic = topic < 0 ? TIDE_TOPIC_NONE : (uint16_t)topic,
        .target_partition = record->partition < 0 ? TIDE_PARTITION_ANY : record->partition,
        .origin = sent.origin,
    };
}

/* The list that deals with the record gets a copy of it, since its bytes go with the event. */
static void keep_record(struct tide_kafka_sink *sink, struct tide_kafka_sent sent,
                        const rd_kafka_message_t *record, int error,
                        enum tide_kafka_report_action action)
{
    struct tide_text packed = {0};
    struct tide_message message = message_of(sink, sent, record, &packed);
    if (action == TIDE_KAFKA_REPORT_SEND_AGAIN)
        tide_message_list_append(&sink->records.purged,
                                 tide_message_item_new(&message, sizeof(struct tide_message_item)));
    else if (action == TIDE_KAFKA_REPORT_TRY_ALONE)
        tide_kafka_resend_alone_keep(sink, &message);
    else
        tide_kafka_records_refuse(sink, &message, error, NULL, sink->txn != NULL);
    tide_text_free(&packed);
}

/* True when `report` was filled: what is refused is reported later, from its copy. The entry in the table is taken
 * first, since it is free again whatever the report says. */
static bool settle_record(struct tide_kafka_sink *sink, const rd_kafka_message_t *record,
                          struct tide_report *report)
{
    struct tide_kafka_sent sent = tide_kafka_sent_take(&sink->sent, record->_private);
    enum tide_kafka_report_action action = TIDE_KAFKA_REPORT_DELIVERED;
    int error = tide_kafka_report_error(record->err);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        action = classify_error(sink, record, error, sent.origin);
        note_error(sink, record, error, action);
    }
    switch (action) {
    case TIDE_KAFKA_REPORT_DELIVERED:
        report->origin = sent.origin;
        report->kind = TIDE_REPORT_DELIVERED;
        report->offset = record->offset;
        return true;
    case TIDE_KAFKA_REPORT_ABORTED:
        report->origin = sent.origin;
        report->kind = TIDE_REPORT_ABORTED;
        return true;
    case TIDE_KAFKA_REPORT_REFUSED:
    case TIDE_KAFKA_REPORT_TRY_ALONE:
    case TIDE_KAFKA_REPORT_SEND_AGAIN:
        keep_record(sink, sent, record, error, action);
        return false;
    case TIDE_KAFKA_REPORT_STOP:
        return false;
    }
    return false;
}

/* Fills the reports of the event's records; the event is kept for those that find no room. */
static size_t settle_event(struct tide_kafka_sink *sink, struct tide_report *reports, size_t max)
{
    const rd_kafka_message_t *record;
    size_t count = 0, delivered = 0;
    int64_t latency_us = -1;
    while (count < max && (record = rd_kafka_event_message_next(sink->event))) {
        if (latency_us < 0) /* one of them will do: they were sent and answered as one batch */
            latency_us = rd_kafka_message_latency(record);
        delivered += record->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        count += settle_record(sink, record, &reports[count]);
    }
    if (count < max) /* its records are used up */
        tide_kafka_report_free(sink);
    if (latency_us >= 0 && delivered > 0)
        tide_observe_many(sink->counters, 0, TIDE_M_PRODUCE_LATENCY, (double)latency_us / 1e6,
                          delivered);
    tide_count(sink->counters, 0, TIDE_M_PRODUCE_OK, delivered);
    return count;
}

/* ---- the queue ---- */

/* Errors of the client as a whole. Those of a record are in its delivery report. */
static void on_error(struct tide_kafka_sink *sink, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    char text[512];
    if (rd_kafka_event_error_is_fatal(event)) {
        rd_kafka_fatal_error(sink->producer.client, text, sizeof(text));
        if (sink->txn)
            tide_kafka_txn_fatal(sink->txn, text);
        else
            tide_kafka_sink_replace(sink, text);
    } else if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        tide_kafka_outage_begin(sink->producer.outage);
    } else if (error != RD_KAFKA_RESP_ERR__TRANSPORT) { /* librdkafka logs that itself */
        tide_log(TIDE_LOG_WARN, "produce: %s", rd_kafka_event_error_string(event));
    }
}

/* True when there are delivery reports, which are then in sink->event. Deals with other events on the way. Such an
 * event is kept until all its records are reported, which may take several calls. */
static bool take_event(struct tide_kafka_sink *sink)
{
    rd_kafka_event_t *event;
    while (!sink->event && (event = rd_kafka_queue_poll(sink->producer.queue, 0))) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_DR:
            sink->event = event;
            continue;
        case RD_KAFKA_EVENT_ERROR:
            on_error(sink, event);
            break;
        case RD_KAFKA_EVENT_STATS:
            tide_kafka_sink_stats(sink, rd_kafka_event_stats(event));
            break;
        default:
            break;
        }
        rd_kafka_event_destroy(event);
    }
    return sink->event != NULL;
}

ssize_t tide_kafka_report_next(struct tide_kafka_sink *sink, struct tide_report *reports,
                               size_t max)
{
    size_t count = 0;
    tide_kafka_records_give_back(sink);
    /* Refused records come before further events, so that their list stays short. What a replacement or a record
     * that is sent alone waits for is a delivery report, so both are looked after between two events. */
    while (count < max) {
        tide_kafka_replace_poll(sink);
        tide_kafka_resend_alone_poll(sink);
        if (tide_kafka_records_report(sink, &reports[count]))
            count++;
        else if (take_event(sink))
            count += settle_event(sink, reports + count, max - count);
        else
            break;
    }
    /* What was delivered before the failure still counts, so it is reported first. */
    return count == 0 && sink->failure.status < 0 ? tide_kafka_sink_failure(sink) : (ssize_t)count;
}

/* The sink may be freed in the midst of an event, too. */
void tide_kafka_report_free(struct tide_kafka_sink *sink)
{
    if (sink->event)
        rd_kafka_event_destroy(sink->event);
    sink->event = NULL;
}
