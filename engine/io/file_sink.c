/* SPDX-License-Identifier: MIT
 * A sink that writes lines to a file, a pipe or standard output. Messages become text in one buffer, which is written
 * as far as that goes without waiting (base/output.h); a ring remembers where each message ends, so that it is
 * acknowledged once its bytes are written. There is no fsync: whoever needs that much durability has Kafka for an
 * output. The format is for people and their tools (jq, grep), so a field is text wherever it can be, and base64 only
 * where it is not UTF-8. Start reading at write_out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/output.h"
#include "base/status.h"
#include "base/text.h"
#include "io/file.h"
#include "shm/layout.h"
#include "shm/message_json.h"
#include "shm/topics.h"

enum { LARGE_WRITE = 1 << 18 }; /* bytes that are worth a write without waiting for more */

/* A message that is not acknowledged yet. */
struct written {
    struct tide_origin origin;
    uint64_t end; /* of its text, counted in bytes since the start */
};

struct file_sink {
    struct tide_sink sink;
    enum tide_output_format format;
    uint32_t max_messages;
    uint64_t max_bytes;
    char *path;
    const struct tide_topics *topics;
    const char *default_topic; /* NULL = none */
    struct tide_loop *loop;
    int fd;
    bool regular; /* never has to be waited for */
    int room_epoll; /* becomes readable when the pipe has room, since the loop only watches for reading */
    bool watched;            /* room_epoll is, by the loop */
    bool append;             /* the file is not truncated at the start */
    bool failed;             /* a write failed, so what is in the ring will not be acknowledged */
    struct tide_text buffer; /* has to be written from `sent` on */
    size_t sent;
    uint64_t total; /* bytes that write(2) took since the start */
    struct written *ring;
    uint32_t first;
    uint32_t count;
};

static struct file_sink *sink_of(struct tide_sink *sink)
{
    return (struct file_sink *)(void *)sink;
}

/* ---- a message as text ---- */

/* A recorded message (tidemill record) names the topic that it was read from, and its time where it has one; an output the
 * topic that it would go to. */
static int add_json(struct file_sink *file, const struct tide_message *message)
{
    struct tide_text *text = &file->buffer;
    uint16_t number = file->format == TIDE_OUTPUT_RECORDED ? message->topic : message->target_topic;
    const char *topic = number == TIDE_TOPIC_NONE ? file->default_topic
                                                  : tide_topics_name(file->topics, number);
    tide_text_string(text, "{\"topic\":");
    tide_text_json(text, topic, topic ? strlen(topic) : 0);
    tide_text_string(text, ",");
    tide_json_field(text, "key", message->key, message->key_length);
    tide_text_string(text, ",");
    int status = tide_json_headers(text, message->headers, message->headers_length, UINT32_MAX);
    tide_text_string(text, ",");
    if (file->format == TIDE_OUTPUT_RECORDED && message->timestamp >= 0)
        tide_text_format(text, "\"timestamp\":%" PRId64 ",", message->timestamp);
    tide_json_field(text, "value", message->value, message->value_length);
    tide_text_string(text, "}\n");
    return status;
}

/* A null value still is a line, so that the number of lines is that of the messages. */
static int add_message(struct file_sink *file, const struct tide_message *message)
{
    if (file->format != TIDE_OUTPUT_LINES)
        return add_json(file, message);
    if (message->value)
        tide_text_append(&file->buffer, message->value, message->value_length);
    tide_text_append(&file->buffer, "\n", 1);
    return TIDE_OK;
}

/* ---- writing ---- */

static void has_room(void *context)
{
    struct file_sink *file = context;
    tide_loop_unwatch(file->loop, file->room_epoll); /* it is readable until the room is used */
    file->watched = false;
}

/* Without the watch the loop would try again only after its longest wait, and a reader that empties its pipe quickly
 * would idle until then. When watching fails that is all that happens. */
static void wait_for_room(struct file_sink *file)
{
    if (!file->regular && !file->watched && file->room_epoll >= 0)
        file->watched = tide_loop_watch(file->loop, file->room_epoll, has_room, file) == TIDE_OK;
}

/* Writes as much as goes without waiting. */
static int write_out(struct file_sink *file)
{
    while (file->sent < file->buffer.length) {
        ssize_t count = tide_output_write(file->fd, file->buffer.data + file->sent,
                                          file->buffer.length - file->sent);
        if (count < 0 && errno == EAGAIN) {
            wait_for_room(file);
            return TIDE_OK;
        }
        if (count < 0) {
            file->failed = true;
            return tide_output_failed(file->path, errno);
        }
        file->sent += (size_t)count;
        file->total += (uint64_t)count;
    }
    file->buffer.length = file->sent = 0;
    return TIDE_OK;
}

/* Moving what is left to the front costs a copy, so that is done only once most of the buffer is written. The buffer
 * would grow without end on a pipe that is never quite empty: write_out only resets it once all is written. */
static void compact(struct file_sink *file)
{
    if (file->sent < LARGE_WRITE || file->sent < file->buffer.length / 2)
        return;
    file->buffer.length -= file->sent;
    memmove(file->buffer.data, file->buffer.data + file->sent, file->buffer.length);
    file->sent = 0;
}

