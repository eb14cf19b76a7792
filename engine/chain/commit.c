/* SPDX-License-Identifier: MIT
 * Commits positions: decides when, collects what moved, hands it to the source or to the sink, and takes the answer. The
 * tracker counts how often a position moved, so asking in each turn costs nothing; they are collected when a commit is due.
 * Start reading at try_commit, which every one goes through; the states are in commit.h. */
#include "chain/commit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/bad_records.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/step.h"
#include "io/sink.h"
#include "io/source.h"
#include "shm/counters.h"

static const int64_t RETRY_US = 1000000;

struct tide_commit {
    struct tide_commit_plan plan;
    struct tide_chain *chain;
    struct tide_sink *transactions; /* NULL = the source takes the positions */
    bool barrier;                   /* results are in the transaction: exactly once */
    enum tide_commit_state state;
    int64_t last_us;    /* when the last commit was begun */
    int64_t charged_us; /* when the time was charged last that transactions hold up others ... */
    bool held;          /* ... and whether one did so then */
    uint64_t positions_moved; /* the tracker's count then */
    /* A position could not get on since the last commit, as it is in a gap of state: nothing is read until all is complete,
     * then there is a commit. */
    bool held_back;
    bool dirty; /* what was asked for must be asked for again, even if no position moves */
    /* By partition: the position last asked for, -1 = none. */
    int64_t *asked;
    uint32_t partition_count;
    /* Of the commit that is under way, or of one that failed; there is room for each partition. */
    struct tide_position *positions;
    uint32_t room;
    size_t position_count;
};

struct tide_commit *tide_commit_new(const struct tide_commit_plan *plan, struct tide_chain *chain,
                                    struct tide_sink *transactions)
{
    struct tide_commit *commit = tide_alloc(sizeof(*commit));
    *commit = (struct tide_commit){
        .plan = *plan, .chain = chain, .transactions = transactions, .last_us = tide_clock_us()};
    commit->barrier = transactions && (transactions != chain->changelog || chain->exactly_once);
    return commit;
}

void tide_commit_free(struct tide_commit *commit)
{
    if (!commit)
        return;
    free(commit->asked);
    free(commit->positions);
    free(commit);
}

/* ---- what is committed ---- */

static void grow_to(struct tide_commit *commit, uint32_t partitions)
{
    uint32_t known = commit->partition_count;
    tide_grow(&commit->asked, &commit->partition_count, partitions, sizeof(*commit->asked));
    tide_grow(&commit->positions, &commit->room, partitions, sizeof(*commit->positions));
    for (uint32_t i = known; i < commit->partition_count; i++)
        commit->asked[i] = -1;
}

/* Else a position as before the rebalance would not be committed, though another member may have committed a lower one. */
void tide_commit_assigned(struct tide_commit *commit, uint32_t partition)
{
    grow_to(commit, partition + 1);
    commit->asked[partition] = -1;
}

/* A transaction with results is not committed at another position than its own (tide_states_choose), it waits. */
static int64_t position_of(struct tide_commit *commit, uint32_t partition)
{
    int64_t position = tide_offsets_position(commit->chain->offsets, partition);
    if (!commit->chain->states || position < 0)
        return position;
    int64_t limit = tide_states_limit(commit->chain->states, partition);
    commit->held_back |= limit < position && (commit->barrier || limit == commit->asked[partition]);
    return commit->barrier ? position : limit;
}

/* Collects the positions that moved since they were last asked for, and returns how many. A partition that is not ours
 * any more is left out, because its new owner may have committed a higher offset that ours would set back. `asked` is
 * what was asked for, not what was answered; after a failure ask_again resets it. */
static size_t collect_positions(struct tide_commit *commit)
{
    const struct tide_offsets *offsets = commit->chain->offsets;
    size_t count = 0;
    if (commit->position_count > 0 && tide_fault("bug.other_offsets"))
        return commit->position_count; /* what was asked for the first time */
    commit->held_back = false;
    grow_to(commit, (uint32_t)tide_offsets_partitions(offsets));
    if (commit->chain->states)
        tide_states_choose(commit->chain->states, offsets);
    for (uint32_t i = 0; i < commit->partition_count; i++) {
        if (!tide_offsets_may_commit(offsets, i) && !tide_fault("bug.commit_after_revoke"))
            continue;
        int64_t position = position_of(commit, i);
        if (position >= 0 && (position != commit->asked[i] || tide_offsets_is_beside(offsets, i)))
            commit->positions[count++] = (struct tide_position){i, position};
    }
    return count;
}

