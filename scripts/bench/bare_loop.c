/* SPDX-License-Identifier: MIT
 * bare_loop BOOTSTRAP IN OUT GROUP [OPTION...] - the yardstick of the benchmark: librdkafka alone
 * copies one topic to another, as a member of a group, by an idempotent producer, until the ends of
 * all partitions. One line of JSON tells what it took; seconds run from the first message to the
 * last acknowledgement.
 *
 *   started=PATH    makes this file when the first message comes
 *   drop            leaves out what the JSON jobs leave out, found by a search for the text
 *   linger=MS       of the producer (20)
 *   follow          goes on at the ends, until SIGTERM, and takes what is there at once
 *   transaction=MS  writes in transactions, with the offsets, and commits this often; the result tells how many there were,
 *                   and how long the loop has waited for acknowledgements, for the offsets and for the end of them */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 1000, TIMEOUT_MS = 60000, WAIT_MS = 100 };

static struct {
    bool drop;
    bool follow;
    int transaction_ms; /* 0 = none */
    const char *linger_ms;
    const char *started; /* NULL = no such file */
} options = {.linger_ms = "20"};

static unsigned long delivered, refused, produced;
static struct {
    unsigned long count;
    double flush_s, offsets_s, end_s; /* of all of them */
} transactions;
static volatile sig_atomic_t stopped;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err)
        refused++;
    else
        delivered++;
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bare_loop: %s\n", what);
    exit(69);
}

static void require_none(rd_kafka_error_t *error)
{
    require(!error, error ? rd_kafka_error_string(error) : "");
}

static void read_options(char **words)
{
    for (; *words; words++) {
        if (strcmp(*words, "drop") == 0)
            options.drop = true;
        else if (strcmp(*words, "follow") == 0)
            options.follow = true;
        else if (strncmp(*words, "linger=", 7) == 0)
            options.linger_ms = *words + 7;
        else if (strncmp(*words, "started=", 8) == 0)
            options.started = *words + 8;
        else if (strncmp(*words, "transaction=", 12) == 0)
            options.transaction_ms = atoi(*words + 12);
        else
            require(0, "an option is started=PATH, drop, follow, linger=MS or transaction=MS");
    }
}

/* Pairs of name and value up to a NULL name; a pair without a value is left out. */
static rd_kafka_t *client_new(rd_kafka_type_t type, const char *const (*settings)[2])
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; (*settings)[0]; settings++)
        require(!(*settings)[1] || rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], text,
                                                     sizeof(text)) == RD_KAFKA_CONF_OK,
                text);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof(text));
    require(client != NULL, text);
    return client;
}

static rd_kafka_t *consumer_new(char **arguments)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", arguments[1]},
        {"group.id", arguments[4]},
        {"auto.offset.reset", "earliest"},
        {"enable.partition.eof", "true"},
        {"enable.auto.commit", options.transaction_ms ? "false" : "true"},
        {"auto.commit.interval.ms", "1000"},
        {"fetch.wait.max.ms", "100"},
        {"queued.max.messages.kbytes", "65536"},
        {"queued.min.messages", "300000"},
        {NULL, NULL}};
    return client_new(RD_KAFKA_CONSUMER, settings);
}

static rd_kafka_t *producer_new(char **arguments)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", arguments[1]},
        {"enable.idempotence", "true"},
        {"linger.ms", options.linger_ms},
        {"batch.num.messages", "10000"},
        {"batch.size", "1000000"},
        {"queue.buffering.max.messages", "100000"},
        {"transactional.id", options.transaction_ms ? arguments[4] : NULL},
        {NULL, NULL}};
    rd_kafka_t *producer = client_new(RD_KAFKA_PRODUCER, settings);
    if (options.transaction_ms) {
        require_none(rd_kafka_init_transactions(producer, TIMEOUT_MS));
        require_none(rd_kafka_begin_transaction(producer));
    }
    return producer;
}

/* Copies one message to the partition of its number; waits for room in the producer's queue. */
static void copy(rd_kafka_t *producer, rd_kafka_topic_t *out, const rd_kafka_message_t *message)
{
    static const char debug[] = "\"level\":\"debug\"";
    if (options.drop && memmem(message->payload, message->len, debug, sizeof(debug) - 1))
        return;
    while (rd_kafka_produce(out, message->partition, RD_KAFKA_MSG_F_COPY, message->payload,
                            message->len, message->key, message->key_len, NULL) != 0) {
        require(rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL, "cannot produce");
        rd_kafka_poll(producer, 10);
    }
    produced++;
}

static int partition_count(rd_kafka_t *client, rd_kafka_topic_t *topic)
{
    const struct rd_kafka_metadata *metadata;
    require(!rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS), "no metadata");
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    require(count > 0, "no such topic");
    return count;
}

