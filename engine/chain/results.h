/* SPDX-License-Identifier: MIT
 * engine/chain/results.h - reads what a worker left in an output block. Workers are not trusted: each
 * struct is copied once, the copy is checked against the engine's own numbers, and only the copy is used. */
#ifndef TIDE_CHAIN_RESULTS_H
#define TIDE_CHAIN_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/batch.h"
#include "shm/message.h"

enum tide_item_kind {
    TIDE_ITEM_MESSAGE,  /* a result to hand on */
    TIDE_ITEM_FINISHED, /* all results of a record were before; none at all = filtered */
    TIDE_ITEM_REJECT,   /* the record is rejected; `message.value` holds reason, error, traceback */
    TIDE_ITEM_RETRY     /* it is to be tried again; the same */
};

struct tide_item {
    enum tide_item_kind kind;
    uint32_t record;
    uint32_t message; /* index into the parsed's messages, for MESSAGE and REJECT */
    uint32_t bytes;   /* of the result in the block */
};

enum { TIDE_PARSED_MESSAGES = 128, TIDE_PARSED_ITEMS = 384 };

/** Results read and checked, waiting to be handed on. */
struct tide_parsed {
    struct tide_message messages[TIDE_PARSED_MESSAGES];
    struct tide_item items[TIDE_PARSED_ITEMS];
    uint32_t message_count;
    uint32_t item_count;
    uint32_t item_at; /* the first that is not done with */
};

/** What a rejection tells. */
struct tide_failure {
    char texts[8192];
    const char *reason;
    const char *error;
    const char *traceback;
};

/** Three strings one behind the other, each ended by a NUL; they are a worker's, so they may not be. */
void tide_results_failure(const struct tide_message *message, struct tide_failure *failure);
/** The first result says that the whole run is to be tried again: `told` says why. */
bool tide_results_retry(const struct tide_batch *batch, uint32_t topic_count,
                        struct tide_failure *failure);
/** Takes over a worker's {next, bytes}, once. TIDE_EDATA when it cannot be true, or its report (work.outcome, when
 * the state is DONE) does not go with it. */
int tide_results_accept(struct tide_batch *batch);
/** Fills an empty parsed with the next results. TIDE_EDATA = the block does not hold what its worker said;
 * the records that were whole before that are in the parsed. Nothing left: item_count is 0. `topic_count`: numbers below
 * it may be named by a result. */
int tide_results_read(struct tide_batch *batch, struct tide_parsed *parsed, uint32_t topic_count);
/** Reads all of them at once, to no end: TIDE_EDATA when one is broken. For a step that reduces, where a result also
 * stands for records before its own: they must not be done with before it is known to be there. */
int tide_results_check(const struct tide_batch *batch, uint32_t topic_count);

#endif
