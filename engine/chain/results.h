/* SPDX-License-Identifier: MIT
 * engine/chain/results.h - parses what a worker left in an output block. Workers are not trusted: each struct is copied
 * once, the copy is checked against the engine's own numbers, and only the copy is used. Headers are copied as well, since
 * their lengths are among their bytes; values and keys stay in the block. */
#ifndef TIDE_CHAIN_RESULTS_H
#define TIDE_CHAIN_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/batch.h"
#include "shm/message.h"
#include "store/store.h"

enum tide_item_kind {
    TIDE_ITEM_MESSAGE,  /* a result to forward */
    TIDE_ITEM_FINISHED, /* all results of a record came before; there were none if it was filtered */
    TIDE_ITEM_REJECT,   /* the record is rejected; `message.value` holds reason, error, traceback */
    TIDE_ITEM_STATE, /* a state of the record's key changes: `message` is an index into the changes */
    TIDE_ITEM_RETRY,  /* the record is to be tried again; `message.value` as above */
    TIDE_ITEM_WAITED, /* set by task_items.c in place of FINISHED: the record is run again later */
    TIDE_ITEM_REVOKED /* set by task_items.c in place of MESSAGE: the result was dropped */
};

struct tide_item {
    enum tide_item_kind kind;
    uint32_t record;
    uint32_t message; /* index into the parsed messages, but for FINISHED and STATE */
    uint32_t bytes;   /* of the result in the block */
};

/** Of state; value.expires_ms is how long the value is to live. */
struct tide_parsed_change {
    uint32_t state; /* of the step's states, from 0 */
    struct tide_store_value value;
};

enum { TIDE_PARSED_MESSAGES = 128, TIDE_PARSED_ITEMS = 384 };

struct tide_parsed_headers;

/** Results that were parsed and checked, and wait to be forwarded. Zero it before the first use. */
struct tide_parsed {
    struct tide_message messages[TIDE_PARSED_MESSAGES];
    struct tide_item items[TIDE_PARSED_ITEMS];
    /* Messages that are forwarded together lie side by side, so these have a place of their own. */
    struct tide_parsed_change changes[TIDE_PARSED_MESSAGES];
    uint32_t change_count;
    uint32_t message_count;
    uint32_t item_count;
    uint32_t item_at; /* the first item that is not dealt with */
    /* Copies of headers. They stay as long as results of the record that the last item is of may follow. */
    struct tide_parsed_headers *headers;
};

/** Why a transform rejected a message, or wants to try it again. */
struct tide_failure {
    char texts[8192];
    const char *reason;
    const char *error;
    const char *traceback;
};

/** Reads the three strings of a REJECT or RETRY, each ended by a NUL. They are a worker's, so each of them may be cut
 * short or missing: then it is "". */
void tide_results_failure(const struct tide_message *message, struct tide_failure *failure);
/** True if the first result says that the whole run is to be tried again: `failure` says why. */
bool tide_results_retry(const struct tide_batch *batch, uint32_t topic_count,
                        struct tide_failure *failure);
/** Takes over the {next, bytes} that a worker has published, once: begins batch->run. TIDE_EDATA when they cannot be
 * true, or contradict its report (work.status, when the state is DONE). */
int tide_results_accept(struct tide_batch *batch);
/** Parses the next results of the run into `parsed`, whose items must all be dealt with. No item means that no result
 * is left. TIDE_EDATA when the block does not hold what its worker said; the records that were complete before
 * that are in `parsed`. Topic numbers below `topic_count` may be named by a result. */
int tide_results_read(struct tide_batch *batch, struct tide_parsed *parsed, uint32_t topic_count);
/** Validates all results of the run without consuming them: TIDE_EDATA when one is malformed. For a step that reduces,
 * where a result also stands for records before its own, which must not be finished before it is known to be there. */
int tide_results_check(const struct tide_batch *batch, uint32_t topic_count);
/** Frees what `parsed` owns, not the struct. */
void tide_results_free(struct tide_parsed *parsed);

#endif
