/* SPDX-License-Identifier: MIT */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/headers.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

uint64_t tide_kafka_sink_size(size_t value, size_t key, const struct rd_kafka_headers_s *headers)
{
    uint64_t size = value + key;
    const char *name;
    const void *bytes;
    size_t length;
    for (size_t i = 0; headers && !rd_kafka_header_get_all(headers, i, &name, &bytes, &length); i++)
        size += strlen(name) + length;
    return size;
}

/* ---- records that are kept ---- */

static void append(struct tide_kafka_records *records, struct tide_kafka_record *record)
{
    record->next = NULL;
    if (records->last)
        records->last->next = record;
    else
        records->first = record;
    records->last = record;
    records->count++;
}

struct tide_kafka_record *tide_kafka_records_add(struct tide_kafka_records *records,
                                                 const struct tide_message *message)
{
    struct tide_kafka_record *copy = tide_alloc(sizeof(*copy) + tide_message_size(message) + 1);
    tide_message_copy(&copy->message, message, (char *)(copy + 1));
    append(records, copy);
    return copy;
}

void tide_kafka_records_move(struct tide_kafka_records *from, struct tide_kafka_records *to)
{
    struct tide_kafka_record *record = from->first;
    if (!(from->first = record->next))
        from->last = NULL;
    from->count--;
    if (to) {
        append(to, record);
    } else {
        free(record->text);
        free(record);
    }
}

void tide_kafka_records_drop(struct tide_kafka_records *records)
{
    while (records->first)
        tide_kafka_records_move(records, NULL);
}

bool tide_kafka_sink_topic_fails(int error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
        return true;
    default:
        return false;
    }
}

const char *tide_kafka_sink_topic_words(int error)
{
    bool gone = error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
                error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return gone ? "it is not there any more, or has fewer partitions than at the start"
                : rd_kafka_err2str((rd_kafka_resp_err_t)error);
}

bool tide_kafka_sink_letter_waits(struct tide_origin origin, int error)
{
    return (origin.epoch & TIDE_ORIGIN_DEAD_LETTER) && tide_kafka_sink_topic_fails(error);
}

/* A topic that was deleted has no partitions: that is how librdkafka says it of a record without one of its own. */
static const char *words(int error, bool letter)
{
    if (letter && error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return "the topic is not there";
    return rd_kafka_err2str((rd_kafka_resp_err_t)error);
}

void tide_kafka_sink_refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                            int error, const char *text, bool aborted)
{
    struct tide_kafka_record *refused = tide_kafka_records_add(&sink->refused, message);
    bool waits = tide_kafka_sink_letter_waits(message->origin, error);
    bool too_large = error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                     error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
    refused->kind = aborted && too_large ? TIDE_REPORT_TOO_LARGE_ABORTED
                    : aborted            ? TIDE_REPORT_REFUSED_ABORTED
                    : waits              ? TIDE_REPORT_UNAVAILABLE
                    : too_large          ? TIDE_REPORT_TOO_LARGE
                                         : TIDE_REPORT_REFUSED;
    refused->text = tide_copy(text ? text : words(error, waits));
    tide_count(sink->counters, 0, TIDE_M_PRODUCE_ERROR, 1);
}

/* Moves one to those that are lent to the engine. */
static void tell_refused(struct tide_kafka_sink *sink, struct tide_report *report)
{
    const struct tide_kafka_record *refused = sink->refused.first;
    tide_kafka_records_move(&sink->refused, &sink->told);
    *report = (struct tide_report){.origin = refused->message.origin,
                                   .kind = refused->kind,
                                   .text = refused->text,
                                   .message = refused->message};
}

void tide_kafka_sink_forget(struct tide_kafka_sink *sink)
{
    tide_kafka_records_drop(&sink->told);
    tide_kafka_records_drop(&sink->refused);
    tide_kafka_records_drop(&sink->suspects);
    tide_kafka_records_drop(&sink->resend);
    if (sink->event)
        rd_kafka_event_destroy(sink->event);
    sink->event = NULL;
}

/* ---- delivery reports ---- */

/* Whose fault an error is. The broker answers for a whole batch (2.0.2 does not read which record of it was
 * bad), so a bad batch makes its records suspects; what is nobody's stops the sink, with nothing of it
 * committed. */
enum blame { NOBODY, RECORD, BATCH };

static int topic_of(const struct tide_kafka_sink *sink, const rd_kafka_message_t *record)
{
    return tide_topics_number(sink->topics, rd_kafka_topic_name(record->rkt));
}

static enum blame blame(const struct tide_kafka_sink *sink, const rd_kafka_message_t *record)
{
    switch (record->err) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return BATCH;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return tide_kafka_sink_had(sink, topic_of(sink, record), record->partition) ? NOBODY
                                                                                    : RECORD;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return RECORD;
    default:
        return NOBODY;
    }
}

