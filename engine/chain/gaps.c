/* SPDX-License-Identifier: MIT
 * Gaps are few: there are some only while messages are in flight that came out of order. So they are a list, and gaps that
 * follow each other and overlap are one. */
#include "chain/gaps.h"

#include <stdbool.h>

#include "base/grow.h"
#include "base/status.h"

void tide_gaps_add(struct tide_gaps *gaps, uint32_t index, int64_t offset, int64_t later)
{
    struct tide_gap *last = gaps->count > 0 ? &gaps->list[gaps->count - 1] : NULL;
    if (last && last->index == index && offset <= last->high && later >= last->low) {
        last->low = offset < last->low ? offset : last->low;
        last->high = later > last->high ? later : last->high;
        return;
    }
    if (gaps->count == gaps->room)
        tide_grow(&gaps->list, &gaps->room, gaps->room * 2 + 16, sizeof(*gaps->list));
    tide_require(gaps->list);
    gaps->list[gaps->count++] = (struct tide_gap){index, offset, later};
}

int64_t tide_gaps_limit(const struct tide_gaps *gaps, uint32_t index, int64_t position)
{
    bool again = true;
    while (again) {
        again = false;
        for (uint32_t i = 0; i < gaps->count; i++) {
            const struct tide_gap *gap = &gaps->list[i];
            if (gap->index == index && gap->low < position && position <= gap->high) {
                position = gap->low;
                again = true;
            }
        }
    }
    return position;
}

void tide_gaps_pass(struct tide_gaps *gaps, uint32_t index, int64_t position)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gaps->count; i++)
        if (gaps->list[i].index != index || gaps->list[i].high >= position)
            gaps->list[kept++] = gaps->list[i];
    gaps->count = kept;
}
