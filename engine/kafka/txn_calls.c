/* SPDX-License-Identifier: MIT */
#include "kafka/txn_calls.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"

/* Of the Kafka protocol. */
enum { ADD_PARTITIONS = 24, ADD_OFFSETS = 25, END_TXN = 26, TXN_OFFSET_COMMIT = 28, INIT = 22 };

enum {
    SLICE_MS = 1000, /* how long one call waits: between two the job may be given up */
    RETRY_US = 100000,
    /* After a lost connection 2.0.2 may answer "again" for ever: from then on only another producer helps. */
    PATIENCE_US = 10000000,
    /* Brokers that know it (2.5, KIP-360, KIP-447) check the group's generation when offsets go into a transaction;
     * older ones take them from anybody. */
    OLDEST_INIT = 3
};

/* ---- requests on their way ---- */

static bool is_of_transaction(int16_t key)
{
    return key == ADD_PARTITIONS || key == ADD_OFFSETS || key == END_TXN ||
           key == TXN_OFFSET_COMMIT;
}

static rd_kafka_resp_err_t on_sent(rd_kafka_t *client, int socket, const char *broker,
                                   int32_t broker_id, int16_t key, int16_t version, int32_t id,
                                   size_t size, void *opaque)
{
    struct tide_kafka_watch *watch = opaque;
    (void)client, (void)socket, (void)broker, (void)broker_id, (void)id, (void)size;
    if (key == END_TXN)
        __atomic_add_fetch(&watch->ends, 1, __ATOMIC_RELAXED);
    else if (key == INIT)
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

static rd_kafka_resp_err_t on_new(rd_kafka_t *client, const rd_kafka_conf_t *conf, void *opaque,
                                  char *error, size_t size)
{
    (void)conf, (void)error, (void)size;
    rd_kafka_interceptor_add_on_request_sent(client, "tidemill", on_sent, opaque);
    return rd_kafka_interceptor_add_on_response_received(client, "tidemill", on_answer, opaque);
}

void tide_kafka_watch_requests(struct tide_kafka_watch *watch, struct rd_kafka_conf_s *conf)
{
    watch->init_version = -1;
    rd_kafka_conf_interceptor_add_on_new(conf, "tidemill", on_new, watch);
}

void tide_kafka_watch_reset(struct tide_kafka_watch *watch)
{
    __atomic_store_n(&watch->ends, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&watch->failures, 0, __ATOMIC_RELAXED);
}

bool tide_kafka_watch_tainted(const struct tide_kafka_watch *watch)
{
    return (__atomic_load_n(&watch->ends, __ATOMIC_RELAXED) > 1 ||
            __atomic_load_n(&watch->failures, __ATOMIC_RELAXED) > 0) &&
           !tide_fault("bug.taint_ignored");
}

/* ---- commit and abort ---- */

enum answer { DONE, AGAIN, ABORT, FATAL, GIVEN_UP };

/* What an error asks for; takes it over. No flag at all means that the producer cannot go on (its documentation). */
static enum answer judge(rd_kafka_error_t *error, struct tide_blocking *blocking, int64_t until_us,
                         char *text, size_t size)
{
    enum answer answer = DONE;
    if (!error)
        return DONE;
    snprintf(text, size, "%s", rd_kafka_error_string(error));
    if (rd_kafka_error_is_fatal(error))
        answer = FATAL;
    else if (rd_kafka_error_txn_requires_abort(error))
        answer = ABORT;
    else if (!rd_kafka_error_is_retriable(error) || tide_clock_us() >= until_us)
        answer = FATAL;
    else if (blocking &&
             (tide_blocking_wanted(blocking) || !tide_blocking_pause(blocking, RETRY_US)))
        answer = GIVEN_UP;
    else
        answer = AGAIN;
    rd_kafka_error_destroy(error);
    return answer;
}

static enum answer send_offsets(struct tide_kafka_call *call, int64_t until_us)
{
    enum answer answer = DONE;
    while (!call->sent && call->offsets->cnt > 0) { /* repeated with the same arguments only */
        answer = judge(rd_kafka_send_offsets_to_transaction(call->client, call->offsets,
                                                            call->membership, SLICE_MS),
                       call->blocking, until_us, call->text, sizeof(call->text));
        if (answer == DONE && tide_fault("kafka.offsets_late"))
            answer = AGAIN; /* as librdkafka says when the answer came after its time */
        if (answer != DONE && answer != AGAIN)
            return answer;
        call->sent = answer == DONE;
        if (!call->sent && tide_fault("bug.offsets_retaken"))
            rd_kafka_position(call->consumer, call->offsets);
    }
    return DONE;
}

static enum answer commit(struct tide_kafka_call *call)
{
    tide_fault("kafka.commit_late");
    if (tide_fault("bug.metadata_late")) /* leaks what it replaces */
        call->membership = rd_kafka_consumer_group_metadata(call->consumer);
    int64_t until_us = tide_clock_us() + PATIENCE_US;
    enum answer answer = send_offsets(call, until_us);
    if (answer != DONE)
        return answer;
    do
        answer = judge(rd_kafka_commit_transaction(call->client, SLICE_MS), call->blocking,
                       until_us, call->text, sizeof(call->text));
    while (answer == AGAIN);
    return answer;
}

static enum answer abort_it(struct tide_kafka_call *call)
{
    int64_t until_us = tide_clock_us() + PATIENCE_US;
    enum answer answer;
    do
        answer = judge(rd_kafka_abort_transaction(call->client, SLICE_MS), call->blocking, until_us,
                       call->text, sizeof(call->text));
    while (answer == AGAIN);
    return answer == ABORT ? FATAL : answer;
}

static void run_abort(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    enum answer answer = abort_it(call);
    call->result = answer == DONE       ? TIDE_KAFKA_CALL_ABORTED
                   : answer == GIVEN_UP ? TIDE_KAFKA_CALL_GIVEN_UP
                                        : TIDE_KAFKA_CALL_FATAL;
}

static void run_commit(struct tide_blocking_job *job)
{
    struct tide_kafka_call *call = (struct tide_kafka_call *)job;
    enum answer answer = call->aborting ? ABORT : commit(call);
    call->aborting = answer == ABORT;
    if (call->aborting)
        run_abort(job);
    else
        call->result = answer == DONE       ? TIDE_KAFKA_CALL_COMMITTED
                       : answer == GIVEN_UP ? TIDE_KAFKA_CALL_GIVEN_UP
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

void tide_kafka_call_free(struct tide_kafka_call *call)
{
    if (call->offsets)
        rd_kafka_topic_partition_list_destroy(call->offsets);
    if (call->membership)
        rd_kafka_consumer_group_metadata_destroy(call->membership);
    free(call);
}

/* ---- start and end ---- */

static int too_old(const char *text)
{
    return tide_fail(
        TIDE_ECONFIG,
        "exactly_once needs brokers from Kafka 2.5 on: these are older (%s); upgrade them, or "
        "say delivery = \"at_least_once\"",
        text);
}

static int refused(rd_kafka_resp_err_t code, const char *id, const char *text)
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

int tide_kafka_call_init(struct rd_kafka_s *client, const struct tide_kafka_watch *watch,
                         struct tide_blocking *blocking, const char *id, int64_t timeout_us)
{
    int64_t until = tide_clock_us() + timeout_us;
    char text[256] = "";
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(client, SLICE_MS);
        int version = __atomic_load_n(&watch->init_version, __ATOMIC_RELAXED);
        if (!error)
            return version < OLDEST_INIT ? too_old("InitProducerId below version 3") : TIDE_OK;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        enum answer answer = judge(error, blocking, INT64_MAX, text, sizeof(text));
        if (answer == GIVEN_UP || (answer == AGAIN && tide_clock_us() >= until))
            return tide_fail(TIDE_EUNREACHED, "no transactions with id \"%s\" within %lld s: %s",
                             id, (long long)(timeout_us / 1000000), text);
        if (answer != AGAIN)
            return refused(code, id, text);
    }
}

void tide_kafka_call_abort_now(struct rd_kafka_s *client)
{
    rd_kafka_error_destroy(rd_kafka_abort_transaction(client, SLICE_MS));
}

bool tide_kafka_call_fenced(struct rd_kafka_s *client)
{
    char text[8];
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(client, text, sizeof(text));
    return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}
