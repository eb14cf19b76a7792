/* SPDX-License-Identifier: MIT
 * The events of the client: rebalances, answers to commits, errors. They come by a queue of their own, apart from
 * the messages, so that they are served while the engine takes no messages. Most errors are librdkafka's to get over
 * and only logged; the others end the source, with the exit code that says whether starting again is right. Start
 * reading at tide_kafka_control_drain. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/outage.h"
#include "kafka/source/inside.h"

enum { LOG_AGAIN_US = 30000000 }; /* the same error */

/* No waiting mends these. At the first join they end the source; later they are logged, since a group that has worked
 * may work again. */
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

/* Brokers answer "fenced" when the instance is a member under another id. That is so when a newer process has joined
 * with it. It is also so when this engine's own requests are of a membership that has ended (the session timed out in an
 * outage), and no other process is there:
 *   - a commit of it that is sent again finds this very engine under a new member id;
 *   - librdkafka forgets the member id when the session times out, and sends heartbeats without one until the partitions
 *     are given back; a broker that was restarted, and counts the session anew, still knows the instance by the old id.
 * And until its first assignment is complete, a request to join of the process before it, which was killed, may have reached
 * the broker behind its own: brokers do not keep the order of connections.
 * librdkafka cannot go on in any case. Then starting again is right: the next engine joins in place of the old member.
 * Should a newer process be there after all, it is fenced by that, and ends with TIDE_EFENCED. */
static void on_fatal(struct tide_kafka_source *source)
{
    char text[512];
    const char *group = source->plan.group;
    const char *instance = source->plan.instance ? source->plan.instance : "";
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(source->client, text, sizeof(text));
    int status;
    if (error != RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        status = tide_fail(TIDE_ETEMPORARY, "group \"%s\": %s", group, text);
    else if (source->rebalance.ended || source->commit.outlived)
        status = tide_fail(TIDE_ETEMPORARY,
                           "group \"%s\": a request of this engine outlived its membership, and "
                           "librdkafka gives up (%s); start again",
                           group, text);
    else if (source->group == TIDE_KAFKA_JOINING)
        status = tide_fail(TIDE_ETEMPORARY,
                           "group \"%s\": another request to join as instance %s came behind that "
                           "of this engine, of a newer process or of one that has ended (%s); "
                           "start again",
                           group, instance, text);
    else
        status = tide_fail(TIDE_EFENCED, "group \"%s\": a newer process runs as instance %s: %s",
                           group, instance, text);
    tide_kafka_source_fail(source, status);
}

/* An answer to a fetch is too large only if its first message is. librdkafka asks for it again for ever, and its
 * error names no topic: it must be in a partition that has more to fetch. */
static void on_too_large(struct tide_kafka_source *source, const char *text)
{
    char where[512] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < source->partition_count && at + 330 < sizeof(where); i++) {
        const struct tide_kafka_partition *partition = &source->partitions[i];
        int64_t high;
        if (!tide_kafka_partition_high(source, i, &high) || high < partition->read.end)
            high = partition->read.end;
        if (tide_kafka_is_assigned(partition) && partition->read.next < high)
            at += (size_t)snprintf(where + at, sizeof(where) - at,
                                   "%stopic \"%s\" partition %d offset %lld", at > 0 ? ", or " : "",
                                   tide_kafka_partition_topic(source, i), partition->number,
                                   (long long)partition->read.next);
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
    } else if (is_configuration(error) && source->group == TIDE_KAFKA_JOINING) {
        tide_kafka_source_fail(source,
                               tide_fail(TIDE_ECONFIG, "group \"%s\": %s", source->plan.group,
                                         rd_kafka_event_error_string(event)));
    } else if (error != RD_KAFKA_RESP_ERR__TRANSPORT /* librdkafka logs that itself */
               && ((int)error != source->last_error.code ||
                   now - source->last_error.logged_us > LOG_AGAIN_US)) {
        source->last_error.code = error;
        source->last_error.logged_us = now;
        tide_log(TIDE_LOG_WARN, "kafka_source: %s", rd_kafka_event_error_string(event));
    }
}

/* While the source starts, kafka/reach.h polls this queue in the blocking thread, and two readers would take each
 * other's events. */
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
            tide_kafka_commit_answered(source, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            on_error(source, event);
            break;
        case RD_KAFKA_EVENT_FETCH: /* a bug: it would be lost */
            tide_kafka_source_fail(
                source, tide_fail(TIDE_EINTERNAL, "a message came by the control queue"));
            break;
        default:
            break;
        }
        rd_kafka_event_destroy(event);
    }
    tide_kafka_rebalance_serve(source);
    tide_kafka_unowned_look(source);
    if (source->state == TIDE_KAFKA_CLOSING)
        tide_kafka_connect_poll_close(source);
}
