/* SPDX-License-Identifier: MIT
 * engine/chain/tally.h - what one revision of the transforms has done in one step, by which a reload is judged
 * (engine_reload.c). The step counts what was run by workers of this revision alone (tide_work.revision); produce, which does
 * not know who made a result, counts all. */
#ifndef TIDE_CHAIN_TALLY_H
#define TIDE_CHAIN_TALLY_H

#include <stdint.h>

struct tide_tally {
    uint32_t revision; /* the others are counts of it; set by the engine, with the counts at 0 */
    uint64_t messages; /* that it has run to their ends */
    uint64_t failed;   /* that were rejected, or that a worker died of and that are run again */
};

static inline void tide_tally_add(struct tide_tally *tally, uint32_t revision, uint64_t messages,
                                  uint64_t failed)
{
    if (tally->revision != revision)
        return;
    tally->messages += messages;
    tally->failed += failed;
}

#endif
