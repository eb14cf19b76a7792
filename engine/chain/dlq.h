/* SPDX-License-Identifier: MIT
 * engine/chain/dlq.h - the dead letter queue: where the messages go that cannot be processed, and how many of them are
 * too many. A topic gets the original key, value and headers, followed by headers that say what went wrong; a file gets
 * one JSON object a line (chain/dead_letter.h).
 *
 * Dead letters go through one partition queue for each partition of the input:
 *   state    what it does                                       next
 *   GOOD     sends a dead letter at once                        FAILING: one was not written
 *   FAILING  keeps dead letters, in order, until a pause is     PROBING: the oldest one is sent, alone
 *            over
 *   PROBING  keeps the others until the sink has answered       GOOD: acknowledged, and the others follow
 *                                                               FAILING: not written; the pause doubles (0.1 s to 10 s)
 * A queue holds at most max_buffered dead letters, those with the sink included. Then it takes no more (TIDE_BUSY), and
 * the message waits in its input block: its step and those before it stop, with all their partitions,
 * so that the order is kept. What other queues keep is still sent. */
#ifndef TIDE_CHAIN_DLQ_H
#define TIDE_CHAIN_DLQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "chain/dead_letter.h"
#include "chain/step.h"
#include "shm/message.h"

struct tide_dlq;
struct tide_dlq_recent;
struct tide_report;

/** Opens the file, if the plan names one. On failure NULL, and `*status` is TIDE_ECONFIG or TIDE_ETEMPORARY. */
struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status);
/** Sets the sink that writes the topic; call it before the first reject. The sink stays the caller's. */
void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink);
/** Takes the message, with a reference of its own that it keeps until the dead letter is acknowledged. TIDE_BUSY: try
 * again later. TIDE_EDATA: there is no dlq, or one of its limits is reached; the error names the message, and its offset
 * is not committed. */
int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *given);
/** Counts messages of the partition that were processed, at least one; they end a run of bad ones. */
void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition, uint32_t count);
/** Takes the delivery report of a dead letter (its origin has TIDE_ORIGIN_DEAD_LETTER). Negative: the pipeline stops. */
int tide_dlq_reported(struct tide_dlq *dlq, const struct tide_report *report);
/** Sends again what was not written, when it is time. Negative: the pipeline stops. */
int tide_dlq_poll(struct tide_dlq *dlq, int64_t now_us);
/** When tide_dlq_poll has to be called next; INT64_MAX = never, as it is now. */
int64_t tide_dlq_deadline_us(const struct tide_dlq *dlq);
/** True when no dead letter is kept here to be sent; those with the sink are the sink's. */
bool tide_dlq_joined(const struct tide_dlq *dlq);
/** The partition is revoked (tide_offsets_forget follows): drops the dead letters of it that are kept. */
void tide_dlq_forget(struct tide_dlq *dlq, uint32_t partition);
/** The sink's transaction is committed: what was counted for the limits stays counted. */
void tide_dlq_committed(struct tide_dlq *dlq);
/** The sink's transaction is aborted: what was sent in it is read again, and counted again. */
void tide_dlq_aborted(struct tide_dlq *dlq);
/** How many dead letters there are of each reason, and the last ten (chain/dlq_recent.h); borrowed. */
const struct tide_dlq_recent *tide_dlq_get_recent(const struct tide_dlq *dlq);
/** Opens what is at the file's path now (tide_engine_reopen). On failure the old file stays. */
int tide_dlq_reopen(struct tide_dlq *dlq);
void tide_dlq_free(struct tide_dlq *dlq); /* NULL is fine */

#endif
