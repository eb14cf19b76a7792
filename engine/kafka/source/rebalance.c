/* SPDX-License-Identifier: MIT
 * Rebalances, one at a time and in order. librdkafka waits after each of its events until assign or unassign is
 * called.
 *
 *   ASSIGN           resolve the start offsets (source/resolve.c), assign, tell the engine (source/assign.c)
 *   REVOKE, LOSE     tell the engine, wait for its revoke_done(), give the partitions back
 *   REWIND           tell the engine, wait for its revoke_done(), then as ASSIGN; the group does not notice
 *
 * A LOSE does not wait for start offsets that are being resolved of partitions that it takes away: until it is answered,
 * librdkafka sends heartbeats without a member id, which fence a static member (control.c).
 *
 * With the eager protocol an assignment is the whole of it, and one that is overtaken by a revocation is dropped.
 * With the cooperative one it is an addition, and is finished first. When no rebalance waits, partitions whose
 * offset is out of range get a start offset again. Start reading at tide_kafka_rebalance_serve. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/status.h"
#include "kafka/source/inside.h"

/* A source that ends takes no partitions any more. It answers librdkafka's events all the same, or the leave would
 * wait for an answer. */
static bool can_assign(const struct tide_kafka_source *source)
{
    return source->state == TIDE_KAFKA_RUNNING && !source->failed;
}

static void free_rebalance(struct tide_kafka_rebalance *rebalance)
{
    if (!rebalance)
        return;
    rd_kafka_topic_partition_list_destroy(rebalance->list);
    if (rebalance->membership)
        rd_kafka_consumer_group_metadata_destroy(rebalance->membership);
    free(rebalance);
}

static struct tide_kafka_rebalance *take_first(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *first = STAILQ_FIRST(&source->rebalance.queue);
    if (first)
        STAILQ_REMOVE_HEAD(&source->rebalance.queue, next);
    return first;
}

void tide_kafka_rebalance_drop(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance;
    while ((rebalance = take_first(source)))
        free_rebalance(rebalance);
    free_rebalance(source->rebalance.leaving);
    source->rebalance.leaving = NULL;
}

/* The start offsets of misplaced partitions are dropped for any rebalance, since they are resolved again once it is
 * over; those of an assignment only for one that replaces it, and those of a rewind when nothing is left to rewind. */
void tide_kafka_rebalance_event(struct tide_kafka_source *source, struct rd_kafka_op_s *event)
{
    struct tide_kafka_rebalance *rebalance = tide_alloc(sizeof(*rebalance));
    bool assigns = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    bool lost = !assigns && rd_kafka_assignment_lost(source->client);
    rebalance->kind = assigns ? TIDE_KAFKA_ASSIGN : lost ? TIDE_KAFKA_LOSE : TIDE_KAFKA_REVOKE;
    rebalance->incremental = tide_kafka_is_incremental(source);
    rebalance->list = rd_kafka_topic_partition_list_copy(
        rd_kafka_event_topic_partition_list(event));
    source->rebalance.ended = lost;
    if (lost)
        tide_kafka_commit_membership_ended(source);
    /* Taken now, since it may be of a later generation by the time the partitions are assigned. */
    if (assigns)
        rebalance->membership = rd_kafka_consumer_group_metadata(source->client);
    STAILQ_INSERT_TAIL(&source->rebalance.queue, rebalance, next);
    const struct tide_kafka_resolve *resolving = source->rebalance.resolving;
    if (resolving && (resolving->reason == TIDE_RESOLVE_MISPLACED || !rebalance->incremental ||
                      (lost && resolving->reason == TIDE_RESOLVE_REWOUND)))
        tide_kafka_resolve_drop(source->rebalance.resolving);
}

/* ---- assigned ---- */

/* An assignment that is not wanted needs an answer nevertheless. Misplaced and rewound partitions are no rebalance, so
 * nobody waits for one there. */
