/* SPDX-License-Identifier: MIT
 * The client that reads changelogs: how it is configured, its start in the blocking thread, and its end. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/grow.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "kafka/blocking.h"
#include "kafka/changelog_inside.h"

enum { FREE_WAIT_US = 1000000 };

/* ---- the start ---- */

/* Each partition that is read has a queue of this size, in memory beside what is restored. */
static rd_kafka_t *make_client(const struct tide_kafka_changelog *changelog)
{
    const struct tide_property defaults[] = {
        {"client.id", "tidemill"},
        {"reconnect.backoff.max.ms", "2000"},
        {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", "8192"},
        {"fetch.queue.backoff.ms", "10"},
        {"fetch.wait.max.ms", "10"},
        {"fetch.message.max.bytes", "4194304"},
        {"receive.message.max.bytes", "1000000000"},
        {"check.crcs", "true"},
        {NULL, NULL},
    };
    const struct tide_property fixed[] = {
        {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
        {"isolation.level", "read_committed"}, {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},      {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(defaults, &changelog->properties, fixed);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    return tide_kafka_client_new(TIDE_KAFKA_CONSUMER, conf, "the changelog");
}

struct start {
    struct tide_blocking_job job;
    struct tide_kafka_changelog *changelog;
    struct tide_kafka_changelog_topics asked;
};

static void run_start(struct tide_blocking_job *job)
{
    tide_kafka_changelog_topics_check(&((struct start *)job)->asked);
}

static void start_done(struct tide_blocking_job *job)
{
    struct start *start = (struct start *)job;
    struct tide_kafka_changelog *changelog = start->changelog;
    changelog->partitions = start->asked.partitions;
    changelog->status = start->asked.status < 0 ? start->asked.status : 1;
    snprintf(changelog->text, sizeof(changelog->text), "%s", start->asked.text);
    free((char *)start->asked.brokers);
    free(start);
}

static int client_start(struct tide_changelog *base)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    const uint64_t one = 1;
    changelog->client = make_client(changelog);
    if (!changelog->client) {
        tide_properties_wipe(&changelog->properties);
        return TIDE_ECONFIG;
    }
    changelog->events = rd_kafka_queue_get_main(changelog->client);
    changelog->records = rd_kafka_queue_new(changelog->client);
    rd_kafka_queue_io_event_enable(changelog->records, changelog->waker, &one, sizeof(one));
    changelog->handles = tide_alloc((changelog->topic_count + 1) * sizeof(*changelog->handles));
    for (uint32_t i = 0; i < changelog->topic_count; i++)
        changelog->handles[i] = rd_kafka_topic_new(changelog->client, changelog->topics[i], NULL);
    struct start *start = tide_alloc(sizeof(*start));
    start->job = (struct tide_blocking_job){.run = run_start, .done = start_done};
    start->changelog = changelog;
    start->asked = (struct tide_kafka_changelog_topics){
        .client = changelog->client,
        .events = changelog->events,
        .blocking = changelog->blocking,
        .brokers = tide_copy(tide_properties_brokers(&changelog->properties)),
        .input = changelog->input,
        .topics = (const char *const *)changelog->topics,
        .topic_count = changelog->topic_count,
        .timeout_us = changelog->timeout_us};
    tide_properties_wipe(&changelog->properties);
    return tide_blocking_submit(changelog->blocking, &start->job);
}

static int client_ready(struct tide_changelog *base)
{
    const struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    return changelog->status < 0 ? tide_fail(changelog->status, "%s", changelog->text)
                                 : changelog->status;
}

/* ---- the end ---- */

struct destroy {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    rd_kafka_queue_t *events, *records;
};

static void run_destroy(struct tide_blocking_job *job)
{
    struct destroy *destroy = (struct destroy *)job;
    rd_kafka_queue_destroy(destroy->records);
    rd_kafka_queue_destroy(destroy->events);
    rd_kafka_destroy(destroy->client);
}

static void destroyed(struct tide_blocking_job *job)
{
    free(job);
}

static void end_client(struct tide_kafka_changelog *changelog)
{
    struct destroy *destroy = tide_alloc(sizeof(*destroy));
    tide_changelog_give_back(changelog);
    for (uint32_t i = 0; i < changelog->part_count; i++)
        tide_changelog_stop(&changelog->base, changelog->parts[i].index);
    rd_kafka_queue_io_event_enable(changelog->records, -1, NULL, 0);
    for (uint32_t i = 0; i < changelog->topic_count; i++)
        rd_kafka_topic_destroy(changelog->handles[i]);
    *destroy = (struct destroy){.job = {.run = run_destroy, .done = destroyed},
                                .client = changelog->client,
                                .events = changelog->events,
                                .records = changelog->records};
    tide_blocking_submit(changelog->blocking, &destroy->job);
}

static void client_free(struct tide_changelog *base)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    if (changelog->client)
        end_client(changelog);
    if (changelog->blocking && !tide_blocking_free(changelog->blocking, FREE_WAIT_US)) {
        tide_log(TIDE_LOG_WARN, "the changelog: the client does not end; it is left behind");
        return;
    }
    if (changelog->waker >= 0)
        tide_loop_unwatch(changelog->loop, changelog->waker);
    tide_properties_wipe(&changelog->properties);
    for (uint32_t i = 0; i < changelog->topic_count; i++)
        free(changelog->topics[i]);
    free(changelog->topics);
    free(changelog->handles);
    free(changelog->parts);
    free(changelog->input);
    free(changelog);
}

/* ---- what it is made of ---- */

static const struct tide_changelog_ops ops = {.start = client_start,
                                              .ready = client_ready,
                                              .read = tide_changelog_read,
                                              .stop = tide_changelog_stop,
                                              .busy = tide_changelog_busy,
                                              .poll = tide_changelog_poll,
                                              .ended = tide_changelog_ended,
                                              .left = tide_changelog_left,
                                              .free = client_free};

struct tide_changelog *tide_kafka_changelog_new(const char *input, int64_t timeout_us,
                                                struct tide_loop *loop)
{
    struct tide_kafka_changelog *changelog = tide_alloc(sizeof(*changelog));
    changelog->base.ops = &ops;
    changelog->loop = loop;
    changelog->input = tide_copy(input);
    changelog->timeout_us = timeout_us;
    changelog->waker = tide_loop_waker(loop, NULL, NULL);
    changelog->blocking = tide_blocking_new(loop);
    if (changelog->waker >= 0 && changelog->blocking)
        return &changelog->base;
    client_free(&changelog->base);
    return NULL;
}

void tide_kafka_changelog_topic(struct tide_changelog *base, const char *topic)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    tide_grow(&changelog->topics, &changelog->topic_count, changelog->topic_count + 1,
              sizeof(*changelog->topics));
    changelog->topics[changelog->topic_count - 1] = tide_copy(topic);
}

void tide_kafka_changelog_connect(struct tide_changelog *base,
                                  const struct tide_property *properties, uint32_t count)
{
    tide_properties_set(&tide_changelog_of(base)->properties, properties, count);
}
