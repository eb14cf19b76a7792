/* SPDX-License-Identifier: MIT
 * The client of a tail, from the look for brokers and topic to its end, and its partitions. It uses librdkafka's calls for single
 * partitions, which need no group and no right to one. Start reading at tide_tail_start. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "kafka/outage.h"
#include "kafka/reach.h"
#include "kafka/settings.h"
#include "kafka/tail/inside.h"

enum { WATERMARK_MS = 5000, FREE_WAIT_US = 1000000 };
static const int64_t PARTITIONS_US = 30000000; /* between two looks for new partitions */

struct tide_tail *tide_tail_new(const char *reader, const char *topic, int64_t timeout_us,
                                struct tide_loop *loop)
{
    struct tide_tail *tail = tide_alloc(sizeof(*tail));
    tail->reader = tide_copy(reader);
    tail->topic = tide_copy(topic);
    tail->timeout_us = timeout_us;
    tail->loop = loop;
    tail->waker = -1;
    tail->blocking = tide_blocking_new(loop);
    if (tail->blocking)
        tail->waker = tide_loop_waker(loop, NULL, NULL);
    if (tail->waker >= 0)
        return tail;
    tide_tail_free(tail);
    return NULL;
}

void tide_tail_connect(struct tide_tail *tail, const struct tide_property *properties,
                       uint32_t count)
{
    tide_properties_set(&tail->properties, properties, count);
}

int tide_tail_fail(struct tide_tail *tail, int status)
{
    if (tail->state != TIDE_TAIL_FAILED) {
        tail->state = TIDE_TAIL_FAILED;
        tail->status = status;
        free(tail->text);
        tail->text = tide_copy(tide_error());
    }
    return status;
}

/* ---- the client ---- */

static rd_kafka_t *make_client(const struct tide_tail *tail)
{
    static const struct tide_property defaults[] = {
        {"client.id", "tidemill"},
        {"reconnect.backoff.max.ms", "2000"},
        {"queued.min.messages", "50000"},
        {"queued.max.messages.kbytes", "32768"},
        {"fetch.queue.backoff.ms", "10"},
        {"fetch.wait.max.ms", "500"},
        {"receive.message.max.bytes", "1000000000"},
        {"check.crcs", "true"},
        {NULL, NULL},
    };
    static const struct tide_property fixed[] = {
        {"enable.auto.commit", "false"},
        {"isolation.level", "read_committed"},
        /* What lies before the first offset that is kept is no matter at the start; later it means that messages were
         * deleted before they were read. */
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(defaults, &tail->properties, fixed);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_FETCH);
    return tide_kafka_client_new(TIDE_KAFKA_CONSUMER, conf, tail->reader);
}

int tide_tail_try(struct tide_tail *tail)
{
    rd_kafka_t *client = make_client(tail);
    if (client)
        rd_kafka_destroy(client);
    return client ? TIDE_OK : TIDE_ECONFIG;
}

static void begin_partition(struct tide_tail *tail, uint32_t number, int64_t end)
{
    tail->partitions[number] = (struct tide_tail_partition){.end = end, .caught_up = end == 0};
    tail->behind += end != 0;
    if (rd_kafka_consume_start_queue(tail->handle, (int32_t)number, RD_KAFKA_OFFSET_BEGINNING,
                                     tail->data) < 0)
        tide_tail_fail(tail,
                       tide_fail(TIDE_EINTERNAL, "%s: topic \"%s\" partition %u: %s", tail->reader,
                                 tail->topic, number, rd_kafka_err2str(rd_kafka_last_error())));
}

/* ---- the start ---- */

/* An end that is not told is no failure: the answer to a fetch tells it later. */
static void run_start(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_tail *tail = reach->owner;
    tide_kafka_reach_run(job);
    if (reach->status < 0)
        return;
    tail->ends = tide_alloc((reach->partitions[0] + 1) * sizeof(*tail->ends));
    for (uint32_t i = 0; i < reach->partitions[0]; i++) {
        int64_t low, high;
        tail->ends[i] = -1;
        if (!tide_blocking_wanted(tail->blocking) &&
            !rd_kafka_query_watermark_offsets(reach->client, tail->topic, (int32_t)i, &low, &high,
                                              WATERMARK_MS))
            tail->ends[i] = low == high ? 0 : high;
    }
    tide_kafka_settings_look(reach->client, &tail->topic, 1, TIDE_KAFKA_TABLE, false,
                             reach->blocking);
}

static void started(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct tide_tail *tail = reach->owner;
    if (tail->state == TIDE_TAIL_STARTING && reach->status < 0) {
        tide_tail_fail(tail, tide_fail(reach->status, "%s: %s", tail->reader, reach->text));
    } else if (tail->state == TIDE_TAIL_STARTING) {
        tail->state = TIDE_TAIL_READING;
        tail->looked_us = tail->heard_us = tide_clock_us();
        tide_grow(&tail->partitions, &tail->count, reach->partitions[0], sizeof(*tail->partitions));
        for (uint32_t i = 0; i < tail->count; i++)
            begin_partition(tail, i, tail->ends[i]);
    }
    tide_kafka_reach_free(reach);
}

