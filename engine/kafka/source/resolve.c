/* SPDX-License-Identifier: MIT
 * Where to begin with a partition. Never silent: an offset that is missing or out of range follows
 * a rule that the user gave, or the pipeline stops and names the partition.
 *   committed, in range      there
 *   committed, out of range  `auto_offset_reset`
 *   none                     `start`; without it `auto_offset_reset`; "latest" is what comes after
 *                            the start: all there is of a topic or partition that was added since,
 *                            or of a topic that was deleted and made again */
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/source/inside.h"

enum { ASK_MS = 10000, FIRST_BACKOFF_US = 100000, LAST_BACKOFF_US = 2000000 };

static bool is_dropped(struct tide_kafka_resolve *resolve)
{
    return __atomic_load_n(&resolve->dropped, __ATOMIC_ACQUIRE);
}

typedef rd_kafka_resp_err_t question(rd_kafka_t *, rd_kafka_topic_partition_list_t *, int);

/* The first error of the answer, of the whole or of a partition. */
static rd_kafka_resp_err_t ask_once(struct tide_kafka_resolve *resolve, question *ask,
                                    rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t error = ask(resolve->client, list, ASK_MS);
    for (int i = 0; i < list->cnt && !error; i++)
        error = list->elems[i].err;
    return error;
}

static bool is_final(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__DESTROY:
        return true;
    default:
        return false;
    }
}

/* Asks until there is an answer; what a broker may get over is waited for. `offset` is what each
 * element asks for (a timestamp, the beginning, the end). Negative: no answer, `status` and `text`
 * are set. */
static int ask(struct tide_kafka_resolve *resolve, question *how, const char *what,
               rd_kafka_topic_partition_list_t *list, int64_t offset)
{
    int64_t backoff_us = FIRST_BACKOFF_US;
    bool queued = false;
    for (;;) {
        for (int i = 0; i < list->cnt; i++) {
            list->elems[i].offset = offset;
            /* rd_kafka_offsets_for_times tells no time-out: it then leaves the list as it is. */
            list->elems[i].err = RD_KAFKA_RESP_ERR__TIMED_OUT;
        }
        rd_kafka_resp_err_t error = ask_once(resolve, how, list);
        if (!error)
            return TIDE_OK;
        if (is_final(error)) {
            snprintf(resolve->text, sizeof(resolve->text), "group \"%s\": cannot ask for %s: %s",
                     resolve->plan->group, what, rd_kafka_err2str(error));
            return resolve->status = TIDE_ECONFIG;
        }
        if (!queued)
            tide_log(TIDE_LOG_INFO, "group \"%s\": waiting for %s: %s", resolve->plan->group, what,
                     rd_kafka_err2str(error));
        queued = true;
        if (is_dropped(resolve) || !tide_blocking_pause(resolve->blocking, backoff_us)) {
            resolve->dropped = true;
            return resolve->status = TIDE_ETEMPORARY;
        }
        if (backoff_us < LAST_BACKOFF_US)
            backoff_us *= 2;
    }
}

/* What is known of the partitions of one job. */
struct known {
    rd_kafka_topic_partition_list_t *committed; /* or where it is, when out_of_range */
    rd_kafka_topic_partition_list_t *low;
    rd_kafka_topic_partition_list_t *high;
    rd_kafka_topic_partition_list_t *at_time; /* NULL unless `start` is a time */
};

