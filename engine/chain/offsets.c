/* SPDX-License-Identifier: MIT
 * The half of the offset tracker that changes it: partitions come and go, messages are opened, and references to them
 * are taken and given back. Messages of a partition become complete in any order, but only everything before a position
 * may be committed; so they stand in a ring by sequence, and the position moves over the complete ones at its head. An
 * array with one entry for each message in flight is small and needs no search, which a tree of ranges would.
 * Start reading at tide_offsets_unref, which ends in complete() for single messages and in unref_group for groups. */
#include "chain/offsets.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/grow.h"
#include "base/status.h"
#include "chain/offsets_inside.h"

enum { FIRST_CAPACITY = 1024 };

struct tide_offsets *tide_offsets_new(void)
{
    struct tide_offsets *offsets = tide_alloc(sizeof(*offsets));
    offsets->groups = tide_groups_new();
    offsets->revision = 1; /* of a new group 0 is remembered, which means never counted */
    return offsets;
}

static void free_ring(struct tide_tracked_partition *p)
{
    free(p->messages);
    free(p->before);
    free(p->came);
    p->messages = NULL;
    p->before = p->came = NULL;
    p->capacity = 0;
}

void tide_offsets_free(struct tide_offsets *offsets)
{
    if (!offsets)
        return;
    for (uint32_t i = 0; i < offsets->partition_count; i++)
        free_ring(&offsets->partitions[i]);
    free(offsets->partitions);
    tide_groups_free(offsets->groups);
    free(offsets);
}

/* ---- partitions ---- */

/* Sequences begin at 0 again: it is the epoch that tells the origins of an earlier assignment apart. */
void tide_offsets_assign(struct tide_offsets *offsets, uint32_t partition)
{
    tide_grow(&offsets->partitions, &offsets->partition_count, partition + 1,
              sizeof(*offsets->partitions));
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    tide_require(p->state == TIDE_TRACKED_AWAY);
    p->state = TIDE_TRACKED_OWNED;
    p->aborted = false;
    p->epoch = (uint16_t)((p->epoch + 1) & TIDE_ORIGIN_EPOCH);
    p->head = p->tail = p->sent_end = 0;
    p->passed = p->skipped_to = -1;
    p->beside = false;
    p->awaiting_report = p->incomplete = 0;
    offsets->revision++;
}

/* The messages stay in the ring: reports that are due may still complete some of them, and the last commit before the
 * partition goes covers those. */
void tide_offsets_revoke(struct tide_offsets *offsets, uint32_t partition)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    tide_require(p->state == TIDE_TRACKED_OWNED);
    p->state = TIDE_TRACKED_LEAVING;
    offsets->revision++;
}

static uint64_t *total_of(struct tide_offsets_totals *totals, uint32_t outcome)
{
    return outcome == TIDE_OUTCOME_DEAD_LETTERED ? &totals->dead_lettered
           : outcome == TIDE_OUTCOME_PRODUCED    ? &totals->produced_from
                                                 : &totals->filtered;
}

/* What is not committed with its transaction is read again, so its outcome does not count. */
static void drop_uncommitted(struct tide_offsets_totals *totals, struct tide_tracked_partition *p)
{
    for (uint32_t outcome = 0; outcome < TIDE_OUTCOMES; outcome++) {
        *total_of(totals, outcome) -= p->uncommitted[outcome];
        totals->dropped += p->uncommitted[outcome];
        p->uncommitted[outcome] = 0;
    }
}

void tide_offsets_forget(struct tide_offsets *offsets, uint32_t partition)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    tide_require(p->state == TIDE_TRACKED_LEAVING);
    p->state = TIDE_TRACKED_AWAY;
    offsets->revision++;
    drop_uncommitted(&offsets->totals, p);
    offsets->totals.dropped += p->incomplete;
    offsets->totals.in_flight -= p->incomplete;
    p->incomplete = 0;
    offsets->kept_beside -= p->tail - p->head;
    /* The ring is freed, since the partition may never come back to this process. */
    p->head = p->tail;
    free_ring(p);
}

/* Without this a partition that ends with the markers of transactions would never be committed to its end, and whoever
 * looks at the lag of the group would see messages that are not there. */
void tide_offsets_skip(struct tide_offsets *offsets, uint32_t partition, int64_t offset)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    if (p->state != TIDE_TRACKED_OWNED || offset <= tide_offsets_read_to(offsets, partition))
        return;
    p->skipped_to = offset;
    if (p->head == p->tail) {
        p->passed = offset;
        offsets->totals.positions_moved++;
        offsets->kept_beside++;
    }
}

