/* SPDX-License-Identifier: MIT
 * Records that librdkafka gave back, as copies: its own go with the delivery report, and what is to be done about them
 * takes longer. A refused one waits to be reported, and is then borrowed by the engine, which writes its dead letter
 * from it; the others wait to be sent again, by resend_alone.c or replace.c. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "kafka/sink/classify.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"

/* librdkafka has no words of its own for a topic that is not there any more (it has no partitions then), and tells only
 * its log why it gave up a transaction and purged what was in it. */
void tide_kafka_topic_text(char *text, size_t size, const char *topic, int error)
{
    const char *what = rd_kafka_err2str((rd_kafka_resp_err_t)error);
    if (error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
        error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        what = "it is not there any more, or has fewer partitions than at the start";
    else if (error == RD_KAFKA_RESP_ERR__PURGE_QUEUE || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        what = "librdkafka gave it up (see its line above)";
    snprintf(text, size, "topic \"%.250s\": %s", topic, what);
}

void tide_kafka_records_refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                               int error, const char *text, bool aborted)
{
    bool dead_letter = message->origin.epoch & TIDE_ORIGIN_DEAD_LETTER;
    struct tide_kafka_refused *refused = (struct tide_kafka_refused *)tide_message_item_new(
        message, sizeof(*refused));
    refused->kind = tide_kafka_refusal_kind(error, dead_letter, aborted);
    /* Its topic has no partitions any more, which is how librdkafka says that it was deleted. */
    if (!text && refused->kind == TIDE_REPORT_UNAVAILABLE &&
        error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        text = "the topic is not there";
    snprintf(refused->text, sizeof(refused->text), "%s",
             text ? text : rd_kafka_err2str((rd_kafka_resp_err_t)error));
    tide_message_list_append(&sink->records.refused, &refused->item);
    tide_count(sink->counters, 0, TIDE_M_PRODUCE_ERROR, 1);
}

bool tide_kafka_records_report(struct tide_kafka_sink *sink, struct tide_report *report)
{
    struct tide_message_item *item = tide_message_list_take(&sink->records.refused);
    if (!item)
        return false;
    const struct tide_kafka_refused *refused = (struct tide_kafka_refused *)item;
    tide_message_list_append(&sink->records.reported, item);
    *report = (struct tide_report){.origin = item->message.origin,
                                   .kind = refused->kind,
                                   .text = refused->text,
                                   .message = item->message};
    return true;
}

void tide_kafka_records_give_back(struct tide_kafka_sink *sink)
{
    tide_message_list_free(&sink->records.reported);
}

/* Those that are borrowed are reported already. */
size_t tide_kafka_records_pending(const struct tide_kafka_sink *sink)
{
    return (size_t)sink->records.refused.count + sink->records.alone.count +
           sink->records.purged.count;
}

void tide_kafka_records_free(struct tide_kafka_sink *sink)
{
    tide_message_list_free(&sink->records.reported);
    tide_message_list_free(&sink->records.refused);
    tide_message_list_free(&sink->records.alone);
    tide_message_list_free(&sink->records.purged);
}
