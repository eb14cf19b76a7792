/* SPDX-License-Identifier: MIT
 * The calls by which partitions begin and end, and what goes with them: their queues, their first
 * offsets. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/source/inside.h"

bool tide_kafka_is_assigned(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_PENDING || partition->assignment == TIDE_KAFKA_OWNED;
}

/* ---- calls that librdkafka waits for ---- */

static int check(rd_kafka_error_t *error, rd_kafka_resp_err_t code, const char *what)
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

/* Before the partition is assigned, so that no message of it ever reaches the control queue. */
static void lead_queues(struct tide_kafka_source *source,
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

static int call_assign(struct tide_kafka_source *source,
                       const rd_kafka_topic_partition_list_t *list, bool incremental)
{
    lead_queues(source, list);
    if (incremental)
        return check(rd_kafka_incremental_assign(source->client, list), 0, "assign");
    return check(NULL, rd_kafka_assign(source->client, list), "assign");
}

int tide_kafka_assign_give_back(struct tide_kafka_source *source,
                                const struct rd_kafka_topic_partition_list_s *list,
                                bool incremental)
{
    if (incremental)
        return check(rd_kafka_incremental_unassign(source->client, list), 0, "give back");
    return check(NULL, rd_kafka_assign(source->client, NULL), "give back");
}

void tide_kafka_assign_decline(struct tide_kafka_source *source,
                               const struct rd_kafka_topic_partition_list_s *list, bool incremental)
{
    if (source->state == TIDE_KAFKA_CLOSING)
        (incremental ? call_assign : tide_kafka_assign_give_back)(source, list, incremental);
}

/* ---- assigned ---- */

/* Commits the offsets that "latest" chose: were they not kept, whoever gets the partition before
 * the first commit would begin at a later "latest", and skip what came between. */
static void commit_start_offsets(struct tide_kafka_source *source,
                                 const struct tide_kafka_resolve *answer)
{
    rd_kafka_topic_partition_list_t *to_commit = rd_kafka_topic_partition_list_new(
        answer->list->cnt);
    for (int i = 0; i < answer->list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &answer->list->elems[i];
        if (answer->starts[i].to_commit)
            rd_kafka_topic_partition_list_add(to_commit, element->topic, element->partition)
                ->offset = answer->starts[i].offset;
    }
    if (to_commit->cnt > 0)
        rd_kafka_commit_queue(source->client, to_commit, source->control, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(to_commit);
}

static void begin_reading(struct tide_kafka_partition *partition,
                          const struct tide_kafka_start *start, bool until_end)
{
    partition->assignment = TIDE_KAFKA_PENDING;
    partition->next = start->offset;
    partition->epoch_start = start->offset;
    partition->target = until_end ? start->end : -1;
    partition->end = start->end;
    partition->at_end =
        false; /* an answer to a fetch says so, and tells of open transactions too */
    partition->passed = partition->stable = -1;
    partition->passed_due = partition->still_logged = false;
    partition->still_us = 0;
    partition->paused = false;
    partition->out_of_range = partition->missing = false;
    partition->committed = start->committed;
    partition->last_error = 0;
}

/* What the check of the start could not see: a topic found by a pattern, partitions added since. */
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

/* Assigning anew stops the partitions first, and stopping one cuts its queue off from ours. The
 * protocol is asked for because the answer comes from librdkafka's main thread, in turn: what went
 * before is stopped. What came in since waits in the partition's queue and is moved over by the
 * forwarding. */
static void lead_again(struct tide_kafka_source *source,
                       const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_rebalance_protocol(source->client);
    lead_queues(source, list);
}

static void keep_membership(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    if (!answer->membership)
        return;
    if (source->membership)
        rd_kafka_consumer_group_metadata_destroy(source->membership);
    source->membership = answer->membership;
    answer->membership = NULL;
}

static int assigned(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    rd_kafka_topic_partition_list_t *list = answer->list;
    uint32_t *indexes = tide_alloc((size_t)(list->cnt + 1) * sizeof(*indexes));
    int status = check_limit(source, list);
    for (int i = 0; i < list->cnt && status >= 0; i++) {
        status = tide_kafka_source_find(source, list->elems[i].topic, list->elems[i].partition);
        indexes[i] = (uint32_t)status;
        list->elems[i].offset = answer->starts[i].offset;
    }
    if (status >= 0 && answer->rewind && answer->incremental)
        status = tide_kafka_assign_give_back(source, list, true);
    if (status >= 0)
        status = call_assign(source, list, answer->incremental);
    if (status >= 0 && answer->rewind)
        lead_again(source, list);
    if (status >= 0) {
        keep_membership(source, answer);
        for (int i = 0; i < list->cnt; i++)
            begin_reading(&source->partitions[indexes[i]], &answer->starts[i],
                          source->plan.until_end);
        commit_start_offsets(source, answer);
        source->last_handle = NULL;
        if (source->plan.instance && !source->ever_assigned)
            tide_kafka_unowned_look(source);
        source->ever_assigned = true;
        /* With the cooperative protocol a new member begins with none, and more follow. */
        source->settled = source->settled || list->cnt > 0 || !answer->incremental;
        source->assigned_waiting++;
        tide_kafka_source_emit(source, TIDE_SOURCE_ASSIGNED, TIDE_OK, indexes, (uint32_t)list->cnt,
                               NULL);
    }
    free(indexes);
    return status < 0 ? status : TIDE_OK;
}

/* ---- out of range while it runs ---- */

bool tide_kafka_any_out_of_range(const struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].out_of_range && tide_kafka_is_assigned(&source->partitions[i]))
            return true;
    return false;
}

