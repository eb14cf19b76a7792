/* SPDX-License-Identifier: MIT
 * bare_loop BOOTSTRAP IN OUT GROUP - the yardstick of the benchmark: librdkafka alone copies one
 * topic to another, as a member of a group, by an idempotent producer, until the ends of all
 * partitions. One line of JSON tells what it took; seconds run from the first message to the last
 * acknowledgement. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 1000, TIMEOUT_MS = 60000 };

static unsigned long delivered, refused;

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

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bare_loop: %s\n", what);
    exit(69);
}

static rd_kafka_t *client_new(rd_kafka_type_t type, const char *const (*settings)[2])
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; (*settings)[0]; settings++)
        require(rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], text, sizeof(text)) ==
                    RD_KAFKA_CONF_OK,
                text);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof(text));
    require(client != NULL, text);
    return client;
}

/* Copies one message to the partition of its number; waits for room in the producer's queue. */
static void copy(rd_kafka_t *producer, rd_kafka_topic_t *out, const rd_kafka_message_t *message)
{
    while (rd_kafka_produce(out, message->partition, RD_KAFKA_MSG_F_COPY, message->payload,
                            message->len, message->key, message->key_len, NULL) != 0) {
        require(rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL, "cannot produce");
        rd_kafka_poll(producer, 10);
    }
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

static void print_result(unsigned long count, double seconds)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"read\":%lu,\"seconds\":%.3f,\"cpu_seconds\":%.2f,\"peak_rss_bytes\":%ld,"
           "\"librdkafka\":\"%s\"}\n",
           count, seconds,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           usage.ru_maxrss * 1024L, rd_kafka_version_str());
}

int main(int argc, char **argv)
{
    require(argc == 5, "usage: bare_loop BOOTSTRAP IN OUT GROUP");
    const char *const consumer_settings[][2] = {{"bootstrap.servers", argv[1]},
                                                {"group.id", argv[4]},
                                                {"auto.offset.reset", "earliest"},
                                                {"enable.partition.eof", "true"},
                                                {"auto.commit.interval.ms", "1000"},
                                                {"fetch.wait.max.ms", "100"},
                                                {"queued.max.messages.kbytes", "65536"},
                                                {"queued.min.messages", "300000"},
                                                {NULL, NULL}};
    const char *const producer_settings[][2] = {{"bootstrap.servers", argv[1]},
                                                {"enable.idempotence", "true"},
                                                {"linger.ms", "20"},
                                                {"batch.num.messages", "10000"},
                                                {"batch.size", "1000000"},
                                                {"queue.buffering.max.messages", "100000"},
                                                {NULL, NULL}};
    rd_kafka_t *consumer = client_new(RD_KAFKA_CONSUMER, consumer_settings);
    rd_kafka_t *producer = client_new(RD_KAFKA_PRODUCER, producer_settings);
    rd_kafka_topic_t *out = rd_kafka_topic_new(producer, argv[3], NULL);
    rd_kafka_topic_t *in = rd_kafka_topic_new(producer, argv[2], NULL);
    int open = partition_count(producer, in);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    require(!rd_kafka_subscribe(consumer, topics), "cannot subscribe");
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);

    unsigned long count = 0;
    double from = 0;
    static rd_kafka_message_t *messages[BATCH];
    while (open > 0) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                open--;
            } else if (!messages[i]->err) {
                from = count++ ? from : now();
                copy(producer, out, messages[i]);
            } else {
                fprintf(stderr, "bare_loop: %s\n", rd_kafka_message_errstr(messages[i]));
            }
            rd_kafka_message_destroy(messages[i]);
        }
        rd_kafka_poll(producer, 0);
    }
    require(!rd_kafka_flush(producer, TIMEOUT_MS), "not all was acknowledged");
    double seconds = now() - from;
    require(refused == 0 && delivered == count, "some messages were refused");
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer);
    print_result(count, seconds);
    return 0;
}
