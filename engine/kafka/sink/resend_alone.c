/* SPDX-License-Identifier: MIT
 * The records of a batch that the broker refused (at least once). The whole batch is refused for one bad record in it,
 * and the answer does not say for which, so each is sent again alone, with nothing else in flight: the one that is
 * refused alone is bad, and the others are delivered. They come after what was sent after them, so a refusal changes
 * the order. (Exactly once, the transaction is aborted instead, and chain/bad_records.h does the same for its messages.)
 *
 *   a record is  who                                  next
 *   kept         report.c, from a refused batch       sent, once nothing is in flight
 *   sent         here; nothing else is in flight      delivered; or refused, which is reported to the engine */
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"

void tide_kafka_resend_alone_keep(struct tide_kafka_sink *sink, const struct tide_message *message)
{
    if (sink->records.alone.count == 0)
        tide_log(TIDE_LOG_WARN,
                 "produce: the broker refused a batch; its records are sent one by one");
    tide_message_list_append(&sink->records.alone,
                             tide_message_item_new(message, sizeof(struct tide_message_item)));
}

void tide_kafka_resend_alone_poll(struct tide_kafka_sink *sink)
{
    const struct tide_message_item *next = STAILQ_FIRST(&sink->records.alone.items);
    if (sink->sent.count > 0)
        return;
    sink->records.alone_sent = false;
    /* A failure of this produce is kept in the sink, and returned when there is no report left. */
    if (!next || sink->failure.status < 0 ||
        tide_kafka_sink_produce(sink, &next->message) != TIDE_OK)
        return;
    sink->records.alone_sent = sink->sent.count > 0; /* else it was refused at once */
    free(tide_message_list_take(&sink->records.alone));
}

bool tide_kafka_resend_alone_busy(const struct tide_kafka_sink *sink)
{
    return sink->records.alone_sent || sink->records.alone.count > 0;
}
