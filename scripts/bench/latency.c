/* SPDX-License-Identifier: MIT
 * latency BOOTSTRAP IN OUT RATE WARMUP SECONDS - writes RATE messages a second to IN, reads OUT, to which something
 * else copies them, and prints one line of JSON: the percentiles of the time from the moment at which a message was due
 * to be produced to the moment at which it was consumed.
 *
 * A message counts from the time at which it was due and not from the time at which it was sent, so a stall is not
 * hidden by what was not sent meanwhile. Those of the first WARMUP seconds do not count, nor those that are sent until
 * the first one has come through. Messages that are due go out every half millisecond, with a linger of 1 ms. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 270, BATCH = 1000, TIMEOUT_MS = 60000, READY_S = 60, REST_S = 30 };
static const int64_t SECOND = 1000000000, TICK = 500000, PROBE = 200000000;

static struct {
    int64_t *list; /* of those that count, in ns */
    size_t room;
    atomic_size_t count;
    _Atomic int64_t from; /* messages that were due before do not count */
    atomic_ulong received;
    atomic_bool stop;
} seen;

static unsigned long refused;

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "latency: %s\n", what);
    exit(69);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

static void sleep_until(int64_t at)
{
    struct timespec time = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    refused += message->err != 0;
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

static int partition_count(rd_kafka_t *client, rd_kafka_topic_t *topic)
{
    const struct rd_kafka_metadata *metadata;
    require(!rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS), "no metadata");
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    require(count > 0, "no such topic");
    return count;
}

/* ---- the consumer, in a thread of its own ---- */

static void note(const rd_kafka_message_t *message, int64_t at)
{
    require(message->len == SIZE, "a message that is none of these has come");
    int64_t due = strtoll((const char *)message->payload + 9, NULL, 10);
    size_t count = seen.count;
    if (due >= seen.from && count < seen.room) {
        seen.list[count] = at - due;
        seen.count = count + 1;
    }
    seen.received++;
}

/* Waits for one message, then takes what is there: librdkafka waits for as many as it is asked for. */
static void *consume(void *client)
{
    static rd_kafka_message_t *messages[BATCH];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    while (!seen.stop) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, 1);
        if (got == 1)
            got += rd_kafka_consume_batch_queue(queue, 0, messages + 1, BATCH - 1);
        int64_t at = now();
        for (ssize_t i = 0; i < got; i++) {
            if (!messages[i]->err)
                note(messages[i], at);
            rd_kafka_message_destroy(messages[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    return NULL;
}

static rd_kafka_t *consumer_new(char **arguments)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", arguments[1]}, {"group.id", "latency"},
        {"enable.auto.commit", "false"},     {"isolation.level", "read_committed"},
        {"auto.offset.reset", "earliest"},   {NULL, NULL}};
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, settings);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, arguments[3], NULL);
    int count = partition_count(client, topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_add_range(list, arguments[3], 0, count - 1);
    for (int i = 0; i < count; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    require(!rd_kafka_assign(client, list), "cannot assign");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(topic);
    return client;
}

/* ---- the producer ---- */

struct sender {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    int partitions;
    unsigned long sent;
};

static struct sender sender_new(char **arguments)
{
    const char *const settings[][2] = {{"bootstrap.servers", arguments[1]},
                                       {"enable.idempotence", "true"},
                                       {"linger.ms", "1"},
                                       {NULL, NULL}};
    struct sender sender = {.client = client_new(RD_KAFKA_PRODUCER, settings)};
    sender.topic = rd_kafka_topic_new(sender.client, arguments[2], NULL);
    sender.partitions = partition_count(sender.client, sender.topic);
    return sender;
}

static void send_one(struct sender *sender, int64_t due)
{
    char text[SIZE + 1];
    int head = snprintf(text, sizeof(text), "{\"sent\":\"%020lld\",\"text\":\"", (long long)due);
    memset(text + head, 't', (size_t)(SIZE - head - 2));
    memcpy(text + SIZE - 2, "\"}", 2);
    int32_t partition = (int32_t)(sender->sent % (unsigned long)sender->partitions);
    require(
        !rd_kafka_produce(sender->topic, partition, RD_KAFKA_MSG_F_COPY, text, SIZE, NULL, 0, NULL),
        "librdkafka's queue is full: this rate is too high for the broker");
    sender->sent++;
}

/* Sends a message to each partition now and then, until one has come through. */
static void wait_until_ready(struct sender *sender)
{
    int64_t until = now() + READY_S * SECOND;
    while (seen.received == 0) {
        require(now() < until, "no message came through");
        for (int i = 0; i < sender->partitions; i++)
            send_one(sender, now());
        rd_kafka_poll(sender->client, 0);
        sleep_until(now() + PROBE);
    }
}

/* Returns how late the latest message was handed to librdkafka, in ns. */
static int64_t send_all(struct sender *sender, double rate, int64_t from, int64_t seconds)
{
    uint64_t total = (uint64_t)(rate * (double)seconds);
    int64_t latest = 0;
    for (uint64_t sent = 0; sent < total;) {
        int64_t at = now();
        for (; sent < total; sent++) {
            int64_t due = from + (int64_t)((double)sent / rate * 1e9);
            if (due > at)
                break;
            latest = at - due > latest ? at - due : latest;
            send_one(sender, due);
        }
        rd_kafka_poll(sender->client, 0);
        sleep_until(at + TICK);
    }
    return latest;
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static double at_share(double share)
{
    size_t index = (size_t)(share * (double)seen.count);
    return (double)seen.list[index < seen.count ? index : seen.count - 1] / 1e6;
}

int main(int argc, char **argv)
{
    require(argc == 7, "usage: latency BOOTSTRAP IN OUT RATE WARMUP SECONDS");
    double rate = atof(argv[4]);
    int64_t warmup = atoll(argv[5]), seconds = atoll(argv[6]);
    require(rate >= 1 && seconds >= 1, "RATE and SECONDS are at least 1");
    seen.room = (size_t)(rate * (double)seconds) + 1;
    seen.list = malloc(seen.room * sizeof(*seen.list));
    require(seen.list != NULL, "no memory");
    seen.from = INT64_MAX;
    rd_kafka_t *consumer = consumer_new(argv);
    struct sender sender = sender_new(argv);
    pthread_t thread;
    require(!pthread_create(&thread, NULL, consume, consumer), "no thread");

    wait_until_ready(&sender);
    int64_t from = now();
    seen.from = from + warmup * SECOND;
    int64_t latest = send_all(&sender, rate, from, warmup + seconds);
    int64_t until = now() + REST_S * SECOND;
    while (seen.received < sender.sent && now() < until)
        rd_kafka_poll(sender.client, 10);
    seen.stop = true;
    pthread_join(thread, NULL);
    require(refused == 0, "some messages were refused");
    require(seen.count > 0, "no message has come");
    qsort(seen.list, seen.count, sizeof(*seen.list), compare);
    printf("{\"rate\":%.0f,\"sent\":%lu,\"received\":%lu,\"measured\":%zu,\"p50_ms\":%.3f,\"p99_"
           "ms\":%.3f,"
           "\"p999_ms\":%.3f,\"max_ms\":%.3f,\"late_ms\":%.3f}\n",
           rate, sender.sent, (unsigned long)seen.received, (size_t)seen.count, at_share(0.5),
           at_share(0.99), at_share(0.999), at_share(1), (double)latest / 1e6);
    return 0;
}
