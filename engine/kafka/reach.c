/* SPDX-License-Identifier: MIT
 * Whether the brokers and the topics are there, asked once before anything is read. librdkafka would wait for a
 * broker, a topic or a login without an error for ever; a pipeline that cannot work should rather fail at its start,
 * with the reason and everything that is missing. So each question is asked with short and growing time-outs until
 * it is answered or the time of broker_timeout is over, and the client's last error event becomes part of the text.
 * Start reading at tide_kafka_reach_run. */
#include "kafka/reach.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/client.h"
#include "kafka/kafka.h"
#include "kafka/known_topics.h"
#include "kafka/leaders.h"
#include "kafka/pattern.h"

enum {
    FIRST_WAIT_MS =
        500, /* doubled with each attempt: short, since a lost one is noticed early; a slow network needs more */
    LONGEST_WAIT_MS = 8000,
    TOPIC_GRACE_US = 1000000, /* a topic that was just created is not known to every broker yet */
    RETRY_US = 100000,
    CLUSTER_WAIT_MS = 100,
    SCRAM_IS_SOUND = 0x020601ff /* 2.6.1 */
};

/* One run of the question. */
struct attempt {
    struct tide_kafka_reach *reach;
    int64_t until;
    int64_t grace_until; /* for topics that are not there */
    int wait_ms;
    char cause[512]; /* what the client last complained of */
    struct tide_kafka_leaders leaders;
    uint32_t item; /* which topic or leader is asked for */
};

/* Asks once. TIDE_BUSY: no answer yet. */
typedef int question(struct attempt *attempt, int timeout_ms);

/* The broker ends the handshake since it does not accept the client's certificate, or misses one. librdkafka reports it
 * as a connection that broke. The numbers are those of RFC 8446, 6.2. */
static bool is_refused_certificate(const char *text)
{
    static const char before[] = "SSL alert number ";
    const char *found = strstr(text, before);
    int number = found ? atoi(found + sizeof(before) - 1) : 0;
    return (number >= 42 && number <= 49 && number != 47) || number == 116;
}

/* A connection that ends in the middle of a handshake, as when a broker starts again: librdkafka before 2.2.0 reports
 * what OpenSSL 3 says of it as an error of TLS, newer ones as one of the transport. */
static bool is_cut_off(const char *text)
{
    return strstr(text, "unexpected eof while reading") != NULL;
}

/* Brokers from Kafka 4.0 on refuse the SCRAM of older librdkafkas, whatever the password (librdkafka's pull request
 * 4895), and call it invalid credentials. */
static const char *hint(const char *cause)
{
    return strstr(cause, "SCRAM") && rd_kafka_version() < SCRAM_IS_SOUND
               ? "; with brokers from Kafka 4.0 on, SCRAM needs librdkafka 2.6.1 or newer"
               : "";
}

/* Keeps the newest error as the cause. Waiting does not help a login or certificate that was refused. The event that
 * all brokers are down is left out: the time-out says as much, and it would replace the reason. */
static int take_events(struct attempt *attempt)
{
    rd_kafka_event_t *event;
    int status = TIDE_OK;
    while ((event = rd_kafka_queue_poll(attempt->reach->events, 0))) {
        rd_kafka_resp_err_t error = rd_kafka_event_error(event);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
            error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            snprintf(attempt->cause, sizeof(attempt->cause), "%s",
                     rd_kafka_event_error_string(event));
            if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
                (error == RD_KAFKA_RESP_ERR__SSL && !is_cut_off(attempt->cause)) ||
                is_refused_certificate(attempt->cause))
                status = TIDE_ECONFIG;
        }
        rd_kafka_event_destroy(event);
    }
    return status;
}

/* In the engine a job that waits is the one that ends the client, so the search gives way to it. `check` calls this
 * without a thread, where nobody waits. */
static bool pause_a_moment(struct tide_kafka_reach *reach)
{
    if (reach->blocking)
        return tide_blocking_pause(reach->blocking, RETRY_US) &&
               !tide_blocking_wanted(reach->blocking);
    nanosleep(&(struct timespec){.tv_nsec = RETRY_US * 1000L}, NULL);
    return true;
}