/* ---- messages ---- */

/* Doubles the ring. A sequence has another index in the larger one, so each message is moved. */
static void double_ring(const struct tide_offsets *offsets, struct tide_tracked_partition *p)
{
    struct tide_tracked_partition larger = *p;
    larger.capacity = p->capacity ? p->capacity * 2 : FIRST_CAPACITY;
    larger.messages = tide_alloc(sizeof(*larger.messages) * larger.capacity);
    for (uint32_t i = p->head; i != p->tail; i++)
        *tide_tracked_message_at(&larger, i) = *tide_tracked_message_at(p, i);
    if (offsets->waiting > 0) {
        size_t size = sizeof(*p->before) * offsets->waiting;
        larger.before = tide_alloc(size * larger.capacity);
        larger.came = tide_alloc(size);
        for (uint32_t i = p->head; i != p->tail; i++)
            memcpy(tide_tracked_before(offsets, &larger, i), tide_tracked_before(offsets, p, i),
                   size);
        for (uint32_t i = 0; i < offsets->waiting; i++)
            larger.came[i] = p->came ? p->came[i] : p->head;
    }
    free_ring(p);
    *p = larger;
}

static struct tide_origin open_at(struct tide_offsets *offsets, uint32_t partition, int64_t offset,
                                  bool beside)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    p->beside = beside;
    if (p->tail - p->head == p->capacity)
        double_ring(offsets, p);
    *tide_tracked_message_at(p, p->tail) = (struct tide_tracked_message){
        .offset = offset, .references = 1, .outcome = TIDE_OUTCOME_FILTERED};
    for (uint32_t i = 0; i < offsets->waiting; i++)
        tide_tracked_before(offsets, p, p->tail)[i] = 1;
    p->incomplete++;
    offsets->totals.read++;
    offsets->totals.in_flight++;
    return (struct tide_origin){p->tail++, (uint16_t)partition, p->epoch};
}

struct tide_origin tide_offsets_open(struct tide_offsets *offsets, uint32_t partition,
                                     int64_t offset)
{
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    tide_require(p->state == TIDE_TRACKED_OWNED && offset >= tide_tracked_end(p));
    return open_at(offsets, partition, offset, false);
}

struct tide_origin tide_offsets_open_beside(struct tide_offsets *offsets, uint32_t partition,
                                            int64_t end)
{
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, partition);
    tide_offsets_skip(offsets, partition, end);
    tide_require(p->state == TIDE_TRACKED_OWNED && p->head == p->tail &&
                 end == tide_tracked_end(p));
    return open_at(offsets, partition, end - 1, true);
}

void tide_offsets_open_many(struct tide_offsets *offsets, struct tide_message *messages,
                            size_t count)
{
    for (size_t i = 0; i < count; i++)
        messages[i].origin = tide_offsets_open(offsets, messages[i].origin.partition,
                                               messages[i].offset);
}

/* Only the newest can be taken back, as the ring ends with it; and only while nothing else refers to it. */
void tide_offsets_unopen(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, origin.partition);
    tide_require(p->head != p->tail && origin.epoch == p->epoch && origin.sequence == p->tail - 1);
    tide_require(tide_tracked_message_at(p, origin.sequence)->references == 1);
    p->tail--;
    p->incomplete--;
    offsets->totals.read--;
    offsets->totals.in_flight--;
}

/* A message whose assignment is over has no entry, and nothing counts its references any more; the caller need not
 * know. */
void tide_offsets_ref(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_group *group = tide_offsets_group_of(offsets, origin);
    struct tide_tracked_message *message = group ? NULL : tide_offsets_find(offsets, origin);
    if (group)
        group->references++;
    else if (message)
        message->references++;
}

void tide_offsets_ref_many(struct tide_offsets *offsets, const struct tide_message *messages,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        tide_offsets_ref(offsets, messages[i].origin);
}

static void mark_message_sent(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, origin.partition);
    struct tide_tracked_message *message = tide_offsets_find(offsets, origin);
    if (!message)
        return;
    if (tide_sequence_after(origin.sequence + 1, p->sent_end))
        p->sent_end = origin.sequence + 1;
    p->awaiting_report += !message->sent;
    message->sent = 1;
}

