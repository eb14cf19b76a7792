/* SPDX-License-Identifier: MIT
 * Commits of offsets, to the group. The engine has at most one under way and hears of its end by a COMMITTED event;
 * the offsets at which reading begins are committed beside it and concern nobody but the log. Both are answered by
 * events of the control queue (source/control.c), which the opaque pointer of a commit tells apart. */
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/source/inside.h"

/* Partitions that went back to the group are left out, since another member may be further by now. So are those that
 * are missing: Kafka deletes the committed offsets of a topic with it, and one that is committed later would be
 * taken for the start offset of the next topic of its name. */
static bool may_be_committed(const struct tide_kafka_partition *partition)
{
    return !tide_kafka_is_missing(partition) && (partition->assignment == TIDE_KAFKA_OWNED ||
                                                 partition->assignment == TIDE_KAFKA_LEAVING);
}

static void emit_committed(struct tide_kafka_source *source, rd_kafka_resp_err_t error)
{
    tide_kafka_source_emit(source, TIDE_SOURCE_COMMITTED, error ? TIDE_ETEMPORARY : TIDE_OK, NULL,
                           0, error ? rd_kafka_err2str(error) : NULL);
}

/* The engine waits for one COMMITTED event after each call, so it is emitted at once when nothing has to be sent. */
int tide_kafka_commit(struct tide_kafka_source *source, const struct tide_position *positions,
                      size_t count)
{
    if (source->commit.under_way)
        return TIDE_BUSY;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        const struct tide_kafka_partition *partition = &source->partitions[positions[i].partition];
        if (may_be_committed(partition))
            rd_kafka_topic_partition_list_add(
                list, tide_kafka_partition_topic(source, positions[i].partition), partition->number)
                ->offset = positions[i].offset;
    }
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (source->state != TIDE_KAFKA_RUNNING && source->state != TIDE_KAFKA_CLOSING)
        error = RD_KAFKA_RESP_ERR__STATE;
    else if (list->cnt > 0)
        error = rd_kafka_commit_queue(source->client, list, source->control, NULL, source);
    source->commit.under_way = list->cnt > 0 && !error;
    source->commit.outlived &= source->commit.of_start > 0;
    if (!source->commit.under_way)
        emit_committed(source, error);
    rd_kafka_topic_partition_list_destroy(list);
    return TIDE_OK;
}

void tide_kafka_commit_start_offsets(struct tide_kafka_source *source,
                                     const struct rd_kafka_topic_partition_list_s *list)
{
    if (list->cnt > 0 && !rd_kafka_commit_queue(source->client, list, source->control, NULL, NULL))
        source->commit.of_start++;
}

static void mark_committed(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *which = &list->elems[i];
        int index = which->err ? -1
                               : tide_kafka_partition_find(source, which->topic, which->partition);
        if (index >= 0)
            source->partitions[index].committed = true;
    }
}

void tide_kafka_commit_answered(struct tide_kafka_source *source, struct rd_kafka_op_s *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    bool is_the_engines = rd_kafka_event_opaque(event) == source;
    if (!error)
        mark_committed(source, event);
    if (is_the_engines) {
        source->commit.under_way = false;
        emit_committed(source, error);
        return;
    }
    source->commit.of_start--;
    if (error)
        tide_log(TIDE_LOG_WARN, "group \"%s\": the offsets begun at could not be committed: %s",
                 source->plan.group, rd_kafka_err2str(error));
}

/* What such a commit leads to is explained at on_fatal() in source/control.c. */
void tide_kafka_commit_membership_ended(struct tide_kafka_source *source)
{
    source->commit.outlived |= source->commit.under_way || source->commit.of_start > 0;
}