static uint64_t positions_moved(const struct tide_commit *commit)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(commit->chain->offsets, &totals);
    return totals.positions_moved;
}

/* Which partitions a failure concerned is not remembered, as committing a position twice is harmless. */
static void ask_again(struct tide_commit *commit)
{
    for (uint32_t i = 0; i < commit->partition_count; i++)
        commit->asked[i] = -1;
    commit->dirty = true;
}

/* ---- when ---- */

bool tide_commit_resting(const struct tide_commit *commit, int64_t now_us)
{
    return commit->state == TIDE_COMMIT_RESTING && now_us - commit->last_us < RETRY_US;
}

/* How often positions moved since the last commit; a commit that must be repeated counts as one move. */
static uint64_t moves_since_last(const struct tide_commit *commit)
{
    return positions_moved(commit) - commit->positions_moved + commit->dirty;
}

/* Beside what is complete: behind a message that takes long, much may be in the transaction by now. */
static bool is_ahead(const struct tide_commit *commit)
{
    return commit->chain->unordered && commit->barrier &&
           !tide_offsets_at_barrier(commit->chain->offsets);
}

/* With neither a time nor a number: as soon as anything is complete. With one: sooner when state has no room. */
static bool is_due(const struct tide_commit *commit, int64_t now_us)
{
    const struct tide_commit_plan *plan = &commit->plan;
    uint64_t moves = moves_since_last(commit);
    bool at_once = plan->min_time_us == 0 && plan->min_messages == 0;
    bool late = plan->min_time_us > 0 && now_us - commit->last_us >= plan->min_time_us;
    bool many = plan->min_messages > 0 && moves >= plan->min_messages;
    if (tide_commit_resting(commit, now_us))
        return false;
    if (moves == 0)
        return (at_once || late) && is_ahead(commit);
    return at_once || late || many || tide_states_room(commit->chain->states);
}

/* Returns whether the barrier is reached. Only what the transaction needs is sent while reports are due; but what is
 * needed may be queued behind what is not, in a later step: so when no report is left to wait for, everything is let
 * through until something is sent. */
static bool approach_barrier(struct tide_commit *commit)
{
    struct tide_chain *chain = commit->chain;
    bool reports_due = commit->transactions->ops->pending(commit->transactions) > 0;
    /* Steps that held back what was not needed have to be polled before the loop waits. */
    chain->progress |= chain->send_only_needed && !reports_due;
    chain->send_only_needed = reports_due;
    return !reports_due && tide_offsets_at_barrier(chain->offsets);
}

/* All that could be sent with what is in the sink's queue is held back from now on. */
static void flush_sink(struct tide_commit *commit)
{
    struct tide_sink *sink = commit->transactions;
    if (sink->ops->flush && sink->ops->pending(sink) > 0)
        sink->ops->flush(sink);
}

static void set_state(struct tide_commit *commit, enum tide_commit_state state)
{
    struct tide_chain *chain = commit->chain;
    bool waits = state == TIDE_COMMIT_PREPARING && commit->barrier && chain->unordered;
    if (commit->barrier && (state == TIDE_COMMIT_WRITING || commit->state == TIDE_COMMIT_WRITING))
        chain->send_only_needed = state == TIDE_COMMIT_WRITING; /* nothing more may be in it */
    commit->state = state;
    /* A mistake that the simulation must find: more and more is read and sent. */
    bool all = commit->held_back || (waits && !tide_fault("bug.barrier_not_awaited"));
    chain->progress |= all && !chain->all_needed; /* the steps seal their batches */
    chain->all_needed = all;
}

