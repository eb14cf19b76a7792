/* SPDX-License-Identifier: MIT
 * `tidemill check --connect`: asks the brokers what `run` asks before it reads anything, by the same functions, so
 * that the check and the start cannot differ. It uses a client of its own, which does not join the group, and a
 * producer with another transactional id, which fences nobody. Everything here blocks; no engine exists. Start
 * reading at tide_kafka_check. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/changelog_topics.h"
#include "kafka/client.h"
#include "kafka/compatible.h"
#include "kafka/kafka.h"
#include "kafka/known_topics.h"
#include "kafka/reach.h"
#include "kafka/settings.h"
#include "kafka/txn_calls.h"
#include "kafka/write_permission.h"

/* A consumer or a producer, as the properties are meant for: librdkafka refuses or warns of those of the other kind.
 * `transactional_id` may be NULL. */
static rd_kafka_t *make_client(const struct tide_kafka_check *check,
                               const struct tide_properties *properties,
                               const char *transactional_id, struct tide_kafka_watch *watch)
{
    const struct tide_property none[] = {{NULL, NULL}};
    const struct tide_property reading[] = {
        {"enable.auto.commit", "false"}, {"group.id", check->group}, {NULL, NULL}};
    const struct tide_property writing[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {transactional_id ? "transactional.id" : NULL, transactional_id},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = tide_kafka_conf_new(none, properties, check->group ? reading : writing);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    if (conf && watch)
        tide_kafka_watch_requests(watch, conf);
    return tide_kafka_client_new(check->group ? TIDE_KAFKA_CONSUMER : TIDE_KAFKA_PRODUCER, conf,
                                 "librdkafka");
}

/* The start of a source checks the same (source/connect.c). It takes numbers of partitions and ids of clusters, which
 * are known only once both sides were reached. */
static int check_compatible(const struct tide_kafka_check *check,
                            const struct tide_known_topics *known_topics)
{
    const struct tide_source_plan plan = {.topics = check->topics,
                                          .topic_count = check->topic_count,
                                          .together = check->together,
                                          .apart_topics = check->apart_topics,
                                          .apart_topic_count = check->apart_topic_count};
    return tide_kafka_compatible(&plan, known_topics, *check->cluster ? check->cluster : NULL,
                                 &check->output);
}

static int reach(struct tide_kafka_check *check, rd_kafka_t *client, const char *brokers)
{
    struct tide_known_topics known_topics = {0};
    struct tide_kafka_reach reach = {.client = client,
                                     .events = rd_kafka_queue_get_main(client),
                                     .brokers = brokers,
                                     .topics = check->topics,
                                     .topic_count = check->topic_count,
                                     .group = check->group,
                                     .known_topics = &known_topics,
                                     .timeout_us = check->timeout_us};
    tide_kafka_reach_run(&reach.job);
    rd_kafka_queue_destroy(reach.events);
    snprintf(check->cluster, sizeof(check->cluster), "%s", reach.cluster ? reach.cluster : "");
    check->partitions = tide_known_topics_partitions(&known_topics, check->topics[0]);
    int status = reach.status < 0 ? tide_fail(reach.status, "%s", reach.text) : TIDE_OK;
    if (status == TIDE_OK && check->group)
        status = check_compatible(check, &known_topics);
    tide_known_topics_free(&known_topics);
    free(reach.cluster);
    return status;
}

/* The transactional id is of the check alone, so that an engine that runs is not fenced. Permissions may refuse it
 * where they allow the engine's, so a refusal is only logged. */
static int check_transactions(const struct tide_kafka_check *check,
                              const struct tide_properties *properties)
{
    struct tide_kafka_watch watch = {0};
    rd_kafka_t *producer = make_client(check, properties, check->transactional_id, &watch);
    if (!producer)
        return TIDE_ECONFIG;
    int status = tide_kafka_call_init(producer, &watch, NULL, check->transactional_id,
                                      check->timeout_us);
    rd_kafka_destroy(producer);
    if (status == TIDE_ECONFIG || status == TIDE_EFENCED) {
        tide_log(TIDE_LOG_INFO, "whether transactions can be had is not known: %s", tide_error());
        status = TIDE_OK;
    }
    return status;
}

/* By the function of the start (kafka/changelog_client.c), which makes nothing here. */
static int check_changelogs(const struct tide_kafka_check *check, rd_kafka_t *client,
                            const char *brokers)
{
    struct tide_kafka_changelog_topics asked = {.client = client,
                                                .events = rd_kafka_queue_get_main(client),
                                                .brokers = brokers,
                                                .input = check->topics[0],
                                                .topics = check->changelogs,
                                                .topic_count = check->changelog_count,
                                                .timeout_us = check->timeout_us,
                                                .look = true};
    tide_kafka_changelog_topics_check(&asked);
    rd_kafka_queue_destroy(asked.events);
    return asked.status < 0 ? tide_fail(asked.status, "%s", asked.text) : TIDE_OK;
}

/* The order is that of sink/start.c, so that the fault that is named is the one to mend. Only the settings come last:
 * they are warnings, and concern a pipeline that would start. */
int tide_kafka_check(struct tide_kafka_check *check)
{
    struct tide_properties properties = {0};
    tide_properties_set(&properties, check->properties, check->property_count);
    rd_kafka_t *client = make_client(check, &properties, NULL, NULL);
    int status = client ? reach(check, client, tide_properties_brokers(&properties)) : TIDE_ECONFIG;
    if (status == TIDE_OK && check->changelog_count > 0)
        status = check_changelogs(check, client, tide_properties_brokers(&properties));
    if (status == TIDE_OK && !check->group)
        status = tide_kafka_check_write_permission(client, check->topics, check->topic_count, NULL);
    if (status == TIDE_OK && check->transactional_id)
        status = check_transactions(check, &properties);
    /* They hold secrets, and no other client is made of them. */
    tide_properties_wipe(&properties);
    if (status == TIDE_OK)
        tide_kafka_settings_look(client, check->topics, check->topic_count,
                                 check->group ? TIDE_KAFKA_READ : TIDE_KAFKA_WRITTEN,
                                 check->dead_letters, NULL);
    if (client)
        rd_kafka_destroy(client);
    return status;
}
