/* SPDX-License-Identifier: MIT
 * What has come to waiting steps (chain/offsets.h). A reference that is before one of them is before those behind it, too;
 * who takes one has one there, so a message that has come does not come again: what has come is a sequence that only goes
 * on. Start reading at move. */
#include "chain/offsets_inside.h"

uint32_t tide_offsets_add_waiting(struct tide_offsets *offsets)
{
    tide_require(offsets->totals.read == 0);
    return offsets->waiting++;
}

uint32_t tide_offsets_waiting(const struct tide_offsets *offsets)
{
    return offsets->waiting;
}

/* The numbers of a message, NULL = nothing is counted of it: it has passed all waiting steps (a group stands behind them),
 * or its assignment is over. */
static uint32_t *before_of(const struct tide_offsets *offsets, struct tide_origin origin,
                           uint32_t next)
{
    if (next >= offsets->waiting)
        return NULL;
    tide_require(origin.partition != TIDE_ORIGIN_GROUP);
    return tide_offsets_find(offsets, origin)
               ? tide_tracked_before(offsets, tide_offsets_partition_at(offsets, origin.partition),
                                     origin.sequence)
               : NULL;
}

/* One reference more (1) or less (-1) before the waiting steps [first, end). */
static void move(const struct tide_offsets *offsets, struct tide_origin origin, uint32_t first,
                 uint32_t end, int by)
{
    uint32_t *before = before_of(offsets, origin, first);
    for (uint32_t i = first; before && i < end; i++) {
        tide_require(before[i] > 0);
        before[i] += (uint32_t)by;
    }
}

void tide_offsets_ref_before(struct tide_offsets *offsets, struct tide_origin origin, uint32_t next)
{
    move(offsets, origin, next, offsets->waiting, 1);
    tide_offsets_ref(offsets, origin);
}

void tide_offsets_unref_before(struct tide_offsets *offsets, struct tide_origin origin,
                               uint32_t next, enum tide_outcome outcome)
{
    move(offsets, origin, next, offsets->waiting, -1);
    tide_offsets_unref(offsets, origin, outcome);
}

void tide_offsets_ref_many_before(struct tide_offsets *offsets, const struct tide_message *messages,
                                  size_t count, uint32_t next)
{
    for (size_t i = 0; next < offsets->waiting && i < count; i++)
        move(offsets, messages[i].origin, next, offsets->waiting, 1);
    tide_offsets_ref_many(offsets, messages, count);
}

void tide_offsets_unref_many_before(struct tide_offsets *offsets, const struct tide_origin *origins,
                                    size_t count, uint32_t next, enum tide_outcome outcome)
{
    for (size_t i = 0; next < offsets->waiting && i < count; i++)
        move(offsets, origins[i], next, offsets->waiting, -1);
    tide_offsets_unref_many(offsets, origins, count, outcome);
}

void tide_offsets_came(struct tide_offsets *offsets, struct tide_origin origin, uint32_t step)
{
    move(offsets, origin, step, step + 1, -1);
}

int64_t tide_offsets_came_to(struct tide_offsets *offsets, uint32_t partition, uint32_t step)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    if (p->head == p->tail)
        return tide_tracked_end(p);
    uint32_t at = p->came[step];
    if (tide_sequence_after(p->head, at))
        at = p->head;
    while (at != p->tail && tide_tracked_before(offsets, p, at)[step] == 0)
        at++;
    p->came[step] = at;
    return at == p->tail ? tide_tracked_end(p) : tide_tracked_message_at(p, at)->offset;
}
