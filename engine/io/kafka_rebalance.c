/* SPDX-License-Identifier: MIT
 * Rebalances, one at a time and in order. Each ends with a call of assign or unassign: librdkafka waits for it.
 *
 *   assigned  ask where to begin (kafka_locate.c), lead the partitions' queues to ours, assign, tell the engine
 *   revoked   tell the engine, wait for its revoke_done(), unassign
 *
 * With the eager protocol an assignment is the whole of it, and one that is overtaken by a revocation is
 * dropped; with the cooperative one it is an addition, and is finished first. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "io/kafka_source.h"
#include "shm/topics.h"

static bool is_held(const struct tide_kafka_partition *partition)
{
    return partition->holding == TIDE_KAFKA_GIVEN || partition->holding == TIDE_KAFKA_OWNED;
}

static bool holds_any(const struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (is_held(&source->partitions[i]))
            return true;
    return false;
}

static void free_rebalance(struct tide_kafka_rebalance *rebalance)
{
    if (!rebalance)
        return;
    rd_kafka_topic_partition_list_destroy(rebalance->list);
    free(rebalance);
}

void tide_kafka_rebalance_drop(struct tide_kafka_source *source)
{
    while (source->rebalances) {
        struct tide_kafka_rebalance *rebalance = source->rebalances;
        source->rebalances = rebalance->next;
        free_rebalance(rebalance);
    }
    free_rebalance(source->leaving);
    source->leaving = NULL;
}

void tide_kafka_rebalance_event(struct tide_kafka_source *source, struct rd_kafka_op_s *event)
{
    struct tide_kafka_rebalance *rebalance = tide_alloc(sizeof(*rebalance));
    struct tide_kafka_rebalance **end = &source->rebalances;
    const char *protocol = rd_kafka_rebalance_protocol(source->client);
    rebalance->assign = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rebalance->incremental = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    rebalance->lost = !rebalance->assign && rd_kafka_assignment_lost(source->client);
    rebalance->list = rd_kafka_topic_partition_list_copy(rd_kafka_event_topic_partition_list(event));
    while (*end)
        end = &(*end)->next;
    *end = rebalance;
    if (source->locating && !source->locating->astray && !rebalance->incremental)
        __atomic_store_n(&source->locating->dropped, true, __ATOMIC_RELEASE);
}

/* ---- calls that librdkafka waits for ---- */

static int check(rd_kafka_error_t *error, rd_kafka_resp_err_t code, const char *what)
{
    int status = TIDE_OK;
    if (error)
        status = tide_fail(TIDE_ETEMPORARY, "cannot %s partitions: %s", what, rd_kafka_error_string(error));
    else if (code)
        status = tide_fail(TIDE_ETEMPORARY, "cannot %s partitions: %s", what, rd_kafka_err2str(code));
    rd_kafka_error_destroy(error);
    return status;
}

