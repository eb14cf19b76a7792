/* SPDX-License-Identifier: MIT
 * engine/chain/tap.h - taps: samples of the messages that go through the steps, each as it came in, with its fate and its
 * results, for somebody who looks on (tidemill tap, tidemill try). A tap never costs a message and never makes one wait:
 * it looks at a bounded number of messages and bytes a second, it makes a bounded number of samples a second, and a sample
 * for which there is no room is lost and counted. Without a tap the steps test one flag for each portion of a batch.
 *
 *     number = tide_taps_arm(taps, &plan);
 *     while (tide_taps_take(taps, number, &sample)) ... sample.text, a line of JSON ...
 *     tide_taps_disarm(taps, number);
 *
 * A sample: {"step":1, "stage":, "fate":, "topic":, "partition":, "offset":, "timestamp":, "before": {"key":, "headers":,
 * "value":}, "results": 1, "after": [{"changed": ["value"], "value":}]}. What is not in a result is as it was before. Of
 * several results the first four are shown. A field that is not UTF-8 is in base64 (shm/message_json.h); one of more than
 * value_limit bytes is cut. A message that was not forwarded has "reason", "error", "cause", "traceback" and "attempts" as
 * far as they are known. What names the message (topic, partition, offset) is that of the source. */
#ifndef TIDE_CHAIN_TAP_H
#define TIDE_CHAIN_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_taps;
struct tide_topics;

/** What became of a message in a step. */
enum tide_fate {
    TIDE_FATE_FORWARDED, /* with its results */
    TIDE_FATE_FILTERED,
    TIDE_FATE_ACCUMULATED, /* a step that reduces: it is in a result that stands for several messages */
    TIDE_FATE_REJECTED, /* a dead letter */
    TIDE_FATE_RETRY,    /* it is tried again later (tide.retry); of a whole batch the first one */
    TIDE_FATE_WAITS,    /* it follows one of its partition that is tried again, and is run later */
    TIDE_FATE_DROPPED,  /* its partition was revoked meanwhile */
    TIDE_FATES
};

enum tide_tap_field {
    TIDE_TAP_KEY,
    TIDE_TAP_HEADER,
    TIDE_TAP_VALUE,
    TIDE_TAP_TOPIC,
    TIDE_TAP_PARTITION,
    TIDE_TAP_OFFSET,
    TIDE_TAP_FATE
};

/** One condition on a message, as it came into the step. Null has no text: nothing equals it, and it contains nothing. */
struct tide_tap_condition {
    enum tide_tap_field field;
    bool contains;    /* KEY, HEADER, VALUE, TOPIC: it has `text` in it; else it is `text` */
    const char *name; /* HEADER: of any header with this name */
    const char *text; /* KEY, HEADER, VALUE, TOPIC */
    uint32_t text_length;
    int64_t least; /* PARTITION, OFFSET, FATE (an enum tide_fate): from here ... */
    int64_t most;  /* ... to here */
};

enum { TIDE_TAPS = 8, TIDE_TAP_CONDITIONS = 16, TIDE_TAP_RESULTS = 4 };

struct tide_tap_plan {
    uint32_t step;        /* the n-th step that runs in workers; 0 = all of them, and the output */
    uint32_t rate;        /* samples a second at most, > 0 */
    uint32_t value_limit; /* bytes that are shown of a value, a key, and all headers, each */
    uint32_t condition_count;                    /* at most TIDE_TAP_CONDITIONS */
    const struct tide_tap_condition *conditions; /* all of them hold */
};

/** Since the tap was armed. */
struct tide_tap_counts {
    uint64_t passed;   /* messages with which the step was done */
    uint64_t examined; /* of these: the conditions were looked at */
    uint64_t matched;  /* of these: all conditions held */
    uint64_t sampled;  /* of these: a sample was made */
    uint64_t lost;     /* samples for which there was no room, since nobody took those before */
};

struct tide_tap_sample {
    const char
        *text; /* a line of JSON, without a newline; valid until the next call for this tap */
    size_t length;
};

/** A message and what became of it, as a step tells it. */
struct tide_tap_event {
    uint32_t row; /* of the step; 0 = the output */
    enum tide_fate fate;
    const struct tide_message *before;
    const struct tide_message *after[TIDE_TAP_RESULTS];
    uint32_t results; /* in all; the first TIDE_TAP_RESULTS are in `after` */
    uint32_t attempts;
    const char *stage;  /* where row is 0 */
    const char *reason; /* texts may be NULL */
    const char *error;
    const char *cause;
    const char *traceback;
};

struct tide_taps *tide_taps_new(const struct tide_topics *topics);
void tide_taps_free(struct tide_taps *taps); /* NULL is fine */
/** A step that runs in workers tells its row; the first one to do so is step 1. Taps may be NULL. */
void tide_taps_add_step(struct tide_taps *taps, uint32_t row, const char *stage);

/* ---- for who looks on ---- */

/** Returns the number of the tap, from 1. TIDE_ETEMPORARY when TIDE_TAPS are armed already; TIDE_EUSAGE when there is no
 * such step, or too many conditions. */
int tide_taps_arm(struct tide_taps *taps, const struct tide_tap_plan *plan);
/** Takes the oldest sample. False when there is none. */
bool tide_taps_take(struct tide_taps *taps, int number, struct tide_tap_sample *sample);
/** Looks at the counts. */
void tide_taps_counts(const struct tide_taps *taps, int number, struct tide_tap_counts *counts);
void tide_taps_disarm(struct tide_taps *taps, int number);

/* ---- for the steps ---- */

/** True if there is any tap; taps may be NULL. Only then the rest need be called. */
bool tide_taps_armed(const struct tide_taps *taps);
/** True if a tap may look at messages of the step now, and wants to. If none does, tide_taps_passed() is all that is
 * needed. */
bool tide_taps_wanted(struct tide_taps *taps, uint32_t row);
/** Counts messages of the step that no tap is offered. */
void tide_taps_passed(struct tide_taps *taps, uint32_t row, uint32_t count);
/** Offers one message to all taps, as far as tide_taps_wanted() has found that they may look at it. Returns whether any may
 * look at more of this step. */
bool tide_taps_offer(struct tide_taps *taps, const struct tide_tap_event *event);

#endif
