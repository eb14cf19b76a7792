/* SPDX-License-Identifier: MIT
 * engine/chain/dlq.h - the dead letters: where messages go that no one can do anything with, and how many
 * of them are too many. A topic gets the original key, value and headers plus headers of the fields below;
 * a file gets one JSON object a line (design section 6). */
#ifndef TIDE_CHAIN_DLQ_H
#define TIDE_CHAIN_DLQ_H

#include <stdint.h>

#include "base/plan.h"
#include "chain/step.h"
#include "shm/message.h"

struct tide_dlq;

/** Texts may be NULL. */
struct tide_reject {
    const struct tide_message *message; /* as it came in */
    const char *stage;                  /* the word of the step: "filter", "produce" */
    const char *reason; /* one word: error, bad_return, rejected, too_large, crash */
    const char *error;
    const char *traceback;
    const char *cause; /* "SIGSEGV", "exit 3" */
    uint32_t attempts;
};

/** The file is opened here: TIDE_ENOINPUT. */
struct tide_dlq *tide_dlq_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                              int *status);
/** The sink that writes the topic; set before the first reject. */
void tide_dlq_sink(struct tide_dlq *dlq, struct tide_sink *sink);
/** Takes the message, with a hold of its own until it is written. TIDE_BUSY = not now. TIDE_EDATA: there is no dlq, or its limits are
 * reached: the text names the message, and its offset stays uncommitted. */
int tide_dlq_reject(struct tide_dlq *dlq, const struct tide_reject *reject);
/** A message of the partition came through well: ends a run of bad ones. */
void tide_dlq_passed(struct tide_dlq *dlq, uint32_t partition);
void tide_dlq_free(struct tide_dlq *dlq); /* NULL is fine */

#endif
