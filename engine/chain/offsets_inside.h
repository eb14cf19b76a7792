/* SPDX-License-Identifier: MIT
 * engine/chain/offsets_inside.h - the structs of the offset tracker, which its four files share:
 *   offsets_read.c          answers questions; of the structs it writes only what a group counts of its members
 *   offsets.c               what happens to partitions and to messages; everything else is written there,
 *   offsets_transaction.c   and what exactly_once adds: it writes `transactional`, clears `uncommitted` with a commit,
 *                           and changes `state` and `aborted` with an abort
 *   offsets_waiting.c       what has come to waiting steps: it writes `waiting`, and `before` and `came` of a partition but
 *                           for what offsets.c does when a message is opened and when the ring grows or is freed
 * offsets_waiting.c calls offsets.c; both, and offsets_transaction.c, call the first. */
#ifndef TIDE_CHAIN_OFFSETS_INSIDE_H
#define TIDE_CHAIN_OFFSETS_INSIDE_H

#include "base/fault.h"
#include "base/status.h"
#include "chain/groups.h"
#include "chain/offsets.h"

/** A message that was read, and that the position of its partition has not passed. */
struct tide_tracked_message {
    int64_t offset;
    uint32_t references; /* 0 = complete */
    uint16_t outcome;    /* enum tide_outcome */
    uint16_t sent;       /* 1 = counted in awaiting_report of its partition */
};

enum tide_tracked_state { TIDE_TRACKED_AWAY, TIDE_TRACKED_OWNED, TIDE_TRACKED_LEAVING };

/** A partition. Its messages [head, tail) are in a ring, by sequence. */
struct tide_tracked_partition {
    enum tide_tracked_state state;
    uint16_t epoch;
    uint32_t head;
    uint32_t tail;
    uint32_t capacity; /* a power of two */
    struct tide_tracked_message *messages;
    int64_t passed;     /* the offset after the last message that left the ring; -1 = none yet */
    bool beside;        /* the newest message is */
    int64_t skipped_to; /* there is nothing more before this offset; -1 = not known */
    uint64_t awaiting_report;
    uint64_t incomplete;
    /* exactly_once */
    bool aborted;      /* its transaction is, so its position must not be committed */
    uint32_t sent_end; /* the sequence after the last message that was sent */
    uint64_t uncommitted[TIDE_OUTCOMES]; /* complete since the last commit, by outcome */
    /* waiting steps; NULL where there are none */
    uint32_t *before; /* the ring's: of each message the references before each of them */
    uint32_t *came;   /* of each of them: the sequence up to which all have come */
};

struct tide_offsets {
    struct tide_tracked_partition *partitions;
    uint32_t partition_count;
    struct tide_offsets_totals totals;
    /* By how much the messages in all rings differ from those read less the positions moved: so no message has to be counted
     * for that. */
    int64_t kept_beside;
    struct tide_groups *groups;
    uint64_t revision; /* rises when what is current changes: groups count their members again */
    bool transactional;
    uint32_t waiting; /* steps */
};

/* These are inline, as each of them runs several times for each message. */

/** True if sequence `a` comes after `b`. They wrap around, and are never half of their range apart. */
static inline bool tide_sequence_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static inline struct tide_tracked_message *tide_tracked_message_at(
    const struct tide_tracked_partition *partition, uint32_t sequence)
{
    return &partition->messages[sequence & (partition->capacity - 1)];
}

/** The offset after the last message of the partition that was read, or that is known not to be there. */
static inline int64_t tide_tracked_end(const struct tide_tracked_partition *partition)
{
    int64_t after_last = partition->head == partition->tail
                             ? partition->passed
                             : tide_tracked_message_at(partition, partition->tail - 1)->offset + 1;
    return after_last > partition->skipped_to ? after_last : partition->skipped_to;
}

/** One number for each waiting step. */
static inline uint32_t *tide_tracked_before(const struct tide_offsets *offsets,
                                            const struct tide_tracked_partition *partition,
                                            uint32_t sequence)
{
    return &partition->before[(size_t)(sequence & (partition->capacity - 1)) * offsets->waiting];
}

static inline struct tide_tracked_partition *tide_offsets_partition_at(
    const struct tide_offsets *offsets, uint32_t partition)
{
    tide_require(partition < offsets->partition_count);
    return &offsets->partitions[partition];
}

/** The group of an origin; NULL when the origin is a single message's. */
static inline struct tide_group *tide_offsets_group_of(const struct tide_offsets *offsets,
                                                       struct tide_origin origin)
{
    return origin.partition == TIDE_ORIGIN_GROUP ? tide_groups_find(offsets->groups, origin) : NULL;
}

/** The message of an origin; NULL when the origin's assignment is over. After a rebalance another message may have the
 * same sequence, so an origin of another epoch finds nothing: its report is late, and the next owner of the partition
 * reads the message again. An origin of the present epoch that is not in the ring, or is complete, is a bug of the
 * caller, who gave a reference back twice. */
static inline struct tide_tracked_message *tide_offsets_find(const struct tide_offsets *offsets,
                                                             struct tide_origin origin)
{
    const struct tide_tracked_partition *p = tide_offsets_partition_at(offsets, origin.partition);
    if (p->state == TIDE_TRACKED_AWAY ||
        (p->epoch != (origin.epoch & TIDE_ORIGIN_EPOCH) && !tide_fault("bug.ack_of_dropped")))
        return NULL;
    tide_require(origin.sequence - p->head < p->tail - p->head);
    struct tide_tracked_message *message = tide_tracked_message_at(p, origin.sequence);
    tide_require(message->references > 0);
    return message;
}

/* offsets_read.c */

/** How many members of the group are current. */
uint32_t tide_offsets_count_current(struct tide_offsets *offsets, struct tide_group *group);

#endif
