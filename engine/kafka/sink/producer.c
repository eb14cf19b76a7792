/* SPDX-License-Identifier: MIT
 * The librdkafka client of the sink: how it is configured, what watches it, and how it ends. There may be several in a
 * row (replace.c), and the one before may still be ending in the blocking thread while the next one sends: whatever
 * belongs to one client is adopted and dropped with it. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/loop.h"
#include "base/status.h"
#include "kafka/sink/inside.h"
#include "shm/topics.h"

enum {
    SPARE = 2, /* librdkafka's own limits, as a multiple of ours: ours are reached first */
    MAX_QUEUE_MESSAGES = 10000000,
    MAX_QUEUE_KBYTES = 2097151,
    LARGE_MESSAGE_KBYTES = 131072,
    PURGE_TRIES = 10000, /* events of many messages each */
    PURGE_WAIT_MS = 10
};

/* ---- making one ---- */

static int set_transactions(struct tide_kafka_txn *txn, rd_kafka_conf_t *conf)
{
    char text[512];
    char timeout[24];
    snprintf(timeout, sizeof(timeout), "%lld", (long long)tide_kafka_txn_timeout_ms(txn));
    if (rd_kafka_conf_set(conf, "transactional.id", tide_kafka_txn_id(txn), text, sizeof(text)) ||
        rd_kafka_conf_set(conf, "transaction.timeout.ms", timeout, text, sizeof(text)))
        return tide_fail(TIDE_ECONFIG, "produce: %s", text);
    tide_kafka_txn_watch(txn, conf);
    return TIDE_OK;
}

struct rd_kafka_s *tide_kafka_producer_new(struct tide_kafka_sink *sink)
{
    char messages[24];
    char kbytes[24];
    uint64_t limit = (uint64_t)sink->plan.max_messages * SPARE;
    snprintf(messages, sizeof(messages), "%llu",
             (unsigned long long)(limit < MAX_QUEUE_MESSAGES ? limit : MAX_QUEUE_MESSAGES));
    limit = sink->plan.max_bytes * SPARE / 1024 + LARGE_MESSAGE_KBYTES;
    snprintf(kbytes, sizeof(kbytes), "%llu",
             (unsigned long long)(limit < MAX_QUEUE_KBYTES ? limit : MAX_QUEUE_KBYTES));
    const struct tide_property defaults[] = {
        {"client.id", "tidemill"},
        {"reconnect.backoff.max.ms", "2000"}, /* an outage ends soon after the broker's does */
        {"queue.buffering.max.messages", messages},
        {"queue.buffering.max.kbytes", kbytes},
        /* The topic has a limit of its own, and the broker names the record; a result can be as
         * large as a block. Batches stay within batch.size all the same. */
        {"message.max.bytes", "134217728"},
        {NULL, NULL},
    };
    /* What the pipeline file cannot change. Without the first three a message could be lost, come twice, or come to
     * another partition than its key has elsewhere (murmur2 is the rule of Kafka's Java clients); metrics need the
     * statistics. */
    const struct tide_property fixed[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"},
        {"statistics.interval.ms", "1000"},
        /* Messages never expire: the engine waits for an outage to end. In a transaction librdkafka sets the limit by
         * the transaction's timeout, and takes no longer one. */
        {sink->txn ? NULL : "message.timeout.ms", "0"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(defaults, &sink->plan.properties, fixed);
    if (!conf || (sink->txn && set_transactions(sink->txn, conf) < 0)) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    return tide_kafka_client_new(TIDE_KAFKA_PRODUCER, conf, "produce");
}

struct rd_kafka_s *tide_kafka_producer_new_again(struct tide_kafka_sink *sink)
{
    char bytes[24];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(sink->producer.client));
    if (sink->txn)
        tide_kafka_txn_watch(sink->txn, conf); /* a copy has no interceptors */
    /* The copy has the callback that this property asks for, and librdkafka refuses to have both. */
    rd_kafka_conf_set(conf, "enable.sasl.oauthbearer.unsecure.jwt", "false", NULL, 0);
    snprintf(bytes, sizeof(bytes), "%lld", (long long)sink->output.batch_bytes);
    if (sink->output.batch_bytes > 0)
        rd_kafka_conf_set(conf, "batch.size", bytes, NULL, 0);
    return tide_kafka_client_new(TIDE_KAFKA_PRODUCER, conf, "another producer");
}

/* ---- using it ---- */

void tide_kafka_producer_adopt(struct tide_kafka_sink *sink, struct rd_kafka_s *client)
{
    const uint64_t one = 1;
    sink->producer.client = client;
    sink->producer.queue = rd_kafka_queue_get_main(client);
    rd_kafka_queue_io_event_enable(sink->producer.queue, sink->producer.waker, &one, sizeof(one));
    sink->producer.outage = tide_kafka_outage_new(client, sink->blocking);
}

/* Handles belong to a client, so they are made anew for each one. */
void tide_kafka_producer_open_topics(struct tide_kafka_sink *sink)
{
    rd_kafka_topic_t **handles;
    free(sink->producer.handles);
    sink->producer.handle_count = tide_topics_count(sink->topics);
    handles = tide_alloc((sink->producer.handle_count + 1) * sizeof(*handles));
    for (uint32_t i = 0; i < sink->plan.topic_count; i++) {
        const char *name = sink->plan.topics[i];
        int number = tide_topics_number(sink->topics, name);
        if (!handles[number]) /* the dead letters may go to a topic of the output */
            handles[number] = rd_kafka_topic_new(sink->producer.client, name, NULL);
    }
    sink->producer.handles = handles;
}

bool tide_kafka_producer_is_lost(const struct tide_kafka_sink *sink)
{
    return sink->state == TIDE_KAFKA_SINK_REPLACING ||
           rd_kafka_fatal_error(sink->producer.client, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- its end ---- */

struct destroy {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    struct tide_kafka_txn *txn; /* to be ended; NULL = none */
};

/* Runs after the check of the start, which may still be looking at the queue. The reports of what is purged are taken
 * too, or librdkafka complains of messages that are left. */
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

void tide_kafka_producer_drop(struct tide_kafka_sink *sink)
{
    struct destroy *destroy = tide_alloc(sizeof(*destroy));
    tide_kafka_outage_free(sink->producer.outage);
    for (uint32_t i = 0; i < sink->producer.handle_count; i++)
        if (sink->producer.handles[i])
            rd_kafka_topic_destroy(sink->producer.handles[i]);
    sink->producer.handle_count = 0;
    /* Otherwise a client that hangs would write to the waker later, when its number may be that of another file. */
    rd_kafka_queue_io_event_enable(sink->producer.queue, -1, NULL, 0);
    destroy->queue = sink->producer.queue;
    destroy->job.run = run_destroy;
    destroy->job.done = destroyed;
    destroy->client = sink->producer.client;
    /* A producer that is replaced has no open transaction that could be ended: the init of the next one does it. */
    destroy->txn = sink->state == TIDE_KAFKA_SINK_ENDED ? sink->txn : NULL;
    sink->producer.client = NULL;
    tide_blocking_submit(sink->blocking, &destroy->job);
}
