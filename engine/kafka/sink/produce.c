/* SPDX-License-Identifier: MIT
 * One message to librdkafka, which copies it. What librdkafka would not do as the engine promises is refused here
 * before it is asked: a topic that the pipeline does not write, a negative partition, a timestamp of 0. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/status.h"
#include "kafka/sink/classify.h"
#include "kafka/sink/inside.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { HEADERS = 8 }; /* of a message, for which librdkafka's list has room without growing */

/* NULL with tide_error() if they are malformed: they may be what a transform packed. */
static rd_kafka_headers_t *unpack_headers(const struct tide_message *message)
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

/* A dead letter of the message has the partition that was chosen for it. */
static int refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                  int32_t partition, rd_kafka_resp_err_t error, const char *text)
{
    struct tide_message record = *message;
    record.target_partition = partition;
    tide_kafka_records_refuse(sink, &record, error, text, false);
    return TIDE_OK;
}

/* librdkafka did not take the message. The transaction, if there is one, is not harmed by that: a record that is
 * refused here gets its dead letter within it. WAIT leaves the message with the engine, which offers it again: the
 * event that says why comes by report.c meanwhile. */
static int not_taken(struct tide_kafka_sink *sink, const struct tide_message *message,
                     uint32_t topic, int32_t partition, rd_kafka_resp_err_t error)
{
    const struct tide_kafka_facts facts = {
        .transactional = sink->txn != NULL,
        .dead_letter = message->origin.epoch & TIDE_ORIGIN_DEAD_LETTER,
        .partition_existed = tide_kafka_sink_partition_existed(sink, (int)topic, partition)};
    char text[512];
    if (tide_kafka_topic_fails(error))
        tide_kafka_topic_text(text, sizeof(text), tide_topics_name(sink->topics, topic), error);
    else
        snprintf(text, sizeof(text), "%s", rd_kafka_err2str(error));
    switch (tide_kafka_classify_produce(error, &facts)) {
    case TIDE_KAFKA_PRODUCE_REFUSED:
        return refuse(sink, message, partition, error,
                      !facts.dead_letter && tide_kafka_topic_fails(error)
                          ? "its topic does not have that partition"
                          : NULL);
    case TIDE_KAFKA_PRODUCE_ABORT:
        tide_kafka_txn_fail(sink->txn,
                            error == RD_KAFKA_RESP_ERR__STATE ? "it takes no more messages" : text);
        return TIDE_BUSY;
    case TIDE_KAFKA_PRODUCE_WAIT:
        return sink->failure.status < 0 ? tide_kafka_sink_failure(sink) : TIDE_BUSY;
    case TIDE_KAFKA_PRODUCE_TAKEN:
    case TIDE_KAFKA_PRODUCE_STOP:
        break;
    }
    tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, text);
    return tide_kafka_sink_failure(sink);
}

/* Workers name the topic of a result, and must not write to a changelog. */
static bool is_changelog(const struct tide_kafka_sink *sink, const struct tide_message *message,
                         uint32_t topic)
{
    for (uint32_t i = 0; i < sink->plan.changelog_count; i++)
        if (sink->plan.changelogs[i] == topic)
            return message->origin.partition != TIDE_ORIGIN_STATE;
    return false;
}

/* Why a message is refused before librdkafka is asked; NULL = it is not refused. */
static const char *fault_of_message(const struct tide_message *message, int32_t partition,
                                    const void *handle)
{
    if (!handle)
        return "its topic is not one that the pipeline writes";
    if (partition < RD_KAFKA_PARTITION_UA)
        return "its partition is negative";
    if (message->timestamp == 0) /* librdkafka takes it for none, and would send the present */
        return "its timestamp is 0 (1970-01-01), which librdkafka cannot send; set "
               "message.timestamp to another one, or to -1 for the present";
    return NULL;
}

/* The bytes are copied since they lie in an output block, which is used again before the delivery report comes. An
 * address of NULL stays one, and makes a record without value or key. */
static rd_kafka_resp_err_t give_to_librdkafka(struct tide_kafka_sink *sink,
                                              const struct tide_message *message,
                                              rd_kafka_topic_t *handle, int32_t partition,
                                              rd_kafka_headers_t *headers)
{
    size_t value = message->value ? message->value_length : 0;
    size_t key = message->key ? message->key_length : 0;
    void *opaque = tide_kafka_sent_keep(
        &sink->sent,
        (struct tide_kafka_sent){message->origin, message->timestamp, tide_message_size(message)});
    rd_kafka_resp_err_t error = rd_kafka_producev(
        sink->producer.client, RD_KAFKA_V_RKT(handle), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)message->value, value),
        RD_KAFKA_V_KEY(message->key, key), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_HEADERS(headers),
        /* For librdkafka 0 is "now", for us -1 is. */
        RD_KAFKA_V_TIMESTAMP(message->timestamp < 0 ? 0 : message->timestamp), RD_KAFKA_V_END);
    if (error) { /* only what is taken takes over its headers */
        tide_kafka_sent_take(&sink->sent, opaque);
        if (headers)
            rd_kafka_headers_destroy(headers);
    }
    return error;
}

/* partition = "same" is for results: a dead letter has its partition in a header, and its topic may have fewer. */
static int32_t partition_of(const struct tide_kafka_sink *sink, const struct tide_message *message,
                            uint32_t topic)
{
    bool same = message->target_partition == TIDE_PARTITION_ANY &&
                sink->plan.partitioner == TIDE_PARTITION_SAME &&
                (int32_t)topic != sink->plan.dead_letter_topic;
    return same ? message->partition : message->target_partition;
}

int tide_kafka_sink_produce(struct tide_kafka_sink *sink, const struct tide_message *message)
{
    rd_kafka_headers_t *headers = NULL;
    uint32_t topic = message->target_topic == TIDE_TOPIC_NONE ? sink->plan.default_topic
                                                              : message->target_topic;
    rd_kafka_topic_t *handle = topic < sink->producer.handle_count &&
                                       !is_changelog(sink, message, topic)
                                   ? sink->producer.handles[topic]
                                   : NULL;
    int32_t partition = handle ? partition_of(sink, message, topic) : message->target_partition;
    const char *fault = fault_of_message(message, partition, handle);
    if (fault)
        return refuse(sink, message, partition, RD_KAFKA_RESP_ERR__INVALID_ARG, fault);
    if (tide_fault("kafka.fatal"))
        rd_kafka_test_fatal_error(sink->producer.client,
                                  RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                  "as a test would have it");
    /* Before the headers are unpacked: they would have to be freed again each time that it is busy. */
    if (sink->txn && tide_kafka_txn_open(sink->txn) == TIDE_BUSY)
        return TIDE_BUSY;
    if (message->headers_length > 0 && !(headers = unpack_headers(message)))
        return refuse(sink, message, partition, RD_KAFKA_RESP_ERR__INVALID_ARG, tide_error());
    rd_kafka_resp_err_t error = give_to_librdkafka(sink, message, handle, partition, headers);
    return error ? not_taken(sink, message, topic, partition, error) : (int)TIDE_OK;
}
