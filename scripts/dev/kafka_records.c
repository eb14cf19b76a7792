/* SPDX-License-Identifier: MIT
 * Records between Kafka and stdin or stdout, in a form that loses nothing and is quick to read.
 *
 * A field is a netstring, "5:hello,", or "~," for null. A record that is read has the fields
 * partition
 * (-1 = by key), timestamp (ms, 0 = now), key, value, number of headers, then name and value of
 * each; one that is written has partition, offset, timestamp and the same rest. */
#include "kafka_tool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FIELD = 1 << 30, MARKERS_MS = 15000 };

struct field {
    char *data;
    size_t length;
    bool null;
};

static void check_error(rd_kafka_error_t *error, const char *what)
{
    if (error)
        die(69, "%s: %s", what, rd_kafka_error_string(error));
}

static bool read_field(struct field *field)
{
    int byte = getchar();
    size_t length = 0;
    if (byte == EOF)
        return false;
    field->null = byte == '~';
    for (; byte >= '0' && byte <= '9' && length < MAX_FIELD; byte = getchar())
        length = length * 10 + (size_t)(byte - '0');
    field->data = realloc(field->data, length + 1);
    if (byte != (field->null ? '~' : ':') || fread(field->data, 1, length, stdin) != length ||
        getchar() != ',')
        die(64, "not a netstring on stdin");
    field->data[length] = '\0';
    field->length = length;
    return true;
}

static long long read_number(void)
{
    static struct field field;
    if (!read_field(&field))
        die(64, "a record ends early");
    return atoll(field.data);
}

static void *or_null(const struct field *field)
{
    return field->null ? NULL : field->data;
}

static void produce_record(rd_kafka_t *client, const char *topic, long long partition)
{
    static struct field key, value, name, content;
    long long timestamp = read_number();
    read_field(&key);
    read_field(&value);
    long long count = read_number();
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)count);
    while (count-- > 0 && read_field(&name) && read_field(&content))
        rd_kafka_header_add(headers, name.data, -1, or_null(&content), (ssize_t)content.length);
    for (;;) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION((int32_t)partition),
            RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_KEY(or_null(&key), key.length),
            RD_KAFKA_V_VALUE(or_null(&value), value.length), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (!error)
            return;
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            check(error, topic);
        rd_kafka_poll(client, 100);
    }
}

int produce(char **arguments)
{
    char id[64];
    struct field partition = {0};
    bool transaction = arguments[1];
    snprintf(id, sizeof(id), "kafka-tool-%d", (int)getpid());
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, "enable.idempotence", "true", "linger.ms",
                                    "5", "partitioner", "murmur2_random",
                                    transaction ? "transactional.id" : NULL, id, NULL);
    if (transaction) {
        check_error(rd_kafka_init_transactions(client, TIMEOUT_MS), "init_transactions");
        check_error(rd_kafka_begin_transaction(client), "begin_transaction");
    }
    while (read_field(&partition)) {
        produce_record(client, arguments[0], atoll(partition.data));
        rd_kafka_poll(client, 0);
    }
    check(rd_kafka_flush(client, TIMEOUT_MS), "flush");
    if (transaction && strcmp(arguments[1], "abort") == 0)
        check_error(rd_kafka_abort_transaction(client, TIMEOUT_MS), "abort_transaction");
    else if (transaction && strcmp(arguments[1], "commit") == 0)
        check_error(rd_kafka_commit_transaction(client, TIMEOUT_MS), "commit_transaction");
    return failed_deliveries ? 69 : 0;
}

/* What is before the first tab is the key. */
static size_t key_length(const char *line, size_t length)
{
    const char *tab = memchr(line, '\t', length);
    if (!tab)
        die(64, "no key: %.*s", (int)length, line);
    return (size_t)(tab - line);
}

int fill(char **arguments)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool keyed = arguments[1] && strcmp(arguments[1], "keys") == 0;
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, "enable.idempotence", "true", "linger.ms",
                                    "20", NULL);
    int32_t partitions = partitions_of(client, arguments[0])->cnt, partition = 0;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, arguments[0], NULL);
    while ((length = getline(&line, &room, stdin)) > 0) {
        length -= line[length - 1] == '\n';
        size_t key = keyed ? key_length(line, (size_t)length) : 0, value = keyed ? key + 1 : 0;
        while (rd_kafka_produce(topic, keyed ? RD_KAFKA_PARTITION_UA : partition,
                                RD_KAFKA_MSG_F_COPY, line + value, (size_t)length - value,
                                keyed ? line : NULL, key, NULL)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                check(rd_kafka_last_error(), arguments[0]);
            rd_kafka_poll(client, 100);
        }
        partition = (partition + 1) % partitions;
        rd_kafka_poll(client, 0);
    }
    check(rd_kafka_flush(client, TIMEOUT_MS), "flush");
    return failed_deliveries ? 69 : 0;
}

