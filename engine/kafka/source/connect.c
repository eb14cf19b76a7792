/* SPDX-License-Identifier: MIT
 * The source's client, from its making to its end. The start first looks for the brokers and topics, in the blocking
 * thread, and joins the group only once all that is needed was reached: a configuration that cannot work is an error
 * of the start, and nothing was read by then. The end never waits in the engine's thread either. It leaves the
 * group, so that the other members need not wait for the session to time out, and destroys the client in the
 * blocking thread; a call that hangs there is left behind with all that it uses. Start reading at
 * tide_kafka_connect_start and tide_kafka_connect_close. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "kafka/compatible.h"
#include "kafka/outage.h"
#include "kafka/pattern.h"
#include "kafka/reach.h"
#include "kafka/settings.h"
#include "kafka/source/inside.h"

enum {
    FREE_WAIT_US = 1000000, /* a destroy may hang in librdkafka before 2.1.0 */
    FETCH_BYTES = 4194304   /* of an answer; it is larger where a single batch of records is */
};

/* librdkafka takes no limit of an answer that is below that of a message. */
static int64_t fetch_bytes(const struct tide_kafka_source *source)
{
    const char *message = tide_properties_get(&source->properties, "message.max.bytes");
    int64_t bytes = message ? strtoll(message, NULL, 10) : 0;
    return bytes > FETCH_BYTES ? bytes : FETCH_BYTES;
}

