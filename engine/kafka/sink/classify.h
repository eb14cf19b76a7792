/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/classify.h - what an error of librdkafka means for the record that has it. Pure functions of plain
 * numbers: `error` is an rd_kafka_resp_err_t, 0 = none. */
#ifndef TIDE_KAFKA_SINK_CLASSIFY_H
#define TIDE_KAFKA_SINK_CLASSIFY_H

#include <stdbool.h>

#include "io/sink.h"

/** What the sink knows of a record besides its error. */
struct tide_kafka_facts {
    bool transactional;     /* the sink sends in transactions */
    bool producer_lost;     /* its producer has had a fatal error, or is being replaced */
    bool sent_alone;        /* nothing else was in flight */
    bool dead_letter;       /* it is a dead letter */
    bool partition_existed; /* at the start, its topic had the partition that it was for */
};

/** What becomes of a record by its delivery report. The first line that fits holds.
 *   action       when
 *   DELIVERED    there is no error
 *   ABORTED      in a transaction, and the error is no fault of the record
 *   REFUSED      in a transaction, and the error may be the record's
 *   SEND_AGAIN   the producer is lost: whatever the error, the next producer sends the record again
 *   REFUSED      a dead letter whose topic is missing or takes nothing now: it waits, and nothing else does
 *   TRY_ALONE    its batch was refused: the broker does not say for which record
 *   REFUSED      the record was refused, alone; or its partition has never been there; or librdkafka rejects it
 *   STOP         anything else is no fault of a record: the sink fails, and what was sent is not committed */
enum tide_kafka_report_action {
    TIDE_KAFKA_REPORT_DELIVERED,
    TIDE_KAFKA_REPORT_REFUSED,
    TIDE_KAFKA_REPORT_TRY_ALONE,
    TIDE_KAFKA_REPORT_SEND_AGAIN,
    TIDE_KAFKA_REPORT_ABORTED,
    TIDE_KAFKA_REPORT_STOP
};
enum tide_kafka_report_action tide_kafka_classify_report(int error,
                                                         const struct tide_kafka_facts *facts);

/** What is done when librdkafka did not take a record. The first line that fits holds.
 *   action        when
 *   TAKEN         there is no error
 *   REFUSED       a dead letter whose topic is missing or takes nothing now; a partition that has never been there;
 *                 a record that librdkafka finds too large or not well-formed
 *   ABORT         in a transaction, and its topic is missing or takes nothing, or the transaction takes no more
 *   WAIT          librdkafka's queue is full; or a fatal error is on its way, as an event that says why
 *   STOP          anything else */
enum tide_kafka_produce_action {
    TIDE_KAFKA_PRODUCE_TAKEN,
    TIDE_KAFKA_PRODUCE_REFUSED,
    TIDE_KAFKA_PRODUCE_ABORT,
    TIDE_KAFKA_PRODUCE_WAIT,
    TIDE_KAFKA_PRODUCE_STOP
};
enum tide_kafka_produce_action tide_kafka_classify_produce(int error,
                                                           const struct tide_kafka_facts *facts);

/** How a refused record is reported. `aborted`: its transaction is aborted for it. */
enum tide_report_kind tide_kafka_refusal_kind(int error, bool dead_letter, bool aborted);

/** What the error of a delivery report means: librdkafka gives back most records of a partition that is gone as of an unknown
 * partition, and those that came to it meanwhile, with its end, as destroyed (librdkafka 2.0.2, rd_kafka_toppar_destroy_final). */
int tide_kafka_report_error(int error);
/** The error is one of the topic: it is missing, or must not be written, or takes nothing now. */
bool tide_kafka_topic_fails(int error);

#endif
