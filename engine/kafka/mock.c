/* SPDX-License-Identifier: MIT
 * A Kafka in this process. One client holds librdkafka's mock cluster and feeds lines to it, another one reads what
 * arrives in the output; the engine's own clients are like those on a real Kafka. The mock forgets the oldest
 * messages of a partition beyond 5 MB or 100,000, so nothing may get far ahead of its reader: the feeder waits for
 * the engine and for the drain. Start reading at tide_mock_turn. */
#include "kafka/mock.h"

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "base/status.h"
#include "base/text.h"
#include "kafka/client.h"

enum {
    AHEAD_BYTES = 2 * 1048576, /* fed and not complete; a partition has a part of it */
    OVERHEAD = 70, /* bytes of a message beside its value, so that short lines count too */
    READ_SIZE = 1 << 16,
    ASK_MS = 1000,
    LEAVE_MS = 1000
};

struct feed {
    char *path;
    int fd; /* -1 = none */
    bool over;
    rd_kafka_topic_t *topic;
    uint32_t partitions;
    struct tide_text text; /* read and not fed, from `at` on */
    size_t at;
    uint64_t fed;
    uint64_t acknowledged;
    uint64_t complete;
    uint32_t *sizes; /* ring: of the messages complete .. fed */
    uint32_t room;
    uint64_t ahead; /* their sum */
};

struct drain {
    char *path;
    int fd; /* -1 = none */
    rd_kafka_t *client;
    rd_kafka_topic_partition_list_t *list; /* offset: of the next message to come */
    struct tide_text text;                 /* to be written */
    uint64_t count;
};

struct tide_mock {
    rd_kafka_t *client;
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_queue_t *reports;
    struct feed feed;
    struct drain drain;
};

/* Not by tide_kafka_conf_new(): these clients are ours, and need a property that a pipeline file may not set
 * (test.mock.num.brokers). */
static rd_kafka_t *make_client(enum tide_kafka_client_type type,
                               const struct tide_property *settings)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; settings->name; settings++)
        rd_kafka_conf_set(conf, settings->name, settings->value, NULL, 0);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    return tide_kafka_client_new(type, conf, "mock Kafka");
}

/* The cluster belongs to the client that has the property, and ends with it. */
struct tide_mock *tide_mock_new(uint32_t brokers)
{
    char count[16];
    const struct tide_property settings[] = {{"test.mock.num.brokers", count},
                                             {"client.id", "tidemill-feed"},
                                             {"linger.ms", "5"},
                                             {"queue.buffering.max.messages", "1000000"},
                                             {"log_level", "3"},
                                             {NULL, NULL}};
    struct tide_mock *mock = tide_alloc(sizeof(*mock));
    mock->feed.fd = mock->drain.fd = -1;
    snprintf(count, sizeof(count), "%u", brokers);
    mock->client = make_client(TIDE_KAFKA_PRODUCER, settings);
    mock->cluster = mock->client ? rd_kafka_handle_mock_cluster(mock->client) : NULL;
    if (!mock->cluster) {
        tide_mock_free(mock);
        return NULL;
    }
    mock->reports = rd_kafka_queue_get_main(mock->client);
    return mock;
}

