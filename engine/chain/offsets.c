/* SPDX-License-Identifier: MIT */
#include "chain/offsets_inside.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/status.h"

struct tide_offsets *tide_offsets_new(void)
{
    struct tide_offsets *offsets = tide_alloc(sizeof(*offsets));
    offsets->groups = tide_groups_new();
    offsets->changes = 1; /* a new group has counted at none */
    return offsets;
}

static struct tide_track *at(const struct tide_offsets *offsets, uint32_t partition)
{
    tide_require(partition < offsets->count);
    return &offsets->partitions[partition];
}

void tide_offsets_assign(struct tide_offsets *offsets, uint32_t partition)
{
    while (offsets->count <= partition) {
        offsets->partitions = tide_realloc(offsets->partitions,
                                           sizeof(struct tide_track) * (offsets->count + 1));
        offsets->partitions[offsets->count++] = (struct tide_track){0};
    }
    struct tide_track *p = at(offsets, partition);
    tide_require(p->state == TIDE_TRACK_AWAY);
    p->state = TIDE_TRACK_OWNED;
    offsets->changes++;
    p->aborted = false;
    p->epoch = (uint16_t)((p->epoch + 1) & TIDE_ORIGIN_EPOCH);
    p->head = p->tail = p->sent_to = 0;
    p->passed = p->skipped_to = -1;
    p->released = p->unfinished = 0;
}

void tide_offsets_revoke(struct tide_offsets *offsets, uint32_t partition)
{
    struct tide_track *p = at(offsets, partition);
    tide_require(p->state == TIDE_TRACK_OWNED);
    p->state = TIDE_TRACK_LEAVING;
    offsets->changes++;
}

static uint64_t *total_of(struct tide_offsets_totals *totals, uint32_t fate)
{
    return fate == TIDE_FATE_DEAD_LETTERED ? &totals->dead_lettered
           : fate == TIDE_FATE_PRODUCED    ? &totals->produced_from
                                           : &totals->filtered;
}

static void take_back(struct tide_offsets *offsets, struct tide_track *p)
{
    for (uint32_t fate = 0; fate < TIDE_FATES; fate++) {
        *total_of(&offsets->totals, fate) -= p->unsettled[fate];
        offsets->totals.dropped += p->unsettled[fate];
        p->unsettled[fate] = 0;
    }
}

void tide_offsets_forget(struct tide_offsets *offsets, uint32_t partition)
{
    struct tide_track *p = at(offsets, partition);
    tide_require(p->state == TIDE_TRACK_LEAVING);
    p->state = TIDE_TRACK_AWAY;
    offsets->changes++;
    take_back(offsets, p);
    offsets->totals.dropped += p->unfinished;
    offsets->totals.in_flight -= p->unfinished;
    p->unfinished = 0;
    p->head = p->tail;
    free(p->entries);
    p->entries = NULL;
    p->capacity = 0;
}

static struct tide_entry *entry_at(const struct tide_track *p, uint32_t sequence)
{
    return &p->entries[sequence & (p->capacity - 1)];
}

static int64_t read_to(const struct tide_track *p)
{
    int64_t behind = p->head == p->tail ? p->passed : entry_at(p, p->tail - 1)->offset + 1;
    return behind > p->skipped_to ? behind : p->skipped_to;
}

static void grow(struct tide_track *p)
{
    uint32_t capacity = p->capacity ? p->capacity * 2 : 1024;
    struct tide_entry *entries = tide_alloc(sizeof(struct tide_entry) * capacity);
    for (uint32_t i = p->head; i != p->tail; i++)
        entries[i & (capacity - 1)] = *entry_at(p, i);
    free(p->entries);
    p->entries = entries;
    p->capacity = capacity;
}

struct tide_origin tide_offsets_open(struct tide_offsets *offsets, uint32_t partition,
                                     int64_t offset)
{
    struct tide_track *p = at(offsets, partition);
    tide_require(p->state == TIDE_TRACK_OWNED && offset >= read_to(p));
    if (p->tail - p->head == p->capacity)
        grow(p);
    *entry_at(p, p->tail) = (struct tide_entry){offset, 1, TIDE_FATE_FILTERED, 0};
    p->unfinished++;
    offsets->totals.read++;
    offsets->totals.in_flight++;
    return (struct tide_origin){p->tail++, (uint16_t)partition, p->epoch};
}

