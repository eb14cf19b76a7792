/* SPDX-License-Identifier: MIT
 * Resolves the start offsets of partitions: asks the brokers for the numbers that the rule (source/start_offset.h)
 * needs, and makes a log line or a refusal of its outcome. librdkafka could begin at committed offsets by itself,
 * with auto.offset.reset for the rest; but its reset is silent and cannot tell an offset that is missing from one
 * that is out of range, or a new partition from an old one. Runs in the blocking thread, for all partitions of an
 * assignment at once, so that each question is one request to each broker. Start reading at resolve_in_thread. */
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

bool tide_kafka_resolve_is_dropped(const struct tide_kafka_resolve *resolve)
{
    return __atomic_load_n(&resolve->dropped, __ATOMIC_ACQUIRE);
}

/* Called by the engine's thread while the job may be running, hence atomic. The job ends at its next look, and `done`
 * is called as ever. */
void tide_kafka_resolve_drop(struct tide_kafka_resolve *resolve)
{
    if (resolve)
        __atomic_store_n(&resolve->dropped, true, __ATOMIC_RELEASE);
}

/* ---- questions to the brokers ---- */

typedef rd_kafka_resp_err_t request(rd_kafka_t *, rd_kafka_topic_partition_list_t *, int);

/* The first error of the answer: of all of it, or of a partition. An assignment is one call for all of its partitions,
 * so the answer is of use only when it is complete. */
static rd_kafka_resp_err_t ask_once(rd_kafka_t *client, request *ask,
                                    rd_kafka_topic_partition_list_t *list, int64_t offset)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = offset;
        /* rd_kafka_offsets_for_times does not report a time-out: it then leaves the list as it is. */
        list->elems[i].err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    rd_kafka_resp_err_t error = ask(client, list, ASK_MS);
    for (int i = 0; i < list->cnt && !error; i++)
        error = list->elems[i].err;
    return error;
}

/* Waiting does not help. An outage is not among them: it passes, and librdkafka keeps the membership meanwhile. */
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

/* Asks until there is an answer, since an outage is waited out. `offset` is what is asked for each partition: a
 * time, the beginning, the end. Negative: there is no answer, and `status` and `text` are set. */
static int ask(struct tide_kafka_resolve *resolve, request *how, const char *what,
               rd_kafka_topic_partition_list_t *list, int64_t offset)
{
    const struct tide_kafka_source *source = resolve->source;
    int64_t backoff_us = FIRST_BACKOFF_US;
    for (bool logged = false;; logged = true) {
        rd_kafka_resp_err_t error = ask_once(source->client, how, list, offset);
        if (!error)
            return TIDE_OK;
        if (is_final(error)) {
            snprintf(resolve->text, sizeof(resolve->text), "group \"%s\": cannot ask for %s: %s",
                     source->plan.group, what, rd_kafka_err2str(error));
            return resolve->status = TIDE_ECONFIG;
        }
        if (!logged)
            tide_log(TIDE_LOG_INFO, "group \"%s\": waiting for %s: %s", source->plan.group, what,
                     rd_kafka_err2str(error));
        if (tide_kafka_resolve_is_dropped(resolve) ||
            !tide_blocking_pause(source->blocking, backoff_us)) {
            tide_kafka_resolve_drop(resolve);
            return resolve->status = TIDE_ETEMPORARY;
        }
        if (backoff_us < LAST_BACKOFF_US)
            backoff_us *= 2;
    }
}

static int ask_committed(struct tide_kafka_resolve *resolve, rd_kafka_topic_partition_list_t *list)
{
    int status = ask(resolve, rd_kafka_committed, "committed offsets", list,
                     RD_KAFKA_OFFSET_INVALID);
    for (int i = 0; i < list->cnt && status == TIDE_OK; i++)
        resolve->questions[i].committed = list->elems[i].offset;
    return status;
}

/* For each partition, one request to its leader; the two ends are times with special numbers. */
static int ask_range(struct tide_kafka_resolve *resolve, rd_kafka_topic_partition_list_t *list)
{
    int status = ask(resolve, rd_kafka_offsets_for_times, "the first offsets", list,
                     RD_KAFKA_OFFSET_BEGINNING);
    for (int i = 0; i < list->cnt && status == TIDE_OK; i++)
        resolve->questions[i].low = list->elems[i].offset;
    if (status == TIDE_OK)
        status = ask(resolve, rd_kafka_offsets_for_times, "the last offsets", list,
                     RD_KAFKA_OFFSET_END);
    for (int i = 0; i < list->cnt && status == TIDE_OK; i++)
        resolve->questions[i].high = list->elems[i].offset;
    return status;
}

