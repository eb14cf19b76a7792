/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/txn.h - transactions of the Kafka sink (exactly once): what librdkafka is asked for, in which order,
 * and what is made of its answers. Sources: KIP-98, KIP-447, librdkafka's documentation of the transactional producer.
 *
 * Offsets carry the group's metadata as it was when the partitions were assigned, never as it is now: after a lost
 * membership librdkafka's metadata is blank, and a broker does not fence blank metadata.
 *
 * A request that ends a transaction and is sent twice, or whose answer is lost, may be applied to the next transaction
 * (KAFKA-17754). Interceptors see such requests (kafka/txn_calls.h); the producer is replaced then, which fences them. */
#ifndef TIDE_KAFKA_SINK_TXN_H
#define TIDE_KAFKA_SINK_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/sink.h"
#include "io/source.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct tide_kafka_group_ops;
struct tide_kafka_sink;
struct tide_kafka_txn;
struct tide_blocking;

/** The transaction that is open or ending, as the sink sees it. Only IDLE and OPEN take messages.
 *   state      who leaves it, and when               next
 *   IDLE       tide_kafka_txn_open(), at a send      OPEN
 *   OPEN       tide_kafka_txn_commit()               ENDING: send_offsets_to_transaction, commit_transaction
 *              tide_kafka_txn_fail() was called      ABORTING: abort_transaction, at the next tide_kafka_txn_result()
 *   ENDING     the blocking thread has ended it      IDLE, with COMMITTED; or ABORTED, when the commit failed
 *   ABORTING   the blocking thread has aborted it    IDLE, with ABORTED
 *   any        the producer cannot go on             LOST
 *   LOST       replace.c has a new producer          IDLE, with ABORTED. The new producer's init_transactions has ended
 *                                                    what the old one left; what became of that is read from the group
 * tide_kafka_txn_fail() in IDLE gives ABORTED at once, in ENDING it keeps the reason in case the commit fails. */
enum tide_kafka_txn_state {
    TIDE_KAFKA_TXN_IDLE,
    TIDE_KAFKA_TXN_OPEN,
    TIDE_KAFKA_TXN_ENDING,
    TIDE_KAFKA_TXN_ABORTING,
    TIDE_KAFKA_TXN_LOST
};

/** `source`: of the same cluster, whose offsets are committed with the transaction; borrowed for as long as the sink
 * lives. `instance`: the `id` is stable, so that a restart ends at once what the process before it left, and another
 * process may have the same one; else no other process has it. `interval_us`: how long a transaction is open. */
struct tide_kafka_txn *tide_kafka_txn_new(struct tide_kafka_sink *sink, struct tide_source *source,
                                          const struct tide_kafka_group_ops *group, const char *id,
                                          bool instance, int64_t interval_us);
const char *tide_kafka_txn_id(const struct tide_kafka_txn *txn);
/** transaction.timeout.ms */
int64_t tide_kafka_txn_timeout_ms(const struct tide_kafka_txn *txn);
/** Has a client's requests watched; to be called for each client, before it is made. */
void tide_kafka_txn_watch(struct tide_kafka_txn *txn, struct rd_kafka_conf_s *conf);
/** Blocking: fences older producers of this id, and ends their transactions. TIDE_EUNREACHED, TIDE_ECONFIG (brokers too
 * old, or not allowed), TIDE_EFENCED, TIDE_ETEMPORARY with tide_error(). */
int tide_kafka_txn_init(struct tide_kafka_txn *txn, struct rd_kafka_s *client,
                        struct tide_blocking *blocking, int64_t timeout_us);
/** Before a message is sent: opens a transaction if there is none. TIDE_BUSY: not now. */
int tide_kafka_txn_open(struct tide_kafka_txn *txn);
/** The transaction cannot end well: it will be aborted. The first text is kept. */
void tide_kafka_txn_fail(struct tide_kafka_txn *txn, const char *text);
/** The producer cannot go on: it is replaced; or the sink fails with TIDE_EFENCED, if a newer process has its id. */
void tide_kafka_txn_fatal(struct tide_kafka_txn *txn, const char *text);
/** A new producer has replaced the old one, and is initialised. */
void tide_kafka_txn_replaced(struct tide_kafka_txn *txn);
/** See commit() in io/sink.h. TIDE_BUSY: not now, or an abort is about to be reported. */
int tide_kafka_txn_commit(struct tide_kafka_txn *txn, const struct tide_position *positions,
                          size_t count);
/** See transaction_result() and abort() in io/sink.h. */
enum tide_transaction_result tide_kafka_txn_result(struct tide_kafka_txn *txn, const char **text);
void tide_kafka_txn_abort(struct tide_kafka_txn *txn);
/** See flush() in io/sink.h. */
void tide_kafka_txn_flush(struct tide_kafka_txn *txn);
/** Blocking, at the end of the sink: aborts what is open, so that readers need not wait for its timeout. */
void tide_kafka_txn_end(struct tide_kafka_txn *txn, struct rd_kafka_s *client);
void tide_kafka_txn_free(struct tide_kafka_txn *txn); /* NULL is fine */

#endif