/* What fails now is the producer's fault. */
static bool is_lost(const struct tide_kafka_sink *sink)
{
    return sink->state == TIDE_KAFKA_SINK_REPLACING ||
           rd_kafka_fatal_error(sink->client, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* What was purged went with a transaction that librdkafka gave up, and it tells only its log why. */
static const char *reason(rd_kafka_resp_err_t error)
{
    bool purged = error == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    return purged ? "librdkafka gave it up (see its line above)" : rd_kafka_err2str(error);
}

/* Where the input came from is not known here, only its origin. */
static void failed_record(struct tide_kafka_sink *sink, struct tide_kafka_sent sent,
                          const rd_kafka_message_t *record, const rd_kafka_headers_t *headers)
{
    struct tide_text packed = {0};
    tide_kafka_headers_pack(&packed, headers);
    int topic = topic_of(sink, record);
    struct tide_message message = {
        .value = record->payload,
        .key = record->key,
        .headers = packed.data,
        .value_length = (uint32_t)record->len,
        .key_length = (uint32_t)record->key_len,
        .headers_length = (uint32_t)packed.length,
        .topic = TIDE_TOPIC_NONE,
        .timestamp = sent.timestamp,
        .offset = -1,
        .partition = -1,
        .target_topic = topic < 0 ? TIDE_TOPIC_NONE : (uint16_t)topic,
        .target_partition = record->partition < 0 ? TIDE_PARTITION_ANY : record->partition,
        .origin = sent.origin,
    };
    if (tide_fault("bug.report_time"))
        message.timestamp = rd_kafka_message_timestamp(record, NULL);
    if (!sink->txn && is_lost(sink))
        tide_kafka_records_add(&sink->resend, &message);
    else if (!sink->txn && blame(sink, record) == BATCH && !sink->trying)
        tide_kafka_suspect_keep(sink, &message);
    else
        tide_kafka_sink_refuse(sink, &message, record->err, NULL, sink->txn != NULL);
    tide_text_free(&packed);
}

static void fail(struct tide_kafka_sink *sink, const rd_kafka_message_t *record)
{
    char text[512];
    snprintf(text, sizeof(text), "topic \"%.250s\": %s", rd_kafka_topic_name(record->rkt),
             tide_kafka_sink_topic_words(record->err));
    tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, text);
}

/* Returns 1 when `report` was filled. */
static size_t tell(struct tide_kafka_sink *sink, const rd_kafka_message_t *record,
                   struct tide_report *report)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_message_headers(record, &headers);
    struct tide_kafka_sent sent = tide_kafka_sent_take(&sink->sent, record->_private);
    sink->in_flight--;
    sink->in_flight_bytes -= tide_kafka_sink_size(record->len, record->key_len, headers);
    if (record->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *report = (struct tide_report){.origin = sent.origin, .kind = TIDE_REPORT_DELIVERED};
        return 1;
    }
    bool nobodys = blame(sink, record) == NOBODY;
    if (sink->txn) {
        char text[512];
        snprintf(text, sizeof(text), "topic \"%.250s\": %s", rd_kafka_topic_name(record->rkt),
                 reason(record->err));
        tide_kafka_txn_fail(sink->txn, text);
    }
    if (nobodys && sink->txn) {
        *report = (struct tide_report){.origin = sent.origin, .kind = TIDE_REPORT_ABORTED};
        return 1;
    }
    if (nobodys && !is_lost(sink) && !tide_kafka_sink_letter_waits(sent.origin, record->err))
        fail(sink, record);
    else
        failed_record(sink, sent, record, headers);
    return 0;
}

static size_t tell_event(struct tide_kafka_sink *sink, struct tide_report *reports, size_t max)
{
    const rd_kafka_message_t *record;
    size_t count = 0, delivered = 0;
    int64_t latency_us = -1;
    while (count < max && (record = rd_kafka_event_message_next(sink->event))) {
        if (latency_us <
            0) /* one is enough: the event is a batch that was sent and answered together */
            latency_us = rd_kafka_message_latency(record);
        delivered += record->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        count += tell(sink, record, &reports[count]);
    }
    if (count < max) {
        rd_kafka_event_destroy(sink->event);
        sink->event = NULL;
    }
    if (latency_us >= 0 && delivered > 0)
        tide_observe_many(sink->counters, 0, TIDE_M_PRODUCE_LATENCY, (double)latency_us / 1e6,
                          delivered);
    tide_count(sink->counters, 0, TIDE_M_PRODUCE_OK, delivered);
    return count;
}

/* ---- the queue ---- */

static void on_error(struct tide_kafka_sink *sink, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    char text[512];
    if (rd_kafka_event_error_is_fatal(event)) {
        rd_kafka_fatal_error(sink->client, text, sizeof(text));
        if (sink->txn)
            tide_kafka_txn_fatal(sink->txn, text);
        else
            tide_kafka_replace(sink, text);
    } else if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        tide_kafka_outage_begin(sink->outage);
    } else if (error != RD_KAFKA_RESP_ERR__TRANSPORT) { /* librdkafka logs that itself */
        tide_log(TIDE_LOG_WARN, "produce: %s", rd_kafka_event_error_string(event));
    }
}

/* True: delivery reports, kept in `event`. */
static bool next_event(struct tide_kafka_sink *sink)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(sink->queue, 0))) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_DR:
            sink->event = event;
            return true;
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
    return false;
}

ssize_t tide_kafka_sink_reports(struct tide_kafka_sink *sink, struct tide_report *reports,
                                size_t max)
{
    size_t count = 0;
    tide_kafka_records_drop(&sink->told);
    while (count < max) {
        tide_kafka_replace_poll(sink);
        tide_kafka_suspect_try(sink);
        if (sink->refused.first)
            tell_refused(sink, &reports[count++]);
        else if (sink->event || next_event(sink))
            count += tell_event(sink, reports + count, max - count);
        else
            break;
    }
    return count == 0 && sink->failure < 0 ? tide_fail(sink->failure, "%s", sink->failure_text)
                                           : (ssize_t)count;
}
