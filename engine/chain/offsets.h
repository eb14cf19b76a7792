/* SPDX-License-Identifier: MIT
 * engine/chain/offsets.h - which messages are through, and so how far each partition may be committed.
 *
 * A message is opened when it is read and has one hold then; each output that leaves takes one more;
 * filtering, acknowledgement and the end of a step's work give one back. At none it is through. The position
 * of a partition is the lowest offset that is not through: "everything before it is done".
 *
 * In transactions (exactly once) a message that is through is settled by the commit of the transaction; until then
 * forgetting its partition takes it back: it counts as dropped, since it will be read again.
 *
 * Epochs. An assignment gives a partition a new epoch; a message's origin carries it.
 *   state     who, when                        what is taken from an origin of that epoch
 *   owned     tide_offsets_assign              all
 *   leaving   tide_offsets_revoke, at once     holds given back count (delivery reports that are due), but
 *             when the partition is revoked    tide_offsets_current is false: nothing more is released
 *   away      tide_offsets_forget, after the   nothing: late reports are counted and dropped; what was in
 *             commit                           flight is dropped (another reads it again) */
#ifndef TIDE_CHAIN_OFFSETS_H
#define TIDE_CHAIN_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

/** As origin.partition: the origin is a group's (tide_offsets_group). */
enum { TIDE_ORIGIN_GROUP = 0xFFFF };

enum tide_fate {
    TIDE_FATE_FILTERED = 0,
    TIDE_FATE_PRODUCED = 1,
    TIDE_FATE_DEAD_LETTERED = 2,
    TIDE_FATES = 3
};

struct tide_offsets;

struct tide_offsets_totals {
    uint64_t read;
    uint64_t produced_from;
    uint64_t filtered;
    uint64_t dead_lettered;
    uint64_t dropped;   /* in flight when their partition went away */
    uint64_t late;      /* holds given back for a partition that is away */
    uint64_t in_flight; /* read = produced_from + filtered + dead_lettered + dropped + in_flight */
    uint64_t groups;    /* open */
    uint64_t
        walked; /* members of groups that were looked at: a measure of the work done for them */
    uint64_t reached; /* grows whenever a position moves: cheap test for "anything to commit?" */
};

struct tide_offsets *tide_offsets_new(void);
/** From now on what is through is settled by tide_offsets_settle. */
void tide_offsets_transactional(struct tide_offsets *offsets);
/** The transaction is committed. */
void tide_offsets_settle(struct tide_offsets *offsets);
/** Something of the partition left the last step and is in no committed transaction. */
bool tide_offsets_unsettled(const struct tide_offsets *offsets, uint32_t partition);
/** No transaction may end without it: another output of this message, or a message behind it in its partition, has
 * left the last step already. */
bool tide_offsets_owed(const struct tide_offsets *offsets, struct tide_origin origin);
/** In every partition all messages up to the last one that left the last step are through. */
bool tide_offsets_clean(const struct tide_offsets *offsets);
void tide_offsets_assign(struct tide_offsets *offsets, uint32_t partition);
void tide_offsets_revoke(struct tide_offsets *offsets, uint32_t partition);
/** The transaction is gone: as revoke, of all that are owned, and what is through must not be committed either. */
void tide_offsets_abort(struct tide_offsets *offsets);
void tide_offsets_forget(struct tide_offsets *offsets, uint32_t partition);
/** A message was read. Offsets of a partition rise. */
struct tide_origin tide_offsets_open(struct tide_offsets *offsets, uint32_t partition,
                                     int64_t offset);
/** Takes back the newest open: the message was not taken after all. */
void tide_offsets_unopen(struct tide_offsets *offsets, struct tide_origin origin);
/** All of the partition before `offset` was opened: what lies between it and the last message (the markers of
 * transactions) is none. Once all messages are through, the position is there. */
void tide_offsets_skip(struct tide_offsets *offsets, uint32_t partition, int64_t offset);
/** False once the partition is revoked: drop the message. */
bool tide_offsets_current(struct tide_offsets *offsets, struct tide_origin origin);
/** The offset of a message (no group) that is not through and whose partition is not away; else -1. */
int64_t tide_offsets_offset(struct tide_offsets *offsets, struct tide_origin origin);
void tide_offsets_hold(struct tide_offsets *offsets, struct tide_origin origin);
/** Gives one hold back; the message's fate is the highest of those told. */
void tide_offsets_done(struct tide_offsets *offsets, struct tide_origin origin,
                       enum tide_fate fate);
/** An origin for outputs that stand for several messages, with one hold. Each member gets one more, given back
 * with the group's last: so they are through together. A group is current while one of its members is: then
 * its output still leaves (a revoked member may come twice, none is lost). In transactions, while all of them are. */
struct tide_origin tide_offsets_group(struct tide_offsets *offsets,
                                      const struct tide_origin *members, uint32_t count);
/** Some members of a group are current and others are not: in transactions its output cannot leave, and those that are
 * current are never through until all is read again. */
bool tide_offsets_torn(struct tide_offsets *offsets);
/** Gives back a hold of something that was dropped. The members of a group are never through then: they are
 * revoked and will be read again. Nothing else has to be told of single messages (tide_offsets_forget). */
void tide_offsets_drop(struct tide_offsets *offsets, struct tide_origin origin);
/** The partition of a message; of a group's first member. */
uint32_t tide_offsets_partition(const struct tide_offsets *offsets, struct tide_origin origin);
/** Assigned, and not on its way back. */
bool tide_offsets_owned(const struct tide_offsets *offsets, uint32_t partition);
/** A message's own origin; of a group its first member's. `count` (may be NULL): how many messages it stands for. */
struct tide_origin tide_offsets_first(const struct tide_offsets *offsets, struct tide_origin origin,
                                      uint32_t *count);
/** Owned or leaving: what is done may still be committed. */
bool tide_offsets_ours(const struct tide_offsets *offsets, uint32_t partition);
/** The offset to commit: everything before it is through. -1 when nothing was read since the assignment. */
int64_t tide_offsets_position(const struct tide_offsets *offsets, uint32_t partition);
/** The offset after the last message read; -1 when none was. */
int64_t tide_offsets_read_to(const struct tide_offsets *offsets, uint32_t partition);
/** Messages of the partition that are not through and have left the last step (delivery reports are due). */
uint64_t tide_offsets_released(const struct tide_offsets *offsets, uint32_t partition);
/** The message has left the last step. */
void tide_offsets_release(struct tide_offsets *offsets, struct tide_origin origin);
size_t tide_offsets_partitions(const struct tide_offsets *offsets);
void tide_offsets_totals(const struct tide_offsets *offsets, struct tide_offsets_totals *totals);
void tide_offsets_free(struct tide_offsets *offsets); /* NULL is fine */

#endif
