/* SPDX-License-Identifier: MIT */
#include "kafka/sink/inside.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum {
    FREE_WAIT_US = 2000000,
    PURGE_TRIES = 10000, /* events of many messages each */
    PURGE_WAIT_MS = 10
};

static struct tide_kafka_sink *self(struct tide_sink *sink)
{
    return (struct tide_kafka_sink *)sink;
}

int tide_kafka_sink_fail(struct tide_kafka_sink *sink, int status, const char *text)
{
    if (sink->failure == TIDE_OK) {
        snprintf(sink->failure_text, sizeof(sink->failure_text), "produce: %.1000s", text);
        sink->failure = status;
    }
    return sink->failure;
}

/* ---- the client ---- */

void tide_kafka_sink_handles(struct tide_kafka_sink *sink)
{
    free(sink->handles);
    sink->handle_count = tide_topics_count(sink->topics);
    sink->handles = tide_alloc((sink->handle_count + 1) * sizeof(*sink->handles));
    for (uint32_t i = 0; i < sink->name_count; i++) {
        int number = tide_topics_number(sink->topics, sink->names[i]);
        if (!sink->handles[number])
            sink->handles[number] = rd_kafka_topic_new(sink->client, sink->names[i], NULL);
    }
}

void tide_kafka_sink_adopt(struct tide_kafka_sink *sink, struct rd_kafka_s *client)
{
    const uint64_t one = 1;
    sink->client = client;
    sink->queue = rd_kafka_queue_get_main(client);
    rd_kafka_queue_io_event_enable(sink->queue, sink->waker, &one, sizeof(one));
    sink->outage = tide_kafka_outage_new(client, sink->blocking);
}

int tide_kafka_sink_failure(const struct tide_kafka_sink *sink)
{
    return tide_fail(sink->failure, "%s", sink->failure_text);
}

static int ready(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = self(base);
    return sink->failure < 0 ? tide_kafka_sink_failure(sink) : sink->state == TIDE_KAFKA_SINK_READY;
}

/* ---- send ---- */

/* While a suspect is tried nothing else is sent: what is refused then must be its fault. */
static bool has_room(const struct tide_kafka_sink *sink)
{
    return !sink->suspects.first && !sink->trying && !sink->resend.first &&
           sink->in_flight < sink->max_messages && sink->in_flight_bytes < sink->max_bytes;
}

static ssize_t send_messages(struct tide_sink *base, const struct tide_message *messages,
                             size_t count)
{
    struct tide_kafka_sink *sink = self(base);
    size_t taken = 0;
    if (sink->failure < 0)
        return tide_kafka_sink_failure(sink);
    if (sink->state != TIDE_KAFKA_SINK_READY)
        return 0;
    while (taken < count && has_room(sink)) {
        int status = tide_kafka_sink_produce(sink, &messages[taken]);
        if (status < 0)
            return status;
        if (status == TIDE_BUSY)
            break;
        taken++;
    }
    return (ssize_t)taken;
}

static ssize_t reports(struct tide_sink *base, struct tide_report *reports, size_t max)
{
    struct tide_kafka_sink *sink = self(base);
    if (sink->state >= TIDE_KAFKA_SINK_READY && sink->state < TIDE_KAFKA_SINK_ENDED)
        return tide_kafka_sink_reports(sink, reports, max);
    return sink->failure < 0 ? tide_kafka_sink_failure(sink) : 0;
}

static size_t pending(struct tide_sink *sink)
{
    return self(sink)->in_flight + self(sink)->refused.count + self(sink)->suspects.count +
           self(sink)->resend.count;
}

/* ---- the end ---- */

struct destroy {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    struct tide_kafka_txn *txn; /* to be ended; NULL = none */
};

/* Behind the check of the start, which may still be looking at the queue. The reports of what is
 * purged are taken too, or librdkafka complains of messages that are left. */