static void write_field(const void *data, size_t length)
{
    if (data) {
        printf("%zu:", length);
        fwrite(data, 1, length, stdout);
        putchar(',');
    } else {
        fputs("~,", stdout);
    }
}

static void write_number(long long number)
{
    char digits[24];
    write_field(digits, (size_t)snprintf(digits, sizeof(digits), "%lld", number));
}

static void write_record(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name;
    const void *value;
    size_t length;
    write_number(message->partition);
    write_number(message->offset);
    write_number(rd_kafka_message_timestamp(message, NULL));
    write_field(message->key, message->key_len);
    write_field(message->payload, message->len);
    rd_kafka_message_headers(message, &headers);
    write_number(headers ? (long long)rd_kafka_header_cnt(headers) : 0);
    for (size_t i = 0; headers && !rd_kafka_header_get_all(headers, i, &name, &value, &length);
         i++) {
        write_field(name, strlen(name));
        write_field(value, length);
    }
}

/* Writes the record out, or keeps the end of its partition (in `offset`; `opaque` is set once it was seen). */
static bool consumed(rd_kafka_topic_partition_list_t *list, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
            list, rd_kafka_topic_name(message->rkt), message->partition);
        if (at) {
            at->opaque = at;
            at->offset = message->offset;
        }
    } else if (!message->err) {
        write_record(message);
        return true;
    } else if (message->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
               message->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        check(message->err, rd_kafka_message_errstr(message));
    }
    return false;
}

/* A partition is read when its last record has been seen. A transaction hides its records, and all that stand after
 * them, until its markers are written, which a coordinator does after it has answered the commit: so a reader that is
 * at its end before the high watermark waits, for as long as brokers write markers late; a transaction that is open
 * for longer was left so. */
static bool is_read(rd_kafka_t *client, const char *topic,
                    const rd_kafka_topic_partition_t *partition, bool waited)
{
    int64_t low, high;
    if (!partition->opaque)
        return false;
    rd_kafka_resp_err_t error = rd_kafka_get_watermark_offsets(client, topic, partition->partition,
                                                               &low, &high);
    return waited || (!error && partition->offset >= high);
}

static int unread(rd_kafka_t *client, const char *topic,
                  const rd_kafka_topic_partition_list_t *list, bool waited)
{
    int count = 0;
    for (int i = 0; i < list->cnt; i++)
        count += !is_read(client, topic, &list->elems[i], waited);
    return count;
}

int consume(char **arguments)
{
    long long wanted = arguments[1] ? atoll(arguments[1]) : 0, count = 0;
    double began = now();
    double deadline = began +
                      (wanted > 0 && arguments[2] ? atof(arguments[2]) : 2 * TIMEOUT_MS / 1e3);
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, "group.id", "kafka-tool",
                                    "enable.auto.commit", "false", "enable.partition.eof", "true",
                                    "auto.offset.reset", "earliest", "fetch.message.max.bytes",
                                    "67108864", "fetch.wait.max.ms", "10", NULL);
    rd_kafka_topic_partition_list_t *list = partitions_of(client, arguments[0]);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    int open = list->cnt;
    check(rd_kafka_assign(client, list), "assign");
    while ((open > 0 || count < wanted) && now() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        bool waited = wanted > 0 || now() > began + MARKERS_MS / 1e3;
        count += message && consumed(list, message);
        if (!message || message->err)
            open = unread(client, arguments[0], list, waited);
        if (message)
            rd_kafka_message_destroy(message);
    }
    if (open > 0 && wanted == 0)
        die(69, "%s: the ends of %d partitions were not reached", arguments[0], open);
    return 0;
}

/* Writes the record out; true when it was the last one wanted of its partition, or that one is at its end. */
static bool sampled(rd_kafka_topic_partition_list_t *list, const rd_kafka_message_t *message,
                    long long wanted)
{
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
        list, rd_kafka_topic_name(message->rkt), message->partition);
    if (!at || at->offset >= wanted)
        return false;
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return false;
    if (!message->err)
        write_record(message);
    at->offset = message->err ? wanted : at->offset + 1;
    return at->offset == wanted;
}

int sample(char **arguments)
{
    long long wanted = atoll(arguments[1]);
    double deadline = now() + TIMEOUT_MS / 1e3;
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, "group.id", "kafka-tool",
                                    "enable.auto.commit", "false", "enable.partition.eof", "true",
                                    "auto.offset.reset", "earliest", "fetch.wait.max.ms", "10",
                                    "fetch.message.max.bytes", "65536", NULL);
    rd_kafka_topic_partition_list_t *list = partitions_of(client, arguments[0]);
    int open = wanted > 0 ? list->cnt : 0;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    check(rd_kafka_assign(client, list), "assign");
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = 0; /* from now on the number of those written */
    while (open > 0 && now() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (!message)
            continue;
        open -= message->rkt && sampled(list, message, wanted);
        rd_kafka_message_destroy(message);
    }
    if (open > 0)
        die(69, "%s: %d partitions were not sampled", arguments[0], open);
    return 0;
}
