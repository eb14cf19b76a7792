/* SPDX-License-Identifier: MIT */
#include "io/kafka_reach.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "io/kafka.h"
#include "io/kafka_conf.h"
#include "io/kafka_writable.h"

enum {
    FIRST_WAIT_MS =
        500, /* doubled until a slow network is met, so that a lost try is noticed early */
    LONGEST_WAIT_MS = 8000,
    TOPIC_GRACE_US = 1000000, /* a topic made a moment ago may not be known to each broker yet */
    RETRY_US = 100000
};

/* One run of the question. */
struct attempt {
    struct tide_kafka_reach *reach;
    int64_t until;
    int64_t grace_until; /* for topics that are not there */
    int wait_ms;
    char cause[512]; /* what the client last complained of */
};

/* Keeps the newest cause. A refused login or certificate will not mend by waiting. */
static int look_at_events(struct attempt *attempt)
{
    rd_kafka_event_t *event;
    int status = TIDE_OK;
    while ((event = rd_kafka_queue_poll(attempt->reach->events, 0))) {
        rd_kafka_resp_err_t error = rd_kafka_event_error(event);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
            error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            snprintf(attempt->cause, sizeof(attempt->cause), "%s",
                     rd_kafka_event_error_string(event));
            if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR__SSL)
                status = TIDE_ECONFIG;
        }
        rd_kafka_event_destroy(event);
    }
    return status;
}

static bool pause_a_moment(struct tide_kafka_reach *reach)
{
    if (reach->blocking)
        return tide_blocking_pause(reach->blocking, RETRY_US) &&
               !tide_blocking_wanted(reach->blocking);
    nanosleep(&(struct timespec){.tv_nsec = RETRY_US * 1000L}, NULL);
    return true;
}

/* TIDE_BUSY: ask again. */
static int judge_topic(struct attempt *attempt, const rd_kafka_metadata_topic_t *topic,
                       uint32_t *partitions)
{
    switch (topic->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        *partitions = (uint32_t)topic->partition_cnt;
        return topic->partition_cnt > 0 ? TIDE_OK : TIDE_BUSY;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        if (tide_clock_us() < attempt->grace_until)
            return TIDE_BUSY;
        return tide_fail(TIDE_ECONFIG, "topic \"%s\" is not there (brokers \"%s\")", topic->topic,
                         attempt->reach->brokers);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return tide_fail(TIDE_ECONFIG, "topic \"%s\": %s", topic->topic,
                         rd_kafka_err2str(topic->err));
    default:
        snprintf(attempt->cause, sizeof(attempt->cause), "topic \"%s\": %s", topic->topic,
                 rd_kafka_err2str(topic->err));
        return TIDE_BUSY;
    }
}