void tide_offsets_unopen(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_track *p = at(offsets, origin.partition);
    tide_require(p->head != p->tail && origin.epoch == p->epoch && origin.sequence == p->tail - 1);
    tide_require(entry_at(p, origin.sequence)->holds == 1);
    p->tail--;
    p->unfinished--;
    offsets->totals.read--;
    offsets->totals.in_flight--;
}

void tide_offsets_skip(struct tide_offsets *offsets, uint32_t partition, int64_t offset)
{
    struct tide_track *p = at(offsets, partition);
    if (p->state != TIDE_TRACK_OWNED || offset <= read_to(p))
        return;
    p->skipped_to = offset;
    if (p->head == p->tail) {
        p->passed = offset;
        offsets->totals.reached++;
    }
}

static bool is_group(struct tide_origin origin)
{
    return origin.partition == TIDE_ORIGIN_GROUP;
}

/* Asked for each output of the group, so it is counted anew only when it may have changed. */
uint32_t tide_offsets_count_current(struct tide_offsets *offsets, struct tide_group *group)
{
    if (group->counted_at == offsets->changes)
        return group->current;
    group->current = 0;
    for (uint32_t i = 0; i < group->count; i++)
        group->current += tide_offsets_current(offsets, group->members[i]);
    group->counted_at = offsets->changes;
    offsets->totals.walked += group->count;
    return group->current;
}

bool tide_offsets_current(struct tide_offsets *offsets, struct tide_origin origin)
{
    if (is_group(origin)) {
        struct tide_group *group = tide_groups_find(offsets->groups, origin);
        uint32_t current = tide_offsets_count_current(offsets, group);
        return offsets->transactional ? current == group->count : current > 0;
    }
    const struct tide_track *p = at(offsets, origin.partition);
    return p->state == TIDE_TRACK_OWNED && p->epoch == origin.epoch;
}

/* A message that is not through; NULL when the origin is of an assignment that is over. */
static struct tide_entry *find(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_track *p = at(offsets, origin.partition);
    if (p->state == TIDE_TRACK_AWAY ||
        (p->epoch != (origin.epoch & TIDE_ORIGIN_EPOCH) && !tide_fault("bug.ack_of_dropped")))
        return NULL;
    tide_require(origin.sequence - p->head < p->tail - p->head);
    struct tide_entry *entry = entry_at(p, origin.sequence);
    tide_require(entry->holds > 0);
    return entry;
}

int64_t tide_offsets_offset(struct tide_offsets *offsets, struct tide_origin origin)
{
    const struct tide_entry *entry = find(offsets, origin);
    return entry ? entry->offset : -1;
}

void tide_offsets_hold(struct tide_offsets *offsets, struct tide_origin origin)
{
    if (is_group(origin)) {
        tide_groups_find(offsets->groups, origin)->holds++;
        return;
    }
    struct tide_entry *entry = find(offsets, origin);
    if (entry)
        entry->holds++;
}

void tide_offsets_release(struct tide_offsets *offsets, struct tide_origin origin)
{
    if (is_group(origin)) {
        struct tide_group *group = tide_groups_find(offsets->groups, origin);
        for (uint32_t i = 0; i < group->count && !group->released; i++)
            tide_offsets_release(offsets, group->members[i]);
        offsets->totals.walked += group->released ? 0 : group->count;
        group->released = true;
        return;
    }
    struct tide_entry *entry = find(offsets, origin);
    struct tide_track *p = at(offsets, origin.partition);
    if (!entry)
        return;
    if ((int32_t)(origin.sequence + 1 - p->sent_to) > 0)
        p->sent_to = origin.sequence + 1;
    p->released += !entry->released;
    entry->released = 1;
}

