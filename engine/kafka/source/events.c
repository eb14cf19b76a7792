/* SPDX-License-Identifier: MIT
 * The events that wait for the engine, and what it sees of the partitions. The source never calls the engine:
 * whatever happens is put into a queue, and the engine fetches it when it is ready to (io/source.h). Until then
 * nothing changes for the engine: a partition counts as owned, and its entry in source.partitions exists, from the
 * moment at which the engine fetches the ASSIGNED event. Start reading at tide_kafka_events_next. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"
#include "kafka/source/inside.h"

void tide_kafka_source_emit(struct tide_kafka_source *source, enum tide_source_event_kind kind,
                            int status, const uint32_t *indexes, uint32_t count, const char *text)
{
    struct tide_kafka_source_event *queued = tide_alloc(sizeof(*queued));
    queued->partitions = tide_alloc((count + 1) * sizeof(*indexes));
    if (count > 0)
        memcpy(queued->partitions, indexes, count * sizeof(*indexes));
    queued->text = tide_copy(text);
    queued->event = (struct tide_source_event){kind, status, queued->partitions, count,
                                               queued->text};
    source->events.assigned += kind == TIDE_SOURCE_ASSIGNED;
    /* Now: more may have been passed, but not given, by the time the event is fetched. */
    for (uint32_t i = 0; i < count && kind == TIDE_SOURCE_PASSED; i++)
        source->events.shown[indexes[i]].passed = source->partitions[indexes[i]].passed.offset;
    STAILQ_INSERT_TAIL(&source->events.queue, queued, next);
}

/* What fails later is mostly a consequence, and would hide the reason. */
void tide_kafka_source_fail(struct tide_kafka_source *source, int status)
{
    if (!source->failed)
        tide_kafka_source_emit(source, TIDE_SOURCE_FAILED, status, NULL, 0, tide_error());
    source->failed = true;
}

/* The array may move. So it grows only when the engine fetches an ASSIGNED event, as io/source.h promises, and not
 * when the source first hears of a partition. */
static void grow_shown(struct tide_kafka_source *source)
{
    uint32_t known = source->events.shown_count;
    tide_grow(&source->events.shown, &source->events.shown_count, source->partition_count,
              sizeof(*source->events.shown));
    for (uint32_t i = known; i < source->partition_count; i++)
        source->events.shown[i] = (struct tide_partition){.topic = source->partitions[i].topic,
                                                          .number = source->partitions[i].number,
                                                          .end = -1};
    source->source.partitions = source->events.shown;
    source->source.partition_count = source->events.shown_count;
}

/* The engine has the event: what it says holds for the engine from now on. A partition may be LEAVING again by now; it
 * must not become OWNED then, or messages of it would come after its revocation. */
static void show_event(struct tide_kafka_source *source, const struct tide_source_event *event)
{
    bool owned = event->kind == TIDE_SOURCE_ASSIGNED;
    if (!owned && event->kind != TIDE_SOURCE_REVOKED && event->kind != TIDE_SOURCE_LOST)
        return;
    source->events.assigned -= owned;
    if (owned)
        grow_shown(source);
    for (size_t i = 0; i < event->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[event->partitions[i]];
        struct tide_partition *shown = &source->events.shown[event->partitions[i]];
        shown->owned = owned;
        shown->begin = partition->read.begin;
        if (owned && partition->assignment == TIDE_KAFKA_PENDING)
            tide_kafka_partition_move(source, partition, TIDE_KAFKA_OWNED);
    }
}

void tide_kafka_events_begin_moved(struct tide_kafka_source *source, uint32_t index)
{
    if (index < source->events.shown_count && source->events.shown[index].owned)
        source->events.shown[index].begin = source->partitions[index].read.begin;
}

static void free_event(struct tide_kafka_source_event *queued)
{
    if (!queued)
        return;
    free(queued->partitions);
    free(queued->text);
    free(queued);
}

void tide_kafka_events_next(struct tide_kafka_source *source, struct tide_source_event *event)
{
    struct tide_kafka_source_event *first = STAILQ_FIRST(&source->events.queue);
    free_event(source->events.fetched);
    source->events.fetched = first;
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (!first)
        return;
    STAILQ_REMOVE_HEAD(&source->events.queue, next);
    show_event(source, &first->event);
    *event = first->event;
}

void tide_kafka_events_free(struct tide_kafka_source *source)
{
    struct tide_kafka_source_event *queued;
    free_event(source->events.fetched);
    while ((queued = STAILQ_FIRST(&source->events.queue))) {
        STAILQ_REMOVE_HEAD(&source->events.queue, next);
        free_event(queued);
    }
    free(source->events.shown);
}
