/* SPDX-License-Identifier: MIT
 * Gives partitions back when the group revokes them. Their epochs rise first, so that nothing of them is sent any
 * more; then delivery reports that are already on their way are waited for, and one more commit. Both waits are short:
 * the whole group stands still meanwhile, and what is not committed is only read again by the next owner. Transforms
 * are never waited for, as they may take any time. The states are in engine_inside.h; start reading at
 * tide_engine_revoke. */
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "chain/bad_records.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "shm/counters.h"

static const int64_t REPORTS_WAIT_US = 50000;
static const int64_t COMMIT_WAIT_US = 3000000;

/* What a revocation is about. */
enum kind {
    REVOKED, /* the partitions are still the engine's: what was sent is committed */
    LOST,    /* they have another owner already: no commit can cover what was sent */
    REWOUND /* an aborted transaction has dropped all that was read of them, and they come back at once */
};

/* A partition that is not owned any more was revoked by an abort (tide_offsets_abort); when all of them are, there is
 * nothing to say to the user and nothing to commit. The partitions are copied, since the event borrows them until the
 * next one is fetched, and the revocation goes on for turns. */
static enum kind begin(struct tide_engine *engine, const struct tide_source_event *event,
                       int64_t now_us)
{
    struct tide_revocation *revocation = &engine->revocation;
    enum kind kind = REWOUND;
    size_t size = sizeof(*event->partitions) * event->partition_count;
    tide_require(revocation->state == TIDE_REVOCATION_NONE);
    revocation->partitions = tide_realloc(revocation->partitions, size + 1);
    if (size > 0)
        memcpy(revocation->partitions, event->partitions, size);
    revocation->count = event->partition_count;
    for (size_t i = 0; i < revocation->count; i++) {
        if (!tide_offsets_owned(engine->chain.offsets, revocation->partitions[i]))
            continue;
        tide_offsets_revoke(engine->chain.offsets, revocation->partitions[i]);
        kind = event->kind == TIDE_SOURCE_LOST ? LOST : REVOKED;
    }
    (void)tide_fault("engine.revoke");
    revocation->state = TIDE_REVOCATION_REPORTS;
    revocation->since_us = now_us;
    revocation->deadline_us = now_us + REPORTS_WAIT_US;
    return kind;
}

/* The dlq comes first: dead letters that it keeps refer to messages, and the tracker forgets those. */
static void finish(struct tide_engine *engine)
{
    struct tide_revocation *revocation = &engine->revocation;
    for (size_t i = 0; i < revocation->count; i++) {
        tide_dlq_forget(engine->chain.dlq, revocation->partitions[i]);
        tide_offsets_forget(engine->chain.offsets, revocation->partitions[i]);
        tide_engine_restore_end(engine, revocation->partitions[i]);
        if (engine->chain.states)
            tide_states_forget(engine->chain.states, revocation->partitions[i]);
    }
    revocation->state = TIDE_REVOCATION_NONE;
    engine->source->ops->revoke_done(engine->source);
    tide_meter_revoked(engine, revocation->since_us);
    engine->chain.progress = true;
}

/* Bad records of the partitions are forgotten: the next owner finds its own. */
static void announce(struct tide_engine *engine, enum tide_event_kind kind)
{
    struct tide_revocation *revocation = &engine->revocation;
    struct tide_chain *chain = &engine->chain;
    revocation->abort_due |= engine->plan.exactly_once &&
                             tide_offsets_partially_revoked(chain->offsets);
    for (size_t i = 0; i < revocation->count && chain->bad_records; i++)
        tide_bad_records_committed(chain->bad_records, revocation->partitions[i], INT64_MAX);
    tide_count(chain->counters, 0, TIDE_M_PARTITIONS_REVOKED, revocation->count);
    tide_engine_emit_partitions(engine, kind, revocation->partitions, revocation->count);
}

/* Records of changelogs are in the open transaction. */
static bool is_writing(const struct tide_engine *engine)
{
    return tide_commit_state(engine->commit) == TIDE_COMMIT_WRITING;
}

/* What was sent of lost partitions in the open transaction must not be seen: the new owner sends it as well. A commit
 * that is under way needs no abort, since the group itself refuses it if it came too late. */
