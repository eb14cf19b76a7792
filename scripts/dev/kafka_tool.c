/* SPDX-License-Identifier: MIT
 * kafka_tool BOOTSTRAP VERB ... - what specs ask of a Kafka, in a process of its own.
 *
 * Librdkafka's threads would forbid the fork of the engine's zygote, so a spec never holds a
 * client: it runs this program (spec/support/kafka.lua).
 *
 *   wait SECONDS                          until a broker answers
 *   create-topic NAME PARTITIONS [property=value...]
 *   add-partitions NAME TOTAL
 *   delete-topic NAME
 *   produce TOPIC [commit|abort|open]     records from stdin; in a transaction when told its end
 *   fill TOPIC [keys]                     lines from stdin, values without keys, partitions in turn; or
 *                                         key, tab, value, and the partition by the key
 *   consume TOPIC [COUNT SECONDS]         records to stdout: what is committed up to the present
 *                                         ends, and on until there are COUNT or SECONDS are over
 *   sample TOPIC COUNT                    the first COUNT records of each partition to stdout
 *   committed GROUP TOPIC                 lines "partition offset"
 *   commit GROUP TOPIC PARTITION:OFFSET...
 *   ends TOPIC [read_uncommitted]         lines "partition low high"
 *   delete-records TOPIC PARTITION:OFFSET...
 *   allow USER topic|group NAME read|write|describe   NAME * is all of them
 *   forbid USER topic|group NAME read|write|describe  what was allowed so
 *   set-broker ID property=value...       its settings that were set so before go
 *
 * kafka_records.c tells the form of a record; kafka_brokers.c has what is set on brokers.
 * Exit code: 0; 64 usage; 69 the broker refused or did not answer (text on stderr). */
#include "kafka_tool.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *bootstrap;
unsigned long failed_deliveries;

void die(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kafka_tool: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(code);
}

void check(rd_kafka_resp_err_t error, const char *what)
{
    if (error)
        die(69, "%s: %s", what, rd_kafka_err2str(error));
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Pauses before one more try; dies with the error where `again` is false, and when the deadline is over. */
static void try_again(bool again, double deadline, rd_kafka_resp_err_t error, const char *what)
{
    if (!again || now() > deadline)
        check(error, what);
    usleep(10000);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err && failed_deliveries++ == 0)
        fprintf(stderr, "kafka_tool: not delivered: %s\n", rd_kafka_err2str(message->err));
}

/* A client of `type` with pairs of property and value up to a NULL. */
rd_kafka_t *client_new(rd_kafka_type_t type, ...)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    va_list pairs;
    va_start(pairs, type);
    for (const char *name = "bootstrap.servers", *value = bootstrap; name;) {
        if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
            die(64, "%s", text);
        name = va_arg(pairs, const char *);
        value = name ? va_arg(pairs, const char *) : NULL;
    }
    va_end(pairs);
    rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", NULL, 0);
    rd_kafka_conf_set(conf, "message.max.bytes", "67108864", NULL, 0);
    rd_kafka_conf_set_log_cb(conf, NULL);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof(text));
    if (!client)
        die(64, "%s", text);
    return client;
}

/* Number of partitions that have a leader, of `*all`; 0 when the topic is not there. */
static int partitions_ready(rd_kafka_t *client, const char *topic, int *all)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    int ready = 0;
    *all = 0;
    if (!rd_kafka_metadata(client, 0, handle, &metadata, TIMEOUT_MS)) {
        *all = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        for (int i = 0; i < *all; i++)
            ready += metadata->topics[0].partitions[i].leader >= 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return ready;
}