static void resolved(struct tide_blocking_job *job)
{
    struct tide_kafka_resolve *answer = (struct tide_kafka_resolve *)job;
    struct tide_kafka_source *source = answer->source;
    int status = TIDE_OK;
    source->rebalance.resolving = NULL;
    if (!can_assign(source) || tide_kafka_resolve_is_dropped(answer)) {
        if (answer->reason == TIDE_RESOLVE_ASSIGNED)
            tide_kafka_assign_decline(source, answer->list, answer->incremental);
    } else if (answer->status < 0) {
        status = tide_fail(answer->status, "%s", answer->text);
    } else {
        status = tide_kafka_assign(source, answer);
    }
    if (status < 0)
        tide_kafka_source_fail(source, status);
    tide_kafka_resolve_free(answer);
    tide_kafka_rebalance_serve(source);
}

static int submit_resolve(struct tide_kafka_source *source, struct tide_kafka_resolve *resolve)
{
    source->rebalance.resolving = resolve;
    return tide_blocking_submit(source->blocking, &resolve->job);
}

static int begin_assign(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    struct tide_kafka_resolve *resolve = tide_kafka_resolve_new(source, rebalance->list,
                                                                TIDE_RESOLVE_ASSIGNED, resolved);
    resolve->incremental = rebalance->incremental;
    resolve->membership = rebalance->membership;
    free(rebalance); /* the job has all that it had */
    if (can_assign(source) && resolve->list->cnt > 0)
        return submit_resolve(source, resolve);
    int status = TIDE_OK;
    if (can_assign(source)) /* an assignment of nothing needs no start offsets */
        status = tide_kafka_assign(source, resolve);
    else
        tide_kafka_assign_decline(source, resolve->list, resolve->incremental);
    tide_kafka_resolve_free(resolve);
    return status;
}

static int begin_misplaced(struct tide_kafka_source *source)
{
    return submit_resolve(
        source,
        tide_kafka_resolve_new(source, tide_kafka_partitions_where(source, tide_kafka_is_misplaced),
                               TIDE_RESOLVE_MISPLACED, resolved));
}

/* ---- revoked ---- */

static bool is_leaving(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_LEAVING;
}

static void unassign_leaving(struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (is_leaving(&source->partitions[i]))
            tide_kafka_partition_move(source, &source->partitions[i], TIDE_KAFKA_UNASSIGNED);
}

/* Everything that it has, or what librdkafka names of it. */
static uint32_t mark_leaving(struct tide_kafka_source *source,
                             const struct tide_kafka_rebalance *rebalance, uint32_t *indexes)
{
    bool is_all = !rebalance->incremental || rebalance->kind == TIDE_KAFKA_REWIND;
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!tide_kafka_is_assigned(partition) ||
            (!is_all && !rd_kafka_topic_partition_list_find(rebalance->list,
                                                            tide_kafka_partition_topic(source, i),
                                                            partition->number)))
            continue;
        tide_kafka_partition_move(source, partition, TIDE_KAFKA_LEAVING);
        indexes[count++] = i;
    }
    return count;
}

/* PENDING partitions leave as well: the engine then fetches their ASSIGNED event before this one. If it has none of
 * the partitions, or the source has failed, revoke_done() would never come, so librdkafka gets its answer at once. */
static int begin_revoke(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    uint32_t *indexes = tide_alloc((source->partition_count + 1) * sizeof(*indexes));
    uint32_t count = mark_leaving(source, rebalance, indexes);
    int status = TIDE_OK;
    bool keeps_some = rebalance->incremental &&
                      tide_kafka_partitions_any(source, tide_kafka_is_assigned);
    if (source->group == TIDE_KAFKA_SETTLED && !keeps_some)
        source->group = TIDE_KAFKA_REBALANCING;
    tide_kafka_fetch_purge(source, false);
    if (count > 0 && !source->failed) {
        source->rebalance.leaving = rebalance;
        tide_kafka_source_emit(
            source, rebalance->kind == TIDE_KAFKA_REVOKE ? TIDE_SOURCE_REVOKED : TIDE_SOURCE_LOST,
            TIDE_OK, indexes, count, NULL);
    } else {
        unassign_leaving(source);
        if (rebalance->kind != TIDE_KAFKA_REWIND)
            status = tide_kafka_assign_give_back(source, rebalance->list, rebalance->incremental);
        free_rebalance(rebalance);
    }
    free(indexes);
    return status;
}

