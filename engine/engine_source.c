/* SPDX-License-Identifier: MIT
 * What the source tells. A revocation raises the epochs first; then delivery reports that are already on
 * their way are waited for, briefly, and the commit, bounded; user code is never waited for (design 8). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/suspects.h"
#include "engine.h"
#include "shm/counters.h"
#include "shm/topics.h"

static const int64_t REPORTS_WAIT_US = 50000;
static const int64_t COMMIT_WAIT_US = 3000000;

static void name_partitions(const struct tide_engine *engine, const struct tide_source_event *event,
                            char *text, size_t size)
{
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < event->partition_count && at + 64 < size; i++) {
        const struct tide_partition *partition = &engine->source->partitions[event->partitions[i]];
        at += (size_t)snprintf(text + at, size - at, "%s%.40s/%d", i ? " " : "",
                               tide_topics_name(engine->chain.topics, partition->topic),
                               partition->number);
    }
    if (at + 64 >= size)
        snprintf(text + at, size - at, " ...");
}

static void assigned(struct tide_engine *engine, const struct tide_source_event *event)
{
    char text[1024];
    int64_t since_us = tide_clock_us();
    for (size_t i = 0; i < event->partition_count; i++) {
        tide_offsets_assign(engine->chain.offsets, event->partitions[i]);
        tide_commit_assigned(engine->commit, event->partitions[i]);
    }
    tide_count(engine->chain.counters, 0, TIDE_M_PARTITIONS_ASSIGNED, event->partition_count);
    name_partitions(engine, event, text, sizeof(text));
    tide_engine_emit(engine, TIDE_EVENT_ASSIGNED, 0, (int)event->partition_count, text);
    tide_meter_assigned(engine, event->partitions, event->partition_count, since_us);
}

void tide_engine_revocation_done(struct tide_engine *engine)
{
    struct tide_revocation *revocation = &engine->revocation;
    for (size_t i = 0; i < revocation->count; i++) {
        tide_dlq_forget(engine->chain.dlq, revocation->partitions[i]);
        tide_offsets_forget(engine->chain.offsets, revocation->partitions[i]);
    }
    revocation->active = false;
    engine->source->ops->revoke_done(engine->source);
    tide_meter_revoked(engine, revocation->since_us);
    engine->progress = true;
}

/* What was sent of them and not committed would be seen twice. */
static void lose(struct tide_engine *engine)
{
    bool sent = false;
    for (size_t i = 0; i < engine->revocation.count; i++)
        sent |= tide_offsets_unsettled(engine->chain.offsets, engine->revocation.partitions[i]);
    /* A commit that is under way is told apart by the group: it knows who owned them when. */
    if (engine->plan.exactly_once && sent && !tide_commit_under_way(engine->commit))
        engine->sink->ops->abort(engine->sink);
    tide_engine_revocation_done(engine);
}

static void revoked(struct tide_engine *engine, const struct tide_source_event *event,
                    int64_t now_us)
{
    struct tide_revocation *revocation = &engine->revocation;
    bool lost = event->kind == TIDE_SOURCE_LOST;
    bool rewound = true; /* all of them left with an aborted transaction */
    char text[1024];
    tide_require(!revocation->active);
    revocation->partitions = tide_realloc(revocation->partitions,
                                          sizeof(uint32_t) * (event->partition_count + 1));
    for (size_t i = 0; i < event->partition_count; i++) {
        revocation->partitions[i] = event->partitions[i];
        if (!tide_offsets_owned(engine->chain.offsets, event->partitions[i]))
            continue;
        tide_offsets_revoke(engine->chain.offsets, event->partitions[i]);
        rewound = false;
    }
    (void)tide_fault("engine.revoke");
    revocation->count = event->partition_count;
    revocation->active = true;
    revocation->asked = false;
    revocation->since_us = now_us;
    revocation->deadline_us = now_us + REPORTS_WAIT_US;
    if (rewound) {
        tide_engine_revocation_done(engine);
        return;
    }
    engine->abort_due |= engine->plan.exactly_once && tide_offsets_torn(engine->chain.offsets);
    for (size_t i = 0; i < revocation->count && engine->chain.suspects; i++)
        tide_suspects_settle(engine->chain.suspects, revocation->partitions[i], INT64_MAX);
    tide_count(engine->chain.counters, 0, TIDE_M_PARTITIONS_REVOKED, event->partition_count);
    name_partitions(engine, event, text, sizeof(text));
    tide_engine_emit(engine, lost ? TIDE_EVENT_LOST : TIDE_EVENT_REVOKED, 0,
                     (int)event->partition_count, text);
    if (lost)
        lose(engine);
}

