/* SPDX-License-Identifier: MIT
 * Rebalances, one at a time and in order. Each ends with a call of assign or unassign: librdkafka
 * waits for it.
 *
 *   assigned  ask where to begin (source/resolve.c), lead the partitions' queues to ours, assign,
 *             tell the engine
 *   revoked   tell the engine, wait for its revoke_done(), unassign
 *
 * With the eager protocol an assignment is the whole of it, and one that is overtaken by a
 * revocation is dropped; with the cooperative one it is an addition, and is finished first. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/source/inside.h"

static bool holds_any(const struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (tide_kafka_is_assigned(&source->partitions[i]))
            return true;
    return false;
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

bool tide_kafka_is_incremental(const struct tide_kafka_source *source)
{
    const char *protocol = rd_kafka_rebalance_protocol(source->client);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

static void append(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    struct tide_kafka_rebalance **end = &source->rebalances;
    while (*end)
        end = &(*end)->next;
    *end = rebalance;
}

void tide_kafka_rebalance_event(struct tide_kafka_source *source, struct rd_kafka_op_s *event)
{
    struct tide_kafka_rebalance *rebalance = tide_alloc(sizeof(*rebalance));
    rebalance->assign = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rebalance->incremental = tide_kafka_is_incremental(source);
    rebalance->lost = !rebalance->assign && rd_kafka_assignment_lost(source->client);
    source->outlived |= rebalance->lost && source->committing;
    rebalance->list = rd_kafka_topic_partition_list_copy(
        rd_kafka_event_topic_partition_list(event));
    /* Now: by the time the partitions are assigned it may be of a later generation. */
    if (rebalance->assign)
        rebalance->membership = rd_kafka_consumer_group_metadata(source->client);
    append(source, rebalance);
    if (source->resolving && (source->resolving->out_of_range || !rebalance->incremental))
        __atomic_store_n(&source->resolving->dropped, true, __ATOMIC_RELEASE);
}

/* ---- assigned ---- */

static int begin_assign(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    struct tide_kafka_resolve *resolve = tide_kafka_resolve_new(source, rebalance->list, false);
    resolve->incremental = rebalance->incremental;
    resolve->membership = rebalance->membership;
    free(rebalance);
    if (source->state == TIDE_KAFKA_RUNNING && !source->failed && resolve->list->cnt > 0) {
        source->resolving = resolve;
        return tide_blocking_submit(source->blocking, &resolve->job);
    }
    int status = TIDE_OK;
    if (source->state == TIDE_KAFKA_RUNNING && !source->failed)
        status = tide_kafka_assign_resolved(source, resolve);
    else
        tide_kafka_assign_decline(source, resolve->list, resolve->incremental);
    tide_kafka_resolve_free(resolve);
    return status;
}

/* ---- revoked ---- */

static void forget(struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].assignment == TIDE_KAFKA_LEAVING)
            source->partitions[i].assignment = TIDE_KAFKA_UNASSIGNED;
}

/* What it is queued to give back, of what it has. */
static uint32_t mark_leaving(struct tide_kafka_source *source,
                             const struct tide_kafka_rebalance *rebalance, uint32_t *indexes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!tide_kafka_is_assigned(partition))
            continue;
        if (rebalance->incremental && !rebalance->rewind &&
            !rd_kafka_topic_partition_list_find(rebalance->list, tide_kafka_source_topic(source, i),
                                                partition->number))
            continue;
        partition->assignment = TIDE_KAFKA_LEAVING;
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
        tide_kafka_source_emit(source, rebalance->lost ? TIDE_SOURCE_LOST : TIDE_SOURCE_REVOKED,
                               TIDE_OK, indexes, count, NULL);
    } else {
        forget(source);
        if (!rebalance->rewind)
            status = tide_kafka_assign_give_back(source, rebalance->list, rebalance->incremental);
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
        if (partition->assignment == TIDE_KAFKA_LEAVING && partition->paused)
            rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i),
                                              partition->number);
    }
    if (list->cnt > 0)
        rd_kafka_resume_partitions(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- read again ---- */

static void list_leaving(const struct tide_kafka_source *source,
                         rd_kafka_topic_partition_list_t *list)
{
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].assignment == TIDE_KAFKA_LEAVING)
            rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i),
                                              source->partitions[i].number)
                ->offset = source->partitions[i].epoch_start;
}

/* librdkafka has them assigned still, so the group sees nothing of it. */
static int begin_again(struct tide_kafka_source *source, struct tide_kafka_rebalance *rebalance)
{
    if (source->state != TIDE_KAFKA_RUNNING || source->failed)
        return TIDE_OK;
    struct tide_kafka_resolve *resolve = tide_kafka_resolve_new(source, rebalance->list, false);
    rebalance->list = rd_kafka_topic_partition_list_new(1);
    resolve->rewind = true;
    resolve->incremental = rebalance->incremental;
    source->resolving = resolve;
    return tide_blocking_submit(source->blocking, &resolve->job);
}

void tide_kafka_rebalance_rewind(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance = tide_alloc(sizeof(*rebalance));
    rebalance->rewind = rebalance->lost = true;
    rebalance->incremental = tide_kafka_is_incremental(source);
    rebalance->list = rd_kafka_topic_partition_list_new(1);
    source->ended = false;
    append(source, rebalance);
    tide_kafka_rebalance_serve(source);
}

void tide_kafka_rebalance_done(struct tide_kafka_source *source)
{
    struct tide_kafka_rebalance *rebalance = source->leaving;
    if (!rebalance)
        return;
    source->leaving = NULL;
    resume_leaving(source);
    if (rebalance->rewind)
        list_leaving(source, rebalance->list);
    forget(source);
    int status = rebalance->rewind
                     ? begin_again(source, rebalance)
                     : tide_kafka_assign_give_back(source, rebalance->list, rebalance->incremental);
    free_rebalance(rebalance);
    if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
        tide_kafka_source_fail(source, status);
    tide_kafka_rebalance_serve(source);
}

/* ---- in order ---- */

void tide_kafka_rebalance_resolved(struct tide_kafka_source *source,
                                   struct tide_kafka_resolve *answer)
{
    int status = TIDE_OK;
    bool wanted = source->state == TIDE_KAFKA_RUNNING && !source->failed && !answer->dropped;
    source->resolving = NULL;
    if (wanted && answer->status < 0)
        status = tide_fail(answer->status, "%s", answer->text);
    else if (wanted)
        status = tide_kafka_assign_resolved(source, answer);
    else if (!answer->out_of_range)
        tide_kafka_assign_decline(source, answer->list, answer->incremental);
    if (status < 0)
        tide_kafka_source_fail(source, status);
    tide_kafka_resolve_free(answer);
    tide_kafka_rebalance_serve(source);
}

void tide_kafka_rebalance_serve(struct tide_kafka_source *source)
{
    while (!source->resolving && !source->leaving) {
        struct tide_kafka_rebalance *rebalance = source->rebalances;
        int status = TIDE_OK;
        if (rebalance) {
            source->rebalances = rebalance->next;
            status = rebalance->assign ? begin_assign(source, rebalance)
                                       : begin_revoke(source, rebalance);
        } else if (source->state == TIDE_KAFKA_RUNNING && !source->failed &&
                   tide_kafka_any_out_of_range(source)) {
            status = tide_kafka_assign_ask_again(source);
        } else {
            return;
        }
        if (status < 0 && source->state == TIDE_KAFKA_RUNNING)
            tide_kafka_source_fail(source, status);
        if (status < 0)
            return;
    }
}