static void finish(struct tide_offsets *offsets, struct tide_track *p, struct tide_entry *entry)
{
    struct tide_offsets_totals *totals = &offsets->totals;
    if (entry->fate != TIDE_FATE_FILTERED || !tide_fault("bug.filter_not_counted"))
        ++*total_of(totals, entry->fate);
    p->unsettled[entry->fate] += offsets->transactional;
    totals->in_flight--;
    p->unfinished--;
    p->released -= entry->released;
    while (p->head != p->tail && entry_at(p, p->head)->holds == 0) {
        p->passed = entry_at(p, p->head)->offset + !tide_fault("bug.plus_one_missing");
        p->head++;
        totals->reached++;
        if ((int32_t)(p->head - p->sent_to) > 0)
            p->sent_to = p->head; /* filtered ones alone would leave it behind, until it wraps */
    }
    if (p->head == p->tail && p->skipped_to > p->passed)
        p->passed = p->skipped_to;
}

static void group_done(struct tide_offsets *offsets, struct tide_origin origin, enum tide_fate fate)
{
    struct tide_group *group = tide_groups_find(offsets->groups, origin);
    if (fate > group->fate)
        group->fate = fate;
    if (--group->holds > 0)
        return;
    offsets->totals.walked += group->count;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->dropped)
            tide_offsets_drop(offsets, group->members[i]);
        else
            tide_offsets_done(offsets, group->members[i], group->fate);
    }
    offsets->totals.groups--;
    tide_groups_close(offsets->groups, group);
}

void tide_offsets_done(struct tide_offsets *offsets, struct tide_origin origin, enum tide_fate fate)
{
    if (is_group(origin)) {
        group_done(offsets, origin, fate);
        return;
    }
    struct tide_entry *entry = find(offsets, origin);
    if (!entry) {
        offsets->totals.late++;
        return;
    }
    if (fate > entry->fate)
        entry->fate = fate;
    if (--entry->holds == 0)
        finish(offsets, at(offsets, origin.partition), entry);
}

struct tide_origin tide_offsets_group(struct tide_offsets *offsets,
                                      const struct tide_origin *members, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tide_offsets_hold(offsets, members[i]);
    offsets->totals.groups++;
    return tide_groups_open(offsets->groups, members, count);
}

void tide_offsets_drop(struct tide_offsets *offsets, struct tide_origin origin)
{
    if (!is_group(origin))
        return;
    tide_groups_find(offsets->groups, origin)->dropped = true;
    group_done(offsets, origin, TIDE_FATE_FILTERED);
}

struct tide_origin tide_offsets_first(const struct tide_offsets *offsets, struct tide_origin origin,
                                      uint32_t *count)
{
    uint32_t several = 1;
    while (is_group(origin)) {
        const struct tide_group *group = tide_groups_find(offsets->groups, origin);
        several = group->count > several ? group->count : several;
        origin = group->members[0];
    }
    if (count)
        *count = several;
    return origin;
}

uint32_t tide_offsets_partition(const struct tide_offsets *offsets, struct tide_origin origin)
{
    return tide_offsets_first(offsets, origin, NULL).partition;
}

bool tide_offsets_owned(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->count && at(offsets, partition)->state == TIDE_TRACK_OWNED;
}

bool tide_offsets_ours(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->count && at(offsets, partition)->state != TIDE_TRACK_AWAY &&
           !at(offsets, partition)->aborted;
}

int64_t tide_offsets_position(const struct tide_offsets *offsets, uint32_t partition)
{
    if (partition >= offsets->count)
        return -1;
    const struct tide_track *p = at(offsets, partition);
    return p->passed < 0 && p->head != p->tail ? entry_at(p, p->head)->offset : p->passed;
}

int64_t tide_offsets_read_to(const struct tide_offsets *offsets, uint32_t partition)
{
    return partition < offsets->count ? read_to(at(offsets, partition)) : -1;
}

uint64_t tide_offsets_released(const struct tide_offsets *offsets, uint32_t partition)
{
    return at(offsets, partition)->released;
}

size_t tide_offsets_partitions(const struct tide_offsets *offsets)
{
    return offsets->count;
}

void tide_offsets_totals(const struct tide_offsets *offsets, struct tide_offsets_totals *totals)
{
    *totals = offsets->totals;
}

void tide_offsets_free(struct tide_offsets *offsets)
{
    if (!offsets)
        return;
    for (size_t i = 0; i < offsets->count; i++)
        free(offsets->partitions[i].entries);
    free(offsets->partitions);
    tide_groups_free(offsets->groups);
    free(offsets);
}
