/* SPDX-License-Identifier: MIT */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/source/inside.h"

enum { SAY_AGAIN_US = 30000000 }; /* the same complaint of the client */

static bool is_configuration(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED:
        return true;
    default:
        return false;
    }
}

/* A commit that is sent again after its membership has ended (the session passed, or the broker was
 * away) meets this very engine's new member id under its instance: librdkafka takes the refusal for that
 * of a fenced process, and the client cannot go on. Nobody else is there, so a restart is right. */
static void on_fatal(struct tide_kafka_source *source)
{
    char text[512];
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(source->client, text, sizeof(text));
    bool fenced = error == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
    if (fenced && source->outlived) {
        tide_kafka_source_fail(
            source, tide_fail(TIDE_ETEMPORARY,
                              "group \"%s\": a commit of this engine outlived its membership, and "
                              "librdkafka gives up (%s); start again",
                              source->plan.group, text));
        return;
    }
    tide_kafka_source_fail(
        source, tide_fail(fenced ? TIDE_EFENCED : TIDE_ETEMPORARY, "group \"%s\"%s%s: %s",
                          source->plan.group, fenced ? ": a newer process runs as instance " : "",
                          fenced && source->plan.instance ? source->plan.instance : "", text));
}

/* An answer is that large only when its first message is. librdkafka asks for it again for ever, and names no topic: it is
 * of a partition that has more to give. */
static void on_too_large(struct tide_kafka_source *source, const char *text)
{
    char where[512] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < source->partition_count && at + 330 < sizeof(where); i++) {
        const struct tide_kafka_partition *partition = &source->partitions[i];
        int64_t low, high;
        if (rd_kafka_get_watermark_offsets(source->client, tide_kafka_source_topic(source, i),
                                           partition->number, &low, &high) ||
            high < partition->end)
            high = partition->end;
        if (tide_kafka_is_assigned(partition) && partition->next < high)
            at += (size_t)snprintf(where + at, sizeof(where) - at,
                                   "%stopic \"%s\" partition %d offset %lld", at > 0 ? ", or " : "",
                                   tide_kafka_source_topic(source, i), partition->number,
                                   (long long)partition->next);
    }
    tide_kafka_source_fail(
        source,
        tide_fail(TIDE_EDATA,
                  "%s: a message is larger than rdkafka = { [\"receive.message.max.bytes\"] } "
                  "allows; raise it, or move the group's offset behind it: %s",
                  at > 0 ? where : "kafka_source", text));
}

static void on_error(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    int64_t now = tide_clock_us();
    if (rd_kafka_event_error_is_fatal(event)) {
        on_fatal(source);
    } else if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        tide_kafka_outage_begin(source->outage);
    } else if (strstr(rd_kafka_event_error_string(event), "receive.message.max.bytes")) {
        on_too_large(source, rd_kafka_event_error_string(event));
    } else if (is_configuration(error) && !source->ever_assigned) {
        tide_kafka_source_fail(source,
                               tide_fail(TIDE_ECONFIG, "group \"%s\": %s", source->plan.group,
                                         rd_kafka_event_error_string(event)));
    } else if (error != RD_KAFKA_RESP_ERR__TRANSPORT /* librdkafka logs that itself */
               && (error != source->last_error || now - source->last_error_us > SAY_AGAIN_US)) {
        source->last_error = error;
        source->last_error_us = now;
        tide_log(TIDE_LOG_WARN, "kafka_source: %s", rd_kafka_event_error_string(event));
    }
}

static void keep_committed(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *which = &list->elems[i];
        int index = which->err ? -1
                               : tide_kafka_source_find(source, which->topic, which->partition);
        if (index >= 0)
            source->partitions[index].committed = true;
    }
}

static void on_commit(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (!error)
        keep_committed(source, event);
    if (rd_kafka_event_opaque(event) != source) {
        if (error)
            tide_log(TIDE_LOG_WARN, "group \"%s\": the offsets begun at could not be committed: %s",
                     source->plan.group, rd_kafka_err2str(error));
        return;
    }
    source->committing = false;
    tide_kafka_source_emit(source, TIDE_SOURCE_COMMITTED, error ? TIDE_ETEMPORARY : TIDE_OK, NULL,
                           0, error ? rd_kafka_err2str(error) : NULL);
}

void tide_kafka_control_drain(struct tide_kafka_source *source)
{
    rd_kafka_event_t *event;
    if (source->state != TIDE_KAFKA_RUNNING && source->state != TIDE_KAFKA_CLOSING)
        return;
    while ((event = rd_kafka_queue_poll(source->control, 0))) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_REBALANCE:
            tide_kafka_rebalance_event(source, event);
            break;
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            on_commit(source, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            on_error(source, event);
            break;
        case RD_KAFKA_EVENT_FETCH: /* dropped here it would be lost */
            tide_kafka_source_fail(
                source, tide_fail(TIDE_EINTERNAL, "a message came by the control queue"));
            break;
        default:
            break;
        }
        rd_kafka_event_destroy(event);
    }
    tide_kafka_rebalance_serve(source);
    if (source->state == TIDE_KAFKA_CLOSING)
        tide_kafka_connect_closing(source);
}