const char *tide_mock_brokers(const struct tide_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

/* To be made before any client asks for it: the mock cluster would make the topic itself then, with a number of
 * partitions of its own. */
int tide_mock_topic(struct tide_mock *mock, const char *name, uint32_t partitions)
{
    rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(mock->cluster, name, (int)partitions, 1);
    return error ? tide_fail(TIDE_EINTERNAL, "mock Kafka: topic \"%s\": %s", name,
                             rd_kafka_err2str(error))
                 : TIDE_OK;
}

/* ---- feed ---- */

/* The file is opened here and not by the first turn, so that a wrong path is an error of the start. */
int tide_mock_feed(struct tide_mock *mock, const char *topic, uint32_t partitions, const char *path)
{
    struct feed *feed = &mock->feed;
    feed->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (feed->fd < 0)
        return tide_fail(TIDE_ENOINPUT, "cannot open %s: %s", path, strerror(errno));
    feed->path = tide_copy(path);
    feed->partitions = partitions;
    feed->topic = rd_kafka_topic_new(mock->client, topic, NULL);
    return TIDE_OK;
}

/* The limit is one of bytes, as the mock's is, so the sizes of the messages on their way have to be known. */
static void remember_size(struct feed *feed, uint32_t size)
{
    uint64_t waiting = feed->fed - feed->complete;
    if (waiting == feed->room) { /* a power of two; the ring is laid out anew */
        uint32_t room = feed->room ? feed->room * 2 : 1024;
        uint32_t *sizes = tide_alloc(room * sizeof(*sizes));
        for (uint64_t i = feed->complete; i < feed->fed; i++)
            sizes[i % room] = feed->sizes[i & (feed->room - 1)];
        free(feed->sizes);
        feed->sizes = sizes;
        feed->room = room;
    }
    feed->sizes[feed->fed & (feed->room - 1)] = size;
    feed->ahead += size;
}

/* The engine counts messages of all partitions together, which is exact enough: it finishes them about in the order of
 * feeding. */
static void forget_sizes(struct feed *feed, uint64_t complete)
{
    for (; feed->complete < complete && feed->complete < feed->fed; feed->complete++)
        feed->ahead -= feed->sizes[feed->complete & (feed->room - 1)];
}

/* Reads without waiting. True when a line may be there now. It polls first, since standard input may be a terminal or
 * a pipe, and the engine's loop must not stop for that. */
static bool read_some(struct feed *feed, int *status)
{
    struct pollfd look = {.fd = feed->fd, .events = POLLIN};
    char bytes[READ_SIZE];
    if (feed->over || poll(&look, 1, 0) <= 0)
        return false;
    /* What is left is the beginning of a line. It moves to the front, or the buffer would grow with the input. */
    if (feed->at > 0) {
        feed->text.length -= feed->at;
        memmove(feed->text.data, feed->text.data + feed->at, feed->text.length);
        feed->at = 0;
    }
    ssize_t count = read(feed->fd, bytes, sizeof(bytes));
    if (count < 0 && errno != EINTR && errno != EAGAIN)
        *status = tide_fail(TIDE_ENOINPUT, "cannot read %s: %s", feed->path, strerror(errno));
    if (count == 0)
        feed->over = true;
    if (count > 0)
        tide_text_append(&feed->text, bytes, (size_t)count);
    return count >= 0;
}

/* The next line, or the rest of the input. False when it is not complete yet. A line without an end waits for more,
 * and the last line of a file need not have one. */
static bool next_line(struct feed *feed, const char **line, size_t *length, size_t *size)
{
    size_t left = feed->text.length - feed->at;
    if (left == 0)
        return false;
    *line = feed->text.data + feed->at;
    const char *newline = memchr(*line, '\n', left);
    if (!newline && !feed->over)
        return false;
    *length = newline ? (size_t)(newline - *line) : left;
    *size = *length + (newline != NULL);
    return true;
}

/* A line stays in the buffer until librdkafka has taken it; when its queue is full, the next turn goes on there. */
static int feed_lines(struct tide_mock *mock)
{
    struct feed *feed = &mock->feed;
    const char *line;
    size_t length;
    size_t size;
    int status = TIDE_OK;
    while (feed->ahead < AHEAD_BYTES && status == TIDE_OK) {
        if (!next_line(feed, &line, &length, &size)) {
            if (!read_some(feed, &status))
                break;
            continue;
        }
        /* It is copied, since the buffer moves when more is read. */
        rd_kafka_resp_err_t error = rd_kafka_producev(
            mock->client, RD_KAFKA_V_RKT(feed->topic),
            RD_KAFKA_V_PARTITION((int32_t)(feed->fed % feed->partitions)),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)line, length),
            RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            break;
        if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            return tide_fail(TIDE_EDATA,
                             "line %llu of %s has %zu bytes, more than the mock Kafka takes in a "
                             "message (1 MB); leave it out, or use --input",
                             (unsigned long long)feed->fed + 1, feed->path, length);
        if (error)
            return tide_fail(TIDE_EINTERNAL, "mock Kafka: line %llu: %s",
                             (unsigned long long)feed->fed + 1, rd_kafka_err2str(error));
        remember_size(feed, (uint32_t)length + OVERHEAD);
        feed->fed++;
        feed->at += size;
    }
    return status;
}

/* A line that was refused would be missing from the output without a trace, so it ends the run. */
static int serve_reports(struct tide_mock *mock)
{
    rd_kafka_event_t *event;
    const rd_kafka_message_t *message;
    int status = TIDE_OK;
    while ((event = rd_kafka_queue_poll(mock->reports, 0))) {
        while ((message = rd_kafka_event_message_next(event))) {
            mock->feed.acknowledged++;
            if (message->err)
                status = tide_fail(TIDE_EINTERNAL, "mock Kafka: a line was refused: %s",
                                   rd_kafka_err2str(message->err));
        }
        rd_kafka_event_destroy(event);
    }
    return status;
}

/* ---- drain ---- */

/* The partitions are assigned rather than subscribed to: nobody shares them, and a group would take its time to
 * form. */