/* TIDE_BUSY: ask again. A topic without partitions is just being made. */
static int check_topic(struct attempt *attempt, const rd_kafka_metadata_topic_t *topic)
{
    switch (topic->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
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

/* Asks whoever answers first. It comes before all else, so that a wrong address is not reported as a missing topic. */
static int ask_any(struct attempt *attempt, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(attempt->reach->client, 0, NULL, &metadata, timeout_ms))
        return TIDE_BUSY;
    rd_kafka_metadata_destroy(metadata);
    return TIDE_OK;
}

/* Asks for this topic alone, since the metadata of all topics of a cluster may be large. */
static int ask_topic(struct attempt *attempt, int timeout_ms)
{
    struct tide_kafka_reach *reach = attempt->reach;
    const struct rd_kafka_metadata *metadata = NULL;
    const char *name = reach->topics[attempt->item];
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reach->client, name, NULL);
    if (!topic)
        return tide_fail(TIDE_ECONFIG, "topic \"%s\": %s", name,
                         rd_kafka_err2str(rd_kafka_last_error()));
    int status = TIDE_BUSY;
    if (rd_kafka_metadata(reach->client, 0, topic, &metadata, timeout_ms) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt > 0)
            status = check_topic(attempt, &metadata->topics[0]);
        if (status == TIDE_OK) {
            uint32_t partitions = (uint32_t)metadata->topics[0].partition_cnt;
            tide_kafka_leaders_add(&attempt->leaders, metadata, 0);
            if (reach->partitions)
                reach->partitions[attempt->item] = partitions;
            if (reach->known_topics)
                tide_known_topics_add(reach->known_topics, name, partitions);
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return status;
}

/* Finds the topics that match the patterns. One request brings all of them, since brokers know no patterns. To find
 * none is no failure: the group gets topics that are made later. */
static int ask_all_topics(struct attempt *attempt, int timeout_ms)
{
    struct tide_kafka_reach *reach = attempt->reach;
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(reach->client, 1, NULL, &metadata, timeout_ms))
        return TIDE_BUSY;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (topic->err ||
            !tide_kafka_pattern_finds(reach->topics, reach->topic_count, topic->topic))
            continue;
        tide_kafka_leaders_add(&attempt->leaders, metadata, i);
        if (reach->known_topics)
            tide_known_topics_add(reach->known_topics, topic->topic,
                                  (uint32_t)topic->partition_cnt);
    }
    rd_kafka_metadata_destroy(metadata);
    return TIDE_OK;
}

/* The answer itself is not used: that it came from the address that the broker advertises is what counts. */
static int ask_leader(struct attempt *attempt, int timeout_ms)
{
    const struct tide_kafka_leader *leader = &attempt->leaders.items[attempt->item];
    return tide_kafka_leader_ask(attempt->reach->client, leader, timeout_ms) ? TIDE_BUSY : TIDE_OK;
}

/* Asks for a committed offset, which only the coordinator of the group can answer. Which topic it is asked about does
 * not matter: whether an answer comes does, and an error of the topic is one, too. */
static int ask_coordinator(struct attempt *attempt, int timeout_ms)
{
    struct tide_kafka_reach *reach = attempt->reach;
    const char *topic = attempt->leaders.count > 0 ? attempt->leaders.items[0].topic
                                                   : reach->topics[0];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_resp_err_t error = rd_kafka_committed(reach->client, list, timeout_ms);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return tide_fail(TIDE_ECONFIG, "group \"%s\": %s", reach->group, rd_kafka_err2str(error));
    return error < 0 || tide_kafka_coordinator_is_away(error) ? TIDE_BUSY : TIDE_OK;
}

/* The failure, when the time is over: names whoever did not answer. */
static int fail_unreached(struct attempt *attempt, question *ask)
{
    const struct tide_kafka_reach *reach = attempt->reach;
    const struct tide_kafka_leader *leader = ask == ask_leader
                                                 ? &attempt->leaders.items[attempt->item]
                                                 : NULL;
    char what[900];
    char address[320] = "which the other brokers do not list";
    if (leader && *leader->address)
        snprintf(address, sizeof(address), "which advertises \"%s\"", leader->address);
    if (leader && leader->broker < 0)
        snprintf(what, sizeof(what), "topic \"%s\" partition %d had no leader", leader->topic,
                 leader->partition);
    else if (leader)
        snprintf(what, sizeof(what),
                 "broker %d, %s and which leads topic \"%s\" partition %d, not reached",
                 leader->broker, address, leader->topic, leader->partition);
    else if (ask == ask_coordinator)
        snprintf(what, sizeof(what), "the coordinator of group \"%s\" not reached", reach->group);
    else
        snprintf(what, sizeof(what), "brokers \"%s\" %s", reach->brokers,
                 ask == ask_any ? "not reached" : "gave no good answer");
    return tide_fail(TIDE_EUNREACHED, "%s within %.3g s%s%s", what, (double)reach->timeout_us / 1e6,
                     *attempt->cause ? ": " : "", attempt->cause);
}

/* Asks until there is an answer, good or bad. The time-outs begin short, so that a request that was lost costs little,
 * and grow, so that a slow network has time to answer. */