/* Before the partition is assigned, so that no message of it ever reaches the control queue. */
static void lead_queues(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
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

static int call_assign(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                       bool incremental)
{
    lead_queues(source, list);
    if (incremental)
        return check(rd_kafka_incremental_assign(source->client, list), 0, "assign");
    return check(NULL, rd_kafka_assign(source->client, list), "assign");
}

static int call_unassign(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                         bool incremental)
{
    if (incremental)
        return check(rd_kafka_incremental_unassign(source->client, list), 0, "give back");
    return check(NULL, rd_kafka_assign(source->client, NULL), "give back");
}

/* ---- assigned ---- */

/* Commits the offsets that "latest" chose: were they not kept, whoever gets the partition before the first
 * commit would begin at a later "latest", and skip what came between. */
static void pin(struct tide_kafka_source *source, const struct tide_kafka_locate *answer)
{
    rd_kafka_topic_partition_list_t *pinned = rd_kafka_topic_partition_list_new(answer->list->cnt);
    for (int i = 0; i < answer->list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &answer->list->elems[i];
        if (answer->places[i].pinned)
            rd_kafka_topic_partition_list_add(pinned, element->topic, element->partition)->offset =
                answer->places[i].offset;
    }
    if (pinned->cnt > 0)
        rd_kafka_commit_queue(source->client, pinned, source->control, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(pinned);
}

static void hold(struct tide_kafka_partition *partition, const struct tide_kafka_place *place, bool until_end)
{
    partition->holding = TIDE_KAFKA_GIVEN;
    partition->next = place->offset;
    partition->epoch_start = place->offset;
    partition->target = until_end ? place->end : -1;
    partition->at_end = until_end && place->offset >= place->end;
    partition->paused = false;
    partition->astray = false;
    partition->last_error = 0;
}

static int assigned(struct tide_kafka_source *source, struct tide_kafka_locate *answer)
{
    rd_kafka_topic_partition_list_t *list = answer->list;
    uint32_t *indexes = tide_alloc((size_t)(list->cnt + 1) * sizeof(*indexes));
    int status = TIDE_OK;
    for (int i = 0; i < list->cnt && status >= 0; i++) {
        status = tide_kafka_source_find(source, list->elems[i].topic, list->elems[i].partition);
        indexes[i] = (uint32_t)status;
        list->elems[i].offset = answer->places[i].offset;
    }
    if (status >= 0)
        status = call_assign(source, list, answer->incremental);
    if (status >= 0) {
        for (int i = 0; i < list->cnt; i++)
            hold(&source->partitions[indexes[i]], &answer->places[i], source->plan.until_end);
        pin(source, answer);
        source->last_handle = NULL;
        source->ever_assigned = true;
        /* With the cooperative protocol a new member begins with none, and more follow. */
        source->settled = source->settled || list->cnt > 0 || !answer->incremental;
        source->assigned_waiting++;
        tide_kafka_source_tell(source, TIDE_SOURCE_ASSIGNED, TIDE_OK, indexes, (uint32_t)list->cnt, NULL);
    }
    free(indexes);
    return status < 0 ? status : TIDE_OK;
}

/* Too late: it is leaving, and librdkafka takes either call for "no partitions". */
static void decline(struct tide_kafka_source *source, const struct tide_kafka_locate *locate)
{
    if (source->state == TIDE_KAFKA_CLOSING)
        (locate->incremental ? call_assign : call_unassign)(source, locate->list, locate->incremental);
}

static int begin_assign(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    struct tide_kafka_locate *locate = tide_kafka_locate_new(source, rebalance->list, false);
    locate->incremental = rebalance->incremental;
    free(rebalance);
    if (source->state == TIDE_KAFKA_RUNNING && !source->failed && locate->list->cnt > 0) {
        source->locating = locate;
        return tide_blocking_submit(source->blocking, &locate->job);
    }
    int status = TIDE_OK;
    if (source->state == TIDE_KAFKA_RUNNING && !source->failed)
        status = assigned(source, locate);
    else
        decline(source, locate);
    tide_kafka_locate_free(locate);
    return status;
}

/* ---- astray: out of range while it runs ---- */

static bool any_astray(const struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].astray && is_held(&source->partitions[i]))
            return true;
    return false;
}

static int begin_mending(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!partition->astray || !is_held(partition))
            continue;
        rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i), partition->number)
            ->offset = partition->next;
    }
    source->locating = tide_kafka_locate_new(source, list, true);
    return tide_blocking_submit(source->blocking, &source->locating->job);
}

/* The log may have been cut below what was read: then messages in flight have offsets that will be given
 * again, which only a new start can tell apart. */
static int move(struct tide_kafka_source *source, const struct tide_kafka_locate *answer, int i)
{
    const rd_kafka_topic_partition_t *element = &answer->list->elems[i];
    int index = tide_kafka_source_find(source, element->topic, element->partition);
    if (index < 0)
        return index;
    struct tide_kafka_partition *partition = &source->partitions[index];
    int64_t to = answer->places[i].offset;
    if (to < partition->next && partition->next != partition->epoch_start)
        return tide_fail(TIDE_ETEMPORARY,
                         "topic \"%s\" partition %d: its log was cut at offset %lld, below %lld, which was "
                         "read already; start again to go on there",
                         element->topic, element->partition, (long long)answer->places[i].end,
                         (long long)partition->next);
    if (partition->next == partition->epoch_start)
        partition->epoch_start = to;
    partition->next = to;
    partition->at_end = partition->target >= 0 && to >= partition->target;
    partition->astray = false;
    return TIDE_OK;
}

/* Assigning anew stops the partitions first, and stopping one cuts its queue off from ours. The protocol is
 * asked for because the answer comes from librdkafka's main thread, in turn: what went before is stopped. What
 * came in since waits in the partition's queue and is moved over by the forwarding. */
static void lead_again(struct tide_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_rebalance_protocol(source->client);
    lead_queues(source, list);
}

/* librdkafka has no way to begin again with one partition: seek refuses one that it gave up. So the partitions
 * are assigned anew, each from where it is. */