static void abort_lost(struct tide_engine *engine)
{
    bool sent = is_writing(engine);
    for (size_t i = 0; i < engine->revocation.count && engine->plan.exactly_once; i++)
        sent |= tide_offsets_uncommitted(engine->chain.offsets, engine->revocation.partitions[i]);
    if (engine->transactions && sent && tide_commit_state(engine->commit) != TIDE_COMMIT_UNDER_WAY)
        engine->transactions->ops->abort(engine->transactions);
}

void tide_engine_revoke(struct tide_engine *engine, const struct tide_source_event *event,
                        int64_t now_us)
{
    switch (begin(engine, event, now_us)) {
    case REVOKED:
        announce(engine, TIDE_EVENT_REVOKED);
        break; /* tide_engine_revocation_poll goes on */
    case LOST:
        announce(engine, TIDE_EVENT_LOST);
        abort_lost(engine);
        finish(engine);
        break;
    case REWOUND:
        finish(engine);
        break;
    }
}

/* Only the partitions that go are asked about: the others are committed with them, as far as they are complete. */
static bool reports_due(const struct tide_engine *engine)
{
    for (size_t i = 0; i < engine->revocation.count; i++) {
        if (tide_offsets_awaiting_report(engine->chain.offsets, engine->revocation.partitions[i]) >
            0)
            return true;
    }
    return false;
}

/* Asks for the last commit once no report is due. TIDE_BUSY = it has to wait; negative = failure. */
static int ask_commit(struct tide_engine *engine, int64_t now_us)
{
    struct tide_revocation *revocation = &engine->revocation;
    int64_t reports_us = revocation->since_us + REPORTS_WAIT_US;
    if (reports_due(engine) && now_us < reports_us)
        return TIDE_BUSY;
    int status = tide_commit_force(engine->commit, now_us);
    bool hopeless = tide_commit_barrier_blocked(engine->commit);
    if (status < 0)
        return status;
    /* An older commit is under way, or reports of the transaction are due. The loop waits for the new deadline, since
     * one that has passed would keep it from waiting at all (engine.c). */
    if (status == TIDE_BUSY && !hopeless && now_us < reports_us + COMMIT_WAIT_US) {
        revocation->deadline_us = reports_us + COMMIT_WAIT_US;
        return TIDE_BUSY;
    }
    if (status == TIDE_BUSY && (engine->plan.exactly_once || is_writing(engine)))
        engine->transactions->ops->abort(engine->transactions);
    revocation->state = TIDE_REVOCATION_COMMIT;
    revocation->deadline_us = now_us + COMMIT_WAIT_US;
    return TIDE_OK;
}

int tide_engine_revocation_poll(struct tide_engine *engine, int64_t now_us)
{
    struct tide_revocation *revocation = &engine->revocation;
    if (revocation->state == TIDE_REVOCATION_NONE)
        return TIDE_OK;
    if (engine->run.state == TIDE_ENGINE_LEAVING) { /* the last commit has had its time */
        finish(engine);
        return TIDE_OK;
    }
    if (revocation->state == TIDE_REVOCATION_REPORTS) {
        int status = ask_commit(engine, now_us);
        if (status != TIDE_OK)
            return status < 0 ? status : TIDE_OK;
    }
    enum tide_commit_state commit = tide_commit_state(engine->commit);
    /* In PREPARING the abort that ask_commit wanted is not answered yet, and the partitions must not go before it
     * is. */
    bool aborting = (engine->plan.exactly_once && commit == TIDE_COMMIT_PREPARING) ||
                    commit == TIDE_COMMIT_WRITING;
    bool waits = commit == TIDE_COMMIT_UNDER_WAY || aborting;
    if (!waits || now_us >= revocation->deadline_us)
        finish(engine);
    return TIDE_OK;
}

/* A group with a member that is revoked can be neither sent nor completed, so without the abort no barrier would be
 * reached again. A commit that is under way is left to end: it was begun at a barrier, so all that is in it is
 * complete. */
void tide_engine_revocation_abort(struct tide_engine *engine)
{
    if (!engine->revocation.abort_due || tide_commit_state(engine->commit) == TIDE_COMMIT_UNDER_WAY)
        return;
    engine->revocation.abort_due = false;
    engine->sink->ops->abort(engine->sink);
}

void tide_engine_revocation_aborted(struct tide_engine *engine)
{
    engine->revocation.abort_due = false;
    if (engine->revocation.state != TIDE_REVOCATION_NONE)
        finish(engine);
}