int tide_kafka_assign_ask_again(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!partition->out_of_range || !tide_kafka_is_assigned(partition))
            continue;
        rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i),
                                          partition->number)
            ->offset = partition->next;
    }
    source->resolving = tide_kafka_resolve_new(source, list, true);
    return tide_blocking_submit(source->blocking, &source->resolving->job);
}

/* The log may have been cut below what was read: then messages in flight have offsets that will be
 * given again, which only a new start can tell apart. */
static int move(struct tide_kafka_source *source, const struct tide_kafka_resolve *answer, int i)
{
    const rd_kafka_topic_partition_t *element = &answer->list->elems[i];
    int index = tide_kafka_source_find(source, element->topic, element->partition);
    if (index < 0)
        return index;
    struct tide_kafka_partition *partition = &source->partitions[index];
    int64_t to = answer->starts[i].offset;
    if (to < partition->next && partition->next != partition->epoch_start)
        return tide_fail(
            TIDE_ETEMPORARY,
            "topic \"%s\" partition %d: its log was cut at offset %lld, below %lld, which was "
            "read already; start again to go on there",
            element->topic, element->partition, (long long)answer->starts[i].end,
            (long long)partition->next);
    if (partition->next == partition->epoch_start)
        partition->epoch_start = to;
    partition->next = to;
    partition->at_end = partition->target >= 0 && to >= partition->target;
    partition->out_of_range = partition->missing = false;
    return TIDE_OK;
}

/* librdkafka has no way to begin again with one partition: seek refuses one that it gave up. So the
 * partitions are assigned anew, each from where it is. */
static int assign_again(struct tide_kafka_source *source, const struct tide_kafka_resolve *answer)
{
    bool incremental = tide_kafka_is_incremental(source);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int status = TIDE_OK;
    for (int i = 0; i < answer->list->cnt && status == TIDE_OK; i++)
        status = move(source, answer, i);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        const char *topic = tide_kafka_source_topic(source, i);
        if (tide_kafka_is_assigned(partition) &&
            (!incremental ||
             rd_kafka_topic_partition_list_find(answer->list, topic, partition->number)))
            rd_kafka_topic_partition_list_add(list, topic, partition->number)->offset =
                partition->next;
    }
    if (status == TIDE_OK && incremental)
        status = tide_kafka_assign_give_back(source, list, true);
    if (status == TIDE_OK)
        status = call_assign(source, list, incremental);
    if (status == TIDE_OK) {
        lead_again(source, list);
        commit_start_offsets(source, answer);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

int tide_kafka_assign_resolved(struct tide_kafka_source *source, struct tide_kafka_resolve *answer)
{
    return answer->out_of_range ? assign_again(source, answer) : assigned(source, answer);
}
