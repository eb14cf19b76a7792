/* SPDX-License-Identifier: MIT
 * engine/chain/canary.h - the canary of a reload: a share of the batches of a step is run by workers of the next revision, too.
 * What counts are the results of the revision that runs; those of the next one are compared with them, and thrown away. The
 * batch itself waits for nothing: once it has been run, what it consists of is copied (its records, its state, its results), and
 * the copy is given to a worker of the next revision. Each step has one such copy at a time.
 *
 *   state     what happens                                              next
 *   OFF       there is no canary                                        IDLE: tide_canary_begin
 *   IDLE      the next batch of the share is waited for                 RUNNING: it was run to its end, and a worker of the
 *                                                                       next revision has nothing to do: it is copied
 *                                                                       OFF: tide_canary_end
 *   RUNNING   a worker of the next revision runs the copy               IDLE: it has reported, or is lost: the results are
 *                                                                       compared. DROPPED: it broke the protocol, or
 *                                                                       tide_canary_end
 *   DROPPED   nothing of it is used any more                            OFF: the worker has reported, or is gone
 *
 * The worker's results are foreign input as any others: chain/results.h copies each struct once and checks it. What was copied
 * of the other worker's results is checked once more, since that one may have written to its block meanwhile. */
#ifndef TIDE_CHAIN_CANARY_H
#define TIDE_CHAIN_CANARY_H

#include <stdbool.h>
#include <stdint.h>

struct tide_task;
struct tide_batch;

enum tide_canary_state {
    TIDE_CANARY_OFF,
    TIDE_CANARY_IDLE,
    TIDE_CANARY_RUNNING,
    TIDE_CANARY_DROPPED
};

struct tide_canary_rules {
    double share;              /* of the batches, more than 0, 1 at most */
    bool compare;              /* any difference of the results speaks against the next revision */
    uint64_t max_rejected;     /* messages that it alone rejects: more than this, and ... */
    double max_rejected_ratio; /* ... more than this share, speak against it */
};

struct tide_canary {
    enum tide_canary_state state;
    struct tide_canary_rules rules;
    double credit;               /* of a batch: one is run when it has come to 1 */
    struct tide_batch *batch;    /* the copy */
    struct tide_output *results; /* the results of the present revision, copied; NULL = none */
    uint32_t result_bytes;
    /* since tide_canary_begin: */
    uint64_t messages;  /* that both have run */
    uint64_t differing; /* of these, those with other results or changes of state */
    uint64_t rejected;  /* of these, those that the next revision alone rejects */
    char first[900];    /* the first of the rejected, as text; "" = none */
    char verdict[1600]; /* the first thing that speaks against the next revision; "" = nothing */
};

/** Makes the room for the copy, before the fork. Negative with tide_error(). */
int tide_canary_prepare(struct tide_task *task);
/** A batch has been run to its end, and its results are not forwarded yet: copies it if its turn has come. */
void tide_canary_offer(struct tide_task *task, const struct tide_batch *batch);
/** Takes what has come back. */
void tide_canary_poll(struct tide_task *task);
void tide_canary_free(struct tide_task *task);

/* For the engine, by the step's verb `canary` (chain/step.h): */

void tide_canary_begin(struct tide_task *task, const struct tide_canary_rules *rules);
/** Ends it: nothing speaks for or against anybody any more. */
void tide_canary_end(struct tide_task *task);
static inline bool tide_canary_is_busy(const struct tide_canary *canary)
{
    return canary->state == TIDE_CANARY_RUNNING || canary->state == TIDE_CANARY_DROPPED;
}

/* ---- canary_compare.c ---- */

/** What comparing the results of two runs of the same records has found. */
struct tide_comparison {
    uint32_t differing; /* records whose results or changes of state differ */
    uint32_t rejected;  /* of these, those that the newer one rejects and the older one does not */
    char first_rejected[900]; /* the first of them: topic, partition, offset, reason; "" = none */
    char difference[1200];    /* the first difference; "" = there is none */
};

/** Compares what is left of `newer` with `older`: two batches with the same records, whose results have been accepted
 * (tide_results_accept). `topics`: as chain/results.h. TIDE_EDATA when those of `newer` are malformed. */
int tide_canary_compare(const struct tide_batch *older, const struct tide_batch *newer,
                        const struct tide_task *task, struct tide_comparison *found);

#endif