/* The leaders search for it, so it is asked only if the pipeline file has a time. */
static int ask_time(struct tide_kafka_resolve *resolve, rd_kafka_topic_partition_list_t *list)
{
    if (resolve->source->plan.start != TIDE_START_TIME)
        return TIDE_OK;
    int status = ask(resolve, rd_kafka_offsets_for_times, "the offsets of a time", list,
                     resolve->source->plan.start_at);
    for (int i = 0; i < list->cnt && status == TIDE_OK; i++)
        resolve->questions[i].at_time = list->elems[i].offset;
    return status;
}

/* ---- what is made of the answers ---- */

static int refuse(struct tide_kafka_resolve *resolve, int status, int i, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(struct tide_kafka_resolve *resolve, int status, int i, const char *format, ...)
{
    const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    snprintf(resolve->text, sizeof(resolve->text), "topic \"%s\" partition %d%s", which->topic,
             which->partition, why);
    return resolve->status = status;
}

static int refuse_out_of_range(struct tide_kafka_resolve *resolve, int i, int64_t offset)
{
    const struct tide_start_question *question = &resolve->questions[i];
    if (question->committed < 0 && question->position < 0)
        return refuse(resolve, TIDE_ECONFIG, i,
                      ": start = %lld is out of range [%lld, %lld]; begin elsewhere, or set "
                      "auto_offset_reset = \"earliest\" or \"latest\" on kafka_source",
                      (long long)offset, (long long)question->low, (long long)question->high);
    return refuse(resolve, TIDE_ECONFIG, i,
                  ": group \"%s\" is at offset %lld, which is out of range [%lld, %lld]; set "
                  "auto_offset_reset = \"earliest\" or \"latest\" on kafka_source, or move the "
                  "group's offset",
                  resolve->source->plan.group, (long long)offset, (long long)question->low,
                  (long long)question->high);
}

static int refuse_recreated(struct tide_kafka_resolve *resolve, int i)
{
    return refuse(
        resolve, TIDE_ETEMPORARY, i,
        " was read up to offset %lld; it was missing for a while and may have been "
        "made again, and group \"%s\" has no committed offset there: start again to read it "
        "from its beginning (or by start)",
        (long long)resolve->questions[i].position, resolve->source->plan.group);
}

/* Known before the other questions are asked, which a topic that is deleted again would not answer. */
static int look_for_recreated(struct tide_kafka_resolve *resolve)
{
    for (int i = 0; i < resolve->list->cnt; i++)
        if (tide_start_topic(&resolve->questions[i]) == TIDE_START_TOPIC_RECREATED_READ)
            return refuse_recreated(resolve, i);
    return TIDE_OK;
}

/* A topic is recreated with all of its partitions, but only those that had a committed offset can show it. As `added`,
 * "latest" begins at the first message of the new topic: what was written before it was noticed is not skipped. */
static void spread_recreated(struct tide_kafka_resolve *resolve)
{
    const rd_kafka_topic_partition_list_t *list = resolve->list;
    for (int i = 0; i < list->cnt; i++)
        for (int j = 0; j < list->cnt; j++)
            if (strcmp(list->elems[i].topic, list->elems[j].topic) == 0 &&
                tide_start_topic(&resolve->questions[j]) == TIDE_START_TOPIC_RECREATED)
                resolve->questions[i].added = true;
}

/* What only a change of the pipeline file mends is TIDE_ECONFIG. A topic that was recreated is not: a restart resolves
 * it. */
static int decide(struct tide_kafka_resolve *resolve, int i)
{
    const struct tide_source_plan *plan = &resolve->source->plan;
    const struct tide_start_rule rule = {plan->start, plan->start_at, plan->reset};
    const struct tide_start_question *question = &resolve->questions[i];
    const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
    struct tide_start_answer answer;
    switch (tide_start_offset(&rule, question, &answer)) {
    case TIDE_START_REFUSED_NO_OFFSET:
        return refuse(resolve, TIDE_ECONFIG, i,
                      ": group \"%s\" has no committed offset; set start = \"earliest\" or "
                      "\"latest\" on kafka_source (or auto_offset_reset)",
                      plan->group);
    case TIDE_START_REFUSED_OUT_OF_RANGE:
        return refuse_out_of_range(resolve, i, answer.rejected);
    case TIDE_START_REFUSED_RECREATED:
        return refuse_recreated(resolve, i);
    case TIDE_START_RESET:
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" partition %d: offset %lld is out of range [%lld, %lld]; going on at "
                 "%lld (auto_offset_reset = \"%s\")",
                 which->topic, which->partition, (long long)answer.rejected,
                 (long long)question->low, (long long)question->high, (long long)answer.offset,
                 plan->reset == TIDE_RESET_EARLIEST ? "earliest" : "latest");
        break;
    case TIDE_START_CONTINUES:
    case TIDE_START_BEGINS:
        break;
    }
    resolve->list->elems[i].offset = answer.offset;
    resolve->commit[i] = answer.commit;
    return TIDE_OK;
}