/* Commits what was produced and the offsets of what was read, and begins the next transaction. The flush, which the commit
 * would do by itself, is apart to see how long it takes. */
static void commit_transaction(rd_kafka_t *consumer, rd_kafka_t *producer)
{
    rd_kafka_topic_partition_list_t *positions;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
    require(!rd_kafka_assignment(consumer, &positions), "no assignment");
    require(!rd_kafka_position(consumer, positions), "no positions");
    double began = now();
    require(!rd_kafka_flush(producer, TIMEOUT_MS), "not all was acknowledged");
    double flushed = now();
    require_none(rd_kafka_send_offsets_to_transaction(producer, positions, group, TIMEOUT_MS));
    double sent = now();
    require_none(rd_kafka_commit_transaction(producer, TIMEOUT_MS));
    require_none(rd_kafka_begin_transaction(producer));
    transactions.count++;
    transactions.flush_s += flushed - began;
    transactions.offsets_s += sent - flushed;
    transactions.end_s += now() - sent;
    rd_kafka_topic_partition_list_destroy(positions);
    rd_kafka_consumer_group_metadata_destroy(group);
}

/* Takes a batch. A follower waits for one message only, since librdkafka waits for all that were asked for. */
static ssize_t take(rd_kafka_queue_t *queue, rd_kafka_message_t **messages)
{
    if (!options.follow)
        return rd_kafka_consume_batch_queue(queue, WAIT_MS, messages, BATCH);
    ssize_t first = rd_kafka_consume_batch_queue(queue, options.transaction_ms ? 10 : WAIT_MS,
                                                 messages, 1);
    if (first < 1)
        return first;
    ssize_t more = rd_kafka_consume_batch_queue(queue, 0, messages + 1, BATCH - 1);
    return more < 0 ? 1 : 1 + more;
}

static void print_result(unsigned long count, double seconds)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"read\":%lu,\"produced\":%lu,\"seconds\":%.3f,\"cpu_seconds\":%.2f,"
           "\"peak_rss_bytes\":%ld,\"librdkafka\":\"%s\",\"transactions\":%lu,"
           "\"flush_seconds\":%.4f,\"offsets_seconds\":%.4f,\"end_seconds\":%.4f}\n",
           count, produced, seconds,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           usage.ru_maxrss * 1024L, rd_kafka_version_str(), transactions.count,
           transactions.flush_s, transactions.offsets_s, transactions.end_s);
}

static double begin(void)
{
    FILE *file = options.started ? fopen(options.started, "w") : NULL;
    if (file)
        fclose(file);
    return now();
}

/* Reads and copies until the ends of `open` partitions, or for ever; returns the number of messages, and when the first
 * one came. */
static unsigned long loop(rd_kafka_t *consumer, rd_kafka_t *producer, rd_kafka_topic_t *out,
                          int open, double *from)
{
    static rd_kafka_message_t *messages[BATCH];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    unsigned long count = 0;
    double committed = now();
    while ((open > 0 || options.follow) && !stopped) {
        ssize_t got = take(queue, messages);
        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                open--;
            } else if (!messages[i]->err) {
                if (count++ == 0)
                    *from = begin();
                copy(producer, out, messages[i]);
            } else {
                fprintf(stderr, "bare_loop: %s\n", rd_kafka_message_errstr(messages[i]));
            }
            rd_kafka_message_destroy(messages[i]);
        }
        rd_kafka_poll(producer, 0);
        if (options.transaction_ms && count > 0 &&
            now() - committed > options.transaction_ms / 1e3) {
            commit_transaction(consumer, producer);
            committed = now();
        }
    }
    rd_kafka_queue_destroy(queue);
    return count;
}

int main(int argc, char **argv)
{
    require(argc >= 5, "usage: bare_loop BOOTSTRAP IN OUT GROUP [started=PATH] [drop] "
                       "[linger=MS] [follow] [transaction=MS]");
    read_options(argv + 5);
    signal(SIGTERM, on_signal);
    rd_kafka_t *consumer = consumer_new(argv);
    rd_kafka_t *producer = producer_new(argv);
    rd_kafka_topic_t *out = rd_kafka_topic_new(producer, argv[3], NULL);
    rd_kafka_topic_t *in = rd_kafka_topic_new(producer, argv[2], NULL);
    int open = partition_count(producer, in);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    require(!rd_kafka_subscribe(consumer, topics), "cannot subscribe");

    double from = now();
    unsigned long count = loop(consumer, producer, out, open, &from);
    if (options.transaction_ms)
        commit_transaction(consumer, producer);
    require(!rd_kafka_flush(producer, TIMEOUT_MS), "not all was acknowledged");
    double seconds = now() - from;
    require(refused == 0 && delivered == produced, "some messages were refused");
    rd_kafka_consumer_close(consumer);
    print_result(count, seconds);
    return 0;
}
