/* SPDX-License-Identifier: MIT
 * Handles what the source reports: assignments, positions that rise without a message, answers to commits, its end and
 * its failure. Events are fetched rather than called back, so that everything happens at one place of the turn. Start
 * reading at tide_engine_source_events. */
#include "base/clock.h"
#include "base/status.h"
#include "engine_inside.h"
#include "shm/counters.h"

/* The epoch rises before any message of the new assignment is read, so that what is still in flight of an earlier one
 * can be told from it. */
static int assign(struct tide_engine *engine, const struct tide_source_event *event, int64_t now_us)
{
    int64_t since_us = tide_clock_us();
    for (size_t i = 0; i < event->partition_count; i++) {
        tide_offsets_assign(engine->chain.offsets, event->partitions[i]);
        tide_commit_assigned(engine->commit, event->partitions[i]);
    }
    tide_count(engine->chain.counters, 0, TIDE_M_PARTITIONS_ASSIGNED, event->partition_count);
    tide_engine_emit_partitions(engine, TIDE_EVENT_ASSIGNED, event->partitions,
                                event->partition_count);
    tide_meter_assigned(engine, event->partitions, event->partition_count, since_us);
    return tide_engine_restore(engine, event->partitions, event->partition_count, now_us);
}

/* Offsets without a message (transaction markers, compacted messages) never become complete, so the position has to be
 * moved past them: otherwise a consumer at the end of its partition would show a lag for ever. */
static void pass(struct tide_engine *engine, const struct tide_source_event *event)
{
    for (size_t i = 0; i < event->partition_count; i++) {
        uint32_t partition = event->partitions[i];
        tide_offsets_skip(engine->chain.offsets, partition,
                          engine->source->partitions[partition].passed);
    }
}

/* Data that cannot be read is no reason to throw away what was read before it. */
static int source_failed(struct tide_engine *engine, const struct tide_source_event *event,
                         int64_t now_us)
{
    int status = tide_fail(event->status, "%s", event->text ? event->text : "the source failed");
    if (status != TIDE_EDATA || engine->run.state != TIDE_ENGINE_READING)
        return status;
    tide_engine_source_stuck(engine, status, now_us);
    return TIDE_OK;
}

static int handle(struct tide_engine *engine, const struct tide_source_event *event, int64_t now_us)
{
    switch (event->kind) {
    case TIDE_SOURCE_ASSIGNED:
        return assign(engine, event, now_us);
    case TIDE_SOURCE_REVOKED:
    case TIDE_SOURCE_LOST:
        tide_engine_revoke(engine, event, now_us);
        break;
    case TIDE_SOURCE_PASSED:
        pass(engine, event);
        break;
    case TIDE_SOURCE_COMMITTED:
        tide_commit_answered(engine->commit, event->status, event->text);
        break;
    case TIDE_SOURCE_END:
        tide_engine_source_ended(engine);
        break;
    case TIDE_SOURCE_FAILED:
        return source_failed(engine, event, now_us);
    case TIDE_SOURCE_NOTHING:
        break;
    }
    return TIDE_OK;
}

/* All events of a turn are handled in one go, since messages may follow an ASSIGNED event at once, and must not be
 * read before it. */
int tide_engine_source_events(struct tide_engine *engine, int64_t now_us)
{
    struct tide_source_event event;
    do {
        engine->source->ops->event(engine->source, &event);
        int status = handle(engine, &event, now_us);
        if (status < 0)
            return status;
        engine->chain.progress |= event.kind != TIDE_SOURCE_NOTHING;
    } while (event.kind != TIDE_SOURCE_NOTHING);
    return TIDE_OK;
}