static int refuse(struct tide_kafka_resolve *resolve, int i, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct tide_kafka_resolve *resolve, int i, const char *format, ...)
{
    const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
    char why[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    snprintf(resolve->text, sizeof(resolve->text), "topic \"%s\" partition %d: group \"%s\" %s",
             which->topic, which->partition, resolve->plan->group, why);
    return resolve->status = TIDE_ECONFIG;
}

/* With a topic Kafka deletes what is committed of it, and while it has a member a group's offsets do not expire: a topic
 * of which an offset was committed, and is not now, is another of the same name. */
static bool is_added(const struct tide_kafka_resolve *resolve, const struct known *known, int i)
{
    bool added = resolve->starts[i].added;
    for (int j = 0; j < resolve->list->cnt && !added; j++)
        added = resolve->starts[j].was_committed && known->committed->elems[j].offset < 0 &&
                strcmp(resolve->list->elems[i].topic, resolve->list->elems[j].topic) == 0;
    return added;
}

/* Either is committed: a member that begins later has seen the topic when it began. */
static int by_latest(struct tide_kafka_resolve *resolve, const struct known *known, int i)
{
    struct tide_kafka_start *start = &resolve->starts[i];
    start->to_commit = true;
    start->offset = (is_added(resolve, known, i) ? known->low : known->high)->elems[i].offset;
    return TIDE_OK;
}

static int by_reset(struct tide_kafka_resolve *resolve, const struct known *known, int i,
                    int64_t old)
{
    struct tide_kafka_start *start = &resolve->starts[i];
    int64_t low = known->low->elems[i].offset;
    int64_t high = known->high->elems[i].offset;
    if (resolve->plan->reset == TIDE_RESET_ERROR && old < 0)
        return refuse(
            resolve, i,
            "has no committed offset; set start = \"earliest\" or \"latest\" on kafka_source "
            "(or auto_offset_reset)");
    if (resolve->plan->reset == TIDE_RESET_ERROR)
        return refuse(
            resolve, i,
            "is at offset %lld, which is out of range [%lld, %lld]; set auto_offset_reset = "
            "\"earliest\" or \"latest\" on kafka_source, or move the group's offset",
            (long long)old, (long long)low, (long long)high);
    bool earliest = resolve->plan->reset == TIDE_RESET_EARLIEST;
    if (old < 0 && !earliest)
        return by_latest(resolve, known, i);
    start->offset = earliest ? low : high;
    start->to_commit = !earliest;
    if (old >= 0)
        tide_log(
            TIDE_LOG_WARN,
            "topic \"%s\" partition %d: offset %lld is out of range [%lld, %lld]; going on at %lld "
            "(auto_offset_reset = \"%s\")",
            resolve->list->elems[i].topic, resolve->list->elems[i].partition, (long long)old,
            (long long)low, (long long)high, (long long)start->offset,
            earliest ? "earliest" : "latest");
    return TIDE_OK;
}

static int by_start(struct tide_kafka_resolve *resolve, const struct known *known, int i)
{
    struct tide_kafka_start *start = &resolve->starts[i];
    int64_t low = known->low->elems[i].offset;
    int64_t high = known->high->elems[i].offset;
    switch (resolve->plan->start) {
    case TIDE_START_EARLIEST:
        start->offset = low;
        return TIDE_OK;
    case TIDE_START_LATEST:
        return by_latest(resolve, known, i);
    case TIDE_START_TIME:
        tide_require(known->at_time);
        /* Negative: nothing is that young. */
        start->offset = known->at_time->elems[i].offset < 0 ? high
                                                            : known->at_time->elems[i].offset;
        start->to_commit = known->at_time->elems[i].offset < 0;
        return TIDE_OK;
    case TIDE_START_OFFSET:
        start->offset = resolve->plan->start_at;
        if (start->offset < low || start->offset > high)
            return by_reset(resolve, known, i, start->offset);
        return TIDE_OK;
    default:
        return by_reset(resolve, known, i, -1);
    }
}

static int decide(struct tide_kafka_resolve *resolve, const struct known *known, int i)
{
    struct tide_kafka_start *start = &resolve->starts[i];
    int64_t at = known->committed->elems[i].offset;
    start->end = known->high->elems[i].offset;
    start->committed = at >= 0;
    if (at < 0 && resolve->rewind) /* nothing is committed yet: where it began the last time */
        at = resolve->list->elems[i].offset;
    if (at < 0)
        return by_start(resolve, known, i);
    if (at < known->low->elems[i].offset || at > start->end)
        return by_reset(resolve, known, i, at);
    start->offset = at;
    return TIDE_OK;
}

/* New partitions, or their offsets have expired: then messages are read a second time, or skipped. */
static void say_begun(const struct tide_kafka_resolve *resolve, const struct known *known)
{
    char text[1024] = "";
    size_t at = 0;
    for (int i = 0; i < resolve->list->cnt && at + 128 < sizeof(text); i++) {
        const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
        if (known->committed->elems[i].offset >= 0)
            continue;
        at += (size_t)snprintf(
            text + at, sizeof(text) - at, "%s%.60s/%d at %lld of [%lld, %lld]", at > 0 ? ", " : "",
            which->topic, which->partition, (long long)resolve->starts[i].offset,
            (long long)known->low->elems[i].offset, (long long)known->high->elems[i].offset);
    }
    if (at > 0)
        tide_log(TIDE_LOG_INFO,
                 "group \"%s\" has no committed offset (it is new there, or it expired) and begins "
                 "by %s: %s%s",
                 resolve->plan->group,
                 resolve->plan->start == TIDE_START_NONE ? "auto_offset_reset" : "start", text,
                 at + 128 >= sizeof(text) ? " ..." : "");
}

/* With a topic Kafka deletes what is committed of it. One that was missing, and of which nothing is committed now though there
 * was, is another of the same name: from where its reading goes on, only a new start can tell. */
static int look_for_new_topics(struct tide_kafka_resolve *resolve, const struct known *known)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(resolve->list);
    int status = ask(resolve, rd_kafka_committed, "committed offsets", list,
                     RD_KAFKA_OFFSET_INVALID);
    for (int i = 0; i < list->cnt && status == TIDE_OK; i++) {
        const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
        const struct tide_kafka_start *start = &resolve->starts[i];
        if (!start->was_missing || list->elems[i].offset >= 0)
            continue;
        if (!start->was_read) { /* so nothing is to be queued apart: it begins as any new one */
            if (start->was_committed)
                known->committed->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
            continue;
        }
        snprintf(
            resolve->text, sizeof(resolve->text),
            "topic \"%s\" partition %d was read up to offset %lld; it was deleted and made again, "
            "and group \"%s\" has no committed offset there any more: start again to read it from "
            "its beginning (or by start)",
            which->topic, which->partition, (long long)which->offset, resolve->plan->group);
        status = resolve->status = TIDE_ETEMPORARY;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

static void run(struct tide_blocking_job *job)
{
    struct tide_kafka_resolve *resolve = (struct tide_kafka_resolve *)job;
    struct known known = {
        .committed = rd_kafka_topic_partition_list_copy(resolve->list),
        .low = rd_kafka_topic_partition_list_copy(resolve->list),
        .high = rd_kafka_topic_partition_list_copy(resolve->list),
    };
    int status = TIDE_OK;
    (void)tide_fault("kafka.resolve");
    if (resolve->plan->start == TIDE_START_TIME)
        known.at_time = rd_kafka_topic_partition_list_copy(resolve->list);
    if (resolve->out_of_range)
        status = look_for_new_topics(resolve, &known);
    else
        status = ask(resolve, rd_kafka_committed, "committed offsets", known.committed,
                     RD_KAFKA_OFFSET_INVALID);
    /* One request to each leader answers for all of its partitions; -2 and -1 stand for the two
     * ends. */
    if (status == TIDE_OK)
        status = ask(resolve, rd_kafka_offsets_for_times, "the first offsets", known.low,
                     RD_KAFKA_OFFSET_BEGINNING);
    if (status == TIDE_OK)
        status = ask(resolve, rd_kafka_offsets_for_times, "the last offsets", known.high,
                     RD_KAFKA_OFFSET_END);
    if (status == TIDE_OK && known.at_time)
        status = ask(resolve, rd_kafka_offsets_for_times, "the offsets of a time", known.at_time,
                     resolve->plan->start_at);
    for (int i = 0; i < resolve->list->cnt && status == TIDE_OK; i++)
        status = decide(resolve, &known, i);
    if (status == TIDE_OK && !resolve->out_of_range && !resolve->rewind)
        say_begun(resolve, &known);
    rd_kafka_topic_partition_list_destroy(known.committed);
    rd_kafka_topic_partition_list_destroy(known.low);
    rd_kafka_topic_partition_list_destroy(known.high);
    if (known.at_time)
        rd_kafka_topic_partition_list_destroy(known.at_time);
}

static void done(struct tide_blocking_job *job)
{
    struct tide_kafka_resolve *resolve = (struct tide_kafka_resolve *)job;
    tide_kafka_rebalance_resolved(resolve->source, resolve);
}

static void keep_known(struct tide_kafka_source *source, const rd_kafka_topic_partition_t *which,
                       struct tide_kafka_start *start)
{
    int index = tide_kafka_source_find(source, which->topic, which->partition);
    start->added = (uint32_t)which->partition >=
                   tide_known_topics_partitions(&source->known_topics, which->topic);
    if (index < 0)
        return; /* it is queued when they are assigned */
    const struct tide_kafka_partition *partition = &source->partitions[index];
    start->was_committed = partition->committed;
    start->was_missing = partition->missing;
    start->was_read = partition->next != partition->epoch_start;
}

struct tide_kafka_resolve *tide_kafka_resolve_new(struct tide_kafka_source *source,
                                                  struct rd_kafka_topic_partition_list_s *list,
                                                  bool out_of_range)
{
    struct tide_kafka_resolve *resolve = tide_alloc(sizeof(*resolve));
    resolve->job.run = run;
    resolve->job.done = done;
    resolve->source = source;
    resolve->blocking = source->blocking;
    resolve->client = source->client;
    resolve->out_of_range = out_of_range;
    resolve->plan = &source->plan;
    resolve->list = list;
    resolve->starts = tide_alloc((size_t)(list->cnt + 1) * sizeof(*resolve->starts));
    for (int i = 0; i < list->cnt; i++)
        keep_known(source, &list->elems[i], &resolve->starts[i]);
    return resolve;
}

void tide_kafka_resolve_free(struct tide_kafka_resolve *resolve)
{
    rd_kafka_topic_partition_list_destroy(resolve->list);
    if (resolve->membership)
        rd_kafka_consumer_group_metadata_destroy(resolve->membership);
    free(resolve->starts);
    free(resolve);
}
