/* SPDX-License-Identifier: MIT
 * The rules by which the sink tells a bad record from a bad batch, a missing topic and a broken producer. They are here
 * without any state, so that each line of the tables in the header can be checked by a table (classify_spec.lua); what
 * is done then is in report.c and produce.c.
 *
 * The rule behind the rules: a record is given up only for an error that is its own. Whatever may be the fault of
 * anything else stops the sink or aborts the transaction, with nothing committed, so that no message is lost. */
#include "kafka/sink/classify.h"

#include <librdkafka/rdkafka.h>

/* Whose fault an error is. The broker answers for a whole batch, and librdkafka 2.0.2 does not read which record of it
 * was bad. */
enum fault { FAULT_OF_NO_RECORD, FAULT_OF_RECORD, FAULT_OF_BATCH };

static enum fault fault_of(int error, const struct tide_kafka_facts *facts)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return FAULT_OF_BATCH;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return facts->partition_existed ? FAULT_OF_NO_RECORD : FAULT_OF_RECORD;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return FAULT_OF_RECORD;
    default:
        return FAULT_OF_NO_RECORD;
    }
}

int tide_kafka_report_error(int error)
{
    return error == RD_KAFKA_RESP_ERR__DESTROY ? RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION : error;
}

bool tide_kafka_topic_fails(int error)
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

enum tide_kafka_report_action tide_kafka_classify_report(int error,
                                                         const struct tide_kafka_facts *facts)
{
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return TIDE_KAFKA_REPORT_DELIVERED;
    enum fault fault = fault_of(error, facts);
    /* An aborted transaction is read and run again as a whole, so nothing of it is sent again here. */
    if (facts->transactional)
        return fault == FAULT_OF_NO_RECORD ? TIDE_KAFKA_REPORT_ABORTED : TIDE_KAFKA_REPORT_REFUSED;
    if (facts->producer_lost)
        return TIDE_KAFKA_REPORT_SEND_AGAIN;
    if (facts->dead_letter && tide_kafka_topic_fails(error))
        return TIDE_KAFKA_REPORT_REFUSED;
    if (fault == FAULT_OF_BATCH && !facts->sent_alone)
        return TIDE_KAFKA_REPORT_TRY_ALONE;
    return fault == FAULT_OF_NO_RECORD ? TIDE_KAFKA_REPORT_STOP : TIDE_KAFKA_REPORT_REFUSED;
}

/* The errors of topics have an unknown partition among them, so the case in which that is the record's own fault is
 * looked at before. */
enum tide_kafka_produce_action tide_kafka_classify_produce(int error,
                                                           const struct tide_kafka_facts *facts)
{
    enum tide_kafka_produce_action unless_aborted = facts->transactional ? TIDE_KAFKA_PRODUCE_ABORT
                                                                         : TIDE_KAFKA_PRODUCE_STOP;
    if (facts->dead_letter && tide_kafka_topic_fails(error))
        return TIDE_KAFKA_PRODUCE_REFUSED;
    if (error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && !facts->partition_existed)
        return TIDE_KAFKA_PRODUCE_REFUSED;
    if (tide_kafka_topic_fails(error))
        return unless_aborted;
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return TIDE_KAFKA_PRODUCE_TAKEN;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return TIDE_KAFKA_PRODUCE_REFUSED;
    case RD_KAFKA_RESP_ERR__STATE:
        return unless_aborted;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR__FATAL:
        return TIDE_KAFKA_PRODUCE_WAIT;
    default:
        return TIDE_KAFKA_PRODUCE_STOP;
    }
}

enum tide_report_kind tide_kafka_refusal_kind(int error, bool dead_letter, bool aborted)
{
    bool too_large = error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                     error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
    if (aborted)
        return too_large ? TIDE_REPORT_TOO_LARGE_ABORTED : TIDE_REPORT_REFUSED_ABORTED;
    if (dead_letter && tide_kafka_topic_fails(error))
        return TIDE_REPORT_UNAVAILABLE;
    return too_large ? TIDE_REPORT_TOO_LARGE : TIDE_REPORT_REFUSED;
}