/* ---- read again ---- */

/* The partitions that are leaving, each with the offset at which its reading began. */
static rd_kafka_topic_partition_list_t *list_rewound(struct tide_kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = tide_kafka_partitions_where(source, is_leaving);
    for (int i = 0; i < list->cnt; i++) {
        int index = tide_kafka_partition_find(source, list->elems[i].topic,
                                              list->elems[i].partition);
        list->elems[i].offset = source->partitions[index].read.begin;
    }
    return list;
}

/* librdkafka still has them assigned, so the group does not notice. Takes over `list`. */
static int begin_again(struct tide_kafka_source *source, rd_kafka_topic_partition_list_t *list,
                       bool incremental)
{
    if (!can_assign(source)) {
        rd_kafka_topic_partition_list_destroy(list);
        return TIDE_OK;
    }
    struct tide_kafka_resolve *resolve = tide_kafka_resolve_new(source, list, TIDE_RESOLVE_REWOUND,
                                                                resolved);
    resolve->incremental = incremental;
    return submit_resolve(source, resolve);
}

/* It waits in the queue like a rebalance, since one before it may take the partitions away. */
void tide_kafka_rebalance_rewind(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance = tide_alloc(sizeof(*rebalance));
    rebalance->kind = TIDE_KAFKA_REWIND;
    rebalance->incremental = tide_kafka_is_incremental(source);
    rebalance->list = rd_kafka_topic_partition_list_new(1);
    STAILQ_INSERT_TAIL(&source->rebalance.queue, rebalance, next);
    tide_kafka_ends_rewind(source);
    tide_kafka_rebalance_serve(source);
}

/* A partition is resumed before it goes: librdkafka would keep the pause for the next time that it is assigned. An
 * error while the source closes is of no consequence, since the client ends. */
void tide_kafka_rebalance_done(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance = source->rebalance.leaving;
    int status;
    if (!rebalance)
        return;
    source->rebalance.leaving = NULL;
    tide_kafka_assign_resume_leaving(source);
    if (rebalance->kind == TIDE_KAFKA_REWIND) {
        rd_kafka_topic_partition_list_t *list = list_rewound(source);
        unassign_leaving(source);
        status = begin_again(source, list, rebalance->incremental);
    } else {
        unassign_leaving(source);
        status = tide_kafka_assign_give_back(source, rebalance->list, rebalance->incremental);
    }
    free_rebalance(rebalance);
    if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
        tide_kafka_source_fail(source, status);
    tide_kafka_rebalance_serve(source);
}

/* ---- in order ---- */

/* The answer to an assignment is due before anything else; that of a rewind or of misplaced partitions is of no use to
 * those that are lost, and an outage may hold it up for long. */
static bool may_begin_next(const struct tide_kafka_source *source)
{
    const struct tide_kafka_rebalance *first = STAILQ_FIRST(&source->rebalance.queue);
    const struct tide_kafka_resolve *resolving = source->rebalance.resolving;
    if (source->rebalance.leaving)
        return false;
    return !resolving ||
           (first && first->kind == TIDE_KAFKA_LOSE && resolving->reason != TIDE_RESOLVE_ASSIGNED);
}

/* Called whenever something has ended that the next one had to wait for: a job, the engine's revoke_done(), or a look
 * at the control queue. */
void tide_kafka_rebalance_serve(struct tide_kafka_source *source)
{
    while (may_begin_next(source)) {
        struct tide_kafka_rebalance *rebalance = take_first(source);
        int status;
        if (rebalance)
            status = rebalance->kind == TIDE_KAFKA_ASSIGN ? begin_assign(source, rebalance)
                                                          : begin_revoke(source, rebalance);
        else if (can_assign(source) && source->misplaced > 0)
            status = begin_misplaced(source);
        else
            return;
        if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
            tide_kafka_source_fail(source, status);
        if (status < 0)
            return;
    }
}
