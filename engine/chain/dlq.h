/* SPDX-License-Identifier: MIT
 * engine/chain/dlq.h - the dead letters: where messages go that no one can do anything with, and how many
 * of them are too many. A topic gets the original key, value and headers plus headers of the fields below;
 * a file gets one JSON object a line (design section 6). */
#ifndef TIDE_CHAIN_DLQ_H
#define TIDE_CHAIN_DLQ_H

#include <stdint.h>

#include "base/plan.h"
#include "chain/letter.h"
#include "chain/step.h"
#include "shm/message.h"

struct tide_dlq;
struct tide_report;

/** The file is opened here: TIDE_ECONFIG or TIDE_ETEMPORARY when that cannot be. */
struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status);
/** The sink that writes the topic; set before the first reject. */
void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink);
/** Takes the message, with a hold of its own until its letter is acknowledged. TIDE_BUSY = not now (max_buffered letters
 * of its partition are not). TIDE_EDATA: there is no dlq, or its limits are reached: the text names the message, and its
 * offset stays uncommitted. */
int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *reject);
/** A message of the partition came through well: ends a run of bad ones. */
void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition);
/** The sink's report of a dead letter (its origin has TIDE_ORIGIN_DEAD_LETTER). Negative: the pipeline stops. */
int tide_dlq_reported(struct tide_dlq *dlq, const struct tide_report *report);
/** Writes again what its topic or file did not take, when it is time. Negative: the pipeline stops. */
int tide_dlq_poll(struct tide_dlq *dlq, int64_t now_us);
/** When poll has to be called next; INT64_MAX = not. */
int64_t tide_dlq_deadline_us(const struct tide_dlq *dlq);
/** No letter waits for another try (those with the sink are its own). */
bool tide_dlq_joined(const struct tide_dlq *dlq);
/** The partition is away (tide_offsets_forget follows): what waits of it is dropped. */
void tide_dlq_forget(struct tide_dlq *dlq, uint32_t partition);
/** The sink's transaction is committed: what was counted against the limits stays counted. */
void tide_dlq_settled(struct tide_dlq *dlq);
/** The sink's transaction is gone: what was sent with it will be read again, and counted again. */
void tide_dlq_aborted(struct tide_dlq *dlq);
/** Its file is opened anew (tide_engine_reopen). */
int tide_dlq_reopen(struct tide_dlq *dlq);
void tide_dlq_free(struct tide_dlq *dlq); /* NULL is fine */

#endif