/* ---- what the engine calls ---- */

/* Takes `fd` over, and writes to it from now on. */
static void adopt(struct file_sink *file, int fd)
{
    struct epoll_event room = {.events = EPOLLOUT};
    file->fd = fd;
    /* epoll refuses files that need no waiting. It also refuses a closed descriptor; writing to that fails later. */
    file->regular = epoll_ctl(file->room_epoll, EPOLL_CTL_ADD, fd, &room) < 0;
}

static int sink_start(struct tide_sink *sink)
{
    struct file_sink *file = sink_of(sink);
    file->room_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (file->room_epoll < 0)
        return tide_fail_system("epoll");
    /* A file is made anew, unless this run goes on with one before: two runs into one file would look like one. */
    int fd = strcmp(file->path, "-") == 0 ? STDOUT_FILENO
                                          : tide_output_open(file->path, !file->append);
    if (fd < 0)
        return fd;
    adopt(file, fd);
    return TIDE_OK;
}

/* The buffer is written first, so that no line begins in one file and ends in the other. */
static int sink_reopen(struct tide_sink *sink)
{
    struct file_sink *file = sink_of(sink);
    /* Only files are rotated; a stream or a pipe stays what it is. */
    if (file->fd <= STDERR_FILENO || !file->regular)
        return TIDE_OK;
    int status = write_out(file);
    if (status < 0 || file->buffer.length > 0)
        return status;
    int fd = tide_output_open(file->path, false);
    if (fd < 0)
        return fd;
    close(file->fd);
    adopt(file, fd);
    return TIDE_OK;
}

/* Many small messages are one write: it happens here only when the buffer has grown, and else when reports are
 * fetched. */
static ssize_t sink_send(struct tide_sink *sink, const struct tide_message *messages, size_t count)
{
    struct file_sink *file = sink_of(sink);
    size_t taken = 0;
    while (taken < count && file->count < file->max_messages &&
           file->buffer.length - file->sent < file->max_bytes) {
        int status = add_message(file, &messages[taken]);
        if (status < 0)
            return status;
        file->ring[(file->first + file->count++) % file->max_messages] = (struct written){
            messages[taken].origin, file->total + file->buffer.length - file->sent};
        taken++;
        if (file->buffer.length - file->sent >= LARGE_WRITE) {
            status = write_out(file);
            compact(file);
            if (status < 0)
                return status;
        }
    }
    return (ssize_t)taken;
}

/* The status of a failure is returned when no message is left to report: what was written before it still counts. */
static ssize_t sink_reports(struct tide_sink *sink, struct tide_report *reports, size_t max)
{
    struct file_sink *file = sink_of(sink);
    size_t count = 0;
    int status = write_out(file);
    for (; count < max && file->count > 0; count++) {
        const struct written *oldest = &file->ring[file->first];
        if (oldest->end > file->total)
            break;
        reports[count] = (struct tide_report){.origin = oldest->origin,
                                              .kind = TIDE_REPORT_DELIVERED};
        file->first = (file->first + 1) % file->max_messages;
        file->count--;
    }
    return count == 0 && status < 0 ? status : (ssize_t)count;
}

/* After a failure no report is waited for, or the run would never end. */
static size_t sink_pending(struct tide_sink *sink)
{
    return sink_of(sink)->failed ? 0 : sink_of(sink)->count;
}

static void sink_free(struct tide_sink *sink)
{
    struct file_sink *file = sink_of(sink);
    if (file->watched)
        tide_loop_unwatch(file->loop, file->room_epoll);
    if (file->room_epoll >= 0)
        close(file->room_epoll);
    /* Standard output is the process's, who may print to it after the run. */
    if (file->fd > STDERR_FILENO)
        close(file->fd);
    tide_text_free(&file->buffer);
    free(file->ring);
    free(file->path);
    free(file);
}

static const struct tide_sink_ops ops = {
    .start = sink_start,
    .send = sink_send,
    .reports = sink_reports,
    .pending = sink_pending,
    .reopen = sink_reopen,
    .free = sink_free,
};

void tide_file_sink_append(struct tide_sink *sink)
{
    sink_of(sink)->append = true;
}

struct tide_sink *tide_file_sink_new(const struct tide_sink_plan *plan, struct tide_topics *topics,
                                     struct tide_loop *loop)
{
    struct file_sink *file = tide_alloc(sizeof(*file));
    int topic = plan->topic_count > 0 ? tide_topics_number(topics, plan->topics[0]) : -1;
    file->sink.ops = &ops;
    file->sink.topic = TIDE_TOPIC_NONE;
    file->format = plan->format;
    file->max_messages = plan->max_messages;
    file->max_bytes = plan->max_bytes;
    file->path = tide_copy(plan->path);
    file->topics = topics;
    file->default_topic = topic < 0 ? NULL : tide_topics_name(topics, (uint32_t)topic);
    file->loop = loop;
    file->fd = -1;
    file->room_epoll = -1;
    file->ring = tide_alloc(((size_t)plan->max_messages + 1) * sizeof(*file->ring));
    return &file->sink;
}