static int ask_until_answered(struct attempt *attempt, question *ask)
{
    struct tide_kafka_reach *reach = attempt->reach;
    for (;;) {
        int64_t left_ms = (attempt->until - tide_clock_us()) / 1000;
        if (left_ms <= 0)
            return fail_unreached(attempt, ask);
        int status = ask(attempt, attempt->wait_ms < left_ms ? attempt->wait_ms : (int)left_ms);
        if (take_events(attempt) < 0)
            return tide_fail(TIDE_ECONFIG, "brokers \"%s\": %s%s", reach->brokers, attempt->cause,
                             hint(attempt->cause));
        if (status != TIDE_BUSY)
            return status;
        if (!pause_a_moment(reach))
            return tide_fail(TIDE_EUNREACHED, "stopped while brokers \"%s\" were looked for",
                             reach->brokers);
        if (attempt->wait_ms < LONGEST_WAIT_MS)
            attempt->wait_ms *= 2;
    }
}

/* One topic may take both results and dead letters. */
static bool was_asked(const struct attempt *attempt)
{
    const struct tide_kafka_reach *reach = attempt->reach;
    for (uint32_t i = 0; i < attempt->item; i++)
        if (strcmp(reach->topics[i], reach->topics[attempt->item]) == 0) {
            if (reach->partitions)
                reach->partitions[attempt->item] = reach->partitions[i];
            return true;
        }
    return false;
}

/* Looks for all of them before it fails, so that one text names every topic that has to be created. */
static int find_topics(struct attempt *attempt)
{
    struct tide_kafka_reach *reach = attempt->reach;
    size_t length = 0;
    bool patterns = false;
    for (attempt->item = 0; attempt->item < reach->topic_count; attempt->item++) {
        if (reach->topics[attempt->item][0] == '^') {
            patterns = true;
            continue;
        }
        if (was_asked(attempt))
            continue;
        int status = ask_until_answered(attempt, ask_topic);
        if (status < 0 && status != TIDE_ECONFIG)
            return status;
        if (status < 0 && length < sizeof(reach->text))
            length += (size_t)snprintf(reach->text + length, sizeof(reach->text) - length, "%s%s",
                                       length > 0 ? "; " : "", tide_error());
    }
    if (length > 0)
        return tide_fail(TIDE_ECONFIG, "%s", reach->text);
    return patterns ? ask_until_answered(attempt, ask_all_topics) : TIDE_OK;
}

/* Each is another connection, so the time-outs begin anew; the time for all of them together does not. */
static int find_leaders(struct attempt *attempt)
{
    int status = TIDE_OK;
    for (attempt->item = 0; attempt->item < attempt->leaders.count && status == TIDE_OK;
         attempt->item++) {
        attempt->wait_ms = FIRST_WAIT_MS;
        status = ask_until_answered(attempt, ask_leader);
    }
    return status;
}

/* The id came with the topics. The call waits only for what is no Kafka but speaks its protocol, and may send none. */
static void find_cluster(struct tide_kafka_reach *reach)
{
    char *id = rd_kafka_clusterid(reach->client, CLUSTER_WAIT_MS);
    reach->cluster = tide_copy(id);
    if (id)
        rd_kafka_mem_free(reach->client, id);
}

/* Each question needs the answer to the one before it, so the first that fails is the fault to mend. The grace for
 * topics begins once a broker was reached: a search for brokers that took long must not use it up. */
void tide_kafka_reach_run(struct tide_blocking_job *job)
{
    struct tide_kafka_reach *reach = (struct tide_kafka_reach *)job;
    struct attempt attempt = {.reach = reach, .wait_ms = FIRST_WAIT_MS};
    attempt.until = tide_clock_us() + reach->timeout_us;
    reach->status = ask_until_answered(&attempt, ask_any);
    attempt.grace_until = tide_clock_us() + TOPIC_GRACE_US;
    if (reach->status == TIDE_OK)
        reach->status = find_topics(&attempt);
    if (reach->status == TIDE_OK)
        reach->status = find_leaders(&attempt);
    if (reach->status == TIDE_OK && reach->group)
        reach->status = ask_until_answered(&attempt, ask_coordinator);
    if (reach->status == TIDE_OK)
        find_cluster(reach);
    if (reach->status < 0)
        snprintf(reach->text, sizeof(reach->text), "%s", tide_error());
    tide_kafka_leaders_free(&attempt.leaders);
}

/* `brokers` points into the properties, which are wiped while the job runs; its other strings belong to the plan of
 * the source or sink, which outlives the job. */
struct tide_kafka_reach *tide_kafka_reach_new(const struct tide_kafka_reach *from)
{
    struct tide_kafka_reach *reach = tide_alloc(sizeof(*reach));
    *reach = *from;
    reach->brokers = tide_copy(from->brokers);
    return reach;
}

void tide_kafka_reach_free(struct tide_kafka_reach *reach)
{
    free((char *)reach->brokers);
    free(reach->partitions);
    free(reach->cluster);
    free(reach);
}
