/* SPDX-License-Identifier: MIT */
#include "chain/dlq.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "chain/offsets.h"
#include "io/sink.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

struct tally {
    uint64_t all;
    uint64_t invalid;
    uint64_t consecutive;
};

struct tide_dlq {
    struct tide_dlq_plan plan;
    char *target;
    struct tide_chain *chain;
    struct tide_sink *sink;
    uint16_t topic;
    int fd; /* of a file */
    struct tally *tallies;
    size_t tally_count;
    struct tide_text text; /* packed headers, or a line */
};

struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status)
{
    struct tide_dlq *dlq = tide_alloc(sizeof(*dlq));
    dlq->plan = *plan;
    dlq->target = tide_copy(plan->target);
    dlq->chain = chain;
    dlq->fd = -1;
    *status = TIDE_OK;
    if (plan->kind == TIDE_DLQ_TOPIC) {
        *status = tide_topics_number(chain->topics, plan->target);
        dlq->topic = (uint16_t)*status;
    } else if (plan->kind == TIDE_DLQ_FILE && strcmp(plan->target, "-") == 0) {
        dlq->fd = dup(STDERR_FILENO);
    } else if (plan->kind == TIDE_DLQ_FILE) {
        dlq->fd = open(plan->target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (dlq->fd < 0)
            *status = tide_fail(TIDE_ENOINPUT, "dlq file \"%s\": %s", plan->target,
                                strerror(errno));
    }
    if (*status < 0) {
        tide_dlq_free(dlq);
        return NULL;
    }
    return dlq;
}

void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink)
{
    dlq->sink = sink;
}

static struct tally *tally(struct tide_dlq *dlq, uint32_t partition)
{
    while (dlq->tally_count <= partition) {
        dlq->tallies = tide_realloc(dlq->tallies, sizeof(struct tally) * (dlq->tally_count + 1));
        dlq->tallies[dlq->tally_count++] = (struct tally){0};
    }
    return &dlq->tallies[partition];
}

void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition)
{
    struct tally *seen = tally(dlq, partition);
    seen->all++;
    seen->consecutive = 0;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static const char *topic_of(const struct tide_dlq *dlq, const struct tide_message *message)
{
    return or_empty(tide_topics_name(dlq->chain->topics, message->topic));
}

/* One bad message is never too many for a ratio; from the second on it holds for what was seen so far. */
static int check_limits(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    const struct tally *seen = tally(dlq,
                                     tide_offsets_partition(dlq->chain->offsets, message->origin));
    const char *limit = NULL;
    if (dlq->plan.max_consecutive_count >= 0 &&
        seen->consecutive + 1 > (uint64_t)dlq->plan.max_consecutive_count)
        limit = "max_consecutive_count";
    else if (dlq->plan.max_invalid_ratio >= 0 && seen->invalid >= 1 &&
             (double)(seen->invalid + 1) > dlq->plan.max_invalid_ratio * (double)(seen->all + 1))
        limit = "max_invalid_ratio";
    if (!limit)
        return TIDE_OK;
    return tide_fail(TIDE_EDATA,
                     "the dlq's %s is reached at %s/%d/%lld: %llu of %llu messages of this "
                     "partition are bad, %llu in a row; "
                     "the last one: %s: %s",
                     limit, topic_of(dlq, message), message->partition, (long long)message->offset,
                     (unsigned long long)seen->invalid + 1, (unsigned long long)seen->all + 1,
                     (unsigned long long)seen->consecutive + 1, or_empty(reject->reason),
                     or_empty(reject->error));
}

static void count_reject(struct tide_dlq *dlq, uint32_t partition)
{
    struct tally *seen = tally(dlq, partition);
    seen->invalid++;
    seen->consecutive++;
    seen->all++;
    tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
    tide_count(dlq->chain->counters, 0, TIDE_M_DLQ_MESSAGES, 1);
}

static void header(struct tide_dlq *dlq, const char *name, const char *value, uint16_t *count)
{
    if (!value || !*value)
        return;
    tide_header_pack(&dlq->text, name, (uint32_t)strlen(name), value, (uint32_t)strlen(value));
    (*count)++;
}

static void number_header(struct tide_dlq *dlq, const char *name, long long number, uint16_t *count)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", number);
    header(dlq, name, text, count);
}

