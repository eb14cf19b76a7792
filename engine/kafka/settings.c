/* SPDX-License-Identifier: MIT
 * The settings of topics that decide what becomes of messages. Some combinations lose messages without an error,
 * such as dead letters in a topic that is compacted; a warning at the start is the only moment at which somebody
 * looks. That the settings may not be asked for, or that an older broker does not answer, is no failure. Start
 * reading at tide_kafka_settings_look. */
#include "kafka/settings.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/blocking.h"
#include "kafka/client.h"

enum { TIMEOUT_MS = 5000, POLL_MS = 100 };

static const int64_t HOUR_MS = 3600000;
static const int64_t DAY_MS = 86400000;

/* -1 = not known. */
struct settings {
    int64_t max_message_bytes; /* of a batch of records */
    int64_t retention_ms;      /* INT64_MAX = for ever */
    int64_t before_max_ms;     /* how old a record's time may be; INT64_MAX = no limit */
    int64_t min_insync_replicas;
    int64_t replicas; /* the fewest of its partitions */
    bool
        compacted; /* a record without key is refused, and the last one of a key replaces the others */
    bool deleted;      /* what is older than retention_ms goes */
    bool time_is_ours; /* false: the brokers replace a record's time by that of its arrival */
};

static bool has_word(const char *list, const char *word)
{
    return strstr(list, word) != NULL; /* neither is a part of the other */
}

/* A negative number is how Kafka writes "no limit". */
static int64_t limit_of(const char *value)
{
    int64_t number = strtoll(value, NULL, 10);
    return number < 0 ? INT64_MAX : number;
}

/* Brokers of an older version do not send all of these. What does not come stays -1, and nobody is warned of it. */
static void take_setting(struct settings *settings, const char *name, const char *value)
{
    if (strcmp(name, "max.message.bytes") == 0)
        settings->max_message_bytes = limit_of(value);
    else if (strcmp(name, "retention.ms") == 0)
        settings->retention_ms = limit_of(value);
    else if (strcmp(name, "message.timestamp.before.max.ms") == 0)
        settings->before_max_ms = limit_of(value);
    else if (strcmp(name, "min.insync.replicas") == 0)
        settings->min_insync_replicas = limit_of(value);
    else if (strcmp(name, "message.timestamp.type") == 0)
        settings->time_is_ours = strcmp(value, "LogAppendTime") != 0;
    else if (strcmp(name, "cleanup.policy") == 0) {
        settings->compacted = has_word(value, "compact");
        settings->deleted = has_word(value, "delete");
    }
}

/* Permissions are given topic by topic, so an error concerns one topic and the others are looked at all the same. */
static void take_topic(const rd_kafka_ConfigResource_t *topic, struct settings *settings)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(topic, &count);
    if (rd_kafka_ConfigResource_error(topic))
        tide_log(
            TIDE_LOG_INFO,
            "topic \"%s\": its settings are not known (DescribeConfigs): no warnings of them, and "
            "a batch may be refused by its max.message.bytes and sent again one by one: %s",
            rd_kafka_ConfigResource_name(topic),
            rd_kafka_err2str(rd_kafka_ConfigResource_error(topic)));
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_ConfigEntry_value(entries[i]))
            take_setting(settings, rd_kafka_ConfigEntry_name(entries[i]),
                         rd_kafka_ConfigEntry_value(entries[i]));
}

/* The answers come in any order, and one of them may stand for two names. */
static void take_all(rd_kafka_event_t *event, const char *const *topics, uint32_t count,
                     struct settings *settings)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    size_t answers = 0;
    const rd_kafka_ConfigResource_t **resources =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &answers) : NULL;
    if (!result || rd_kafka_event_error(event))
        tide_log(TIDE_LOG_INFO, "the topics' settings are not known: %s",
                 rd_kafka_event_error_string(event));
    for (size_t i = 0; i < answers; i++)
        for (uint32_t j = 0; j < count; j++)
            if (strcmp(topics[j], rd_kafka_ConfigResource_name(resources[i])) == 0)
                take_topic(resources[i], &settings[j]);
}

/* No setting has the number of replicas, so the metadata are asked. The partition with the fewest counts, since it is
 * the first that takes nothing. */
static void take_replicas(rd_kafka_t *client, const char *const *topics, uint32_t count,
                          struct settings *settings)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata *metadata;
        rd_kafka_topic_t *topic = rd_kafka_topic_new(client, topics[i], NULL);
        if (topic && !rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS)) {
            const struct rd_kafka_metadata_topic *found = metadata->topics;
            for (int p = 0; metadata->topic_cnt > 0 && p < found->partition_cnt; p++)
                if (settings[i].replicas < 0 ||
                    found->partitions[p].replica_cnt < settings[i].replicas)
                    settings[i].replicas = found->partitions[p].replica_cnt;
            rd_kafka_metadata_destroy(metadata);
        }
        if (topic)
            rd_kafka_topic_destroy(topic);
    }
}

/* A topic that is named twice is asked for once: brokers refuse a request that repeats one. */
static bool is_repeated(const char *const *topics, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(topics[i], topics[index]) == 0)
            return true;
    return false;
}

/* librdkafka has no call of it that waits, so its queue is polled; an event comes when the request times out at the
 * latest. The mock Kafka does not know the request. */
