/* SPDX-License-Identifier: MIT
 * The calls by which partitions begin, pause and end, and everything that goes with them. librdkafka waits for a
 * call of assign or unassign after each of its rebalance events; when to make it is decided in source/rebalance.c.
 * The queue of a partition is forwarded to ours before the partition is assigned, so that no message of it ever
 * reaches the control queue. Start reading at tide_kafka_assign. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "kafka/source/inside.h"

/* ---- librdkafka's calls ---- */

/* librdkafka's older calls return a code, the incremental ones an error object. */
static int check_call(rd_kafka_error_t *error, rd_kafka_resp_err_t code, const char *what)
{
    int status = TIDE_OK;
    if (error)
        status = tide_fail(TIDE_ETEMPORARY, "cannot %s partitions: %s", what,
                           rd_kafka_error_string(error));
    else if (code)
        status = tide_fail(TIDE_ETEMPORARY, "cannot %s partitions: %s", what,
                           rd_kafka_err2str(code));
    rd_kafka_error_destroy(error);
    return status;
}

/* Asking for the queue makes librdkafka create the partition, so this is possible before it is assigned. */
static void forward_queues(struct tide_kafka_source *source,
                           const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(source->client, list->elems[i].topic,
                                                               list->elems[i].partition);
        if (!queue)
            continue;
        rd_kafka_queue_forward(queue, source->data);
        rd_kafka_queue_destroy(queue);
    }
}

/* A partition that is held is not fetched. It is paused before it is assigned: messages that are fetched and wait in a
 * queue of their own would fill the limits of the source's queue (connect.c) once for each partition. */
static int pause_held(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    int status = TIDE_OK;
    rd_kafka_topic_partition_list_t *held = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *which = &list->elems[i];
        int index = tide_kafka_partition_find(source, which->topic, which->partition);
        if (index < 0 || !source->partitions[index].held)
            continue;
        source->partitions[index].paused = true;
        rd_kafka_topic_partition_list_add(held, which->topic, which->partition);
    }
    if (held->cnt > 0)
        rd_kafka_pause_partitions(source->client, held);
    for (int i = 0; i < held->cnt && status == TIDE_OK; i++)
        status = check_call(NULL, held->elems[i].err, "pause");
    rd_kafka_topic_partition_list_destroy(held);
    return status;
}

/* Partitions that are assigned again are stopped first, and that cuts their queues off from ours. librdkafka is
 * asked for its protocol since the answer comes from its main thread, which serves everything in turn: then they are
 * stopped. What came in since waits in the partition's queue, and the forwarding moves it over. */
static void forward_queues_again(struct tide_kafka_source *source,
                                 const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_rebalance_protocol(source->client);
    forward_queues(source, list);
}

static int call_assign(struct tide_kafka_source *source,
                       const rd_kafka_topic_partition_list_t *list, bool incremental)
{
    forward_queues(source, list);
    int status = pause_held(source, list);
    if (status < 0)
        return status;
    if (incremental)
        return check_call(rd_kafka_incremental_assign(source->client, list), 0, "assign");
    return check_call(NULL, rd_kafka_assign(source->client, list), "assign");
}

/* The eager protocol gives back everything at once, so its answer names no partition. */
int tide_kafka_assign_give_back(struct tide_kafka_source *source,
                                const struct rd_kafka_topic_partition_list_s *list,
                                bool incremental)
{
    if (incremental)
        return check_call(rd_kafka_incremental_unassign(source->client, list), 0, "give back");
    return check_call(NULL, rd_kafka_assign(source->client, NULL), "give back");
}

void tide_kafka_assign_decline(struct tide_kafka_source *source,
                               const struct rd_kafka_topic_partition_list_s *list, bool incremental)
{
    /* A client that is destroyed needs no answer, and a revocation that overtook the assignment gives it. */
    if (source->state != TIDE_KAFKA_CLOSING)
        return;
    if (incremental)
        call_assign(source, list, true);
    else
        tide_kafka_assign_give_back(source, list, false);
}

/* Assigns partitions that librdkafka has already, at other offsets. It has no call for that: seek refuses a
 * partition that it gave up. */
static int call_assign_again(struct tide_kafka_source *source,
                             const rd_kafka_topic_partition_list_t *list, bool incremental)
{
    int status = incremental ? tide_kafka_assign_give_back(source, list, true) : TIDE_OK;
    if (status == TIDE_OK)
        status = call_assign(source, list, incremental);
    if (status == TIDE_OK)
        forward_queues_again(source, list);
    return status;
}

