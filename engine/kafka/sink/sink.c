/* SPDX-License-Identifier: MIT
 * Kafka as a sink: the verbs of io/sink.h. None of them waits for a broker: messages go into librdkafka's queue, its
 * answers come back through another one (report.c), and the calls that do wait are jobs of kafka/blocking.h. How a
 * message gets to librdkafka is in produce.c, what becomes of it in report.c, transactions are in txn.c. */
#include "kafka/sink/inside.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum { FREE_WAIT_US = 2000000 };

static struct tide_kafka_sink *self(struct tide_sink *sink)
{
    return (struct tide_kafka_sink *)sink;
}

/* A failure comes first, since it may happen in any state and the state stays as it was. */
static int sink_ready(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = self(base);
    return sink->failure.status < 0 ? tide_kafka_sink_failure(sink)
                                    : sink->state == TIDE_KAFKA_SINK_READY;
}

/* ---- send, reports ---- */

/* max_messages and max_bytes limit what is in flight: this is where backpressure begins, and a slow output is felt
 * up to the source. What is to be sent again goes first. While a record is sent alone nothing else is: what is
 * refused then is bad. */
static bool has_room(const struct tide_kafka_sink *sink)
{
    return !tide_kafka_resend_alone_busy(sink) && sink->records.purged.count == 0 &&
           sink->sent.count < sink->plan.max_messages && sink->sent.bytes < sink->plan.max_bytes;
}

