/* SPDX-License-Identifier: MIT
 * The start of the Kafka sink: its client, the brokers and topics, how large a batch may be. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/settings.h"
#include "kafka/sink/inside.h"
#include "kafka/write_permission.h"

enum { SPARE = 2 }; /* librdkafka's own bounds, above ours */

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

static rd_kafka_t *make_client(struct tide_kafka_sink *sink)
{
    char messages[24];
    char kbytes[24];
    char error[512];
    uint64_t most = (uint64_t)sink->max_messages * SPARE;
    snprintf(messages, sizeof(messages), "%llu",
             (unsigned long long)(most < 10000000 ? most : 10000000));
    most = sink->max_bytes * SPARE / 1024 + 131072;
    snprintf(kbytes, sizeof(kbytes), "%llu", (unsigned long long)(most < 2097151 ? most : 2097151));
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
    const struct tide_property fixed[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"},
        {"statistics.interval.ms", "1000"},
        /* In a transaction librdkafka bounds it by the transaction's own time. */
        {sink->txn ? NULL : "message.timeout.ms", "0"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(defaults, &sink->properties, fixed);
    if (!conf || (sink->txn && set_transactions(sink->txn, conf) < 0)) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        tide_fail(TIDE_ECONFIG, "produce: %s", error);
    }
    return client;
}

int tide_kafka_sink_try(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = (struct tide_kafka_sink *)base;
    rd_kafka_t *client = make_client(sink);
    if (client)
        rd_kafka_destroy(client);
    return client ? TIDE_OK : TIDE_ECONFIG;
}

static void started(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_kafka_sink *sink = reach->owner;
    if (sink->state == TIDE_KAFKA_SINK_STARTING) {
        tide_kafka_sink_count(sink, reach->partitions);
        free(sink->cluster);
        sink->cluster = reach->cluster;
        reach->cluster = NULL;
        if (reach->status == TIDE_OK && sink->batch_bytes > 0)
            tide_kafka_replace_first(sink);
        else
            sink->state = TIDE_KAFKA_SINK_READY;
        if (reach->status < 0)
            tide_kafka_sink_fail(sink, reach->status, reach->text);
        else if (sink->state == TIDE_KAFKA_SINK_READY && !sink->handles)
            tide_kafka_sink_handles(sink);
    }
    free((char *)reach->brokers);
    free(reach->cluster);
    free(reach->partitions);
    free(reach);
}

/* What the topics' settings say: warnings, and the size of a batch. One that is larger than its topic takes would be refused
 * as a whole, and its records sent again one by one. 0 = they are small enough as they are. */
static int64_t smaller_batches(const struct tide_kafka_sink *sink,
                               const struct tide_kafka_reach *reach)
{
    char text[32];
    size_t size = sizeof(text);
    bool letters = sink->dead_letter_topic >= 0;
    int64_t limit = tide_kafka_settings_look(reach->client, reach->topics, reach->topic_count,
                                             TIDE_KAFKA_WRITTEN, letters, reach->blocking);
    bool known = rd_kafka_conf_get(rd_kafka_conf(reach->client), "batch.size", text, &size) ==
                 RD_KAFKA_CONF_OK;
    return known && limit < strtoll(text, NULL, 10) ? limit : 0;
}

/* The brokers and topics first, so that the fault that is told is the one to mend. */
static void run_start(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_kafka_sink *sink = reach->owner;
    tide_kafka_reach_run(job);
    if (reach->status < 0)
        return;
    reach->status = tide_kafka_check_write_permission(reach->client, reach->topics,
                                                      reach->topic_count, reach->blocking);
    if (reach->status == TIDE_OK)
        sink->batch_bytes = smaller_batches(sink, reach);
    if (reach->status == TIDE_OK && sink->txn && sink->batch_bytes == 0)
        reach->status = tide_kafka_txn_init(sink->txn, reach->client, reach->blocking,
                                            sink->timeout_us);
    if (reach->status < 0)
        snprintf(reach->text, sizeof(reach->text), "%s", tide_error());
}

int tide_kafka_sink_start(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = (struct tide_kafka_sink *)base;
    rd_kafka_t *client = make_client(sink);
    char *brokers = tide_copy(tide_properties_brokers(&sink->properties));
    tide_properties_wipe(&sink->properties);
    if (!client) {
        free(brokers);
        return TIDE_ECONFIG;
    }
    tide_kafka_sink_adopt(sink, client);
    struct tide_kafka_reach *reach = tide_alloc(sizeof(*reach));
    reach->job.run = run_start;
    reach->job.done = started;
    reach->owner = sink;
    reach->client = sink->client;
    reach->events = sink->queue;
    reach->blocking = sink->blocking;
    reach->brokers = brokers;
    reach->topics = (const char *const *)sink->names;
    reach->topic_count = sink->name_count;
    reach->timeout_us = sink->timeout_us;
    reach->partitions = tide_alloc((sink->name_count + 1) * sizeof(*reach->partitions));
    sink->state = TIDE_KAFKA_SINK_STARTING;
    return tide_blocking_submit(sink->blocking, &reach->job);
}