/* In exactly_once the sink takes them, since the positions have to be part of the transaction
 * (sendOffsetsToTransaction). State on files is stored before: its source keeps no positions. */
static int send_positions(struct tide_commit *commit)
{
    struct tide_source *source = commit->chain->source;
    struct tide_sink *sink = commit->transactions;
    struct tide_states *states = commit->chain->states;
    size_t count = commit->position_count;
    bool early = states && tide_fault("bug.state_uncommitted"); /* before the transaction */
    bool first = early || (states && !tide_states_has_changelog(states));
    int status = first ? tide_states_store(states) : TIDE_OK;
    if (status < 0)
        return status;
    return sink ? sink->ops->commit(sink, commit->positions, count)
                : source->ops->commit(source, commit->positions, count);
}

/* Until the sink has acknowledged the changelog and takes the commit, its positions stay as they were when it began. */
static int go_on(struct tide_commit *commit, int64_t now_us)
{
    struct tide_states *states = commit->chain->states;
    bool writes = states && tide_states_has_changelog(states);
    int status = writes ? tide_states_send(states, commit->transactions) : TIDE_OK;
    if (status == TIDE_OK)
        status = send_positions(commit);
    if (status != TIDE_OK) {
        /* It is asked again in the next turn: the policy's time does not begin anew. */
        set_state(commit, status < 0 ? TIDE_COMMIT_OPEN
                          : writes   ? TIDE_COMMIT_WRITING
                                     : TIDE_COMMIT_PREPARING);
        return status;
    }
    for (size_t i = 0; i < commit->position_count; i++)
        commit->asked[commit->positions[i].partition] = commit->positions[i].offset;
    commit->last_us = now_us;
    set_state(commit, TIDE_COMMIT_UNDER_WAY);
    return TIDE_OK;
}

static int begin_commit(struct tide_commit *commit, int64_t now_us)
{
    struct tide_states *states = commit->chain->states;
    size_t count = commit->position_count = collect_positions(commit);
    bool early = commit->barrier && commit->held_back; /* it does not stand for all results */
    int status = early                 ? TIDE_BUSY
                 : states && count > 0 ? tide_states_begin(states, commit->positions, count)
                                       : TIDE_OK;
    if (status != TIDE_OK) {
        set_state(commit, early ? TIDE_COMMIT_PREPARING : TIDE_COMMIT_OPEN);
        return status;
    }
    uint64_t moved = positions_moved(commit);
    if (count == 0) {
        commit->last_us = now_us;
        set_state(commit, TIDE_COMMIT_OPEN);
    } else {
        status = go_on(commit, now_us);
    }
    if (status == TIDE_OK || commit->state == TIDE_COMMIT_WRITING) {
        commit->positions_moved = moved;
        commit->dirty = false;
    }
    return status;
}

/* A commit that is PREPARING goes on whether it is due or not: a force may have begun it, and what is held back for
 * the barrier would wait for ever. */
static int try_commit(struct tide_commit *commit, bool wanted, int64_t now_us)
{
    if (!commit->plan.enabled)
        return TIDE_OK;
    switch (commit->state) {
    case TIDE_COMMIT_UNDER_WAY:
        return TIDE_BUSY;
    case TIDE_COMMIT_OPEN:
    case TIDE_COMMIT_RESTING:
        if (!wanted && !is_due(commit, now_us))
            return TIDE_OK;
        break;
    case TIDE_COMMIT_WRITING:
        return go_on(commit, now_us);
    case TIDE_COMMIT_PREPARING:
        break;
    }
    if (commit->barrier && !approach_barrier(commit)) {
        if (commit->state != TIDE_COMMIT_PREPARING)
            flush_sink(commit);
        set_state(commit, TIDE_COMMIT_PREPARING);
        return TIDE_BUSY;
    }
    return begin_commit(commit, now_us);
}

/* From the decision to commit until the answer, what is not in the transaction waits. The time since the last poll is
 * charged to the state as it was then: an answer that came meanwhile has changed it. */
static void charge_hold(struct tide_commit *commit, int64_t now_us)
{
    if (commit->held)
        tide_count(commit->chain->counters, 0, TIDE_M_TRANSACTION_HOLD_TIME,
                   (uint64_t)(now_us - commit->charged_us));
    commit->charged_us = now_us;
}

