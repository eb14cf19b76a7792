/* SPDX-License-Identifier: MIT
 * The start of the sink: makes its producer, and asks the brokers in the blocking thread, in an order in which the
 * fault that is named is the one to mend: are brokers and topics there, may the topics be written, how large may a
 * batch be, and are there transactions. Only then does the engine start the source, so nothing is read that cannot
 * be written. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/reach.h"
#include "kafka/settings.h"
#include "kafka/sink/inside.h"
#include "kafka/write_permission.h"

/* For `check`: that two properties contradict each other is found by rd_kafka_new() alone. */
int tide_kafka_sink_try(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = (struct tide_kafka_sink *)base;
    rd_kafka_t *client = tide_kafka_producer_new(sink);
    if (client)
        rd_kafka_destroy(client);
    return client ? TIDE_OK : TIDE_ECONFIG;
}

/* Logs warnings of what the topics' settings say, and returns how large a batch may be; 0 = those that librdkafka makes
 * are small enough. One that is larger than its topic takes would be refused, and its records sent one by one. */
static int64_t find_batch_bytes(const struct tide_kafka_sink *sink,
                                const struct tide_kafka_reach *reach)
{
    char text[32];
    size_t size = sizeof(text);
    bool dead_letters = sink->plan.dead_letter_topic >= 0;
    int64_t limit = tide_kafka_settings_look(reach->client, reach->topics, reach->topic_count,
                                             TIDE_KAFKA_WRITTEN, dead_letters, reach->blocking);
    bool known = rd_kafka_conf_get(rd_kafka_conf(reach->client), "batch.size", text, &size) ==
                 RD_KAFKA_CONF_OK;
    return known && limit < strtoll(text, NULL, 10) ? limit : 0;
}

/* In the blocking thread. The engine's thread looks at what it writes only when it is done. */
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
        sink->output.batch_bytes = find_batch_bytes(sink, reach);
    /* A producer that is to be replaced at once gets no transactions: the next one would fence it. */
    if (reach->status == TIDE_OK && sink->txn && sink->output.batch_bytes == 0)
        reach->status = tide_kafka_txn_init(sink->txn, reach->client, reach->blocking,
                                            sink->plan.timeout_us);
    if (reach->status < 0)
        snprintf(reach->text, sizeof(reach->text), "%s", tide_error());
}

/* batch.size is fixed once a client is made, so one that is too large for a topic costs another client. */
static void take_answer(struct tide_kafka_sink *sink, struct tide_kafka_reach *reach)
{
    sink->output.partitions = reach->partitions;
    sink->output.cluster = reach->cluster;
    reach->partitions = NULL;
    reach->cluster = NULL;
    if (reach->status < 0) {
        tide_kafka_sink_fail(sink, reach->status, reach->text);
    } else if (sink->output.batch_bytes > 0) {
        tide_kafka_replace_first(sink);
    } else {
        tide_kafka_producer_open_topics(sink);
        sink->state = TIDE_KAFKA_SINK_READY;
    }
}

/* The sink may have been freed meanwhile: then it is ENDED, and only the job is left. */
static void start_done(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_kafka_sink *sink = reach->owner;
    if (sink->state == TIDE_KAFKA_SINK_STARTING)
        take_answer(sink, reach);
    tide_kafka_reach_free(reach);
}

int tide_kafka_sink_start(struct tide_sink *base)
{
    struct tide_kafka_sink *sink = (struct tide_kafka_sink *)base;
    rd_kafka_t *client = tide_kafka_producer_new(sink);
    if (!client) {
        tide_properties_wipe(&sink->plan.properties);
        return TIDE_ECONFIG;
    }
    tide_kafka_producer_adopt(sink, client);
    struct tide_kafka_reach *reach = tide_kafka_reach_new(&(struct tide_kafka_reach){
        .job = {.run = run_start, .done = start_done},
        .owner = sink,
        .client = client,
        .events = sink->producer.queue,
        .blocking = sink->blocking,
        .brokers = tide_properties_brokers(&sink->plan.properties),
        .topics = (const char *const *)sink->plan.topics,
        .topic_count = sink->plan.topic_count,
        .timeout_us = sink->plan.timeout_us,
        .partitions = tide_alloc((sink->plan.topic_count + 1) * sizeof(uint32_t)),
    });
    tide_properties_wipe(&sink->plan.properties);
    sink->state = TIDE_KAFKA_SINK_STARTING;
    return tide_blocking_submit(sink->blocking, &reach->job);
}
