/* SPDX-License-Identifier: MIT
 * engine/kafka/txn_calls.h - the calls of the transactional producer that wait for a broker, as jobs of
 * kafka/blocking.h, and what is seen of its requests on their way. For sink/txn.c. */
#ifndef TIDE_KAFKA_TXN_CALLS_H
#define TIDE_KAFKA_TXN_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_consumer_group_metadata_s;

/** Written by librdkafka's threads. */
struct tide_kafka_watch {
    int32_t ends;         /* EndTxn requests of this transaction */
    int32_t failures;     /* requests of the transaction whose answer was lost */
    int32_t init_version; /* of InitProducerId; -1 = none sent */
};
void tide_kafka_watch_requests(struct tide_kafka_watch *watch, struct rd_kafka_conf_s *conf);
/** A transaction begins. */
void tide_kafka_watch_reset(struct tide_kafka_watch *watch);
/** One of its requests may still be under way although it is over. */
bool tide_kafka_watch_tainted(const struct tide_kafka_watch *watch);

enum tide_kafka_call_result {
    TIDE_KAFKA_CALL_COMMITTED,
    TIDE_KAFKA_CALL_ABORTED,
    TIDE_KAFKA_CALL_FATAL,   /* the producer cannot go on */
    TIDE_KAFKA_CALL_GIVEN_UP /* another job waits, or the end: to be submitted again, behind it */
};

struct tide_kafka_call {
    struct tide_blocking_job job; /* done is the owner's */
    void *owner;
    struct rd_kafka_s *client;
    struct tide_blocking *blocking;
    struct rd_kafka_topic_partition_list_s *offsets;
    struct rd_kafka_consumer_group_metadata_s *membership;
    struct rd_kafka_s *consumer; /* for planted mistakes: to ask it now would be too late */
    bool sent;                   /* the offsets are in the transaction */
    bool aborting;               /* the commit has failed */
    enum tide_kafka_call_result result;
    char text[512]; /* why, unless it is committed */
};
/** Take over what they are given. A commit that fails aborts at once. */
struct tide_kafka_call *tide_kafka_call_commit(
    struct rd_kafka_s *client, struct tide_blocking *blocking,
    struct rd_kafka_topic_partition_list_s *offsets,
    struct rd_kafka_consumer_group_metadata_s *membership);
struct tide_kafka_call *tide_kafka_call_abort(struct rd_kafka_s *client,
                                              struct tide_blocking *blocking);
void tide_kafka_call_free(struct tide_kafka_call *call);

/** See tide_kafka_txn_init. */
int tide_kafka_call_init(struct rd_kafka_s *client, const struct tide_kafka_watch *watch,
                         struct tide_blocking *blocking, const char *id, int64_t timeout_us);
/** Blocks for a second at most. */
void tide_kafka_call_abort_now(struct rd_kafka_s *client);
/** A newer producer with its id has begun, or the brokers ended its transaction. */
bool tide_kafka_call_fenced(struct rd_kafka_s *client);

#endif
