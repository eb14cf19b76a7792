/* SPDX-License-Identifier: MIT
 * The topics of changelogs, at the start. A topic that keeps a state in another way than it must would lose or mix it long
 * after somebody looks, so each of its settings that matters is a reason not to start. Start reading at
 * tide_kafka_changelog_topics_check. */
#include "kafka/changelog_topics.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/client.h"
#include "kafka/reach.h"

static const char DAY_MS[] = "86400000";
enum { TIMEOUT_MS = 10000, POLL_MS = 100, TRIES = 5 };

static const char ANEW[] = "without the topic (and with another state_dir) the state begins empty";

/* What the metadata say of a topic. */
struct found {
    int partitions; /* 0 = it is not there */
    int replicas;   /* of its first partition */
};

static int find(const struct tide_kafka_changelog_topics *asked, const char *name,
                struct found *found)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(asked->client, name, NULL);
    rd_kafka_resp_err_t error = topic ? rd_kafka_metadata(asked->client, 0, topic, &metadata,
                                                          TIMEOUT_MS)
                                      : rd_kafka_last_error();
    *found = (struct found){0, 1};
    if (!error && metadata && metadata->topic_cnt > 0 && !metadata->topics[0].err) {
        found->partitions = metadata->topics[0].partition_cnt;
        if (found->partitions > 0)
            found->replicas = metadata->topics[0].partitions[0].replica_cnt;
    }
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (topic)
        rd_kafka_topic_destroy(topic);
    return error ? tide_fail(TIDE_EUNREACHED, "topic \"%s\": brokers \"%s\": %s", name,
                             asked->brokers, rd_kafka_err2str(error))
                 : TIDE_OK;
}

/* ---- requests of an administrator: librdkafka answers them by a queue ---- */

static rd_kafka_event_t *wait_for(const struct tide_kafka_changelog_topics *asked,
                                  rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = NULL;
    while (!event && !(asked->blocking && tide_blocking_wanted(asked->blocking)))
        event = rd_kafka_queue_poll(queue, POLL_MS);
    return event;
}

static rd_kafka_AdminOptions_t *new_options(const struct tide_kafka_changelog_topics *asked,
                                            rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asked->client, op);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, NULL, 0);
    return options;
}

/* The reason why the topic could not be made, in `text`; "" = it was, or another engine did it meanwhile. */
static void read_created(rd_kafka_event_t *event, char *text, size_t size)
{
    const rd_kafka_CreateTopics_result_t *result = event ? rd_kafka_event_CreateTopics_result(event)
                                                         : NULL;
    size_t count = 0;
    const rd_kafka_topic_result_t **topics = result ? rd_kafka_CreateTopics_result_topics(result,
                                                                                          &count)
                                                    : NULL;
    *text = 0;
    if (count == 0) {
        snprintf(text, size, "%s", event ? rd_kafka_event_error_string(event) : "stopped");
        return;
    }
    rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[0]);
    const char *what = rd_kafka_topic_result_error_string(topics[0]);
    if (error && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        snprintf(text, size, "%s", what ? what : rd_kafka_err2str(error));
}

static int make(const struct tide_kafka_changelog_topics *asked, const char *name,
                const struct found *input)
{
    char why[400], bytes[24];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, input->partitions, input->replicas,
                                                       why, sizeof(why));
    if (!topic)
        return tide_fail(TIDE_ECONFIG, "topic \"%s\" cannot be made: %s", name, why);
    snprintf(bytes, sizeof(bytes), "%d", TIDE_KAFKA_CHANGELOG_RECORD);
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "compact");
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", bytes);
    rd_kafka_NewTopic_set_config(topic, "delete.retention.ms", DAY_MS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asked->client);
    rd_kafka_AdminOptions_t *options = new_options(asked, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(asked->client, &topic, 1, options, queue);
    rd_kafka_event_t *event = wait_for(asked, queue);
    read_created(event, why, sizeof(why));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    if (*why)
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" is not there and could not be made: %s; make it with %d "
                         "partitions, cleanup.policy=compact and max.message.bytes=%d",
                         name, why, input->partitions, TIDE_KAFKA_CHANGELOG_RECORD);
    tide_log(TIDE_LOG_INFO, "made the topic \"%s\": %d partitions, %d replicas, compacted", name,
             input->partitions, input->replicas);
    return TIDE_OK;
}

/* ---- settings ---- */

