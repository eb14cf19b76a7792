/* SPDX-License-Identifier: MIT
 * One message to librdkafka, which copies it. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "kafka/sink/inside.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { HEADERS = 8 }; /* that have room without growing */

void tide_kafka_sink_count(struct tide_kafka_sink *sink, const uint32_t *counts)
{
    sink->partitions = counts[0];
    sink->count_count = tide_topics_count(sink->topics);
    sink->counts = tide_alloc((sink->count_count + 1) * sizeof(*sink->counts));
    for (uint32_t i = 0; i < sink->name_count; i++)
        sink->counts[tide_topics_number(sink->topics, sink->names[i])] = counts[i];
}

bool tide_kafka_sink_had(const struct tide_kafka_sink *sink, int topic, int32_t partition)
{
    return topic >= 0 && (uint32_t)topic < sink->count_count &&
           (partition < 0 || (uint32_t)partition < sink->counts[topic]);
}

static rd_kafka_headers_t *unpack(const struct tide_message *message)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS);
    struct tide_header header;
    uint32_t at = 0;
    int status;
    while ((status = tide_header_next(message->headers, message->headers_length, &at, &header)) > 0)
        rd_kafka_header_add(headers, header.name, header.name_length, header.value,
                            header.value_length);
    if (status < 0) {
        rd_kafka_headers_destroy(headers);
        return NULL;
    }
    return headers;
}

static int refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                  rd_kafka_resp_err_t error, const char *text)
{
    tide_kafka_sink_refuse(sink, message, error, text, false);
    return TIDE_OK;
}

struct target {
    int topic;
    int32_t partition;
};

/* No record's fault. A transaction is tried again, later and later; without one nothing waits for a topic. */
static int topic_fails(struct tide_kafka_sink *sink, int topic, rd_kafka_resp_err_t error)
{
    char text[512];
    snprintf(text, sizeof(text), "topic \"%.250s\": %s",
             tide_topics_name(sink->topics, (uint16_t)topic), tide_kafka_sink_topic_words(error));
    if (sink->txn) {
        tide_kafka_txn_fail(sink->txn, text);
        return TIDE_BUSY;
    }
    tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, text);
    return tide_kafka_sink_failure(sink);
}

/* TIDE_OK = taken, by librdkafka or by the refused; TIDE_BUSY; negative = the sink cannot go on. */
static int judge(struct tide_kafka_sink *sink, const struct tide_message *message,
                 const struct target *target, rd_kafka_resp_err_t error)
{
    if (tide_kafka_sink_letter_waits(message->origin, error))
        return refuse(sink, message, error, NULL);
    if (error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION &&
        !tide_kafka_sink_had(sink, target->topic, target->partition))
        return refuse(sink, message, error, "its topic does not have that partition");
    if (tide_kafka_sink_topic_fails(error))
        return topic_fails(sink, target->topic, error);
    switch (error) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return TIDE_BUSY;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return refuse(sink, message, error, NULL);
    case RD_KAFKA_RESP_ERR__STATE:
        if (sink->txn) {
            tide_kafka_txn_fail(sink->txn, "it takes no more messages");
            return TIDE_BUSY;
        }
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, rd_kafka_err2str(error));
        return tide_kafka_sink_failure(sink);
    case RD_KAFKA_RESP_ERR__FATAL:
        return sink->failure < 0 ? tide_kafka_sink_failure(sink)
                                 : TIDE_BUSY; /* its event tells the cause */
    default:
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, rd_kafka_err2str(error));
        return tide_kafka_sink_failure(sink);
    }
}

int tide_kafka_sink_produce(struct tide_kafka_sink *sink, const struct tide_message *given)
{
    struct tide_message placed = *given; /* its dead letter tells the partition too */
    const struct tide_message *message = &placed;
    rd_kafka_headers_t *headers = NULL;
    uint32_t topic = message->target_topic == TIDE_TOPIC_NONE ? sink->default_topic
                                                              : message->target_topic;
    rd_kafka_topic_t *handle = topic < sink->handle_count ? sink->handles[topic] : NULL;
    if (!handle)
        return refuse(sink, message, RD_KAFKA_RESP_ERR__INVALID_ARG,
                      "its topic is not one that the pipeline writes");
    if (placed.target_partition == TIDE_PARTITION_ANY && sink->partitioner == TIDE_PARTITION_SAME &&
        (int32_t)topic != sink->dead_letter_topic)
        placed.target_partition = placed.partition;
    int32_t partition = placed.target_partition;
    if (partition < RD_KAFKA_PARTITION_UA)
        return refuse(sink, message, RD_KAFKA_RESP_ERR__INVALID_ARG, "its partition is negative");
    if (message->timestamp == 0) /* librdkafka takes it for none, and would send the present */
        return refuse(sink, message, RD_KAFKA_RESP_ERR__INVALID_ARG,
                      "its timestamp is 0 (1970-01-01), which librdkafka cannot send; set "
                      "message.timestamp to "
                      "another one, or to -1 for the present");
    if (tide_fault("kafka.fatal"))
        rd_kafka_test_fatal_error(sink->client, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                  "as a test would have it");
    if (sink->txn && tide_kafka_txn_open(sink->txn) == TIDE_BUSY)
        return TIDE_BUSY;
    if (message->headers_length > 0 && !(headers = unpack(message)))
        return refuse(sink, message, RD_KAFKA_RESP_ERR__INVALID_ARG, tide_error());
    size_t value = message->value ? message->value_length : 0;
    size_t key = message->key ? message->key_length : 0;
    uint64_t size = tide_kafka_sink_size(value, key, headers);
    void *opaque = tide_kafka_sent_keep(&sink->sent, message->origin, message->timestamp);
    rd_kafka_resp_err_t error = rd_kafka_producev(
        sink->client, RD_KAFKA_V_RKT(handle), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)message->value, value),
        RD_KAFKA_V_KEY(message->key, key), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_HEADERS(headers),
        /* 0 is "now" there. */
        RD_KAFKA_V_TIMESTAMP(message->timestamp < 0 ? 0 : message->timestamp), RD_KAFKA_V_END);
    if (!error) {
        sink->in_flight++;
        sink->in_flight_bytes += size;
        return TIDE_OK;
    }
    tide_kafka_sent_take(&sink->sent, opaque);
    if (headers)
        rd_kafka_headers_destroy(headers);
    const struct target target = {(int)topic, partition};
    return judge(sink, message, &target, error);
}
