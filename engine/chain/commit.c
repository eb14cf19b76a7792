/* SPDX-License-Identifier: MIT */
#include "chain/commit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/step.h"
#include "chain/suspects.h"
#include "io/sink.h"
#include "io/source.h"
#include "shm/counters.h"

static const int64_t RETRY_US = 1000000;

struct tide_commit {
    struct tide_commit_plan plan;
    struct tide_chain *chain;
    struct tide_sink *transactions; /* NULL = at least once */
    int64_t *asked;                 /* the position last asked to commit, by partition; -1 = none */
    size_t count;
    struct tide_position *positions; /* of the commit under way, or of one that failed */
    size_t position_count;
    bool under_way;
    bool cutting;
    bool failed; /* the last one: the next waits for a second, whatever the policy says */
    int64_t last_us;
    uint64_t reached; /* of the tracker at the last commit */
};

struct tide_commit *tide_commit_new(const struct tide_commit_plan *plan, struct tide_chain *chain,
                                    struct tide_sink *transactions)
{
    struct tide_commit *commit = tide_alloc(sizeof(*commit));
    *commit = (struct tide_commit){
        .plan = *plan, .chain = chain, .transactions = transactions, .last_us = tide_clock_us()};
    return commit;
}

static void make_room(struct tide_commit *commit, size_t count)
{
    if (count <= commit->count)
        return;
    commit->asked = tide_realloc(commit->asked, sizeof(int64_t) * count);
    commit->positions = tide_realloc(commit->positions, sizeof(struct tide_position) * count);
    while (commit->count < count)
        commit->asked[commit->count++] = -1;
}

void tide_commit_assigned(struct tide_commit *commit, uint32_t partition)
{
    make_room(commit, partition + 1);
    commit->asked[partition] = -1;
}

/* What moved since it was last asked for, of the partitions that are ours. */
static size_t collect(struct tide_commit *commit)
{
    size_t count = 0;
    if (commit->position_count > 0 && tide_fault("bug.other_offsets"))
        return commit->position_count; /* what it asked for the first time */
    make_room(commit, tide_offsets_partitions(commit->chain->offsets));
    for (uint32_t i = 0; i < commit->count; i++) {
        int64_t position = tide_offsets_position(commit->chain->offsets, i);
        if (position < 0 || position == commit->asked[i] ||
            (!tide_offsets_ours(commit->chain->offsets, i) &&
             !tide_fault("bug.commit_after_revoke")))
            continue;
        commit->positions[count++] = (struct tide_position){i, position};
    }
    return count;
}

static uint64_t reached(const struct tide_commit *commit)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(commit->chain->offsets, &totals);
    return totals.reached;
}

bool tide_commit_resting(const struct tide_commit *commit, int64_t now_us)
{
    return commit->failed && now_us - commit->last_us < RETRY_US;
}

/* immediate: as soon as anything is through and the last commit is answered. */
static bool due(const struct tide_commit *commit, int64_t now_us)
{
    const struct tide_commit_plan *plan = &commit->plan;
    uint64_t fresh = reached(commit) - commit->reached;
    if (fresh == 0 || tide_commit_resting(commit, now_us))
        return false;
    if (plan->min_time_us == 0 && plan->min_messages == 0)
        return true;
    return (plan->min_time_us > 0 && now_us - commit->last_us >= plan->min_time_us) ||
           (plan->min_messages > 0 && fresh >= plan->min_messages);
}

static int send(struct tide_commit *commit, size_t count)
{
    struct tide_source *source = commit->chain->source;
    struct tide_sink *sink = commit->transactions;
    return sink ? sink->ops->commit(sink, commit->positions, count)
                : source->ops->commit(source, commit->positions, count);
}

/* True when what was sent is a whole. What is owed may stand behind what is not, in a later step: when no report is
 * left to wait for, the steps go on without a limit, until something is sent. */
