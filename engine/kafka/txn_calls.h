/* SPDX-License-Identifier: MIT
 * engine/kafka/txn_calls.h - the calls of the transactional producer that wait for a broker, as jobs of
 * kafka/blocking.h, and what interceptors see of its requests. The states of a transaction are in sink/txn.h. */
#ifndef TIDE_KAFKA_TXN_CALLS_H
#define TIDE_KAFKA_TXN_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_consumer_group_metadata_s;

/** The requests of a transaction. Written by librdkafka's threads. */
struct tide_kafka_watch {
    int32_t ends;         /* how many EndTxn requests were sent */
    int32_t failures;     /* how many of its requests got no answer */
    int32_t init_version; /* of the InitProducerId request; -1 = none was sent */
};
/** Has the requests of the client that is made of `conf` counted in `watch`, which lives at least as long. */
void tide_kafka_watch_requests(struct tide_kafka_watch *watch, struct rd_kafka_conf_s *conf);
/** A transaction begins: counts from 0. */
void tide_kafka_watch_reset(struct tide_kafka_watch *watch);
/** True if one of the transaction's requests may still reach a broker although it is over. */
bool tide_kafka_watch_tainted(const struct tide_kafka_watch *watch);

enum tide_kafka_call_result {
    TIDE_KAFKA_CALL_COMMITTED,
    TIDE_KAFKA_CALL_ABORTED,
    TIDE_KAFKA_CALL_FATAL, /* the producer cannot go on */
    TIDE_KAFKA_CALL_GIVEN_UP /* another job or the end waits for it: submit the call again, and it goes on */
};

struct tide_kafka_call {
    struct tide_blocking_job job; /* done is the owner's */
    void *owner;
    struct rd_kafka_s *client;
    struct tide_blocking *blocking;
    struct rd_kafka_topic_partition_list_s *offsets;
    struct rd_kafka_consumer_group_metadata_s *membership;
    struct rd_kafka_s *consumer; /* for planted mistakes only: asking it at this time is too late */
    bool offsets_sent;           /* the offsets are in the transaction */
    bool aborting;               /* the commit has failed */
    enum tide_kafka_call_result result;
    char text[512]; /* why, unless the transaction was committed */
};
/** A job that commits the transaction together with `offsets`; if that fails, it aborts at once. It owns offsets and
 * membership. */
struct tide_kafka_call *tide_kafka_call_commit(
    struct rd_kafka_s *client, struct tide_blocking *blocking,
    struct rd_kafka_topic_partition_list_s *offsets,
    struct rd_kafka_consumer_group_metadata_s *membership);
/** A job that aborts the transaction. */
struct tide_kafka_call *tide_kafka_call_abort(struct rd_kafka_s *client,
                                              struct tide_blocking *blocking);
/** A job that has what was produced sent without linger.ms, until all of it is delivered or 100 ms have passed. It has no
 * result. */
struct tide_kafka_call *tide_kafka_call_flush(struct rd_kafka_s *client,
                                              struct tide_blocking *blocking);
void tide_kafka_call_free(struct tide_kafka_call *call);

/** Blocking: see tide_kafka_txn_init. `blocking` NULL: it is called directly, and does not give up for another job. */
int tide_kafka_call_init(struct rd_kafka_s *client, const struct tide_kafka_watch *watch,
                         struct tide_blocking *blocking, const char *id, int64_t timeout_us);
/** Aborts the transaction; blocks for at most a second. */
void tide_kafka_call_abort_now(struct rd_kafka_s *client);
/** True if the client is fenced: a newer producer has its id, or the brokers ended its transaction. */
bool tide_kafka_call_fenced(struct rd_kafka_s *client);

#endif
