/* SPDX-License-Identifier: MIT
 * engine/chain/commit.h - commit_offsets: when to commit which positions. One commit is under way at most;
 * a failed one is not repeated, the next covers it, a second later at the earliest. Policies: Arroyo's commit policies.
 *
 * Exactly once: the commit is the end of the sink's transaction, and its positions must stand for just what is in it.
 *   state      who                                  next
 *   open       policy, revocation, shutdown         cutting: chain->cutting; the last step and the dlq send only
 *                                                   what is owed (tide_offsets_owed); anything while no
 *                                                   report is due, for what is owed may stand behind it
 *   cutting    tide_commit_poll, once clean         under way: sink->commit
 *   under way  engine, the sink's outcome           open: COMMITTED: settled
 *   any        engine, the sink's outcome           open: ABORTED: all is read again from the committed positions
 * Where one task step stands before the last, what was sent is a prefix of what was read, so a cut waits for delivery
 * reports only, never for workers. With several, dead letters may overtake messages that are still in a later step:
 * those are waited for, since they are owed. */
#ifndef TIDE_CHAIN_COMMIT_H
#define TIDE_CHAIN_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_commit;
struct tide_chain;
struct tide_sink;

/** `transactions`: the sink whose transactions take the positions; NULL = they go to the chain's source. */
struct tide_commit *tide_commit_new(const struct tide_commit_plan *plan, struct tide_chain *chain,
                                    struct tide_sink *transactions);
/** Commits when the policy says so, or `now` whatever it says. TIDE_BUSY while one is under way that must
 * end first; TIDE_OK when there is nothing to commit or the commit was begun. */
int tide_commit_poll(struct tide_commit *commit, bool now, int64_t now_us);
/** The source's COMMITTED event, or the sink's outcome. */
void tide_commit_answered(struct tide_commit *commit, int status, const char *text);
/** The transaction is gone: everything that was asked for must be asked for again. */
void tide_commit_aborted(struct tide_commit *commit);
/** The last one failed less than a second ago: another try now would fail alike. */
bool tide_commit_resting(const struct tide_commit *commit, int64_t now_us);
bool tide_commit_cutting(const struct tide_commit *commit);
/** Cutting, and it cannot become clean by waiting for delivery reports. */
bool tide_commit_torn(const struct tide_commit *commit);
bool tide_commit_under_way(const struct tide_commit *commit);
/** All that is done is committed, as far as commits go (or committing is off). */
bool tide_commit_settled(const struct tide_commit *commit);
/** The partition was assigned anew. */
void tide_commit_assigned(struct tide_commit *commit, uint32_t partition);
/** When the policy's time is up; INT64_MAX = not. */
int64_t tide_commit_deadline_us(const struct tide_commit *commit);
void tide_commit_free(struct tide_commit *commit); /* NULL is fine */

#endif