/* Once is enough: the members cannot be sent twice, however many outputs the group has. */
static void mark_group_sent(struct tide_offsets *offsets, struct tide_group *group)
{
    if (group->sent)
        return;
    group->sent = true;
    offsets->totals.members_visited += group->count;
    for (uint32_t i = 0; i < group->count; i++)
        tide_offsets_mark_sent(offsets, group->members[i]);
}

void tide_offsets_mark_sent(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_group *group = tide_offsets_group_of(offsets, origin);
    if (group)
        mark_group_sent(offsets, group);
    else
        mark_message_sent(offsets, origin);
}

void tide_offsets_mark_sent_many(struct tide_offsets *offsets, const struct tide_message *messages,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        tide_offsets_mark_sent(offsets, messages[i].origin);
}

/* Moves the position over the complete messages at the head of the ring. */
static void move_position(struct tide_offsets *offsets, struct tide_tracked_partition *p)
{
    while (p->head != p->tail && tide_tracked_message_at(p, p->head)->references == 0) {
        p->passed = tide_tracked_message_at(p, p->head)->offset +
                    !tide_fault("bug.plus_one_missing");
        p->head++;
        offsets->totals.positions_moved++;
        /* Without this filtered messages alone would leave it behind, until the sequence wraps around. */
        if (tide_sequence_after(p->head, p->sent_end))
            p->sent_end = p->head;
    }
    if (p->head == p->tail && p->skipped_to > p->passed)
        p->passed = p->skipped_to;
}

/* In exactly_once the outcome is kept by partition too, so that an abort can take it back (drop_uncommitted). */
static void complete(struct tide_offsets *offsets, struct tide_tracked_partition *p,
                     const struct tide_tracked_message *message)
{
    if (message->outcome != TIDE_OUTCOME_FILTERED || !tide_fault("bug.filter_not_counted"))
        ++*total_of(&offsets->totals, message->outcome);
    p->uncommitted[message->outcome] += offsets->transactional;
    offsets->totals.in_flight--;
    p->incomplete--;
    p->awaiting_report -= message->sent;
    move_position(offsets, p);
}

/* ---- groups ---- */

/* With the group's last reference each member loses the one that the group had. If any output was dropped, its messages
 * are read again, so none of them may become complete: not even if other outputs of the group were delivered. */
static void unref_group(struct tide_offsets *offsets, struct tide_group *group,
                        enum tide_outcome outcome)
{
    if (outcome > group->outcome)
        group->outcome = outcome;
    if (--group->references > 0)
        return;
    offsets->totals.members_visited += group->count;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->dropped)
            tide_offsets_drop(offsets, group->members[i]);
        else
            tide_offsets_unref(offsets, group->members[i], group->outcome);
    }
    offsets->totals.groups--;
    tide_groups_close(offsets->groups, group);
}

/* A report that finds no message is late: its partition went away before it came. That is normal in a rebalance, so it
 * is only counted. */
static void unref_message(struct tide_offsets *offsets, struct tide_origin origin,
                          enum tide_outcome outcome)
{
    struct tide_tracked_message *message = tide_offsets_find(offsets, origin);
    if (!message) {
        offsets->totals.late_reports++;
        return;
    }
    if (outcome > message->outcome)
        message->outcome = outcome;
    if (--message->references == 0)
        complete(offsets, tide_offsets_partition_at(offsets, origin.partition), message);
}

void tide_offsets_unref(struct tide_offsets *offsets, struct tide_origin origin,
                        enum tide_outcome outcome)
{
    struct tide_group *group = tide_offsets_group_of(offsets, origin);
    if (group)
        unref_group(offsets, group, outcome);
    else
        unref_message(offsets, origin, outcome);
}

void tide_offsets_unref_many(struct tide_offsets *offsets, const struct tide_origin *origins,
                             size_t count, enum tide_outcome outcome)
{
    for (size_t i = 0; i < count; i++)
        tide_offsets_unref(offsets, origins[i], outcome);
}

void tide_offsets_drop(struct tide_offsets *offsets, struct tide_origin origin)
{
    struct tide_group *group = tide_offsets_group_of(offsets, origin);
    if (!group)
        return;
    group->dropped = true;
    unref_group(offsets, group, TIDE_OUTCOME_FILTERED);
}

/* The references are taken before the group exists, while the step that makes it still has its own: so no member is
 * complete in between. */
struct tide_origin tide_offsets_group(struct tide_offsets *offsets,
                                      const struct tide_origin *members, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tide_offsets_ref(offsets, members[i]);
    offsets->totals.groups++;
    return tide_groups_open(offsets->groups, members, count);
}
