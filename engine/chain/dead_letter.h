/* SPDX-License-Identifier: MIT
 * engine/chain/dead_letter.h - one dead letter, as it is written. For a topic it is the message with headers added after
 * its own; readers find them by the last `original_topic`, which is the first header of ours. For a file it is a line of
 * JSON with the same fields, the binary ones in base64. lua/tidemill/cli/dlq/dead_letter.lua reads both. */
#ifndef TIDE_CHAIN_DEAD_LETTER_H
#define TIDE_CHAIN_DEAD_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_text;

/** Why a message is rejected. Texts may be NULL. */
struct tide_reject {
    /* as it came into the step; of stage "produce" the record that the output refused */
    const struct tide_message *message;
    const char *stage; /* name of the step: "filter", "produce" */
    uint32_t row;      /* of the step; 0 = the output */
    /* one of: error, bad_return, rejected, too_large, crash, memory, timeout, cpu, retry_timeout,
     * refused */
    const char *reason;
    const char *error;
    const char *traceback;
    const char *cause; /* "SIGSEGV", "exit 3" */
    uint32_t attempts;
    bool
        only_copy; /* The caller cannot keep the message: the dead letter is taken even when its queue is full. */
    bool refused; /* `message` is a record that the output refused, not what came into the step. */
};

/** Where the message of a dead letter came from. */
struct tide_dead_letter_source {
    const char *topic;
    int32_t partition;
    int64_t offset;
    uint32_t
        count; /* of input messages; when there are several, the fields above are the first one's */
    const char *target; /* topic that refused the record; NULL = none did */
    int32_t target_partition;
    bool intermediate; /* The message is what an earlier step made of the input message. */
    bool
        timer; /* It is no message but a timer (chain/timers.h), with the key and the time of that; the fields above are those
                   of the message that moved the watermark past it. */
};

/** Packs the headers of a dead letter for a topic: the message's own, then ours. */
void tide_dead_letter_headers(struct tide_text *packed, const struct tide_reject *reject,
                              const struct tide_dead_letter_source *from);
/** Writes the line of a dead letter for a file, with its newline. */
void tide_dead_letter_line(struct tide_text *line, const struct tide_reject *reject,
                           const struct tide_dead_letter_source *from);

enum tide_truncation { TIDE_NOT_TRUNCATED, TIDE_TRUNCATED, TIDE_TRUNCATED_AGAIN };

/** Truncates a dead letter that is too large for its topic to the first `max` bytes of its value and of its key, and marks
 * it by the headers truncated, original_size and sha256 (of the whole value), which stay as they are when it is truncated
 * again. The headers are put into `packed`. NOT_TRUNCATED: value and key have no more bytes than that. */
enum tide_truncation tide_dead_letter_truncate(struct tide_message *dead_letter, uint32_t max,
                                               struct tide_text *packed);

#endif