static bool cut(struct tide_commit *commit)
{
    struct tide_chain *chain = commit->chain;
    bool limited = commit->transactions->ops->pending(commit->transactions) > 0;
    commit->cutting = limited || !tide_offsets_clean(chain->offsets);
    chain->progress |= chain->cutting && !limited;
    chain->cutting = limited;
    return !commit->cutting;
}

int tide_commit_poll(struct tide_commit *commit, bool now, int64_t now_us)
{
    if (!commit->plan.enabled)
        return TIDE_OK;
    if (commit->under_way)
        return TIDE_BUSY;
    if (!now && !commit->cutting && !due(commit, now_us))
        return TIDE_OK;
    if (commit->transactions && !cut(commit))
        return TIDE_BUSY;
    size_t count = commit->position_count = collect(commit);
    int status = count > 0 ? send(commit, count) : TIDE_OK;
    commit->cutting = status == TIDE_BUSY;
    if (status != TIDE_OK)
        return status;
    commit->reached = reached(commit);
    commit->last_us = now_us;
    commit->under_way = count > 0;
    for (size_t i = 0; i < count; i++)
        commit->asked[commit->positions[i].partition] = commit->positions[i].offset;
    return TIDE_OK;
}

/* Forgets what was asked, so that the next commit asks again. */
static void ask_again(struct tide_commit *commit)
{
    for (size_t i = 0; i < commit->count; i++)
        commit->asked[i] = -1;
    commit->reached--;
}

static void settle(struct tide_commit *commit)
{
    tide_offsets_settle(commit->chain->offsets);
    for (size_t i = 0; i < commit->position_count && commit->chain->suspects; i++)
        tide_suspects_settle(commit->chain->suspects, commit->positions[i].partition,
                             commit->positions[i].offset);
}

void tide_commit_answered(struct tide_commit *commit, int status, const char *text)
{
    commit->under_way = false;
    commit->failed = status < 0;
    tide_observe(commit->chain->counters, 0, TIDE_M_COMMIT_TIME,
                 (double)(tide_clock_us() - commit->last_us) / 1e6);
    if (status >= 0 && commit->transactions)
        settle(commit);
    if (status >= 0)
        commit->position_count = 0;
    tide_count(commit->chain->counters, 0, status < 0 ? TIDE_M_COMMIT_ERROR : TIDE_M_COMMIT_OK, 1);
    if (status < 0) {
        tide_log(TIDE_LOG_WARN, "commit failed: %s; the next one covers it", text ? text : "");
        ask_again(commit);
    }
}

void tide_commit_aborted(struct tide_commit *commit)
{
    if (commit->under_way)
        tide_count(commit->chain->counters, 0, TIDE_M_COMMIT_ERROR, 1);
    commit->under_way = false;
    commit->cutting = commit->chain->cutting = false;
    ask_again(commit);
}

bool tide_commit_cutting(const struct tide_commit *commit)
{
    return commit->cutting;
}

bool tide_commit_torn(const struct tide_commit *commit)
{
    return commit->cutting && commit->transactions->ops->pending(commit->transactions) == 0 &&
           !tide_offsets_clean(commit->chain->offsets);
}

bool tide_commit_under_way(const struct tide_commit *commit)
{
    return commit->under_way;
}

bool tide_commit_settled(const struct tide_commit *commit)
{
    return !commit->plan.enabled ||
           (!commit->under_way && !commit->cutting && commit->reached == reached(commit));
}

int64_t tide_commit_deadline_us(const struct tide_commit *commit)
{
    int64_t wait_us = commit->plan.min_time_us;
    if (!commit->plan.enabled || commit->under_way || commit->cutting || wait_us == 0 ||
        commit->reached == reached(commit))
        return INT64_MAX;
    return commit->last_us + (commit->failed && wait_us < RETRY_US ? RETRY_US : wait_us);
}

void tide_commit_free(struct tide_commit *commit)
{
    if (!commit)
        return;
    free(commit->asked);
    free(commit->positions);
    free(commit);
}
