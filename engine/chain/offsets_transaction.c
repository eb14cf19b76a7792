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
        offsets->changes++;
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
        bool owed = group->released;
        for (uint32_t i = 0; i < group->count && !owed; i++)
            owed = tide_offsets_owed(offsets, group->members[i]);
        return owed;
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

bool tide_offsets_torn(struct tide_offsets *offsets)
{
    for (uint32_t place = 0; place < tide_groups_count(offsets->groups); place++) {
        struct tide_group *group = tide_groups_at(offsets->groups, place);
        uint32_t current = group ? tide_offsets_count_current(offsets, group) : 0;
        if (current > 0 && current < group->count)
            return true;
    }
    return false;
}