/* Asks once for any broker (`name` NULL) or for a topic. TIDE_BUSY: no answer yet. */
static int ask(struct attempt *attempt, const char *name, uint32_t *partitions, int timeout_ms)
{
    rd_kafka_t *client = attempt->reach->client;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = name ? rd_kafka_topic_new(client, name, NULL) : NULL;
    if (name && !topic)
        return tide_fail(TIDE_ECONFIG, "topic \"%s\": %s", name,
                         rd_kafka_err2str(rd_kafka_last_error()));
    int status = TIDE_BUSY;
    if (rd_kafka_metadata(client, 0, topic, &metadata, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!name)
            status = TIDE_OK;
        else if (metadata->topic_cnt > 0)
            status = judge_topic(attempt, &metadata->topics[0], partitions);
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
    return status;
}

static int insist(struct attempt *attempt, const char *name, uint32_t *partitions)
{
    struct tide_kafka_reach *reach = attempt->reach;
    for (;;) {
        int64_t left_ms = (attempt->until - tide_clock_us()) / 1000;
        if (left_ms <= 0)
            return tide_fail(TIDE_EUNREACHED, "brokers \"%s\" %s within %.3g s%s%s", reach->brokers,
                             name ? "gave no good answer" : "not reached",
                             (double)reach->timeout_us / 1e6, *attempt->cause ? ": " : "",
                             attempt->cause);
        int status = ask(attempt, name, partitions,
                         attempt->wait_ms < left_ms ? attempt->wait_ms : (int)left_ms);
        if (look_at_events(attempt) < 0)
            return tide_fail(TIDE_ECONFIG, "brokers \"%s\": %s", reach->brokers, attempt->cause);
        if (status != TIDE_BUSY)
            return status;
        if (!pause_a_moment(reach))
            return tide_fail(TIDE_EUNREACHED, "stopped while brokers \"%s\" were looked for",
                             reach->brokers);
        if (attempt->wait_ms < LONGEST_WAIT_MS)
            attempt->wait_ms *= 2;
    }
}

void tide_kafka_reach_run(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct attempt attempt = {.reach = reach, .wait_ms = FIRST_WAIT_MS};
    uint32_t unused = 0;
    attempt.until = tide_clock_us() + reach->timeout_us;
    reach->status = insist(&attempt, NULL, &unused);
    attempt.grace_until = tide_clock_us() + TOPIC_GRACE_US;
    for (uint32_t i = 0; i < reach->topic_count && reach->status == TIDE_OK; i++)
        if (reach->topics[i][0] != '^')
            reach->status = insist(&attempt, reach->topics[i],
                                   reach->partitions ? &reach->partitions[i] : &unused);
    if (reach->status < 0)
        snprintf(reach->text, sizeof(reach->text), "%s", tide_error());
}

int tide_kafka_check(const struct tide_property *properties, uint32_t count,
                     const char *const *topics, uint32_t topic_count, bool written,
                     int64_t timeout_us)
{
    static const struct tide_property none[] = {{NULL, NULL}};
    struct tide_properties copy = {0};
    char error[512];
    tide_properties_set(&copy, properties, count);
    rd_kafka_conf_t *conf = tide_kafka_conf_new(none, &copy, none);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    rd_kafka_t *client = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error)) : NULL;
    if (!client) {
        if (conf) {
            rd_kafka_conf_destroy(conf);
            tide_fail(TIDE_ECONFIG, "librdkafka: %s", error);
        }
        tide_properties_wipe(&copy);
        return TIDE_ECONFIG;
    }
    struct tide_kafka_reach reach = {.client = client,
                                     .events = rd_kafka_queue_get_main(client),
                                     .brokers = tide_properties_brokers(&copy),
                                     .topics = topics,
                                     .topic_count = topic_count,
                                     .timeout_us = timeout_us};
    tide_kafka_reach_run(&reach.job);
    int status = reach.status;
    if (status == TIDE_OK && written)
        status = tide_kafka_writable(client, topics, topic_count, NULL);
    rd_kafka_queue_destroy(reach.events);
    rd_kafka_destroy(client);
    tide_properties_wipe(&copy);
    return reach.status < 0 ? tide_fail(reach.status, "%s", reach.text) : status;
}

/* ---- outage ---- */

enum { OUTAGE_TRY_MS = 1000 };

struct tide_kafka_outage {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    struct tide_blocking *blocking;
    bool asking; /* the job is under way */
    bool told;   /* it was said that all are down */
    bool back;   /* the last answer */
    bool gone;   /* freed by its owner: ends with the job */
};

/* Asks until a broker answers. Only what lasts is worth a line: idle connections are closed all the
 * time. */
static void ask_until_back(struct tide_blocking_job *job)
{
    struct tide_kafka_outage *outage = (struct tide_kafka_outage *)job;
    const struct rd_kafka_metadata *metadata;
    for (;;) {
        if (!rd_kafka_metadata(outage->client, 0, NULL, &metadata, OUTAGE_TRY_MS)) {
            rd_kafka_metadata_destroy(metadata);
            outage->back = true;
            break;
        }
        if (!outage->told)
            tide_log(TIDE_LOG_WARN, "%s: no broker can be reached; waiting",
                     rd_kafka_name(outage->client));
        outage->told = true;
        if (!tide_blocking_pause(outage->blocking, RETRY_US) ||
            tide_blocking_wanted(outage->blocking))
            return;
    }
    if (outage->told)
        tide_log(TIDE_LOG_INFO, "%s: brokers are back", rd_kafka_name(outage->client));
    outage->told = false;
}

static void asked(struct tide_blocking_job *job)
{
    struct tide_kafka_outage *outage = (struct tide_kafka_outage *)job;
    outage->asking = false;
    if (outage->gone)
        free(outage);
    else if (!outage->back)
        tide_kafka_outage_begin(outage); /* another job wanted the thread: after it */
}

struct tide_kafka_outage *tide_kafka_outage_new(struct rd_kafka_s *client,
                                                struct tide_blocking *blocking)
{
    struct tide_kafka_outage *outage = tide_alloc(sizeof(*outage));
    outage->job.run = ask_until_back;
    outage->job.done = asked;
    outage->client = client;
    outage->blocking = blocking;
    return outage;
}

void tide_kafka_outage_begin(struct tide_kafka_outage *outage)
{
    if (outage->asking)
        return;
    outage->asking = true;
    outage->back = false;
    if (tide_blocking_submit(outage->blocking, &outage->job) < 0)
        outage->asking = false;
}

void tide_kafka_outage_free(struct tide_kafka_outage *outage)
{
    if (!outage)
        return;
    outage->gone = true;
    if (!outage->asking)
        free(outage);
}
