/* SPDX-License-Identifier: MIT
 * The messages of a tail (kafka/tail.h). The queues of all partitions are one, whose events each have a message or an error.
 * Start reading at tide_tail_next. */
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/outage.h"
#include "kafka/tail/inside.h"

enum { LOOK_AFTER = 1024, LOW = 25000 }; /* messages */
static const int64_t QUIET_US = 5000000; /* when nothing came for so long, a broker is asked */

static void caught_up(struct tide_tail *tail, struct tide_tail_partition *partition)
{
    if (!partition->caught_up)
        tail->behind--;
    partition->caught_up = true;
}

static bool is_missing(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

static bool is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

static int fail_as_another(struct tide_tail *tail)
{
    return tide_tail_fail(
        tail, tide_fail(TIDE_ETEMPORARY,
                        "%s: topic \"%s\" was deleted and made again, or lost messages that "
                        "were not read; start again, which reads all of it",
                        tail->reader, tail->topic));
}

static int on_partition_error(struct tide_tail *tail, const rd_kafka_topic_partition_t *where,
                              rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    struct tide_tail_partition *partition = &tail->partitions[where->partition];
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (partition->missing)
            return fail_as_another(tail);
        if (where->offset > partition->next)
            partition->next = where->offset;
        caught_up(tail, partition);
        return TIDE_OK;
    }
    if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return fail_as_another(tail);
    if (is_unreadable(error))
        return tide_tail_fail(
            tail,
            tide_fail(TIDE_EDATA, "%s: topic \"%s\" partition %d offset %lld cannot be read: %s",
                      tail->reader, tail->topic, where->partition, (long long)partition->next,
                      rd_kafka_event_error_string(event)));
    partition->missing |= is_missing(error);
    if (partition->last_error != (int)error)
        tide_log(TIDE_LOG_WARN, "%s: topic \"%s\" partition %d: %s; the rows that were read stay",
                 tail->reader, tail->topic, where->partition, rd_kafka_event_error_string(event));
    partition->last_error = error;
    return TIDE_OK;
}

static int on_error(struct tide_tail *tail, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    int status = TIDE_OK;
    if (where && where->partition >= 0 && (uint32_t)where->partition < tail->count)
        status = on_partition_error(tail, where, event);
    else if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        tide_kafka_outage_begin(tail->outage);
    else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__TRANSPORT)
        tide_log(TIDE_LOG_WARN, "%s: %s", tail->reader, rd_kafka_event_error_string(event));
    if (where)
        rd_kafka_topic_partition_destroy(where);
    return status;
}

/* Sets the message of an event. 0: it is none, or was read before. */
static int read_event(struct tide_tail *tail, rd_kafka_event_t *event,
                      struct tide_tail_message *message)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
        return on_error(tail, event);
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH)
        return 0;
    const rd_kafka_message_t *record = rd_kafka_event_message_next(event);
    if (!record || (uint32_t)record->partition >= tail->count)
        return 0;
    struct tide_tail_partition *partition = &tail->partitions[record->partition];
    if (partition->missing)
        return fail_as_another(tail);
    if (record->offset < partition->next)
        return 0;
    partition->last_error = 0;
    *message = (struct tide_tail_message){record->key, record->payload,   record->key_len,
                                          record->len, record->partition, record->offset};
    return 1;
}

/* A broker that is stopped keeps its connections, and librdkafka notices only after a minute. */
void tide_tail_second(struct tide_tail *tail, int64_t now_us)
{
    rd_kafka_event_t *event;
    if (tail->state !=
        TIDE_TAIL_READING) /* while it starts, kafka/reach.h polls the queue of errors */
        return;
    while ((event = rd_kafka_queue_poll(tail->errors, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            on_error(tail, event);
        rd_kafka_event_destroy(event);
    }
    if (tail->heard || now_us - tail->heard_us > QUIET_US) {
        if (!tail->heard)
            tide_kafka_outage_begin(tail->outage);
        tail->heard_us = now_us;
    }
    tail->heard = false;
    tide_tail_look_for_partitions(tail, now_us);
}

int tide_tail_next(struct tide_tail *tail, struct tide_tail_message *message)
{
    int status = 0;
    if (tail->state == TIDE_TAIL_FAILED)
        return tide_fail(tail->status, "%s", tail->text);
    while (tail->state == TIDE_TAIL_READING && !tail->event && status == 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(tail->data, 0);
        if (!event) {
            tide_tail_wake(tail);
            return 0;
        }
        tail->heard = true;
        status = read_event(tail, event, &tail->message);
        if (status > 0)
            tail->event = event;
        else
            rd_kafka_event_destroy(event);
    }
    *message = tail->message;
    return tail->event ? 1 : status;
}

void tide_tail_take(struct tide_tail *tail)
{
    struct tide_tail_partition *partition = &tail->partitions[tail->message.partition];
    tide_require(tail->event);
    partition->next = tail->message.offset + 1;
    if (partition->end >= 0 && partition->next >= partition->end)
        caught_up(tail, partition);
    rd_kafka_event_destroy(tail->event);
    tail->event = NULL;
    if (++tail->taken % LOOK_AFTER == 0 && rd_kafka_queue_length(tail->data) < LOW)
        tide_tail_wake(tail);
}

bool tide_tail_caught_up(const struct tide_tail *tail)
{
    return tail->state == TIDE_TAIL_READING && tail->behind == 0;
}

int64_t tide_tail_lag(const struct tide_tail *tail)
{
    int64_t lag = 0;
    if (tail->state != TIDE_TAIL_READING)
        return -1;
    for (uint32_t i = 0; i < tail->count; i++)
        lag += tide_tail_partition_lag(tail, i);
    return lag;
}
