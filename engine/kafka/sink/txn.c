/* SPDX-License-Identifier: MIT
 * The state of the transaction, on the engine's thread. All calls that wait for a broker are jobs (kafka/txn_calls.h);
 * one is under way in ENDING and in ABORTING, and job_done() takes its answer. A transaction is never mended: whatever
 * goes wrong with it, it is aborted, and the engine reads its messages again. */
#include "kafka/sink/txn.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"
#include "kafka/txn_calls.h"
#include "shm/counters.h"
#include "shm/topics.h"

enum {
    SHORTEST_TIMEOUT_MS = 30000,
    LONGEST_TIMEOUT_MS = 900000, /* a broker's transaction.max.timeout.ms, if it is not set */
    INTERVALS = 3                /* that a transaction may stay open for */
};

struct tide_kafka_txn {
    struct tide_kafka_sink *sink;
    struct tide_source *source;
    const struct tide_kafka_group_ops *group; /* what `source` is asked by */
    char *id;
    bool instance; /* the id is one that another process may have */
    int64_t timeout_ms;
    enum tide_kafka_txn_state state;
    int64_t opened_us;
    int64_t ended_us;
    bool failed;                         /* it is to be aborted */
    char cause[512];                     /* why */
    enum tide_transaction_result result; /* not yet fetched by the engine */
    char result_text[512];
    struct tide_kafka_watch watch;
};

struct tide_kafka_txn *tide_kafka_txn_new(struct tide_kafka_sink *sink, struct tide_source *source,
                                          const struct tide_kafka_group_ops *group, const char *id,
                                          bool instance, int64_t interval_us)
{
    struct tide_kafka_txn *txn = tide_alloc(sizeof(*txn));
    /* Longer than a transaction is open, so that a slow moment does not abort it; not much longer, since readers wait
     * for it to end after a crash. */
    int64_t timeout_ms = interval_us / 1000 * INTERVALS;
    txn->sink = sink;
    txn->source = source;
    txn->group = group;
    txn->id = tide_copy(id);
    txn->instance = instance;
    txn->timeout_ms = timeout_ms < SHORTEST_TIMEOUT_MS  ? SHORTEST_TIMEOUT_MS
                      : timeout_ms > LONGEST_TIMEOUT_MS ? LONGEST_TIMEOUT_MS
                                                        : timeout_ms;
    return txn;
}

const char *tide_kafka_txn_id(const struct tide_kafka_txn *txn)
{
    return txn->id;
}

int64_t tide_kafka_txn_timeout_ms(const struct tide_kafka_txn *txn)
{
    return txn->timeout_ms;
}

void tide_kafka_txn_watch(struct tide_kafka_txn *txn, struct rd_kafka_conf_s *conf)
{
    tide_kafka_watch_requests(&txn->watch, conf);
}

int tide_kafka_txn_init(struct tide_kafka_txn *txn, struct rd_kafka_s *client,
                        struct tide_blocking *blocking, int64_t timeout_us)
{
    return tide_kafka_call_init(client, &txn->watch, blocking, txn->id, timeout_us);
}

/* ---- its end ---- */

/* The state is IDLE from here on, but nothing is sent before the engine has fetched the result: it may have to read
 * again first. */
static void finish(struct tide_kafka_txn *txn, enum tide_transaction_result result,
                   const char *text)
{
    txn->result = result;
    snprintf(txn->result_text, sizeof(txn->result_text), "%s", text);
    txn->failed = false;
    txn->cause[0] = 0;
    txn->state = TIDE_KAFKA_TXN_IDLE;
}

/* Only notes it; see tide_kafka_txn_result(). Further errors are mostly what the first one led to. */
void tide_kafka_txn_fail(struct tide_kafka_txn *txn, const char *text)
{
    if (txn->failed)
        return;
    txn->failed = true;
    snprintf(txn->cause, sizeof(txn->cause), "%s", text);
}

/* Brokers say "fenced" for two things: a newer process has the id; or they ended a transaction that was open for longer
 * than its timeout, after which this process may go on with a new producer. */