/* A broker on a busy machine does not count as one for a moment: then its partitions have no leader until it is back. */
rd_kafka_topic_partition_list_t *partitions_of(rd_kafka_t *client, const char *topic)
{
    double deadline = now() + TIMEOUT_MS / 1000.0;
    int count;
    while (partitions_ready(client, topic, &count) < count)
        try_again(true, deadline, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, topic);
    if (count == 0)
        die(69, "no such topic: %s", topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_add_range(list, topic, 0, count - 1);
    return list;
}

/* From arguments "partition:offset". */
static rd_kafka_topic_partition_list_t *partitions_parse(const char *topic, char **arguments)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (; *arguments; arguments++) {
        int partition;
        long long offset;
        if (sscanf(*arguments, "%d:%lld", &partition, &offset) != 2)
            die(64, "not partition:offset: %s", *arguments);
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    }
    return list;
}

static int wait_until_answers(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    double deadline = now() + atof(arguments[0]);
    bool answered = false;
    while (!answered && now() < deadline) {
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(client, 0, NULL, &metadata, 200))
            continue;
        answered = metadata->broker_cnt > 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (!answered)
        die(69, "no answer from %s", bootstrap);
    return 0;
}

/* The result of the one admin request on `queue`: what failed as a whole, or of its first topic. */
static rd_kafka_resp_err_t admin_result(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    const rd_kafka_topic_result_t **results = NULL;
    size_t count = 0;
    if (!event)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (rd_kafka_event_CreateTopics_result(event))
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
                                                      &count);
    else if (rd_kafka_event_DeleteTopics_result(event))
        results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
                                                      &count);
    else if (rd_kafka_event_CreatePartitions_result(event))
        results = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &count);
    for (size_t i = 0; i < count && !error; i++)
        error = rd_kafka_topic_result_error(results[i]);
    rd_kafka_event_destroy(event);
    return error;
}

void admin_wait(rd_kafka_queue_t *queue)
{
    check(admin_result(queue), "admin request");
}

static void wait_for_partitions(rd_kafka_t *client, const char *topic, int count)
{
    double deadline = now() + TIMEOUT_MS / 1000.0;
    int all;
    while (partitions_ready(client, topic, &all) != count)
        try_again(true, deadline, RD_KAFKA_RESP_ERR__TIMED_OUT, topic);
}

/* A broker on a busy machine, or one that was stopped for a while, may cut the connection or not answer: whether the
 * topic was made is learned by asking again. Or it does not count as a broker for a moment, and has no replica. */
static void create(rd_kafka_t *client, rd_kafka_NewTopic_t *topic, const char *name)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client,
                                                                 RD_KAFKA_ADMIN_OP_CREATETOPICS);
    double deadline = now() + TIMEOUT_MS / 1000.0;
    bool unsure = false;
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS / 5, NULL, 0);
    for (;;) {
        rd_kafka_CreateTopics(client, &topic, 1, options, queue);
        rd_kafka_resp_err_t error = admin_result(queue);
        bool unanswered = error == RD_KAFKA_RESP_ERR__TRANSPORT ||
                          error == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                          error == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
        if (unsure && error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return;
        bool again = unanswered || error == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR;
        if (!again || now() > deadline) {
            check(error, name);
            return;
        }
        unsure |= unanswered;
        usleep(100000);
    }
}

static int create_topic(char **arguments)
{
    char text[512];
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    int count = atoi(arguments[1]);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(arguments[0], count, 1, text, sizeof(text));
    if (!topic)
        die(64, "%s", text);
    for (char **property = arguments + 2; *property; property++) {
        char *equals = strchr(*property, '=');
        if (!equals)
            die(64, "not property=value: %s", *property);
        *equals = '\0';
        check(rd_kafka_NewTopic_set_config(topic, *property, equals + 1), *property);
    }
    create(client, topic, arguments[0]);
    wait_for_partitions(client, arguments[0], count);
    return 0;
}

static int add_partitions(char **arguments)
{
    char text[512];
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    int total = atoi(arguments[1]);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(arguments[0], (size_t)total, text,
                                                                sizeof(text));
    if (!more)
        die(64, "%s", text);
    rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
    admin_wait(queue);
    wait_for_partitions(client, arguments[0], total);
    return 0;
}

static int delete_topic(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(arguments[0]);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    admin_wait(queue);
    wait_for_partitions(client, arguments[0], 0); /* until then it still takes messages */
    return 0;
}