static int send_topic(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    struct tide_message letter = *reject->message;
    const struct tide_message *from = reject->message;
    dlq->text.length = 0;
    tide_text_append(&dlq->text, from->headers, from->headers_length);
    header(dlq, "original_topic", topic_of(dlq, from), &letter.header_count);
    number_header(dlq, "original_partition", from->partition, &letter.header_count);
    number_header(dlq, "original_offset", from->offset, &letter.header_count);
    number_header(dlq, "original_timestamp", from->timestamp, &letter.header_count);
    header(dlq, "stage", reject->stage, &letter.header_count);
    header(dlq, "reason", reject->reason, &letter.header_count);
    header(dlq, "error", reject->error, &letter.header_count);
    header(dlq, "traceback", reject->traceback, &letter.header_count);
    header(dlq, "cause", reject->cause, &letter.header_count);
    number_header(dlq, "attempts", reject->attempts, &letter.header_count);
    letter.headers = dlq->text.data;
    letter.headers_length = (uint32_t)dlq->text.length;
    letter.target_topic = dlq->topic;
    letter.target_partition = TIDE_PARTITION_ANY;
    letter.origin.epoch |= TIDE_ORIGIN_DEAD_LETTER;
    ssize_t sent = dlq->sink->ops->send(dlq->sink, &letter, 1);
    if (sent < 0)
        return (int)sent;
    if (sent == 0)
        return TIDE_BUSY;
    tide_offsets_hold(dlq->chain->offsets, from->origin);
    tide_offsets_release(dlq->chain->offsets, from->origin);
    dlq->chain->moved = true;
    return TIDE_OK;
}

static void field(struct tide_text *line, const char *name, const char *text)
{
    tide_text_format(line, ",\"%s\":", name);
    tide_text_json(line, text && *text ? text : NULL, text ? strlen(text) : 0);
}

static void build_line(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *from = reject->message;
    struct tide_text *line = &dlq->text;
    line->length = 0;
    tide_text_string(line, "{\"original_topic\":");
    tide_text_json(line, topic_of(dlq, from), strlen(topic_of(dlq, from)));
    tide_text_format(
        line, ",\"original_partition\":%d,\"original_offset\":%lld,\"original_timestamp\":%lld",
        from->partition, (long long)from->offset, (long long)from->timestamp);
    field(line, "stage", reject->stage);
    field(line, "reason", reject->reason);
    field(line, "error", reject->error);
    field(line, "traceback", reject->traceback);
    field(line, "cause", reject->cause);
    tide_text_format(line, ",\"attempts\":%u,\"key\":", reject->attempts);
    tide_text_base64(line, from->key, from->key_length);
    tide_text_string(line, ",\"value\":");
    tide_text_base64(line, from->value, from->value_length);
    tide_text_string(line, "}\n");
}

/* One line in one go; a full disk stops the pipeline rather than lose the letter. */
static int write_line(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    build_line(dlq, reject);
    for (size_t at = 0; at < dlq->text.length;) {
        ssize_t written = write(dlq->fd, dlq->text.data + at, dlq->text.length - at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return tide_fail(TIDE_ETEMPORARY, "dlq file \"%s\": %s", dlq->target, strerror(errno));
        at += (size_t)written;
    }
    tide_offsets_hold(dlq->chain->offsets, reject->message->origin);
    tide_offsets_done(dlq->chain->offsets, reject->message->origin, TIDE_FATE_DEAD_LETTERED);
    return TIDE_OK;
}

int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *reject)
{
    const struct tide_message *message = reject->message;
    if (dlq->plan.kind == TIDE_DLQ_NONE) {
        tide_count(dlq->chain->counters, 0, TIDE_M_INVALID_MESSAGE_COUNT, 1);
        return tide_fail(
            TIDE_EDATA, "%s/%d/%lld: %s: %s%s%s%s%s; there is no dlq, so the pipeline stops here",
            topic_of(dlq, message), message->partition, (long long)message->offset,
            or_empty(reject->reason), or_empty(reject->error), reject->cause ? " (" : "",
            or_empty(reject->cause), reject->cause ? ")" : "",
            reject->traceback && *reject->traceback ? reject->traceback : "");
    }
    if (dlq->chain->cutting && !tide_offsets_owed(dlq->chain->offsets, message->origin))
        return TIDE_BUSY;
    int status = check_limits(dlq, reject);
    if (status == TIDE_OK)
        status = dlq->plan.kind == TIDE_DLQ_TOPIC ? send_topic(dlq, reject)
                                                  : write_line(dlq, reject);
    if (status == TIDE_OK)
        count_reject(dlq, tide_offsets_partition(dlq->chain->offsets, message->origin));
    return status;
}

void tide_dlq_free(struct tide_dlq *dlq)
{
    if (!dlq)
        return;
    if (dlq->fd >= 0)
        close(dlq->fd);
    tide_text_free(&dlq->text);
    free(dlq->tallies);
    free(dlq->target);
    free(dlq);
}