static void ask_settings(struct rd_kafka_s *client, const char *const *topics, uint32_t count,
                         struct settings *settings, struct tide_blocking *blocking)
{
    char text[256];
    rd_kafka_event_t *event = NULL;
    for (uint32_t i = 0; i < count; i++)
        settings[i] = (struct settings){-1, -1, -1, -1, -1, false, false, true};
    if (count == 0 || tide_kafka_is_mock(client))
        return;
    rd_kafka_ConfigResource_t **asked = tide_alloc(sizeof(*asked) * count);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!is_repeated(topics, i))
            asked[distinct++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client,
                                                                 RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof(text));
    rd_kafka_DescribeConfigs(client, asked, distinct, options, queue);
    while (!event && !(blocking && tide_blocking_wanted(blocking)))
        event = rd_kafka_queue_poll(queue, POLL_MS);
    if (event) {
        take_all(event, topics, count, settings);
        take_replicas(client, topics, count, settings);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy_array(asked, distinct);
    free(asked);
}

/* ---- warnings ---- */

/* Dead letters are kept so that somebody looks at them and sends them again, so a topic that drops them first defeats
 * their purpose. */
static void warn_of_dead_letters(const struct settings *settings, const char *topic)
{
    if (settings->compacted)
        tide_log(
            TIDE_LOG_WARN,
            "topic \"%s\" has cleanup.policy=compact: dead letters without key are refused, and "
            "of those with the same key all but the last are lost; set it to delete",
            topic);
    if (settings->deleted && settings->retention_ms >= 0 && settings->retention_ms < DAY_MS)
        tide_log(
            TIDE_LOG_WARN,
            "topic \"%s\" has retention.ms=%lld: dead letters are gone after %.3g hours; raise it",
            topic, (long long)settings->retention_ms,
            (double)settings->retention_ms / (double)HOUR_MS);
}

/* A result has the time of its message, and that is old when a backlog is read: the broker's limit then refuses it, or
 * its stamp hides it. */
static void warn_of_output(const struct settings *settings, const char *topic)
{
    if (!settings->time_is_ours)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" has message.timestamp.type=LogAppendTime: the times of results are "
                 "replaced by those of their arrival",
                 topic);
    if (settings->time_is_ours && settings->before_max_ms >= 0 &&
        settings->before_max_ms < INT64_MAX)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" has message.timestamp.before.max.ms=%lld: a result whose time is "
                 "older is refused",
                 topic, (long long)settings->before_max_ms);
}

/* Kafka accepts such a setting without a word and then refuses every record that is sent with acks=all, as all of ours
 * are. */
static void warn_of_replicas(const struct settings *settings, const char *topic)
{
    if (settings->replicas > 0 && settings->min_insync_replicas > settings->replicas)
        tide_log(
            TIDE_LOG_WARN,
            "topic \"%s\" has min.insync.replicas=%lld and only %lld replicas: its brokers may "
            "take nothing that is sent to it",
            topic, (long long)settings->min_insync_replicas, (long long)settings->replicas);
}

/* Less than an hour is short for a source: an outage that somebody has to mend may last longer than the messages. */
static void warn_of_topic(const struct settings *settings, const char *topic,
                          enum tide_kafka_use use)
{
    if (use == TIDE_KAFKA_DEAD_LETTERS)
        warn_of_dead_letters(settings, topic);
    if (use == TIDE_KAFKA_WRITTEN)
        warn_of_output(settings, topic);
    if (use == TIDE_KAFKA_TABLE && (settings->deleted || !settings->compacted) &&
        settings->retention_ms >= 0)
        tide_log(
            TIDE_LOG_WARN,
            "topic \"%s\" of a table has cleanup.policy=%s: rows whose messages are deleted by "
            "retention are gone after the next start; set it to compact",
            topic, settings->compacted ? "compact,delete" : "delete");
    if (use == TIDE_KAFKA_READ && settings->deleted && settings->retention_ms >= 0 &&
        settings->retention_ms < HOUR_MS)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" has retention.ms=%lld: what is not read within %.3g minutes is lost",
                 topic, (long long)settings->retention_ms,
                 (double)settings->retention_ms / 60000.0);
}

/* Patterns are left out, since they are no names that could be asked for. The smallest limit is returned since
 * batch.size is a property of the producer, the same one for all of its topics. */
int64_t tide_kafka_settings_look(struct rd_kafka_s *client, const char *const *topics,
                                 uint32_t count, enum tide_kafka_use use, bool dead_letters,
                                 struct tide_blocking *blocking)
{
    const char **names = tide_alloc(sizeof(*names) * (count + 1));
    struct settings *settings = tide_alloc(sizeof(*settings) * (count + 1));
    uint32_t known = 0;
    int64_t least = 0;
    for (uint32_t i = 0; i < count; i++)
        if (topics[i][0] != '^')
            names[known++] = topics[i];
    ask_settings(client, names, known, settings, blocking);
    for (uint32_t i = 0; i < known; i++) {
        int64_t limit = settings[i].max_message_bytes;
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
        warn_of_topic(&settings[i], names[i],
                      dead_letters && i + 1 == known ? TIDE_KAFKA_DEAD_LETTERS : use);
        if (use >= TIDE_KAFKA_WRITTEN && !is_repeated(names, i))
            warn_of_replicas(&settings[i], names[i]);
    }
    free(settings);
    free(names);
    return least;
}
