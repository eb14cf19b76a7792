/* SPDX-License-Identifier: MIT
 * librdkafka's transactional calls may wait for minutes, and the thread they run in is needed for the search for
 * brokers and for the end, too. So each call waits a second at a time (a call that timed out goes on when it is
 * repeated), and between two of them the job looks whether another one waits, and gives up in its favour. What an
 * error asks for is decided in one place, advice_of().
 *
 * The interceptors are the only way to see that librdkafka has sent a request twice: it retries by itself. */
#include "kafka/txn_calls.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"

/* Requests, by the numbers that the Kafka protocol has for them. */
enum {
    INIT_PRODUCER_ID = 22,
    ADD_PARTITIONS_TO_TXN = 24,
    ADD_OFFSETS_TO_TXN = 25,
    END_TXN = 26,
    TXN_OFFSET_COMMIT = 28
};

enum {
    SLICE_MS = 1000, /* how long one call waits */
    FLUSH_MS = 100,
    RETRY_US = 100000,
    /* After a lost connection librdkafka 2.0.2 may say "retriable" for ever: after this time only another producer
     * helps. */
    PATIENCE_US = 10000000,
    /* The first version of InitProducerId whose brokers (2.5, KIP-360, KIP-447) check the group's generation when
     * offsets go into a transaction; older ones take them from a consumer that has lost its partitions. */
    OLDEST_INIT_VERSION = 3
};

/* ---- watching requests ---- */

/* The requests that may still reach a broker when their transaction is over. */
static bool is_of_transaction(int16_t key)
{
    return key == ADD_PARTITIONS_TO_TXN || key == ADD_OFFSETS_TO_TXN || key == END_TXN ||
           key == TXN_OFFSET_COMMIT;
}