static bool is_all_complete(const struct tide_commit *commit)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(commit->chain->offsets, &totals);
    return totals.in_flight == 0;
}

int tide_commit_poll(struct tide_commit *commit, int64_t now_us)
{
    charge_hold(commit, now_us);
    int status = try_commit(commit, commit->held_back && is_all_complete(commit), now_us);
    commit->held = commit->barrier && commit->state != TIDE_COMMIT_OPEN &&
                   commit->state != TIDE_COMMIT_RESTING;
    return status;
}

int tide_commit_force(struct tide_commit *commit, int64_t now_us)
{
    return try_commit(commit, true, now_us);
}

/* ---- the answer ---- */

static void transaction_committed(struct tide_commit *commit)
{
    struct tide_states *states = commit->chain->states;
    tide_offsets_committed(commit->chain->offsets);
    if (states && tide_states_has_changelog(states))
        (void)tide_states_store(states); /* a failure is found by whoever uses the states next */
    for (size_t i = 0; i < commit->position_count && commit->chain->bad_records; i++)
        tide_bad_records_committed(commit->chain->bad_records, commit->positions[i].partition,
                                   commit->positions[i].offset);
}

void tide_commit_answered(struct tide_commit *commit, int status, const char *text)
{
    struct tide_counters *counters = commit->chain->counters;
    tide_observe(counters, 0, TIDE_M_COMMIT_TIME,
                 (double)(tide_clock_us() - commit->last_us) / 1e6);
    if (status < 0) {
        set_state(commit, TIDE_COMMIT_RESTING);
        tide_count(counters, 0, TIDE_M_COMMIT_ERROR, 1);
        tide_log(TIDE_LOG_WARN, "commit failed: %s; the next one covers it", text ? text : "");
        ask_again(commit);
        return;
    }
    set_state(commit, TIDE_COMMIT_OPEN);
    tide_count(counters, 0, TIDE_M_COMMIT_OK, 1);
    if (commit->transactions)
        transaction_committed(commit);
    commit->position_count = 0;
}

/* An abort that comes while the commit is under way is that commit's answer, and so counts as a failed one. */
void tide_commit_aborted(struct tide_commit *commit)
{
    if (commit->state == TIDE_COMMIT_UNDER_WAY)
        tide_count(commit->chain->counters, 0, TIDE_M_COMMIT_ERROR, 1);
    set_state(commit, TIDE_COMMIT_OPEN);
    commit->chain->send_only_needed = false;
    ask_again(commit);
}

/* ---- questions ---- */

enum tide_commit_state tide_commit_state(const struct tide_commit *commit)
{
    return commit->state;
}

bool tide_commit_barrier_blocked(const struct tide_commit *commit)
{
    return commit->state == TIDE_COMMIT_PREPARING && commit->barrier &&
           commit->transactions->ops->pending(commit->transactions) == 0 &&
           !tide_offsets_at_barrier(commit->chain->offsets);
}

/* RESTING is at rest too, but a failed commit left `dirty`, which counts as a move: the end of a run tries again. */
bool tide_commit_up_to_date(const struct tide_commit *commit)
{
    bool at_rest = commit->state == TIDE_COMMIT_OPEN || commit->state == TIDE_COMMIT_RESTING;
    return !commit->plan.enabled || (at_rest && moves_since_last(commit) == 0);
}

/* Only a time needs a timer: the other policies become due by a message that completes. */
int64_t tide_commit_deadline_us(const struct tide_commit *commit)
{
    int64_t wait_us = commit->plan.min_time_us;
    bool at_rest = commit->state == TIDE_COMMIT_OPEN || commit->state == TIDE_COMMIT_RESTING;
    if (!commit->plan.enabled || !at_rest || wait_us == 0 || moves_since_last(commit) == 0)
        return INT64_MAX;
    if (commit->state == TIDE_COMMIT_RESTING && wait_us < RETRY_US)
        wait_us = RETRY_US;
    return commit->last_us + wait_us;
}
