/* SPDX-License-Identifier: MIT
 * The half of the offset tracker that only looks: it answers questions about origins and about partitions. It is apart
 * from offsets.c so that each change of the tracker's state is in one file, and the questions, which are many, do not
 * stand between them.
 * Start reading at tide_offsets_look_up, and at tide_offsets_find in offsets_inside.h: the checks there decide whether an
 * origin still means anything. */
#include "chain/offsets_inside.h"

/* This is asked for each output of the group, so the members are visited again only after a change of what is current:
 * otherwise a group of n messages with n results would cost n * n. */
uint32_t tide_offsets_count_current(struct tide_offsets *offsets, struct tide_group *group)
{
    if (group->counted_at == offsets->revision)
        return group->current;
    group->current = 0;
    for (uint32_t i = 0; i < group->count; i++)
        group->current += tide_offsets_current(offsets, group->members[i]);
    group->counted_at = offsets->revision;
    offsets->totals.members_visited += group->count;
    return group->current;
}

/* At least once, sending an output twice is allowed, and losing it is not. In a transaction it would be neither complete
 * nor absent. */
static bool is_group_current(struct tide_offsets *offsets, struct tide_group *group)
{
    uint32_t current = tide_offsets_count_current(offsets, group);
    return offsets->transactional ? current == group->count : current > 0;
}

static bool is_current(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_group *group = tide_offsets_group_of(offsets, origin);
    if (group)
        return is_group_current(offsets, group);
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, origin.partition);
    return p->state == TIDE_TRACKED_OWNED && p->epoch == (origin.epoch & TIDE_ORIGIN_EPOCH);
}

bool tide_offsets_current(struct tide_offsets *offsets, struct tide_origin origin)
{
    return is_current(offsets, origin);
}

size_t tide_offsets_current_many(struct tide_offsets *offsets, const struct tide_message *messages,
                                 size_t count)
{
    size_t current = 0;
    while (current < count && is_current(offsets, messages[current].origin))
        current++;
    return current;
}

/* Groups of groups are what a reduce makes of the results of another; the largest count of them is returned. */
static struct tide_origin first_message(const struct tide_offsets *offsets,
                                        struct tide_origin origin, uint32_t *count)
{
    const struct tide_group *group;
    *count = 1;
    while ((group = tide_offsets_group_of(offsets, origin))) {
        *count = group->count > *count ? group->count : *count;
        origin = group->members[0];
    }
    return origin;
}

struct tide_origin_info tide_offsets_look_up(struct tide_offsets *offsets,
                                             struct tide_origin origin)
{
    struct tide_origin_info info = {.current = tide_offsets_current(offsets, origin),
                                    .in_transaction = tide_offsets_in_transaction(offsets, origin),
                                    .offset = -1};
    struct tide_origin first = first_message(offsets, origin, &info.count);
    const struct tide_tracked_message *message = tide_offsets_find(offsets, first);
    info.partition = first.partition;
    if (message)
        info.offset = message->offset;
    return info;
}

uint32_t tide_offsets_partition(const struct tide_offsets *offsets, struct tide_origin origin)
{
    uint32_t count;
    return first_message(offsets, origin, &count).partition;
}

bool tide_offsets_in_transaction(const struct tide_offsets *offsets, struct tide_origin origin)
{
    const struct tide_group *group = tide_offsets_group_of(offsets, origin);
    if (group) {
        bool needed = group->sent;
        for (uint32_t i = 0; i < group->count && !needed; i++)
            needed = tide_offsets_in_transaction(offsets, group->members[i]);
        return needed;
    }
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, origin.partition);
    return tide_sequence_after(p->sent_end, origin.sequence);
}

size_t tide_offsets_partitions(const struct tide_offsets *offsets)
{
    return offsets->partition_count;
}

bool tide_offsets_owned(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->partition_count &&
           offsets->partitions[partition].state == TIDE_TRACKED_OWNED;
}

/* A partition that is leaving is still ours until revoke_done, and its last commit is what the revocation waits for;
 * after an abort its position covers outputs that nobody will see. */
bool tide_offsets_may_commit(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->partition_count &&
           offsets->partitions[partition].state != TIDE_TRACKED_AWAY &&
           !offsets->partitions[partition].aborted;
}

/* As long as no message of the assignment is complete, the position is the first one, where reading began. */
int64_t tide_offsets_position(const struct tide_offsets *offsets, uint32_t partition)
{
    if (partition >= offsets->partition_count)
        return -1;
    const struct tide_tracked_partition *p = &offsets->partitions[partition];
    return p->passed < 0 && p->head != p->tail ? tide_tracked_message_at(p, p->head)->offset
                                               : p->passed;
}

bool tide_offsets_is_beside(const struct tide_offsets *offsets, uint32_t partition)
{
    return offsets->partitions[partition].beside;
}

int64_t tide_offsets_read_to(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->partition_count ? tide_tracked_end(&offsets->partitions[partition])
                                                : -1;
}

uint64_t tide_offsets_awaiting_report(const struct tide_offsets *offsets, uint32_t partition)
{
    return tide_offsets_partition_at(offsets, partition)->awaiting_report;
}

uint64_t tide_offsets_kept(const struct tide_offsets *offsets)
{
    const struct tide_offsets_totals *totals = &offsets->totals;
    return (uint64_t)((int64_t)(totals->read - totals->positions_moved) + offsets->kept_beside);
}

void tide_offsets_totals(const struct tide_offsets *offsets, struct tide_offsets_totals *totals)
{
    *totals = offsets->totals;
}
