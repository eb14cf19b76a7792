/* SPDX-License-Identifier: MIT
 * engine/chain/commit.h - commit_offsets: when to commit which positions. One commit is under way at most;
 * a failed one is not repeated, the next covers it, a second later at the earliest. Policies: Arroyo's commit policies. */
#ifndef TIDE_CHAIN_COMMIT_H
#define TIDE_CHAIN_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

struct tide_commit;
struct tide_offsets;
struct tide_source;
struct tide_counters;

struct tide_commit *tide_commit_new(const struct tide_commit_plan *plan,
                                    struct tide_offsets *offsets, struct tide_source *source,
                                    struct tide_counters *counters);
/** Commits when the policy says so, or `now` whatever it says. TIDE_BUSY while one is under way that must
 * end first; TIDE_OK when there is nothing to commit or the commit was begun. */
int tide_commit_poll(struct tide_commit *commit, bool now, int64_t now_us);
/** The source's COMMITTED event. */
void tide_commit_answered(struct tide_commit *commit, int status, const char *text);
bool tide_commit_under_way(const struct tide_commit *commit);
/** All that is done is committed, as far as commits go (or committing is off). */
bool tide_commit_settled(const struct tide_commit *commit);
/** The partition was assigned anew. */
void tide_commit_assigned(struct tide_commit *commit, uint32_t partition);
/** When the policy's time is up; INT64_MAX = not. */
int64_t tide_commit_deadline_us(const struct tide_commit *commit);
void tide_commit_free(struct tide_commit *commit); /* NULL is fine */

#endif
