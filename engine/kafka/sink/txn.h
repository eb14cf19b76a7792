/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/txn.h - transactions of the Kafka sink (exactly once): what librdkafka is asked for, in which order,
 * and what is made of its answers. Sources: KIP-98, KIP-447, librdkafka's documentation of the transactional producer.
 *
 *   state      who                                  next
 *   idle       tide_kafka_txn_open, at a send       open
 *   open       tide_kafka_txn_commit                ending: send_offsets_to_transaction, commit_transaction
 *              tide_kafka_txn_fail, or the engine   aborting: abort_transaction
 *   ending     the blocking thread                  idle, COMMITTED told; aborting, if an abort is asked for;
 *                                                   lost, if the producer cannot go on
 *   aborting   the blocking thread                  idle, ABORTED told; or lost
 *   lost       sink/replace.c                      idle with a new producer, ABORTED told. Its init ends what the
 *                                                   old one left; what became of that is read from the group
 * Nothing is sent in any state but idle and open.
 *
 * Offsets carry the group's metadata as it was when the partitions were assigned, never as it is now: after a lost
 * membership librdkafka's is blank, and a blank one is not fenced by the broker.
 *
 * A request that ends a transaction and is sent twice, or whose answer is lost, may be applied to the next one
 * (KAFKA-17754). Interceptors see that; the producer is replaced then, which fences what is late. */
#ifndef TIDE_KAFKA_SINK_TXN_H
#define TIDE_KAFKA_SINK_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/sink.h"
#include "io/source.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct tide_kafka_sink;
struct tide_kafka_txn;
struct tide_blocking;

/** `source`: of the same cluster, whose offsets go along; lent for as long as the sink lives. Its `instance`: the
 * `id` is stable, so that a restart ends at once what its old self left, and another process may have it; else nobody
 * has it but this one. `interval_us`: how long a
 * transaction is open. */
struct tide_kafka_txn *tide_kafka_txn_new(struct tide_kafka_sink *sink, struct tide_source *source,
                                          const char *id, bool instance, int64_t interval_us);
const char *tide_kafka_txn_id(const struct tide_kafka_txn *txn);
/** transaction.timeout.ms */
int64_t tide_kafka_txn_timeout_ms(const struct tide_kafka_txn *txn);
/** Has a client's requests watched; before the client is made, for each. */
void tide_kafka_txn_watch(struct tide_kafka_txn *txn, struct rd_kafka_conf_s *conf);
/** Blocking: fences older producers of this id, ends their transactions. TIDE_EUNREACHED, TIDE_ECONFIG (brokers too
 * old, not allowed), TIDE_EFENCED, TIDE_ETEMPORARY with tide_error(). */
int tide_kafka_txn_init(struct tide_kafka_txn *txn, struct rd_kafka_s *client,
                        struct tide_blocking *blocking, int64_t timeout_us);
/** Before a message is sent: opens a transaction where none is. TIDE_BUSY: not now. */
int tide_kafka_txn_open(struct tide_kafka_txn *txn);
/** The transaction cannot end well: it will be aborted. The first text is kept. */
void tide_kafka_txn_fail(struct tide_kafka_txn *txn, const char *text);
/** The producer cannot go on: it is replaced; or the sink fails with TIDE_EFENCED, where a newer process has its id. */
void tide_kafka_txn_fatal(struct tide_kafka_txn *txn, const char *text);
/** A new producer has taken its place. */
void tide_kafka_txn_replaced(struct tide_kafka_txn *txn);
/** TIDE_BUSY: not now, or an abort is about to be told. */
int tide_kafka_txn_commit(struct tide_kafka_txn *txn, const struct tide_position *positions,
                          size_t count);
enum tide_transaction_result tide_kafka_txn_result(struct tide_kafka_txn *txn, const char **text);
void tide_kafka_txn_abort(struct tide_kafka_txn *txn);
/** Blocking, at the end: aborts what is open, so that readers need not wait for its timeout. */
void tide_kafka_txn_end(struct tide_kafka_txn *txn, struct rd_kafka_s *client);
void tide_kafka_txn_free(struct tide_kafka_txn *txn); /* NULL is fine */

#endif