/* ---- an assignment ---- */

/* An offset that "latest" chose has to stay the same for whoever gets the partition next (start_offset.h). */
static void commit_start_offsets(struct tide_kafka_source *source,
                                 const struct tide_kafka_resolve *answer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < answer->list->cnt; i++) {
        const rd_kafka_topic_partition_t *which = &answer->list->elems[i];
        if (answer->commit[i])
            rd_kafka_topic_partition_list_add(list, which->topic, which->partition)->offset =
                which->offset;
    }
    tide_kafka_commit_start_offsets(source, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The check of the start could not see a topic that a pattern finds later, or partitions that were added since. */
static int check_limit(const struct tide_kafka_source *source,
                       const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (source->output.limit_topic &&
            (uint32_t)list->elems[i].partition >= source->output.limit)
            return tide_fail(TIDE_ECONFIG,
                             "partition = \"same\": topic \"%s\" has a partition %d, the output "
                             "\"%s\" had only %u "
                             "partitions at the start",
                             list->elems[i].topic, list->elems[i].partition,
                             source->output.limit_topic, source->output.limit);
    return TIDE_OK;
}

/* Offsets in a transaction carry the membership (sink/txn.h), so it is replaced together with the partitions. When
 * partitions are only assigned again the group did not change, and there is none in the answer. */
static void keep_membership(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    if (!answer->membership)
        return;
    if (source->membership)
        rd_kafka_consumer_group_metadata_destroy(source->membership);
    source->membership = answer->membership;
    answer->membership = NULL;
}

static int find_all(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                    uint32_t *indexes)
{
    for (int i = 0; i < list->cnt; i++) {
        int index = tide_kafka_partition_find(source, list->elems[i].topic,
                                              list->elems[i].partition);
        if (index < 0)
            return index;
        indexes[i] = (uint32_t)index;
    }
    return TIDE_OK;
}

static void begin_reading(struct tide_kafka_source *source, struct tide_kafka_resolve *answer,
                          const uint32_t *indexes)
{
    int64_t now_us = tide_clock_us();
    for (int i = 0; i < answer->list->cnt; i++) {
        struct tide_kafka_partition *partition = &source->partitions[indexes[i]];
        tide_kafka_partition_move(source, partition, TIDE_KAFKA_PENDING);
        tide_kafka_partition_observe(source, partition, TIDE_KAFKA_RESOLVED);
        partition->paused = partition->held; /* pause_held */
        partition->committed = answer->questions[i].committed >= 0;
        tide_kafka_unheard_begin(partition, now_us);
        tide_kafka_fetch_begin(source, indexes[i], &answer->questions[i],
                               answer->list->elems[i].offset);
    }
    keep_membership(source, answer);
    commit_start_offsets(source, answer);
    /* With the cooperative protocol a new member begins with no partition, and they follow. */
    if (answer->list->cnt > 0 || !answer->incremental)
        source->group = TIDE_KAFKA_SETTLED;
    else if (source->group == TIDE_KAFKA_JOINING)
        source->group = TIDE_KAFKA_REBALANCING;
    tide_kafka_source_emit(source, TIDE_SOURCE_ASSIGNED, TIDE_OK, indexes,
                           (uint32_t)answer->list->cnt, NULL);
}

/* Whatever may fail comes before the call of librdkafka: a partition that is assigned and not in the table would be
 * read by nobody. */
static int assign_new(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    uint32_t *indexes = tide_alloc((size_t)(answer->list->cnt + 1) * sizeof(*indexes));
    int status = check_limit(source, answer->list);
    if (status == TIDE_OK)
        status = find_all(source, answer->list, indexes);
    for (int i = 0; i < answer->list->cnt && status == TIDE_OK; i++)
        source->partitions[indexes[i]].held = source->holds;
    if (status == TIDE_OK && answer->reason == TIDE_RESOLVE_REWOUND)
        status = call_assign_again(source, answer->list, answer->incremental);
    else if (status == TIDE_OK)
        status = call_assign(source, answer->list, answer->incremental);
    if (status == TIDE_OK)
        begin_reading(source, answer, indexes);
    free(indexes);
    return status;
}

/* ---- partitions that were misplaced ---- */

/* The log may have been truncated below what was read. Then messages in flight have offsets that will be given to
 * others, and only a new start can tell them apart. */
static int move_reading(struct tide_kafka_source *source, const struct tide_kafka_resolve *answer,
                        int i)
{
    const rd_kafka_topic_partition_t *which = &answer->list->elems[i];
    int index = tide_kafka_partition_find(source, which->topic, which->partition);
    if (index < 0)
        return index;
    struct tide_kafka_partition *partition = &source->partitions[index];
    if (which->offset < partition->read.next && partition->read.next != partition->read.begin)
        return tide_fail(
            TIDE_ETEMPORARY,
            "topic \"%s\" partition %d: its log was cut at offset %lld, below %lld, which was "
            "read already; start again to go on there",
            which->topic, which->partition, (long long)answer->questions[i].high,
            (long long)partition->read.next);
    tide_kafka_fetch_move(partition, which->offset);
    tide_kafka_events_begin_moved(source, (uint32_t)index);
    tide_kafka_unheard_begin(partition, tide_clock_us());
    tide_kafka_partition_observe(source, partition, TIDE_KAFKA_RESOLVED);
    return TIDE_OK;
}

static int assign_misplaced(struct tide_kafka_source *source,
                            const struct tide_kafka_resolve *answer)
{
    bool incremental = tide_kafka_is_incremental(source);
    int status = TIDE_OK;
    for (int i = 0; i < answer->list->cnt && status == TIDE_OK; i++)
        status = move_reading(source, answer, i);
    if (status < 0)
        return status;
    /* With the eager protocol, an assignment always is the whole of it. */
    rd_kafka_topic_partition_list_t *list =
        incremental ? rd_kafka_topic_partition_list_copy(answer->list)
                    : tide_kafka_partitions_where(source, tide_kafka_is_assigned);
    status = call_assign_again(source, list, incremental);
    if (status == TIDE_OK)
        commit_start_offsets(source, answer);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

int tide_kafka_assign(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    return answer->reason == TIDE_RESOLVE_MISPLACED ? assign_misplaced(source, answer)
                                                    : assign_new(source, answer);
}

/* ---- pauses ---- */

static void resume(struct tide_kafka_source *source, rd_kafka_topic_partition_list_t *list)
{
    if (!tide_fault("bug.resume_lost")) /* librdkafka may lose it: unheard.c */
        rd_kafka_resume_partitions(source->client, list);
}

void tide_kafka_assign_release(struct tide_kafka_source *source, uint32_t index)
{
    struct tide_kafka_partition *partition = &source->partitions[index];
    if (!partition->held || source->state != TIDE_KAFKA_RUNNING)
        return;
    partition->held = false;
    tide_kafka_wake_resumed(source, index);
    if (source->paused) /* then it is resumed with the others */
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, tide_kafka_partition_topic(source, index),
                                      partition->number);
    resume(source, list);
    rd_kafka_topic_partition_list_destroy(list);
    partition->paused = false;
    tide_kafka_unheard_begin(partition, tide_clock_us());
}

static bool is_owned(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_OWNED;
}

static bool is_to_be_resumed(const struct tide_kafka_partition *partition)
{
    return partition->paused && !partition->held;
}

static bool is_paused_and_leaving(const struct tide_kafka_partition *partition)
{
    return partition->paused && partition->assignment == TIDE_KAFKA_LEAVING;
}

/* Only what was paused is resumed: librdkafka before 2.4.0 rewinds a partition that is resumed without a pause. */
void tide_kafka_assign_pause(struct tide_kafka_source *source, bool paused)
{
    if (source->paused == paused || source->state != TIDE_KAFKA_RUNNING)
        return;
    rd_kafka_topic_partition_list_t *list = tide_kafka_partitions_where(
        source, paused ? is_owned : is_to_be_resumed);
    int64_t now_us = tide_clock_us();
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        bool held = partition->paused && partition->held;
        if (!paused)
            tide_kafka_unheard_begin(partition, now_us);
        partition->paused = held || (paused && is_owned(partition));
    }
    if (list->cnt > 0 && !paused)
        resume(source, list);
    else if (list->cnt > 0 && !tide_fault("bug.resume_unpaused"))
        rd_kafka_pause_partitions(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    source->paused = paused;
}

void tide_kafka_assign_resume_leaving(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = tide_kafka_partitions_where(source,
                                                                        is_paused_and_leaving);
    if (list->cnt > 0)
        rd_kafka_resume_partitions(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void tide_kafka_assign_free(struct tide_kafka_source *source)
{
    if (source->membership)
        rd_kafka_consumer_group_metadata_destroy(source->membership);
}