static void run_destroy(struct tide_blocking_job *job)
{
    struct destroy *destroy = (struct destroy *)job;
    rd_kafka_purge(destroy->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    for (int tries = 0; tries < PURGE_TRIES && rd_kafka_outq_len(destroy->client) > 0; tries++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(destroy->queue, PURGE_WAIT_MS);
        if (event)
            rd_kafka_event_destroy(event);
    }
    if (destroy->txn)
        tide_kafka_txn_end(destroy->txn, destroy->client);
    rd_kafka_queue_destroy(destroy->queue);
    rd_kafka_destroy(destroy->client);
}

static void destroyed(struct tide_blocking_job *job)
{
    free(job);
}

void tide_kafka_sink_drop(struct tide_kafka_sink *sink)
{
    struct destroy *destroy = tide_alloc(sizeof(*destroy));
    tide_kafka_outage_free(sink->outage);
    for (uint32_t i = 0; i < sink->handle_count; i++)
        if (sink->handles[i])
            rd_kafka_topic_destroy(sink->handles[i]);
    sink->handle_count = 0;
    /* The waker's number may be another file's by the time a client that hangs would write to it.
     */
    rd_kafka_queue_io_event_enable(sink->queue, -1, NULL, 0);
    destroy->queue = sink->queue;
    destroy->job.run = run_destroy;
    destroy->job.done = destroyed;
    destroy->client = sink->client;
    destroy->txn = sink->state == TIDE_KAFKA_SINK_ENDED ? sink->txn : NULL;
    sink->client = NULL;
    tide_blocking_submit(sink->blocking, &destroy->job);
}

static void free_sink(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = self(base);
    tide_kafka_sink_forget(sink);
    sink->state = TIDE_KAFKA_SINK_ENDED;
    if (sink->client)
        tide_kafka_sink_drop(sink);
    if (!tide_blocking_free(sink->blocking, FREE_WAIT_US)) {
        tide_log(TIDE_LOG_WARN, "produce: the client does not end; it is left behind");
        return; /* it may use what is below */
    }
    if (sink->waker >= 0)
        tide_loop_unwatch(sink->loop, sink->waker);
    tide_properties_wipe(&sink->properties);
    for (uint32_t i = 0; i < sink->name_count; i++)
        free(sink->names[i]);
    tide_kafka_txn_free(sink->txn);
    free(sink->names);
    free(sink->handles);
    free(sink->counts);
    free(sink->cluster);
    tide_kafka_sent_free(&sink->sent);
    free(sink);
}

/* ---- transactions ---- */

static int commit(struct tide_sink *sink, const struct tide_position *positions, size_t count)
{
    return tide_kafka_txn_commit(self(sink)->txn, positions, count);
}

static enum tide_transaction_result transaction_result(struct tide_sink *sink, const char **text)
{
    return tide_kafka_txn_result(self(sink)->txn, text);
}

static void abort_transaction(struct tide_sink *sink)
{
    tide_kafka_txn_abort(self(sink)->txn);
}

static const struct tide_sink_ops ops = {
    .start = tide_kafka_sink_start,
    .ready = ready,
    .send = send_messages,
    .reports = reports,
    .pending = pending,
    .free = free_sink,
    .commit = commit,
    .transaction_result = transaction_result,
    .abort = abort_transaction,
};

static int name_topics(struct tide_kafka_sink *sink, const struct tide_sink_plan *plan,
                       const char *dead_letter_topic)
{
    int number = TIDE_OK;
    sink->names = tide_alloc((plan->topic_count + 2) * sizeof(*sink->names));
    for (uint32_t i = 0; i < plan->topic_count && number >= 0; i++) {
        sink->names[sink->name_count++] = tide_copy(plan->topics[i]);
        number = tide_topics_number(sink->topics, plan->topics[i]);
        if (i == 0 && number >= 0)
            sink->default_topic = sink->sink.topic = (uint16_t)number;
    }
    sink->dead_letter_topic = -1;
    if (dead_letter_topic && number >= 0) {
        sink->names[sink->name_count++] = tide_copy(dead_letter_topic);
        sink->dead_letter_topic = number = tide_topics_number(sink->topics, dead_letter_topic);
    }
    return number;
}

struct tide_sink *tide_kafka_sink_new(const struct tide_sink_plan *plan,
                                      const char *dead_letter_topic, struct tide_topics *topics,
                                      struct tide_loop *loop, struct tide_counters *counters)
{
    struct tide_kafka_sink *sink = tide_alloc(sizeof(*sink));
    sink->sink.ops = &ops;
    sink->partitioner = plan->partitioner;
    sink->max_messages = plan->max_messages;
    sink->max_bytes = plan->max_bytes;
    sink->timeout_us = plan->timeout_us;
    sink->topics = topics;
    sink->loop = loop;
    sink->counters = counters;
    sink->default_topic = sink->sink.topic = TIDE_TOPIC_NONE;
    sink->waker = tide_loop_waker(loop, NULL, NULL);
    sink->blocking = tide_blocking_new(loop);
    if (sink->waker < 0 || !sink->blocking || name_topics(sink, plan, dead_letter_topic) < 0) {
        free_sink(&sink->sink);
        return NULL;
    }
    return &sink->sink;
}

void tide_kafka_sink_connect(struct tide_sink *sink, const struct tide_property *properties,
                             uint32_t count)
{
    tide_properties_set(&self(sink)->properties, properties, count);
}

void tide_kafka_sink_transactions(struct tide_sink *sink, struct tide_source *source,
                                  const char *id, bool instance, int64_t interval_us)
{
    self(sink)->txn = tide_kafka_txn_new(self(sink), source, id, instance, interval_us);
}

uint32_t tide_kafka_sink_partitions(const struct tide_sink *sink)
{
    return ((const struct tide_kafka_sink *)sink)->partitions;
}

const char *tide_kafka_sink_cluster(const struct tide_sink *sink)
{
    return ((const struct tide_kafka_sink *)sink)->cluster;
}