static bool is_taken_over(const struct tide_kafka_txn *txn)
{
    int64_t open_ms = (tide_clock_us() - txn->opened_us) / 1000;
    bool was_open = txn->state != TIDE_KAFKA_TXN_IDLE && txn->state != TIDE_KAFKA_TXN_LOST;
    return txn->instance && tide_kafka_call_fenced(txn->sink->producer.client) &&
           !(was_open && open_ms > txn->timeout_ms);
}

/* Whether it was taken over is found out first, by the state that is left then. */
void tide_kafka_txn_fatal(struct tide_kafka_txn *txn, const char *text)
{
    bool taken_over = is_taken_over(txn);
    if (txn->state == TIDE_KAFKA_TXN_LOST)
        return;
    tide_kafka_txn_fail(txn, text);
    txn->state = TIDE_KAFKA_TXN_LOST;
    if (!taken_over) {
        tide_kafka_sink_replace(txn->sink, text);
        return;
    }
    char all[768];
    snprintf(all, sizeof(all), "transactional.id \"%.200s\": a newer process has it: %.400s",
             txn->id, text);
    tide_kafka_sink_fail(txn->sink, TIDE_EFENCED, all);
}

/* A producer may also be replaced between two transactions, and then there is no result. */
void tide_kafka_txn_replaced(struct tide_kafka_txn *txn)
{
    if (txn->state == TIDE_KAFKA_TXN_LOST)
        finish(txn, TIDE_TRANSACTION_ABORTED, txn->cause);
    tide_kafka_watch_reset(&txn->watch);
}

static void take_answer(struct tide_kafka_txn *txn, const struct tide_kafka_call *call)
{
    switch (call->result) {
    case TIDE_KAFKA_CALL_COMMITTED:
        tide_observe(txn->sink->counters, 0, TIDE_M_TRANSACTION_TIME,
                     (double)(tide_clock_us() - txn->ended_us) / 1e6);
        finish(txn, TIDE_TRANSACTION_COMMITTED, "");
        break;
    case TIDE_KAFKA_CALL_ABORTED:
        finish(txn, TIDE_TRANSACTION_ABORTED, txn->cause[0] ? txn->cause : call->text);
        break;
    case TIDE_KAFKA_CALL_FATAL:
        tide_kafka_txn_fatal(txn, call->text);
        break;
    case TIDE_KAFKA_CALL_GIVEN_UP: /* the sink has no producer now, and the next one ends this */
        break;
    }
    /* Late requests can only harm the next transaction, so this one stands as it is. */
    if (txn->state == TIDE_KAFKA_TXN_IDLE && tide_kafka_watch_tainted(&txn->watch))
        tide_kafka_sink_replace(txn->sink, "a request that ends a transaction was sent again");
}

static void job_done(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    struct tide_kafka_txn *txn = call->owner;
    /* In any other state the producer was lost while the call was under way: it ended with that one. */
    bool wanted = txn->state == TIDE_KAFKA_TXN_ENDING || txn->state == TIDE_KAFKA_TXN_ABORTING;
    if (wanted && call->result == TIDE_KAFKA_CALL_GIVEN_UP &&
        txn->sink->state == TIDE_KAFKA_SINK_READY) {
        tide_blocking_submit(txn->sink->blocking, job); /* a job that waited for it went first */
        return;
    }
    if (wanted)
        take_answer(txn, call);
    tide_kafka_call_free(call);
}

static int submit_call(struct tide_kafka_txn *txn, struct tide_kafka_call *call,
                       enum tide_kafka_txn_state state)
{
    call->job.done = job_done;
    call->owner = txn;
    txn->state = state;
    txn->ended_us = tide_clock_us();
    return tide_blocking_submit(txn->sink->blocking, &call->job);
}

/* ---- what the sink calls ---- */

/* A result that the engine has not fetched holds the next transaction back: if it is an abort, what the engine would
 * send belongs to messages that are read again. */
static bool may_open(const struct tide_kafka_txn *txn)
{
    return txn->sink->state == TIDE_KAFKA_SINK_READY && !txn->failed &&
           txn->state == TIDE_KAFKA_TXN_IDLE && txn->result == TIDE_TRANSACTION_NO_RESULT;
}

/* It does not wait for a broker, which hears of a transaction only with its first record or offset; so it is no
 * job. */
