/* SPDX-License-Identifier: MIT
 * engine/chain/commit.h - when to commit which positions, by the policy of commit_offsets (Arroyo's commit policies).
 * One commit is under way at most. A failed commit is not repeated: the next one covers it, a second later at the
 * earliest.
 *
 * In exactly_once the commit ends the sink's transaction, and its positions must stand for just what is in that: so it
 * is made at a barrier (tide_offsets_at_barrier).
 *   state       what happens                                        next
 *   OPEN        the policy's time is up or its number is reached    at least once: UNDER_WAY, or PREPARING while the
 *               (poll), or the engine wants a commit (force)        source is busy
 *                                                                   exactly once: PREPARING until the barrier
 *   PREPARING   the barrier is reached, the source or the sink      UNDER_WAY; with a changelog WRITING
 *               takes the commit
 *   WRITING     records of changed state are sent and acknowledged  UNDER_WAY
 *               (chain/states.h), the sink takes the commit
 *   UNDER_WAY   the answer: committed                               OPEN
 *               the answer: failed                                  RESTING
 *   RESTING     a second has passed                                 OPEN
 *               the engine wants a commit (force)                   as from OPEN
 *   any         the transaction is aborted                          OPEN; the positions begin again at those committed
 * While PREPARING the last step and the dlq send only what the transaction needs (tide_offsets_in_transaction; they read
 * send_only_needed of struct tide_chain), as long as delivery reports are due. When none is due and the barrier
 * is not reached, what is needed must be queued behind something that is not: then everything is sent again, until a
 * report is due.
 * With one task step what was sent is a prefix of what was read, so delivery reports are waited for, but never workers.
 * With several, dead letters may overtake messages that are in a later step; those messages are waited for.
 * With a changelog the commit ends a transaction in at least once, too: that of the changelog's sink, which has no results
 * in it. So there is no barrier, and all goes on meanwhile.
 * Where a step is unordered (struct tide_chain) much may have been sent behind messages that workers run still, and with
 * each turn there would be more of it. So while PREPARING nothing is read and all batches are sealed (all_needed): what was
 * taken becomes complete, and the barrier is reached. A commit is due as well when something was sent and no position has
 * moved, for the transaction may not grow for as long as one message takes. */
#ifndef TIDE_CHAIN_COMMIT_H
#define TIDE_CHAIN_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_commit;
struct tide_chain;
struct tide_sink;

enum tide_commit_state {
    TIDE_COMMIT_OPEN,
    TIDE_COMMIT_PREPARING,
    TIDE_COMMIT_WRITING,
    TIDE_COMMIT_UNDER_WAY,
    TIDE_COMMIT_RESTING
};

/** `transactions`: the sink whose transactions take the positions; NULL = the chain's source commits them. Both are
 * borrowed. */
struct tide_commit *tide_commit_new(const struct tide_commit_plan *plan, struct tide_chain *chain,
                                    struct tide_sink *transactions);
/** Commits when the policy says so. TIDE_OK = there is nothing to commit, or the commit is under way now. TIDE_BUSY = an
 * earlier one is under way, or this one is PREPARING: call again. Negative = the source or the sink cannot go on. */
int tide_commit_poll(struct tide_commit *commit, int64_t now_us);
/** Commits whatever the policy says. Returns as tide_commit_poll. */
int tide_commit_force(struct tide_commit *commit, int64_t now_us);
/** The source's COMMITTED event, or the transaction's result COMMITTED. `text`: why it failed, may be NULL. */
void tide_commit_answered(struct tide_commit *commit, int status, const char *text);
/** The transaction is aborted. */
void tide_commit_aborted(struct tide_commit *commit);
/** The partition was assigned again: what was committed of it before means nothing now. */
void tide_commit_assigned(struct tide_commit *commit, uint32_t partition);
enum tide_commit_state tide_commit_state(const struct tide_commit *commit);
/** True while a commit would come less than a second after one that failed, and so fail alike. */
bool tide_commit_resting(const struct tide_commit *commit, int64_t now_us);
/** True while PREPARING when no delivery report is due, so that waiting for reports does not lead to the barrier. */
bool tide_commit_barrier_blocked(const struct tide_commit *commit);
/** True if everything complete is committed, or committing is off. */
bool tide_commit_up_to_date(const struct tide_commit *commit);
/** When the policy's time is up; INT64_MAX = it is not running. */
int64_t tide_commit_deadline_us(const struct tide_commit *commit);
void tide_commit_free(struct tide_commit *commit); /* NULL is fine */

#endif