int tide_mock_drain(struct tide_mock *mock, const char *topic, uint32_t partitions,
                    const char *path)
{
    const struct tide_property settings[] = {{"bootstrap.servers", tide_mock_brokers(mock)},
                                             {"group.id", "tidemill-drain"},
                                             {"client.id", "tidemill-drain"},
                                             {"enable.auto.commit", "false"},
                                             {"auto.offset.reset", "earliest"},
                                             {"fetch.wait.max.ms", "20"},
                                             {"log_level", "3"},
                                             {NULL, NULL}};
    struct drain *drain = &mock->drain;
    drain->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : tide_output_open(path, true);
    if (drain->fd < 0)
        return drain->fd;
    drain->path = tide_copy(path);
    drain->client = make_client(TIDE_KAFKA_CONSUMER, settings);
    if (!drain->client)
        return tide_failure();
    rd_kafka_poll_set_consumer(drain->client);
    drain->list = rd_kafka_topic_partition_list_new((int)partitions);
    for (uint32_t i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(drain->list, topic, (int32_t)i)->offset = 0;
    rd_kafka_resp_err_t error = rd_kafka_assign(drain->client, drain->list);
    return error ? tide_fail(TIDE_EINTERNAL, "mock Kafka: %s", rd_kafka_err2str(error)) : TIDE_OK;
}

/* Whoever shares standard output may have made it non-blocking, hence EAGAIN. */
static int write_all(struct drain *drain)
{
    size_t sent = 0;
    while (sent < drain->text.length) {
        ssize_t count = write(drain->fd, drain->text.data + sent, drain->text.length - sent);
        if (count < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = drain->fd, .events = POLLOUT}, 1, -1);
        else if (count < 0 && errno != EINTR)
            return tide_output_failed(drain->path, errno);
        sent += count > 0 ? (size_t)count : 0;
    }
    drain->text.length = 0;
    return TIDE_OK;
}

/* The list was made in the order of the numbers, so the number of a partition is its index. */
static int drain_messages(struct drain *drain)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(drain->client, 0))) {
        if (!message->err) {
            tide_text_append(&drain->text, message->payload, message->len);
            tide_text_append(&drain->text, "\n", 1);
            drain->list->elems[message->partition].offset = message->offset + 1;
            drain->count++;
        }
        rd_kafka_message_destroy(message);
    }
    return drain->text.length > 0 ? write_all(drain) : TIDE_OK;
}

/* The drain has read everything that was in the topic a moment ago. Lines that are fed before that could make the mock
 * forget results that were not read. */
static bool is_drained(const struct drain *drain)
{
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(drain->list);
    bool drained = true;
    for (int i = 0; i < ends->cnt; i++)
        ends->elems[i].offset = RD_KAFKA_OFFSET_END;
    if (rd_kafka_offsets_for_times(drain->client, ends, ASK_MS))
        drained = false;
    for (int i = 0; i < ends->cnt && drained; i++)
        drained = drain->list->elems[i].offset >= ends->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(ends);
    return drained;
}

/* ---- turn ---- */

/* Feeding begins when half of the limit is free, so that lines go in many at a time and is_drained(), which asks the
 * cluster, is rarely called. */
int tide_mock_turn(struct tide_mock *mock, uint64_t complete)
{
    struct feed *feed = &mock->feed;
    int status = serve_reports(mock);
    if (status == TIDE_OK && mock->drain.client)
        status = drain_messages(&mock->drain);
    if (status < 0 || feed->fd < 0)
        return status;
    forget_sizes(feed, complete);
    bool all_fed = feed->over && feed->at == feed->text.length;
    if (all_fed || feed->ahead > AHEAD_BYTES / 2 ||
        (mock->drain.client && !is_drained(&mock->drain)))
        return TIDE_OK;
    return feed_lines(mock);
}

/* Acknowledged as well, since the engine can only finish what has reached the topic. */
bool tide_mock_fed_all(const struct tide_mock *mock)
{
    const struct feed *feed = &mock->feed;
    return feed->fd < 0 ||
           (feed->over && feed->at == feed->text.length && feed->acknowledged == feed->fed);
}

uint64_t tide_mock_fed(const struct tide_mock *mock)
{
    return mock->feed.fed;
}

uint64_t tide_mock_drained(const struct tide_mock *mock)
{
    return mock->drain.count;
}

/* The drain ends first, since the cluster that it reads goes with the other client. It has no group to leave, and must
 * not wait for an answer to that. */
void tide_mock_free(struct tide_mock *mock)
{
    if (!mock)
        return;
    if (mock->drain.list)
        rd_kafka_topic_partition_list_destroy(mock->drain.list);
    if (mock->drain.client)
        rd_kafka_destroy_flags(mock->drain.client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (mock->feed.topic)
        rd_kafka_topic_destroy(mock->feed.topic);
    if (mock->reports)
        rd_kafka_queue_destroy(mock->reports);
    if (mock->client) {
        rd_kafka_purge(mock->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(mock->client, LEAVE_MS);
        rd_kafka_destroy(mock->client); /* with its cluster */
    }
    if (mock->feed.fd > STDIN_FILENO)
        close(mock->feed.fd);
    if (mock->drain.fd > STDERR_FILENO)
        close(mock->drain.fd);
    tide_text_free(&mock->feed.text);
    tide_text_free(&mock->drain.text);
    free(mock->feed.sizes);
    free(mock->feed.path);
    free(mock->drain.path);
    free(mock);
}
