/* SPDX-License-Identifier: MIT */
#include "kafka/sink/txn.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum state { IDLE, OPEN, ENDING, ABORTING, LOST };

struct tide_kafka_txn {
    struct tide_kafka_sink *sink;
    struct tide_source *source;
    char *id;
    bool instance; /* the id is one that another process may have */
    int64_t timeout_ms;
    enum state state;
    int64_t opened_us;
    int64_t ended_us;
    bool failed;     /* it will be aborted */
    char cause[512]; /* of that */
    enum tide_transaction_result told;
    char told_text[512];
    struct tide_kafka_watch watch;
};

struct tide_kafka_txn *tide_kafka_txn_new(struct tide_kafka_sink *sink, struct tide_source *source,
                                          const char *id, bool instance, int64_t interval_us)
{
    struct tide_kafka_txn *txn = tide_alloc(sizeof(*txn));
    int64_t timeout_ms = interval_us / 1000 * INTERVALS;
    txn->sink = sink;
    txn->source = source;
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

/* ---- the engine's thread ---- */

static void tell(struct tide_kafka_txn *txn, enum tide_transaction_result result, const char *text)
{
    txn->told = result;
    snprintf(txn->told_text, sizeof(txn->told_text), "%s", text);
    txn->failed = false;
    txn->cause[0] = 0;
    txn->state = IDLE;
}

/* Fenced: by a newer process of its id, or because the brokers ended a transaction that was open for too long. */
static bool is_taken(const struct tide_kafka_txn *txn)
{
    int64_t open_ms = (tide_clock_us() - txn->opened_us) / 1000;
    bool was_open = txn->state != IDLE && txn->state != LOST;
    return txn->instance && tide_kafka_call_fenced(txn->sink->client) &&
           !(was_open && open_ms > txn->timeout_ms);
}

void tide_kafka_txn_fatal(struct tide_kafka_txn *txn, const char *text)
{
    bool taken = is_taken(txn);
    if (txn->state == LOST)
        return;
    tide_kafka_txn_fail(txn, text);
    txn->state = LOST;
    if (!taken) {
        tide_kafka_replace(txn->sink, text);
        return;
    }
    char all[768];
    snprintf(all, sizeof(all), "transactional.id \"%.200s\": a newer process has it: %.400s",
             txn->id, text);
    tide_kafka_sink_fail(txn->sink, TIDE_EFENCED, all);
}

static void answered(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    struct tide_kafka_txn *txn = call->owner;
    bool wanted = txn->state == ENDING || txn->state == ABORTING; /* else it is replaced already */
    if (wanted && call->result == TIDE_KAFKA_CALL_GIVEN_UP &&
        txn->sink->state == TIDE_KAFKA_SINK_READY) {
        tide_blocking_submit(txn->sink->blocking,
                             job); /* the search for lost brokers went before */
        return;
    }
    if (wanted && call->result == TIDE_KAFKA_CALL_COMMITTED) {
        tide_observe(txn->sink->counters, 0, TIDE_M_TRANSACTION_TIME,
                     (double)(tide_clock_us() - txn->ended_us) / 1e6);
        tell(txn, TIDE_TRANSACTION_COMMITTED, "");
    } else if (wanted && call->result == TIDE_KAFKA_CALL_ABORTED) {
        tell(txn, TIDE_TRANSACTION_ABORTED, txn->cause[0] ? txn->cause : call->text);
    } else if (wanted && call->result == TIDE_KAFKA_CALL_FATAL) {
        tide_kafka_txn_fatal(txn, call->text);
    }
    if (wanted && txn->state == IDLE && tide_kafka_watch_tainted(&txn->watch))
        tide_kafka_replace(txn->sink, "a request that ends a transaction was sent again");
    tide_kafka_call_free(call);
}

static int submit(struct tide_kafka_txn *txn, struct tide_kafka_call *call, enum state state)
{
    call->job.done = answered;
    call->owner = txn;
    txn->state = state;
    txn->ended_us = tide_clock_us();
    return tide_blocking_submit(txn->sink->blocking, &call->job);
}

static void begin_abort(struct tide_kafka_txn *txn)
{
    submit(txn, tide_kafka_call_abort(txn->sink->client, txn->sink->blocking), ABORTING);
}

static bool takes(const struct tide_kafka_txn *txn)
{
    return txn->sink->state == TIDE_KAFKA_SINK_READY && !txn->failed &&
           (txn->state == IDLE || txn->state == OPEN) && txn->told == TIDE_TRANSACTION_NO_RESULT;
}

int tide_kafka_txn_open(struct tide_kafka_txn *txn)
{
    if (txn->state == OPEN)
        return txn->failed ? TIDE_BUSY : TIDE_OK;
    if (!takes(txn))
        return TIDE_BUSY;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(txn->sink->client);
    if (error) {
        char text[256];
        snprintf(text, sizeof(text), "%s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        tide_kafka_txn_fatal(txn, text);
        return TIDE_BUSY;
    }
    tide_kafka_watch_reset(&txn->watch);
    txn->opened_us = tide_clock_us();
    txn->state = OPEN;
    return TIDE_OK;
}

void tide_kafka_txn_fail(struct tide_kafka_txn *txn, const char *text)
{
    if (txn->failed)
        return;
    txn->failed = true;
    snprintf(txn->cause, sizeof(txn->cause), "%s", text);
}

void tide_kafka_txn_replaced(struct tide_kafka_txn *txn)
{
    if (txn->state == LOST)
        tell(txn, TIDE_TRANSACTION_ABORTED, txn->cause);
    tide_kafka_watch_reset(&txn->watch);
}

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
    struct tide_kafka_call *call = tide_kafka_call_commit(
        txn->sink->client, txn->sink->blocking, offsets, tide_kafka_source_membership(txn->source));
    call->consumer = tide_kafka_source_client(txn->source);
    return submit(txn, call, ENDING);
}

enum tide_transaction_result tide_kafka_txn_result(struct tide_kafka_txn *txn, const char **text)
{
    enum tide_transaction_result told = txn->told;
    if (txn->failed && txn->state == OPEN)
        begin_abort(txn);
    else if (txn->failed && txn->state == IDLE)
        tell(txn, TIDE_TRANSACTION_ABORTED, txn->cause), told = txn->told;
    txn->told = TIDE_TRANSACTION_NO_RESULT;
    *text = txn->told_text;
    return told;
}

void tide_kafka_txn_abort(struct tide_kafka_txn *txn)
{
    if (txn->state == IDLE || txn->state == OPEN)
        tide_kafka_txn_fail(txn, "its partitions were taken away");
}

void tide_kafka_txn_end(struct tide_kafka_txn *txn, struct rd_kafka_s *client)
{
    if (txn->state != IDLE && txn->state != LOST)
        tide_kafka_call_abort_now(client);
}

void tide_kafka_txn_free(struct tide_kafka_txn *txn)
{
    if (!txn)
        return;
    free(txn->id);
    free(txn);
}