static bool reports_due(const struct tide_engine *engine)
{
    for (size_t i = 0; i < engine->revocation.count; i++) {
        if (tide_offsets_released(engine->chain.offsets, engine->revocation.partitions[i]) > 0)
            return true;
    }
    return false;
}

int tide_engine_revocation_poll(struct tide_engine *engine, int64_t now_us)
{
    struct tide_revocation *revocation = &engine->revocation;
    if (!revocation->active)
        return TIDE_OK;
    if (engine->state == TIDE_ENGINE_LEAVING) { /* the last commit has had its time */
        tide_engine_revocation_done(engine);
        return TIDE_OK;
    }
    if (!revocation->asked) {
        if (reports_due(engine) && now_us < revocation->deadline_us)
            return TIDE_OK;
        int status = tide_commit_poll(engine->commit, true, now_us);
        if (status < 0)
            return status;
        bool torn = tide_commit_torn(engine->commit);
        if (status == TIDE_BUSY && !torn && now_us < revocation->deadline_us + COMMIT_WAIT_US)
            return TIDE_OK; /* an older commit is under way, or a transaction has reports to come */
        if (status == TIDE_BUSY && engine->plan.exactly_once)
            engine->sink->ops->abort(engine->sink);
        revocation->asked = true;
        revocation->deadline_us = now_us + COMMIT_WAIT_US;
    }
    bool aborting = engine->plan.exactly_once && tide_commit_cutting(engine->commit);
    if ((!tide_commit_under_way(engine->commit) && !aborting) || now_us >= revocation->deadline_us)
        tide_engine_revocation_done(engine);
    return TIDE_OK;
}

/* Data that cannot be read says nothing against what was read before it. */
static int source_failed(struct tide_engine *engine, const struct tide_source_event *event,
                         int64_t now_us)
{
    int status = tide_fail(event->status, "%s", event->text ? event->text : "the source failed");
    if (status != TIDE_EDATA || engine->state != TIDE_ENGINE_READING)
        return status;
    engine->source_failure = status;
    snprintf(engine->failure_text, sizeof(engine->failure_text), "%s", tide_error());
    tide_engine_drain(engine, now_us + engine->plan.join_timeout_us);
    return TIDE_OK;
}

static int handle(struct tide_engine *engine, const struct tide_source_event *event, int64_t now_us)
{
    switch (event->kind) {
    case TIDE_SOURCE_ASSIGNED:
        assigned(engine, event);
        break;
    case TIDE_SOURCE_REVOKED:
    case TIDE_SOURCE_LOST:
        revoked(engine, event, now_us);
        break;
    case TIDE_SOURCE_PASSED:
        for (size_t i = 0; i < event->partition_count; i++)
            tide_offsets_skip(engine->chain.offsets, event->partitions[i],
                              engine->source->partitions[event->partitions[i]].passed);
        break;
    case TIDE_SOURCE_COMMITTED:
        tide_commit_answered(engine->commit, event->status, event->text);
        break;
    case TIDE_SOURCE_END:
        engine->source_ended = true;
        if (engine->state == TIDE_ENGINE_READING)
            tide_engine_drain(engine, INT64_MAX);
        break;
    case TIDE_SOURCE_FAILED:
        return source_failed(engine, event, now_us);
    case TIDE_SOURCE_NOTHING:
        break;
    }
    return TIDE_OK;
}

int tide_engine_source_events(struct tide_engine *engine, int64_t now_us)
{
    struct tide_source_event event;
    /* While partitions leave only answers to commits matter, and the source tells nothing else then. */
    do {
        engine->source->ops->event(engine->source, &event);
        int status = handle(engine, &event, now_us);
        if (status < 0)
            return status;
        engine->progress |= event.kind != TIDE_SOURCE_NOTHING;
    } while (event.kind != TIDE_SOURCE_NOTHING);
    return TIDE_OK;
}
