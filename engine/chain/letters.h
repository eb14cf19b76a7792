/* SPDX-License-Identifier: MIT
 * engine/chain/letters.h - dead letters on their way: from tide_dlq_reject until their topic or file has them. For
 * chain/dlq.c only.
 *
 * By partition of the input (its lane):
 *   state     who                                   next
 *   good      letters go straight to the sink       failing: a report says that one was not written
 *   failing   letters are kept, in order; after     good: the probe is acknowledged; what is kept goes out
 *             each pause the oldest one is sent     failing, with twice the pause (0.1 s to 10 s)
 *             alone, as a probe
 * A lane holds at most max_buffered letters, in the sink and kept; then it takes no more (TIDE_BUSY) and the message
 * waits in its input block: the steps before it stand still, as order wants it. Other lanes go on until then. A
 * letter's hold on its message (chain/offsets.h) is given back by its acknowledgement alone. */
#ifndef TIDE_CHAIN_LETTERS_H
#define TIDE_CHAIN_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "chain/step.h"
#include "shm/message.h"

struct tide_report;
struct tide_letters;

/** The file is opened here: TIDE_ECONFIG or TIDE_ETEMPORARY when that cannot be. */
struct tide_letters *tide_letters_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                                      int *status);
/** The sink that writes the topic; set before the first letter. */
void tide_letters_sink(struct tide_letters *letters, struct tide_sink *sink);
/** The number of the topic. */
uint16_t tide_letters_topic(const struct tide_letters *letters);
/** Takes a letter: a message as the topic gets it, or with the file's line as its value. TIDE_BUSY: not now, unless
 * it is an `orphan`. Negative: it could not be written and the plan says stop. */
int tide_letters_take(struct tide_letters *letters, const struct tide_message *letter, bool orphan);
/** What the sink reported of one. Negative: as above. */
int tide_letters_reported(struct tide_letters *letters, const struct tide_report *report);
/** Sends again what is due. Negative: as above. */
int tide_letters_poll(struct tide_letters *letters, int64_t now_us);
/** When poll has to be called next; INT64_MAX = not. */
int64_t tide_letters_deadline_us(const struct tide_letters *letters);
/** Kept, not with the sink. */
uint64_t tide_letters_kept(const struct tide_letters *letters);
/** The partition is away: its letters are dropped, it will be read again. */
void tide_letters_forget(struct tide_letters *letters, uint32_t partition);
/** The transaction is gone, and what was sent with it: its reports may come or not. */
void tide_letters_aborted(struct tide_letters *letters);
int tide_letters_reopen(struct tide_letters *letters);
void tide_letters_free(struct tide_letters *letters); /* NULL is fine */

#endif