/* Without a committed offset a partition is new, or its offset has expired: then messages are read a second time, or
 * skipped. */
static void log_begun(const struct tide_kafka_resolve *resolve)
{
    const struct tide_source_plan *plan = &resolve->source->plan;
    char text[1024] = "";
    size_t at = 0;
    for (int i = 0; i < resolve->list->cnt && at + 128 < sizeof(text); i++) {
        const rd_kafka_topic_partition_t *which = &resolve->list->elems[i];
        const struct tide_start_question *question = &resolve->questions[i];
        if (question->committed >= 0)
            continue;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.60s/%d at %lld of [%lld, %lld]",
                               at > 0 ? ", " : "", which->topic, which->partition,
                               (long long)which->offset, (long long)question->low,
                               (long long)question->high);
    }
    if (at > 0)
        tide_log(TIDE_LOG_INFO,
                 "group \"%s\" has no committed offset (it is new there, or it expired) and begins "
                 "by %s: %s%s",
                 plan->group, plan->start == TIDE_START_NONE ? "auto_offset_reset" : "start", text,
                 at + 128 >= sizeof(text) ? " ..." : "");
}

/* ---- the job ---- */

/* The questions are asked with a copy, since an answer overwrites offsets, and those of resolve->list are positions
 * until decide() replaces them. */
static void resolve_in_thread(struct tide_blocking_job *job)
{
    struct tide_kafka_resolve *resolve = (struct tide_kafka_resolve *)job;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(resolve->list);
    (void)tide_fault("kafka.resolve");
    int status = ask_committed(resolve, list);
    if (status == TIDE_OK)
        status = look_for_recreated(resolve);
    if (status == TIDE_OK)
        status = ask_range(resolve, list);
    if (status == TIDE_OK)
        status = ask_time(resolve, list);
    if (status == TIDE_OK)
        spread_recreated(resolve);
    for (int i = 0; i < resolve->list->cnt && status == TIDE_OK; i++)
        status = decide(resolve, i);
    if (status == TIDE_OK && resolve->reason == TIDE_RESOLVE_ASSIGNED)
        log_begun(resolve);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What the engine's thread knows when the question is made. It is copied into the question because the table of
 * partitions belongs to that thread, and may move while the job runs. */
static struct tide_start_question make_question(struct tide_kafka_source *source,
                                                const rd_kafka_topic_partition_t *which,
                                                enum tide_resolve_reason reason)
{
    int index = tide_kafka_partition_find(source, which->topic, which->partition);
    struct tide_start_question question = {
        .reason = reason,
        .committed = -1,
        .position = which->offset,
        .at_time = -1,
        .added = (uint32_t)which->partition >=
                 tide_known_topics_partitions(&source->known_topics, which->topic),
    };
    if (index < 0)
        return question; /* there are too many: the assignment fails, and says so */
    const struct tide_kafka_partition *partition = &source->partitions[index];
    question.was_committed = partition->committed;
    question.was_missing = tide_kafka_is_missing(partition);
    question.was_read = partition->read.next != partition->read.begin;
    return question;
}

struct tide_kafka_resolve *tide_kafka_resolve_new(struct tide_kafka_source *source,
                                                  struct rd_kafka_topic_partition_list_s *list,
                                                  enum tide_resolve_reason reason,
                                                  void (*done)(struct tide_blocking_job *job))
{
    struct tide_kafka_resolve *resolve = tide_alloc(sizeof(*resolve));
    size_t count = (size_t)list->cnt + 1;
    resolve->job.run = resolve_in_thread;
    resolve->job.done = done;
    resolve->source = source;
    resolve->reason = reason;
    resolve->list = list;
    resolve->questions = tide_alloc(count * sizeof(*resolve->questions));
    resolve->commit = tide_alloc(count * sizeof(*resolve->commit));
    for (int i = 0; i < list->cnt; i++)
        resolve->questions[i] = make_question(source, &list->elems[i], reason);
    return resolve;
}

void tide_kafka_resolve_free(struct tide_kafka_resolve *resolve)
{
    rd_kafka_topic_partition_list_destroy(resolve->list);
    if (resolve->membership)
        rd_kafka_consumer_group_metadata_destroy(resolve->membership);
    free(resolve->questions);
    free(resolve->commit);
    free(resolve);
}
