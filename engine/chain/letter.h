/* SPDX-License-Identifier: MIT
 * engine/chain/letter.h - one dead letter, as it is written: for a topic the message with headers behind its own
 * (the last `original_topic` is the first of them, by which readers find them), for a file a line of JSON with the
 * same fields, binary ones in base64 (design section 6). lua/tidemill/cli/dlq/letter.lua reads both. */
#ifndef TIDE_CHAIN_LETTER_H
#define TIDE_CHAIN_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_text;

/** Texts may be NULL. */
struct tide_reject {
    const struct tide_message
        *message; /* as it came into the step; of stage "produce": the record that was refused */
    const char *stage; /* the word of the step: "filter", "produce" */
    const char
        *reason; /* one word: error, bad_return, rejected, too_large, crash, timeout, refused */
    const char *error;
    const char *traceback;
    const char *cause; /* "SIGSEGV", "exit 3" */
    uint32_t attempts;
    /* The message's bytes are nowhere else any more: the dead letter is taken whatever waits already. */
    bool orphan;
    bool refused; /* `message` is a record that the output refused, not what came in */
};

/** Where a message came from, for its letter. */
struct tide_letter_origin {
    const char *topic;
    int32_t partition;
    int64_t offset;
    uint32_t
        count; /* of the messages that it was made of; more than 1: these are the first one's */
    const char *target; /* the topic that refused it; NULL = it is what came in */
    int32_t target_partition;
    bool
        intermediate; /* what came into the step is not the message itself, but what an earlier step made of it */
};

/** The headers of a letter to a topic, in `packed`: the message's own, then why it is here. */
void tide_letter_headers(struct tide_text *packed, const struct tide_reject *reject,
                         const struct tide_letter_origin *from);
/** The line of a letter to a file, with its newline. */
void tide_letter_line(struct tide_text *line, const struct tide_reject *reject,
                      const struct tide_letter_origin *from);

/** For a letter that its topic says is too large: keeps the first `most` bytes of value and key, and says so by the
 * headers truncated, original_size and sha256 (of the whole value), which a later cut leaves as they are; the headers
 * go to `packed`. 0: it has no more bytes than that already; 1; 2: it was cut before. */
int tide_letter_cut(struct tide_message *letter, uint32_t most, struct tide_text *packed);

#endif