static int delete_records(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(
        partitions_parse(arguments[0], arguments + 1));
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    admin_wait(queue);
    return 0;
}

/* The group's coordinator moves, or reads its log first, when a broker is new or does not count as one for a moment. */
static bool coordinator_is_away(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           error == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           error == RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
}

/* The first error of the answer: of all of it, or of a partition. */
static rd_kafka_resp_err_t ask_committed(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t error = rd_kafka_committed(client, list, TIMEOUT_MS);
    for (int i = 0; i < list->cnt && !error; i++)
        error = list->elems[i].err;
    return error;
}

/* An offset of a transaction is unstable from its end until its marker is in the topic of the offsets. */
static int committed(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, "group.id", arguments[0], NULL);
    rd_kafka_topic_partition_list_t *list = partitions_of(client, arguments[1]);
    double deadline = now() + TIMEOUT_MS / 1000.0;
    rd_kafka_resp_err_t error;
    while ((error = ask_committed(client, list)) != 0)
        try_again(coordinator_is_away(error) || error == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
                  deadline, error, "committed");
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset >= 0)
            printf("%d %lld\n", list->elems[i].partition, (long long)list->elems[i].offset);
    return 0;
}

/* A group that has members does not know this one, and a member's leave may come after its process has ended. */
static int commit(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, "group.id", arguments[0], NULL);
    rd_kafka_topic_partition_list_t *list = partitions_parse(arguments[1], arguments + 2);
    double deadline = now() + TIMEOUT_MS / 1000.0;
    rd_kafka_resp_err_t error;
    while ((error = rd_kafka_commit(client, list, 0)) != 0)
        try_again(coordinator_is_away(error) || error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
                  deadline, error, "commit");
    return 0;
}

/* It may have been the leader when it was asked who is, and be none any more: see partitions_of(). */
static void ends_of(rd_kafka_t *client, const char *topic, int partition, int64_t *low,
                    int64_t *high)
{
    double deadline = now() + TIMEOUT_MS / 1000.0;
    rd_kafka_resp_err_t error;
    while ((error = rd_kafka_query_watermark_offsets(client, topic, partition, low, high,
                                                     TIMEOUT_MS)) != 0)
        try_again(error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                      error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                  deadline, error, topic);
}

static int ends(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, "group.id", "kafka-tool", "isolation.level",
                                    arguments[1] ? arguments[1] : "read_committed", NULL);
    rd_kafka_topic_partition_list_t *list = partitions_of(client, arguments[0]);
    for (int i = 0; i < list->cnt; i++) {
        int64_t low, high;
        ends_of(client, arguments[0], i, &low, &high);
        printf("%d %lld %lld\n", i, (long long)low, (long long)high);
    }
    return 0;
}

static const struct {
    const char *name;
    int arguments;
    int (*run)(char **arguments);
} verbs[] = {
    {"wait", 1, wait_until_answers},
    {"create-topic", 2, create_topic},
    {"add-partitions", 2, add_partitions},
    {"delete-topic", 1, delete_topic},
    {"produce", 1, produce},
    {"fill", 1, fill},
    {"consume", 1, consume},
    {"sample", 2, sample},
    {"committed", 2, committed},
    {"commit", 3, commit},
    {"ends", 1, ends},
    {"delete-records", 2, delete_records},
    {"allow", 4, allow},
    {"forbid", 4, forbid},
    {"set-broker", 2, set_broker},
};

int main(int count, char **arguments)
{
    for (size_t i = 0; count > 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(arguments[2], verbs[i].name) != 0 || count - 3 < verbs[i].arguments)
            continue;
        bootstrap = arguments[1];
        int code = verbs[i].run(arguments + 3);
        if (fflush(stdout) != 0)
            die(69, "cannot write to stdout");
        /* Everything was acknowledged, so the clients' orderly farewell would only cost time. */
        _exit(code);
    }
    fputs("usage: kafka_tool BOOTSTRAP VERB ... (see the head of kafka_tool.c)\n", stderr);
    return 64;
}