static int check_setting(const char *topic, const char *name, const char *value)
{
    if (strcmp(name, "cleanup.policy") == 0 && strcmp(value, "compact") != 0)
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" has cleanup.policy=%s, by which values of the state would "
                         "be lost; set it to compact",
                         topic, value);
    if (strcmp(name, "max.message.bytes") == 0 &&
        strtoll(value, NULL, 10) < TIDE_KAFKA_CHANGELOG_RECORD)
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" has max.message.bytes=%s, and a value of the state may be "
                         "longer; set it to %d",
                         topic, value, TIDE_KAFKA_CHANGELOG_RECORD);
    if (strcmp(name, "delete.retention.ms") == 0 &&
        strtoll(value, NULL, 10) < strtoll(DAY_MS, NULL, 10))
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" has delete.retention.ms=%s, and a state_dir that is older "
                         "would keep values that were deleted; set it to %s or more",
                         topic, value, DAY_MS);
    return TIDE_OK;
}

static int check_settings(rd_kafka_event_t *event, const char *topic)
{
    const rd_kafka_DescribeConfigs_result_t *result =
        event ? rd_kafka_event_DescribeConfigs_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    rd_kafka_resp_err_t error = count > 0 ? rd_kafka_ConfigResource_error(resources[0])
                                          : RD_KAFKA_RESP_ERR__FAIL;
    if (error) {
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\": its settings are not known (DescribeConfigs: %s); it must have "
                 "cleanup.policy=compact and max.message.bytes=%d",
                 topic, rd_kafka_err2str(error), TIDE_KAFKA_CHANGELOG_RECORD);
        return TIDE_OK;
    }
    int status = TIDE_OK;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    for (size_t i = 0; i < count && status == TIDE_OK; i++)
        if (rd_kafka_ConfigEntry_value(entries[i]))
            status = check_setting(topic, rd_kafka_ConfigEntry_name(entries[i]),
                                   rd_kafka_ConfigEntry_value(entries[i]));
    return status;
}

static int look_at_settings(const struct tide_kafka_changelog_topics *asked, const char *name)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
                                                                      name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asked->client);
    rd_kafka_AdminOptions_t *options = new_options(asked, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(asked->client, &resource, 1, options, queue);
    rd_kafka_event_t *event = wait_for(asked, queue);
    int status = check_settings(event, name);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}

/* ---- all of it ---- */

/* That brokers, topics and the leaders of their partitions are there, or the reason. */
static int reach(struct tide_kafka_changelog_topics *asked, const char *const *topics,
                 uint32_t count)
{
    struct tide_kafka_reach reach = {.client = asked->client,
                                     .events = asked->events,
                                     .blocking = asked->blocking,
                                     .brokers = asked->brokers,
                                     .topics = topics,
                                     .topic_count = count,
                                     .timeout_us = asked->timeout_us};
    tide_kafka_reach_run(&reach.job);
    free(reach.cluster);
    return reach.status < 0 ? tide_fail(reach.status, "%s", reach.text) : TIDE_OK;
}

static int check_one(const struct tide_kafka_changelog_topics *asked, const char *name,
                     const struct found *input)
{
    struct found found;
    int status = find(asked, name, &found);
    bool mock = tide_kafka_is_mock(asked->client);
    if (status == TIDE_OK && found.partitions == 0)
        return asked->look ? TIDE_OK : make(asked, name, input);
    if (status == TIDE_OK && found.partitions != input->partitions)
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" has %d partitions, and the input \"%s\" has %d: a partition "
                         "of one keeps the state of that of the other, so they must be as many; %s",
                         name, found.partitions, asked->input, input->partitions, ANEW);
    return status == TIDE_OK && !mock ? look_at_settings(asked, name) : status;
}

void tide_kafka_changelog_topics_check(struct tide_kafka_changelog_topics *asked)
{
    struct found input = {0, 0};
    int status = reach(asked, &asked->input, 1);
    if (status == TIDE_OK)
        status = find(asked, asked->input, &input);
    asked->partitions = (uint32_t)input.partitions;
    for (uint32_t i = 0; i < asked->topic_count && status == TIDE_OK; i++)
        status = check_one(asked, asked->topics[i], &input);
    /* A topic that was just made may be unknown to some brokers for longer than the grace of kafka/reach.h. */
    for (int tries = 0;
         !asked->look && tries < TRIES && (tries == 0 ? status == TIDE_OK : status == TIDE_ECONFIG);
         tries++)
        status = reach(asked, asked->topics, asked->topic_count);
    asked->status = status;
    if (status < 0)
        snprintf(asked->text, sizeof(asked->text), "%s", tide_error());
}