/* A producer that is being replaced is no failure: nothing is taken, and the engine offers the messages again. */
static ssize_t sink_send(struct tide_sink *base, const struct tide_message *messages, size_t count)
{
    struct tide_kafka_sink *sink = self(base);
    size_t taken = 0;
    if (sink->failure.status < 0)
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

static ssize_t sink_reports(struct tide_sink *base, struct tide_report *reports, size_t max)
{
    struct tide_kafka_sink *sink = self(base);
    switch (sink->state) {
    case TIDE_KAFKA_SINK_READY:
    case TIDE_KAFKA_SINK_REPLACING:
    case TIDE_KAFKA_SINK_OPENING:
        if (tide_fault("kafka.reports_held"))
            return 0;
        return tide_kafka_report_next(sink, reports, max);
    case TIDE_KAFKA_SINK_NEW:
    case TIDE_KAFKA_SINK_STARTING: /* the start itself looks at the queue (kafka/reach.h) */
    case TIDE_KAFKA_SINK_ENDED:
        break;
    }
    return sink->failure.status < 0 ? tide_kafka_sink_failure(sink) : 0;
}

/* Refused records count until the engine has fetched their reports: it ends only when nothing is pending. */
static size_t sink_pending(struct tide_sink *sink)
{
    return self(sink)->sent.count + tide_kafka_records_pending(self(sink));
}

/* ---- transactions ---- */

/* The engine calls these four only in exactly_once, so there is a transaction. */
static int sink_commit(struct tide_sink *sink, const struct tide_position *positions, size_t count)
{
    return tide_kafka_txn_commit(self(sink)->txn, positions, count);
}

static enum tide_transaction_result sink_transaction_result(struct tide_sink *sink,
                                                            const char **text)
{
    return tide_kafka_txn_result(self(sink)->txn, text);
}

static void sink_abort(struct tide_sink *sink)
{
    tide_kafka_txn_abort(self(sink)->txn);
}

static void sink_flush(struct tide_sink *sink)
{
    tide_kafka_txn_flush(self(sink)->txn);
}

/* ---- new, free ---- */

/* The client ends in the blocking thread. One that hangs is left to the end of the process, with all that it may use.
 * ENDED comes before the client is dropped, which sees by it that an open transaction has to be aborted; jobs that end
 * later see by it that nobody wants their answer. */
static void sink_free(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = self(base);
    tide_kafka_records_free(sink);
    tide_kafka_report_free(sink);
    sink->state = TIDE_KAFKA_SINK_ENDED;
    if (sink->producer.client)
        tide_kafka_producer_drop(sink);
    if (!tide_blocking_free(sink->blocking, FREE_WAIT_US)) {
        tide_log(TIDE_LOG_WARN, "produce: the client does not end; it is left behind");
        return;
    }
    if (sink->producer.waker >= 0)
        tide_loop_unwatch(sink->loop, sink->producer.waker);
    tide_properties_wipe(&sink->plan.properties);
    for (uint32_t i = 0; i < sink->plan.topic_count; i++)
        free(sink->plan.topics[i]);
    free(sink->plan.topics);
    free(sink->plan.changelogs);
    tide_kafka_txn_free(sink->txn);
    free(sink->producer.handles);
    free(sink->output.partitions);
    free(sink->output.cluster);
    tide_kafka_sent_free(&sink->sent);
    free(sink);
}

static const struct tide_sink_ops ops = {
    .start = tide_kafka_sink_start,
    .ready = sink_ready,
    .send = sink_send,
    .reports = sink_reports,
    .pending = sink_pending,
    .free = sink_free,
    .commit = sink_commit,
    .transaction_result = sink_transaction_result,
    .abort = sink_abort,
    .flush = sink_flush,
};

/* The sink writes the topics of the plan and the dead letters' topic, no others: they are checked at the start, and a
 * message for another topic is refused. */
static int name_topics(struct tide_kafka_sink *sink, const struct tide_sink_plan *plan,
                       const char *dead_letter_topic)
{
    int number = TIDE_OK;
    sink->plan.topics = tide_alloc((plan->topic_count + 2) * sizeof(*sink->plan.topics));
    for (uint32_t i = 0; i < plan->topic_count && number >= 0; i++) {
        sink->plan.topics[sink->plan.topic_count++] = tide_copy(plan->topics[i]);
        number = tide_topics_number(sink->topics, plan->topics[i]);
        if (i == 0 && number >= 0)
            sink->plan.default_topic = sink->sink.topic = (uint16_t)number;
    }
    sink->plan.dead_letter_topic = -1;
    if (dead_letter_topic && number >= 0) {
        sink->plan.topics[sink->plan.topic_count++] = tide_copy(dead_letter_topic);
        sink->plan.dead_letter_topic = number = tide_topics_number(sink->topics, dead_letter_topic);
    }
    return number;
}

/* The last topic stays that of the dead letters. */
int tide_kafka_sink_changelog(struct tide_sink *base, const char *topic)
{
    struct tide_kafka_sink *sink = self(base);
    uint32_t count = sink->plan.topic_count;
    int number = tide_topics_number(sink->topics, topic);
    if (number < 0)
        return number;
    sink->plan.topics = tide_realloc(sink->plan.topics, (count + 2) * sizeof(*sink->plan.topics));
    sink->plan.topics[count] = tide_copy(topic);
    if (sink->plan.dead_letter_topic >= 0) {
        char *last = sink->plan.topics[count];
        sink->plan.topics[count] = sink->plan.topics[count - 1];
        sink->plan.topics[count - 1] = last;
    }
    sink->plan.topic_count++;
    tide_grow(&sink->plan.changelogs, &sink->plan.changelog_count, sink->plan.changelog_count + 1,
              sizeof(*sink->plan.changelogs));
    sink->plan.changelogs[sink->plan.changelog_count - 1] = (uint16_t)number;
    return TIDE_OK;
}

/* It starts no thread, since the zygote is forked after the chain is built: the producer is made by start(), the
 * blocking thread by its first job. */
struct tide_sink *tide_kafka_sink_new(const struct tide_sink_plan *plan,
                                      const char *dead_letter_topic, struct tide_topics *topics,
                                      struct tide_loop *loop, struct tide_counters *counters)
{
    struct tide_kafka_sink *sink = tide_alloc(sizeof(*sink));
    sink->sink.ops = &ops;
    sink->plan.partitioner = plan->partitioner;
    sink->plan.max_messages = plan->max_messages;
    sink->plan.max_bytes = plan->max_bytes;
    sink->plan.timeout_us = plan->timeout_us;
    sink->plan.default_topic = sink->sink.topic = TIDE_TOPIC_NONE;
    sink->topics = topics;
    sink->loop = loop;
    sink->counters = counters;
    sink->producer.waker = tide_loop_waker(loop, NULL, NULL);
    sink->blocking = tide_blocking_new(loop);
    if (sink->producer.waker < 0 || !sink->blocking ||
        name_topics(sink, plan, dead_letter_topic) < 0) {
        sink_free(&sink->sink);
        return NULL;
    }
    return &sink->sink;
}

/* The properties do not come with the plan: secrets are fetched only after the fork, so that no worker has them. */
void tide_kafka_sink_connect(struct tide_sink *sink, const struct tide_property *properties,
                             uint32_t count)
{
    tide_properties_set(&self(sink)->plan.properties, properties, count);
}

void tide_kafka_sink_transactions(struct tide_sink *sink, struct tide_source *source,
                                  const struct tide_kafka_group_ops *group, const char *id,
                                  bool instance, int64_t interval_us)
{
    self(sink)->txn = tide_kafka_txn_new(self(sink), source, group, id, instance, interval_us);
}

uint32_t tide_kafka_sink_partitions(const struct tide_sink *sink)
{
    return ((const struct tide_kafka_sink *)sink)->output.partitions[0];
}

const char *tide_kafka_sink_cluster(const struct tide_sink *sink)
{
    return ((const struct tide_kafka_sink *)sink)->output.cluster;
}