int tide_kafka_txn_open(struct tide_kafka_txn *txn)
{
    if (txn->state == TIDE_KAFKA_TXN_OPEN)
        return txn->failed ? TIDE_BUSY : TIDE_OK;
    if (!may_open(txn))
        return TIDE_BUSY;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(txn->sink->producer.client);
    if (error) {
        char text[256];
        snprintf(text, sizeof(text), "%s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        tide_kafka_txn_fatal(txn, text);
        return TIDE_BUSY;
    }
    tide_kafka_watch_reset(&txn->watch);
    txn->opened_us = tide_clock_us();
    txn->state = TIDE_KAFKA_TXN_OPEN;
    return TIDE_OK;
}

/* One is opened for positions alone, too: where everything was filtered, they are all there is to commit. The
 * membership is that of the assignment, see the header. */
int tide_kafka_txn_commit(struct tide_kafka_txn *txn, const struct tide_position *positions,
                          size_t count)
{
    rd_kafka_topic_partition_list_t *offsets;
    int status = tide_kafka_txn_open(txn);
    if (status != TIDE_OK)
        return status;
    offsets = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        const struct tide_partition *partition = &txn->source->partitions[positions[i].partition];
        rd_kafka_topic_partition_list_add(
            offsets, tide_topics_name(txn->sink->topics, partition->topic), partition->number)
            ->offset = positions[i].offset;
    }
    struct tide_kafka_call *call = tide_kafka_call_commit(txn->sink->producer.client,
                                                          txn->sink->blocking, offsets,
                                                          txn->group->membership(txn->source));
    call->consumer = txn->group->client(txn->source);
    return submit_call(txn, call, TIDE_KAFKA_TXN_ENDING);
}

/* An abort begins here rather than where the transaction failed, so that nothing that is called in the midst of a
 * delivery report changes the state under its caller. */
enum tide_transaction_result tide_kafka_txn_result(struct tide_kafka_txn *txn, const char **text)
{
    if (txn->failed && txn->state == TIDE_KAFKA_TXN_OPEN)
        submit_call(txn, tide_kafka_call_abort(txn->sink->producer.client, txn->sink->blocking),
                    TIDE_KAFKA_TXN_ABORTING);
    else if (txn->failed && txn->state == TIDE_KAFKA_TXN_IDLE)
        finish(txn, TIDE_TRANSACTION_ABORTED, txn->cause);
    enum tide_transaction_result result = txn->result;
    txn->result = TIDE_TRANSACTION_NO_RESULT;
    *text = txn->result_text;
    return result;
}

/* In ENDING the commit is on its way and cannot be taken back, and its result decides; the other two states end in an
 * abort anyway. */
void tide_kafka_txn_abort(struct tide_kafka_txn *txn)
{
    if (txn->state == TIDE_KAFKA_TXN_IDLE || txn->state == TIDE_KAFKA_TXN_OPEN)
        tide_kafka_txn_fail(txn, "its partitions were taken away");
}

static void flush_done(struct tide_blocking_job *job)
{
    tide_kafka_call_free((struct tide_kafka_call *)job);
}

/* The blocking thread has nothing else to do while a transaction is OPEN, and whatever ends this one comes after it. */
void tide_kafka_txn_flush(struct tide_kafka_txn *txn)
{
    if (txn->state != TIDE_KAFKA_TXN_OPEN || txn->sink->state != TIDE_KAFKA_SINK_READY)
        return;
    struct tide_kafka_call *call = tide_kafka_call_flush(txn->sink->producer.client,
                                                         txn->sink->blocking);
    call->job.done = flush_done;
    if (tide_blocking_submit(txn->sink->blocking, &call->job) < 0)
        tide_kafka_call_free(call);
}

/* In IDLE nothing is open. In LOST the producer can end nothing, and the next one that has the id does, or the
 * time-out. */
void tide_kafka_txn_end(struct tide_kafka_txn *txn, struct rd_kafka_s *client)
{
    if (txn->state != TIDE_KAFKA_TXN_IDLE && txn->state != TIDE_KAFKA_TXN_LOST)
        tide_kafka_call_abort_now(client);
}

void tide_kafka_txn_free(struct tide_kafka_txn *txn)
{
    if (!txn)
        return;
    free(txn->id);
    free(txn);
}