static int mended(struct tide_kafka_source *source, const struct tide_kafka_locate *answer)
{
    const char *protocol = rd_kafka_rebalance_protocol(source->client);
    bool incremental = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int status = TIDE_OK;
    for (int i = 0; i < answer->list->cnt && status == TIDE_OK; i++)
        status = move(source, answer, i);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        const char *topic = tide_kafka_source_topic(source, i);
        if (is_held(partition)
            && (!incremental
                || rd_kafka_topic_partition_list_find(answer->list, topic, partition->number)))
            rd_kafka_topic_partition_list_add(list, topic, partition->number)->offset = partition->next;
    }
    if (status == TIDE_OK && incremental)
        status = call_unassign(source, list, true);
    if (status == TIDE_OK)
        status = call_assign(source, list, incremental);
    if (status == TIDE_OK) {
        lead_again(source, list);
        pin(source, answer);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* ---- revoked ---- */

static void forget(struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].holding == TIDE_KAFKA_LEAVING)
            source->partitions[i].holding = TIDE_KAFKA_AWAY;
}

/* What it is told to give back, of what it has. */
static uint32_t mark_leaving(struct tide_kafka_source *source, const struct tide_kafka_rebalance *rebalance,
                             uint32_t *indexes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!is_held(partition))
            continue;
        if (rebalance->incremental
            && !rd_kafka_topic_partition_list_find(rebalance->list, tide_kafka_source_topic(source, i),
                                                   partition->number))
            continue;
        partition->holding = TIDE_KAFKA_LEAVING;
        indexes[count++] = i;
    }
    return count;
}

static int begin_revoke(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    uint32_t *indexes = tide_alloc((source->partition_count + 1) * sizeof(*indexes));
    uint32_t count = mark_leaving(source, rebalance, indexes);
    int status = TIDE_OK;
    source->settled = source->settled && rebalance->incremental && holds_any(source);
    tide_kafka_fetch_purge(source, false);
    if (count > 0 && !source->failed) {
        source->leaving = rebalance;
        tide_kafka_source_tell(source, rebalance->lost ? TIDE_SOURCE_LOST : TIDE_SOURCE_REVOKED, TIDE_OK,
                               indexes, count, NULL);
    } else {
        forget(source);
        status = call_unassign(source, rebalance->list, rebalance->incremental);
        free_rebalance(rebalance);
    }
    free(indexes);
    return status;
}

/* A pause would outlive the assignment, and meet the partition when it comes back. */
static void resume_leaving(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (partition->holding == TIDE_KAFKA_LEAVING && partition->paused)
            rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i), partition->number);
    }
    if (list->cnt > 0)
        rd_kafka_resume_partitions(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void tide_kafka_rebalance_done(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance = source->leaving;
    if (!rebalance)
        return;
    source->leaving = NULL;
    resume_leaving(source);
    forget(source);
    int status = call_unassign(source, rebalance->list, rebalance->incremental);
    free_rebalance(rebalance);
    if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
        tide_kafka_source_fail(source, status);
    tide_kafka_rebalance_serve(source);
}

/* ---- in order ---- */

void tide_kafka_rebalance_located(struct tide_kafka_source *source, struct tide_kafka_locate *answer)
{
    int status = TIDE_OK;
    bool wanted = source->state == TIDE_KAFKA_RUNNING && !source->failed && !answer->dropped;
    source->locating = NULL;
    if (wanted && answer->status < 0)
        status = tide_fail(answer->status, "%s", answer->text);
    else if (wanted)
        status = answer->astray ? mended(source, answer) : assigned(source, answer);
    else if (!answer->astray)
        decline(source, answer);
    if (status < 0)
        tide_kafka_source_fail(source, status);
    tide_kafka_locate_free(answer);
    tide_kafka_rebalance_serve(source);
}

void tide_kafka_rebalance_serve(struct tide_kafka_source *source)
{
    while (!source->locating && !source->leaving) {
        struct tide_kafka_rebalance *rebalance = source->rebalances;
        int status = TIDE_OK;
        if (rebalance) {
            source->rebalances = rebalance->next;
            status = rebalance->assign ? begin_assign(source, rebalance) : begin_revoke(source, rebalance);
        } else if (source->state == TIDE_KAFKA_RUNNING && !source->failed && any_astray(source)) {
            status = begin_mending(source);
        } else {
            return;
        }
        if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
            tide_kafka_source_fail(source, status);
        if (status < 0)
            return;
    }
}