static rd_kafka_conf_t *make_conf(const struct tide_kafka_source *source)
{
    char refresh[24];
    char expiry[24];
    char fetch[24];
    int64_t refresh_ms = source->plan.discovery_interval_us / 1000;
    char *hidden = tide_kafka_pattern_hidden(
        &source->plan, tide_properties_get(&source->properties, "topic.blacklist"));
    snprintf(refresh, sizeof(refresh), "%lld", (long long)refresh_ms);
    snprintf(expiry, sizeof(expiry), "%lld", (long long)refresh_ms * 3);
    snprintf(fetch, sizeof(fetch), "%lld", (long long)fetch_bytes(source));
    const struct tide_property defaults[] = {
        {"client.id", "tidemill"},
        {"reconnect.backoff.max.ms", "2000"}, /* how long after a broker's return it is noticed */
        /* librdkafka stops fetching while its queue is full: kafka/fetch_again.h has it begin again in
         * time. A small message takes more memory for what librdkafka notes of it than for its
         * bytes, so their number is limited too. One answer more comes on top of these limits. */
        {"queued.min.messages", "50000"},
        {"queued.max.messages.kbytes", "16384"},
        {"fetch.max.bytes", fetch},
        /* 2.2.0 and later look again so soon by themselves. */
        {"fetch.queue.backoff.ms", "10"},
        {"topic.metadata.refresh.interval.ms", refresh},
        {"metadata.max.age.ms", expiry}, /* librdkafka's default is three times the other, too */
        /* An empty answer says that the end is reached, so until_end wants it soon. */
        {"fetch.wait.max.ms", source->plan.until_end ? "10" : "500"},
        /* One message may be larger than any batch; more than a gigabyte does not fit a block. */
        {"receive.message.max.bytes", "1000000000"},
        {"check.crcs", "true"}, /* otherwise bytes that changed on a disk would pass unnoticed */
        {"heartbeat.interval.ms", "1000"}, /* how soon a member hears of a rebalance */
        /* A dynamic member that dies should be noticed soon; a static one gets time to restart. */
        {source->plan.instance ? NULL : "session.timeout.ms", "10000"},
        {NULL, NULL},
    };
    const struct tide_property fixed[] = {
        {"group.id", source->plan.group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"isolation.level", "read_committed"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"}, /* it shows what comes after the last message */
        {"topic.blacklist", hidden},
        /* It alone gives partition P of all topics to the same member, if each member reads all of them. */
        {source->plan.together ? "partition.assignment.strategy" : "enable.partition.eof",
         source->plan.together ? "range" : "true"},
        {source->plan.instance ? "group.instance.id" : NULL, source->plan.instance},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(defaults, &source->properties, fixed);
    free(hidden);
    return conf;
}

static rd_kafka_t *make_client(const struct tide_kafka_source *source)
{
    rd_kafka_conf_t *conf = make_conf(source);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                                           RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_FETCH);
    return tide_kafka_client_new(TIDE_KAFKA_CONSUMER, conf, "kafka_source");
}

/* For `check`: that two properties contradict each other is found by rd_kafka_new() alone. */
int tide_kafka_source_try(struct tide_source *base)
{
    rd_kafka_t *client = make_client((struct tide_kafka_source *)base);
    if (client)
        rd_kafka_destroy(client);
    return client ? TIDE_OK : TIDE_ECONFIG;
}

/* The group's queue is forwarded, or its events would come between the messages. One waker is enough for both queues,
 * since a turn of the engine polls both. */
static void make_queues(struct tide_kafka_source *source)
{
    const uint64_t one = 1;
    source->control = rd_kafka_queue_new(source->client);
    source->data = rd_kafka_queue_new(source->client);
    rd_kafka_poll_set_consumer(source->client);
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(source->client);
    rd_kafka_queue_forward(group, source->control);
    rd_kafka_queue_destroy(group);
    rd_kafka_queue_io_event_enable(source->control, source->waker, &one, sizeof(one));
    rd_kafka_queue_io_event_enable(source->data, source->waker, &one, sizeof(one));
}

int tide_kafka_connect_subscribe(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->plan.topic_count; i++)
        rd_kafka_topic_partition_list_add(list, source->plan.topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error ? tide_fail(TIDE_ECONFIG, "kafka_source: cannot subscribe: %s",
                             rd_kafka_err2str(error))
                 : TIDE_OK;
}

/* The brokers and topics were looked for; nothing was read before. */
static void started(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_kafka_source *source = reach->owner;
    if (source->state == TIDE_KAFKA_STARTING) {
        int status = reach->status < 0 ? tide_fail(reach->status, "%s", reach->text) : TIDE_OK;
        if (status == TIDE_OK)
            status = tide_kafka_compatible(&source->plan, &source->known_topics, reach->cluster,
                                           &source->output);
        if (status == TIDE_OK)
            status = tide_kafka_connect_subscribe(source);
        source->state = TIDE_KAFKA_RUNNING;
        if (status < 0)
            tide_kafka_source_fail(source, status);
    }
    tide_kafka_reach_free(reach);
}

/* The settings come last: they are worth a warning only if there is a source. */
static void run_start(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    tide_kafka_reach_run(job);
    if (reach->status == TIDE_OK)
        tide_kafka_settings_look(reach->client, reach->topics, reach->topic_count, TIDE_KAFKA_READ,
                                 false, reach->blocking);
}

int tide_kafka_connect_start(struct tide_kafka_source *source)
{
    source->client = make_client(source);
    if (!source->client) {
        tide_properties_wipe(&source->properties);
        return TIDE_ECONFIG;
    }
    make_queues(source);
    tide_kafka_wake_begin(source);
    tide_kafka_pattern_warn(&source->plan);
    source->outage = tide_kafka_outage_new(source->client, source->blocking);
    struct tide_kafka_reach *reach = tide_kafka_reach_new(&(struct tide_kafka_reach){
        .job = {.run = run_start, .done = started},
        .owner = source,
        .client = source->client,
        .events = source->control,
        .blocking = source->blocking,
        .brokers = tide_properties_brokers(&source->properties),
        .topics = source->plan.topics,
        .topic_count = source->plan.topic_count,
        .group = source->plan.group,
        .timeout_us = source->plan.timeout_us,
        .known_topics = &source->known_topics,
    });
    tide_properties_wipe(&source->properties);
    source->state = TIDE_KAFKA_STARTING;
    return tide_blocking_submit(source->blocking, &reach->job);
}

/* ---- the end ---- */

struct destroy {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    rd_kafka_queue_t *control;
    rd_kafka_queue_t *data;
};

/* Submitted as a job, so it comes after the check of the start, which may still be looking at a queue. It leaves the
 * group if that was not done: the other members would wait for the session to time out. */
static void run_destroy(struct tide_blocking_job *job)
{
    struct destroy *destroy = (struct destroy *)job;
    rd_kafka_queue_destroy(destroy->control);
    rd_kafka_queue_destroy(destroy->data);
    rd_kafka_destroy(destroy->client);
}

static void destroyed(struct tide_blocking_job *job)
{
    ((struct destroy *)job)->source->state = TIDE_KAFKA_CLOSED;
    free(job);
}

/* A client that hangs might write to the waker's file descriptor when it is closed and already another file's. */
static void silence(struct tide_kafka_source *source)
{
    tide_kafka_outage_free(source->outage);
    source->outage = NULL;
    rd_kafka_queue_io_event_enable(source->control, -1, NULL, 0);
    rd_kafka_queue_io_event_enable(source->data, -1, NULL, 0);
}

/* Everything that could still use the client is stopped here, in the engine's thread, and what was borrowed of it goes
 * back: the job that destroys it runs when none of this is left. */
static void begin_destroy(struct tide_kafka_source *source)
{
    struct destroy *destroy = tide_alloc(sizeof(*destroy));
    source->state = TIDE_KAFKA_DESTROYING;
    tide_kafka_resolve_drop(source->rebalance.resolving);
    tide_kafka_fetch_purge(source, true);
    tide_kafka_rebalance_drop(source);
    silence(source);
    destroy->control = source->control;
    destroy->data = source->data;
    destroy->job.run = run_destroy;
    destroy->job.done = destroyed;
    destroy->source = source;
    destroy->client = source->client;
    tide_blocking_submit(source->blocking, &destroy->job);
}

void tide_kafka_connect_close(struct tide_kafka_source *source)
{
    if (source->state == TIDE_KAFKA_NEW) {
        source->state = TIDE_KAFKA_CLOSED;
    } else if (source->state == TIDE_KAFKA_STARTING) {
        begin_destroy(source); /* after the check, which ends when another job waits */
    } else if (source->state == TIDE_KAFKA_RUNNING) {
        source->state = TIDE_KAFKA_CLOSING;
        tide_kafka_fetch_purge(source, true);
        tide_kafka_resolve_drop(source->rebalance.resolving);
        rd_kafka_error_t *error = rd_kafka_consumer_close_queue(source->client, source->control);
        if (error) /* a fatal error: there is no group to leave */
            begin_destroy(source);
        rd_kafka_error_destroy(error);
    }
}

/* While an event of leaving partitions waits for revoke_done(), the engine may commit, so the client has to stay. */
void tide_kafka_connect_poll_close(struct tide_kafka_source *source)
{
    if (!source->rebalance.leaving && rd_kafka_consumer_closed(source->client))
        begin_destroy(source);
}

/* A broker answers the requests of a connection in turn, and a join only once every member has joined or its session
 * has timed out. A leave (or a commit) that was sent after a join is served after it: the broker has it, and nobody
 * needs to wait for the answer. Nor can the client be destroyed now: librdkafka 2.0.2 waits for ever when that is
 * asked while it closes. */
static bool abandon_client(struct tide_kafka_source *source)
{
    tide_log(TIDE_LOG_INFO,
             "group \"%s\": not waiting for the answer to the leave: a member has yet to join, or "
             "the broker is away",
             source->plan.group);
    silence(source);
    tide_blocking_free(source->blocking, 0);
    return false;
}

bool tide_kafka_connect_free(struct tide_kafka_source *source)
{
    if (source->state == TIDE_KAFKA_CLOSING)
        return abandon_client(source);
    if (source->state != TIDE_KAFKA_NEW && source->state < TIDE_KAFKA_DESTROYING)
        begin_destroy(source);
    if (!tide_blocking_free(source->blocking, FREE_WAIT_US)) {
        tide_log(TIDE_LOG_WARN, "kafka_source: the client does not end; it is left behind");
        return false;
    }
    tide_properties_wipe(&source->properties);
    if (source->waker >= 0)
        tide_loop_unwatch(source->loop, source->waker);
    return true;
}
