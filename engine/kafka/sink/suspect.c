/* SPDX-License-Identifier: MIT
 * Records of a batch that the broker refused. It is the batch that is refused, for one bad record in it, so
 * each is sent again alone, with nothing else in flight: the one that is refused alone is bad, and the others
 * are through. They come behind what was sent after them, which is what a refusal costs.
 *
 *   state      who                               next
 *   suspect    kept from a refused batch         trying, once nothing is in flight
 *   trying     in flight, alone                  acknowledged; or refused, which is told to the engine */
#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"

void tide_kafka_suspect_keep(struct tide_kafka_sink *sink, const struct tide_message *message)
{
    if (!sink->suspects.first)
        tide_log(TIDE_LOG_WARN,
                 "produce: the broker refused a batch; its records are sent one by one");
    tide_kafka_records_add(&sink->suspects, message);
}

void tide_kafka_suspect_try(struct tide_kafka_sink *sink)
{
    const struct tide_kafka_record *suspect = sink->suspects.first;
    if (sink->in_flight > 0)
        return;
    sink->trying = false;
    /* A failure is kept in the sink, and told when there is nothing else to tell. */
    if (!suspect || sink->failure < 0 ||
        tide_kafka_sink_produce(sink, &suspect->message) != TIDE_OK)
        return;
    sink->trying = sink->in_flight > 0; /* else it was refused at once */
    tide_kafka_records_move(&sink->suspects, NULL);
}
