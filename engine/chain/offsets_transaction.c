/* SPDX-License-Identifier: MIT
 * What exactly_once adds to the offset tracker. A transaction is committed together with the positions, so it must hold
 * just the outputs of the messages before them. The tracker notes how far each partition has been sent (sent_end), and
 * at the barrier everything up to there is complete. That costs one number for each partition, where a list of what is
 * in the transaction would cost one entry for each message; the price is that a message behind others that were sent
 * has to be waited for, which in a chain in order is seldom.
 * Start reading at tide_offsets_at_barrier; chain/commit.c is what waits for it. */
#include <string.h>

#include "base/fault.h"
#include "chain/offsets_inside.h"

void tide_offsets_transactional(struct tide_offsets *offsets)
{
    offsets->transactional = true;
}

void tide_offsets_committed(struct tide_offsets *offsets)
{
    for (uint32_t i = 0; i < offsets->partition_count; i++)
        memset(offsets->partitions[i].uncommitted, 0, sizeof(offsets->partitions[i].uncommitted));
}

/* The partitions become leaving, as if they were revoked: so everything that is in flight is dropped on its way, and
 * the source assigns them again. */
void tide_offsets_abort(struct tide_offsets *offsets)
{
    for (uint32_t i = 0; i < offsets->partition_count; i++) {
        struct tide_tracked_partition *p = &offsets->partitions[i];
        if (p->state != TIDE_TRACKED_OWNED || tide_fault("bug.epoch_not_raised"))
            continue;
        p->state = TIDE_TRACKED_LEAVING;
        p->aborted = true;
        offsets->revision++;
    }
}

bool tide_offsets_uncommitted(const struct tide_offsets *offsets, uint32_t partition)
{
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    return p->awaiting_report > 0 || p->uncommitted[TIDE_OUTCOME_PRODUCED] > 0 ||
           p->uncommitted[TIDE_OUTCOME_DEAD_LETTERED] > 0;
}

bool tide_offsets_at_barrier(const struct tide_offsets *offsets)
{
    for (uint32_t i = 0; i < offsets->partition_count; i++) {
        const struct tide_tracked_partition *p = &offsets->partitions[i];
        if (p->state != TIDE_TRACKED_AWAY && tide_sequence_after(p->sent_end, p->head))
            return false;
    }
    return true;
}

bool tide_offsets_partially_revoked(struct tide_offsets *offsets)
{
    for (uint32_t index = 0; index < tide_groups_count(offsets->groups); index++) {
        struct tide_group *group = tide_groups_at(offsets->groups, index);
        uint32_t current = group ? tide_offsets_count_current(offsets, group) : 0;
        if (current > 0 && current < group->count)
            return true;
    }
    return false;
}