int tide_tail_start(struct tide_tail *tail)
{
    const uint64_t one = 1;
    tail->client = make_client(tail);
    if (!tail->client) {
        tide_properties_wipe(&tail->properties);
        return TIDE_ECONFIG;
    }
    tail->handle = rd_kafka_topic_new(tail->client, tail->topic, NULL);
    tide_require(tail->handle);
    tail->errors = rd_kafka_queue_get_main(tail->client);
    tail->data = rd_kafka_queue_new(tail->client);
    rd_kafka_queue_io_event_enable(tail->errors, tail->waker, &one, sizeof(one));
    rd_kafka_queue_io_event_enable(tail->data, tail->waker, &one, sizeof(one));
    tail->outage = tide_kafka_outage_new(tail->client, tail->blocking);
    struct tide_kafka_reach *reach = tide_kafka_reach_new(&(struct tide_kafka_reach){
        .job = {.run = run_start, .done = started},
        .owner = tail,
        .client = tail->client,
        .events = tail->errors,
        .blocking = tail->blocking,
        .brokers = tide_properties_brokers(&tail->properties),
        .topics = &tail->topic,
        .topic_count = 1,
        .timeout_us = tail->timeout_us,
        .partitions = tide_alloc(sizeof(uint32_t)),
    });
    tide_properties_wipe(&tail->properties);
    tail->state = TIDE_TAIL_STARTING;
    return tide_blocking_submit(tail->blocking, &reach->job);
}

/* librdkafka knows the ends from its last fetches; before the first one the end of the start counts. */
int64_t tide_tail_partition_lag(const struct tide_tail *tail, uint32_t number)
{
    const struct tide_tail_partition *partition = &tail->partitions[number];
    int64_t low, high, end = partition->end;
    if (!rd_kafka_get_watermark_offsets(tail->client, tail->topic, (int32_t)number, &low, &high) &&
        high > end)
        end = high;
    return end > partition->next ? end - partition->next : 0;
}

/* ---- new partitions ---- */

struct look {
    struct tide_blocking_job job;
    struct tide_tail *tail;
    rd_kafka_t *client;
    rd_kafka_topic_t *handle;
    uint32_t found;
};

static void run_look(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(look->client, 0, look->handle, &metadata, WATERMARK_MS))
        return;
    if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
        look->found = (uint32_t)metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
}

static void looked(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    struct tide_tail *tail = look->tail;
    uint32_t known = tail->count;
    tail->looking = false;
    if (tail->state == TIDE_TAIL_READING && look->found > known) {
        tide_log(TIDE_LOG_INFO, "%s: topic \"%s\" has %u partitions now", tail->reader, tail->topic,
                 look->found);
        tide_grow(&tail->partitions, &tail->count, look->found, sizeof(*tail->partitions));
        for (uint32_t i = known; i < tail->count; i++)
            begin_partition(tail, i, -1);
    }
    free(look);
}

void tide_tail_look_for_partitions(struct tide_tail *tail, int64_t now_us)
{
    if (tail->looking || now_us - tail->looked_us < PARTITIONS_US)
        return;
    struct look *look = tide_alloc(sizeof(*look));
    *look = (struct look){.job = {.run = run_look, .done = looked},
                          .tail = tail,
                          .client = tail->client,
                          .handle = tail->handle};
    tail->looked_us = now_us;
    tail->looking = tide_blocking_submit(tail->blocking, &look->job) == TIDE_OK;
    if (!tail->looking)
        free(look);
}

/* ---- the end ---- */

struct destroy {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    rd_kafka_topic_t *handle;
    rd_kafka_queue_t *errors, *data;
    rd_kafka_event_t *event;
    uint32_t partitions;
};

static void run_destroy(struct tide_blocking_job *job)
{
    struct destroy *destroy = (struct destroy *)job;
    for (uint32_t i = 0; i < destroy->partitions; i++)
        rd_kafka_consume_stop(destroy->handle, (int32_t)i);
    if (destroy->event)
        rd_kafka_event_destroy(destroy->event);
    rd_kafka_queue_destroy(destroy->data);
    rd_kafka_queue_destroy(destroy->errors);
    rd_kafka_topic_destroy(destroy->handle);
    rd_kafka_destroy(destroy->client);
}

static void destroyed(struct tide_blocking_job *job)
{
    free(job);
}

/* A client that hangs might write to the waker's file descriptor when it is closed and already another file's. */
static void begin_destroy(struct tide_tail *tail)
{
    struct destroy *destroy = tide_alloc(sizeof(*destroy));
    tide_kafka_outage_free(tail->outage);
    rd_kafka_queue_io_event_enable(tail->errors, -1, NULL, 0);
    rd_kafka_queue_io_event_enable(tail->data, -1, NULL, 0);
    *destroy = (struct destroy){.job = {.run = run_destroy, .done = destroyed},
                                .client = tail->client,
                                .handle = tail->handle,
                                .errors = tail->errors,
                                .data = tail->data,
                                .event = tail->event,
                                .partitions = tail->count};
    tail->state = TIDE_TAIL_FAILED;
    tail->status = TIDE_EINTERNAL;
    tide_blocking_submit(tail->blocking, &destroy->job);
}

void tide_tail_free(struct tide_tail *tail)
{
    if (!tail)
        return;
    if (tail->client)
        begin_destroy(tail);
    if (tail->blocking && !tide_blocking_free(tail->blocking, FREE_WAIT_US)) {
        tide_log(TIDE_LOG_WARN, "%s: the client does not end; it is left behind", tail->reader);
        return;
    }
    if (tail->waker >= 0)
        tide_loop_unwatch(tail->loop, tail->waker);
    tide_properties_wipe(&tail->properties);
    free(tail->reader);
    free((char *)tail->topic);
    free(tail->partitions);
    free(tail->ends);
    free(tail->text);
    free(tail);
}
