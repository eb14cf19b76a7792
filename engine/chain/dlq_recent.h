/* SPDX-License-Identifier: MIT
 * engine/chain/dlq_recent.h - what is shown of dead letters while the pipeline runs: how many there are of each reason,
 * and the last ten. Lua reads the struct as it is (tide_engine_dead_letters). All texts are UTF-8, whatever the message
 * had: bytes that are none become '?'. A text that is too long ends in "...", between two characters. */
#ifndef TIDE_CHAIN_DLQ_RECENT_H
#define TIDE_CHAIN_DLQ_RECENT_H

#include <stdbool.h>
#include <stdint.h>

struct tide_reject;

enum {
    TIDE_DLQ_RECENT = 10,
    TIDE_DLQ_REASONS = 11 /* those of struct tide_reject, and "other" for what a worker made up */
};

struct tide_dlq_recent_letter {
    int64_t time_ms; /* of CLOCK_REALTIME, when it was taken */
    int64_t offset;
    int32_t partition;
    char topic[256];
    char stage[64];
    char reason[32];
    char error[512]; /* with its cause, without the traceback */
};

/** Zero it to begin with. It counts what is rejected, as the metric consumer.invalid_message.count does. */
struct tide_dlq_recent {
    uint64_t total;
    uint64_t reasons[TIDE_DLQ_REASONS]; /* tide_dlq_recent_reason has their names */
    struct tide_dlq_recent_letter
        letters[TIDE_DLQ_RECENT]; /* number n, from 0, is at n % TIDE_DLQ_RECENT */
};

/** The name of a reason by its index; NULL past the last. */
const char *tide_dlq_recent_reason(uint32_t index);
/** Notes that the message became a dead letter; its partition and offset are those of the input. */
void tide_dlq_recent_note(struct tide_dlq_recent *recent, const struct tide_reject *reject,
                          const char *topic);

#endif
