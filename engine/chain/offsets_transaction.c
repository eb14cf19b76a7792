/* SPDX-License-Identifier: MIT
 * What transactions (exactly once) ask of the tracker. */
#include <string.h>

#include "base/fault.h"
#include "chain/offsets_inside.h"

void tide_offsets_transactional(struct tide_offsets *offsets)
{
    offsets->transactional = true;
}

void tide_offsets_abort(struct tide_offsets *offsets)
{
    for (size_t i = 0; i < offsets->count; i++) {
        struct tide_track *p = &offsets->partitions[i];
        if (p->state != TIDE_TRACK_OWNED || tide_fault("bug.epoch_not_raised"))
            continue;
        p->state = TIDE_TRACK_LEAVING;
        p->aborted = true;
    }
}

void tide_offsets_settle(struct tide_offsets *offsets)
{
    for (size_t i = 0; i < offsets->count; i++)
        memset(offsets->partitions[i].unsettled, 0, sizeof(offsets->partitions[i].unsettled));
}

bool tide_offsets_unsettled(const struct tide_offsets *offsets, uint32_t partition)
{
    const struct tide_track *p = &offsets->partitions[partition];
    return p->released > 0 || p->unsettled[TIDE_FATE_PRODUCED] > 0 ||
           p->unsettled[TIDE_FATE_DEAD_LETTERED] > 0;
}

bool tide_offsets_owed(const struct tide_offsets *offsets, struct tide_origin origin)
{
    if (origin.partition == TIDE_ORIGIN_GROUP) {
        const struct tide_group *group = tide_groups_find(offsets->groups, origin);
        for (uint32_t i = 0; i < group->count; i++) {
            if (tide_offsets_owed(offsets, group->members[i]))
                return true;
        }
        return false;
    }
    return (int32_t)(offsets->partitions[origin.partition].sent_to - origin.sequence) > 0;
}

bool tide_offsets_clean(const struct tide_offsets *offsets)
{
    for (size_t i = 0; i < offsets->count; i++) {
        const struct tide_track *p = &offsets->partitions[i];
        if (p->state != TIDE_TRACK_AWAY && (int32_t)(p->sent_to - p->head) > 0)
            return false;
    }
    return true;
}

bool tide_offsets_torn(const struct tide_offsets *offsets)
{
    return tide_groups_torn(offsets->groups, offsets);
}
