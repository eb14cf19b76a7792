/* SPDX-License-Identifier: MIT
 * engine/chain/tap_inside.h - what the files of a tap share. Each calls those before it only:
 *   tap_match.c    whether a message is one that is looked for
 *   tap_sample.c   a message and its fate as a line of JSON
 *   tap.c          the taps: what they may cost, and the samples that wait to be taken */
#ifndef TIDE_CHAIN_TAP_INSIDE_H
#define TIDE_CHAIN_TAP_INSIDE_H

#include "chain/tap.h"

struct tide_text;

/** The conditions of a tap, with strings of their own. */
struct tide_tap_conditions {
    struct tide_tap_condition *items;
    uint32_t count;
};

/** A step that runs in workers. */
struct tide_tap_step {
    uint32_t row;
    char *stage;
};

/* ---- tap_match.c ---- */

void tide_tap_conditions_copy(struct tide_tap_conditions *copy,
                              const struct tide_tap_condition *conditions, uint32_t count);
/** Whether all hold. `*bytes` is raised by the bytes that were searched. */
bool tide_tap_matches(const struct tide_tap_conditions *conditions,
                      const struct tide_tap_event *event, const struct tide_topics *topics,
                      int64_t *bytes);
void tide_tap_conditions_free(struct tide_tap_conditions *conditions);

/* ---- tap_sample.c ---- */

/** Appends the sample. `step_number` and `stage` are those of the event: 0 = the output. */
void tide_tap_write(struct tide_text *text, const struct tide_tap_event *event,
                    const struct tide_topics *topics, uint32_t step_number, const char *stage,
                    uint32_t limit);

#endif