/* Interceptors run in librdkafka's threads, hence the atomic counters. */
static rd_kafka_resp_err_t on_request(rd_kafka_t *client, int socket, const char *broker,
                                      int32_t broker_id, int16_t key, int16_t version, int32_t id,
                                      size_t size, void *opaque)
{
    struct tide_kafka_watch *watch = opaque;
    (void)client, (void)socket, (void)broker, (void)broker_id, (void)id, (void)size;
    if (key == END_TXN)
        __atomic_add_fetch(&watch->ends, 1, __ATOMIC_RELAXED);
    else if (key == INIT_PRODUCER_ID)
        __atomic_store_n(&watch->init_version, version, __ATOMIC_RELAXED);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_answer(rd_kafka_t *client, int socket, const char *broker,
                                     int32_t broker_id, int16_t key, int16_t version, int32_t id,
                                     size_t size, int64_t time_us, rd_kafka_resp_err_t error,
                                     void *opaque)
{
    struct tide_kafka_watch *watch = opaque;
    (void)client, (void)socket, (void)broker, (void)broker_id, (void)version, (void)id;
    (void)size, (void)time_us;
    if (error && is_of_transaction(key))
        __atomic_add_fetch(&watch->failures, 1, __ATOMIC_RELAXED);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Interceptors of requests belong to a client, not to a configuration, so they are added once the client is made. */
static rd_kafka_resp_err_t on_new_client(rd_kafka_t *client, const rd_kafka_conf_t *conf,
                                         void *opaque, char *error, size_t size)
{
    (void)conf, (void)error, (void)size;
    rd_kafka_interceptor_add_on_request_sent(client, "tidemill", on_request, opaque);
    return rd_kafka_interceptor_add_on_response_received(client, "tidemill", on_answer, opaque);
}

void tide_kafka_watch_requests(struct tide_kafka_watch *watch, struct rd_kafka_conf_s *conf)
{
    watch->init_version = -1;
    rd_kafka_conf_interceptor_add_on_new(conf, "tidemill", on_new_client, watch);
}

void tide_kafka_watch_reset(struct tide_kafka_watch *watch)
{
    __atomic_store_n(&watch->ends, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&watch->failures, 0, __ATOMIC_RELAXED);
}

/* One EndTxn ends a transaction. A second one was a repetition, and of a request without an answer nobody knows
 * whether a broker still has it (see sink/txn.h). */
bool tide_kafka_watch_tainted(const struct tide_kafka_watch *watch)
{
    return (__atomic_load_n(&watch->ends, __ATOMIC_RELAXED) > 1 ||
            __atomic_load_n(&watch->failures, __ATOMIC_RELAXED) > 0) &&
           !tide_fault("bug.taint_ignored");
}

/* ---- commit and abort ---- */

enum advice { DONE, REPEAT, ABORT, FATAL, GIVE_UP };

/* Returns what an error asks for, and destroys it. An error without any flag means that the producer cannot go on, says
 * librdkafka's documentation. `blocking` NULL = no other job waits. */
static enum advice advice_of(rd_kafka_error_t *error, struct tide_blocking *blocking,
                             int64_t until_us, char *text, size_t size)
{
    enum advice advice = DONE;
    if (!error)
        return DONE;
    snprintf(text, size, "%s", rd_kafka_error_string(error));
    if (rd_kafka_error_is_fatal(error))
        advice = FATAL;
    else if (rd_kafka_error_txn_requires_abort(error))
        advice = ABORT;
    else if (!rd_kafka_error_is_retriable(error) || tide_clock_us() >= until_us)
        advice = FATAL;
    else if (blocking &&
             (tide_blocking_wanted(blocking) || !tide_blocking_pause(blocking, RETRY_US)))
        advice = GIVE_UP;
    else
        advice = REPEAT;
    rd_kafka_error_destroy(error);
    return advice;
}

/* The offsets go to the group's coordinator as a part of the transaction. Repeating the call with the same arguments is
 * safe, librdkafka goes on with the first one; with others it would be a second request. */
static enum advice send_offsets(struct tide_kafka_call *call, int64_t until_us)
{
    enum advice advice = DONE;
    while (!call->offsets_sent && call->offsets->cnt > 0) {
        advice = advice_of(rd_kafka_send_offsets_to_transaction(call->client, call->offsets,
                                                                call->membership, SLICE_MS),
                           call->blocking, until_us, call->text, sizeof(call->text));
        if (advice == DONE && tide_fault("kafka.offsets_late"))
            advice = REPEAT; /* as librdkafka says when the answer came after its time */
        if (advice != DONE && advice != REPEAT)
            return advice;
        call->offsets_sent = advice == DONE;
        if (!call->offsets_sent && tide_fault("bug.offsets_retaken"))
            rd_kafka_position(call->consumer, call->offsets);
    }
    return DONE;
}

static enum advice commit_transaction(struct tide_kafka_call *call)
{
    tide_fault("kafka.commit_late");
    if (tide_fault("bug.metadata_late")) /* leaks what it replaces */
        call->membership = rd_kafka_consumer_group_metadata(call->consumer);
    int64_t until_us = tide_clock_us() + PATIENCE_US;
    enum advice advice = send_offsets(call, until_us);
    if (advice != DONE)
        return advice;
    do
        advice = advice_of(rd_kafka_commit_transaction(call->client, SLICE_MS), call->blocking,
                           until_us, call->text, sizeof(call->text));
    while (advice == REPEAT);
    return advice;
}

/* If even the abort asks for an abort, only another producer helps. */
static enum advice abort_transaction(struct tide_kafka_call *call)
{
    int64_t until_us = tide_clock_us() + PATIENCE_US;
    enum advice advice;
    do
        advice = advice_of(rd_kafka_abort_transaction(call->client, SLICE_MS), call->blocking,
                           until_us, call->text, sizeof(call->text));
    while (advice == REPEAT);
    return advice == ABORT ? FATAL : advice;
}

static void run_abort(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    enum advice advice = abort_transaction(call);
    call->result = advice == DONE      ? TIDE_KAFKA_CALL_ABORTED
                   : advice == GIVE_UP ? TIDE_KAFKA_CALL_GIVEN_UP
                                       : TIDE_KAFKA_CALL_FATAL;
}

/* A commit that has failed aborts in the same job: until then nothing else can be done with the producer. `aborting`
 * keeps that for when the job was given up in between. */
static void run_commit(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    enum advice advice = call->aborting ? ABORT : commit_transaction(call);
    call->aborting = advice == ABORT;
    if (call->aborting)
        run_abort(job);
    else
        call->result = advice == DONE      ? TIDE_KAFKA_CALL_COMMITTED
                       : advice == GIVE_UP ? TIDE_KAFKA_CALL_GIVEN_UP
                                           : TIDE_KAFKA_CALL_FATAL;
}

struct tide_kafka_call *tide_kafka_call_abort(struct rd_kafka_s *client,
                                              struct tide_blocking *blocking)
{
    struct tide_kafka_call *call = tide_alloc(sizeof(*call));
    call->job.run = run_abort;
    call->client = client;
    call->blocking = blocking;
    return call;
}

struct tide_kafka_call *tide_kafka_call_commit(
    struct rd_kafka_s *client, struct tide_blocking *blocking,
    struct rd_kafka_topic_partition_list_s *offsets,
    struct rd_kafka_consumer_group_metadata_s *membership)
{
    struct tide_kafka_call *call = tide_kafka_call_abort(client, blocking);
    call->job.run = run_commit;
    call->offsets = offsets;
    call->membership = membership;
    return call;
}

/* librdkafka leaves linger.ms out as long as this call waits. It waits until the engine's thread has taken all reports, with
 * which the commit becomes due. A broker that takes longer than this has the whole queue before it anyway, and an abort
 * should not have to wait. */
static void run_flush(struct tide_blocking_job *job)
{
    rd_kafka_flush(((struct tide_kafka_call *)job)->client, FLUSH_MS);
}

struct tide_kafka_call *tide_kafka_call_flush(struct rd_kafka_s *client,
                                              struct tide_blocking *blocking)
{
    struct tide_kafka_call *call = tide_kafka_call_abort(client, blocking);
    call->job.run = run_flush;
    return call;
}

void tide_kafka_call_free(struct tide_kafka_call *call)
{
    if (call->offsets)
        rd_kafka_topic_partition_list_destroy(call->offsets);
    if (call->membership)
        rd_kafka_consumer_group_metadata_destroy(call->membership);
    free(call);
}

/* ---- start and end ---- */

/* Older brokers have transactions, too, and no error tells them apart: only the version of the request does. */
static int too_old(const char *text)
{
    return tide_fail(
        TIDE_ECONFIG,
        "exactly_once needs brokers from Kafka 2.5 on: these are older (%s); upgrade them, or "
        "say delivery = \"at_least_once\"",
        text);
}

static int init_refused(rd_kafka_resp_err_t code, const char *id, const char *text)
{
    if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
        code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION)
        return too_old(text);
    if (code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
        return tide_fail(TIDE_EFENCED, "transactional.id \"%s\": a newer process has it: %s", id,
                         text);
    if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT ||
        code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        return tide_fail(TIDE_ECONFIG, "transactional.id \"%s\": %s", id, text);
    return tide_fail(TIDE_ETEMPORARY, "transactional.id \"%s\": %s", id, text);
}

/* Waits for brokers for as long as `timeout_us` says; any other error ends the start at once. */
int tide_kafka_call_init(struct rd_kafka_s *client, const struct tide_kafka_watch *watch,
                         struct tide_blocking *blocking, const char *id, int64_t timeout_us)
{
    int64_t until = tide_clock_us() + timeout_us;
    char text[256] = "";
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(client, SLICE_MS);
        int version = __atomic_load_n(&watch->init_version, __ATOMIC_RELAXED);
        if (!error)
            return version < OLDEST_INIT_VERSION ? too_old("InitProducerId below version 3")
                                                 : TIDE_OK;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        enum advice advice = advice_of(error, blocking, INT64_MAX, text, sizeof(text));
        if (advice == GIVE_UP || (advice == REPEAT && tide_clock_us() >= until))
            return tide_fail(TIDE_EUNREACHED, "no transactions with id \"%s\" within %lld s: %s",
                             id, (long long)(timeout_us / 1000000), text);
        if (advice != REPEAT)
            return init_refused(code, id, text);
    }
}

/* It is called while the sink ends and the engine waits for that, so it has one slice; otherwise the broker aborts the
 * transaction when its time-out is over. */
void tide_kafka_call_abort_now(struct rd_kafka_s *client)
{
    rd_kafka_error_destroy(rd_kafka_abort_transaction(client, SLICE_MS));
}

/* The event of a fatal error does not carry its cause, so the client is asked for it. */
bool tide_kafka_call_fenced(struct rd_kafka_s *client)
{
    char text[8];
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(client, text, sizeof(text));
    return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}
