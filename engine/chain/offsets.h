/* SPDX-License-Identifier: MIT
 * engine/chain/offsets.h - the offset tracker: it knows which messages are complete, and so how far each partition may
 * be committed.
 *
 * A message is opened when it is read, with one reference. Each output that is sent takes another; a delivery report,
 * and the end of a step's work on the message, each give one back. With no reference left the message is complete. The
 * position of a partition is the lowest offset that is not complete: everything before it is.
 *
 * A message that is read, makes two results, and is complete when both are acknowledged:
 *
 *     origin = tide_offsets_open(offsets, partition, offset);         1 reference: it is in the chain
 *     tide_offsets_ref(offsets, origin);                              2, 3: one for each result
 *     tide_offsets_ref(offsets, origin);
 *     tide_offsets_unref(offsets, origin, TIDE_OUTCOME_FILTERED);     the step has finished with it
 *     tide_offsets_mark_sent(offsets, origin);                        twice, by the last step
 *     tide_offsets_unref(offsets, origin, TIDE_OUTCOME_PRODUCED);     twice, by the delivery reports: complete
 *
 * In exactly_once the outcome of a complete message is final once its transaction is committed. Until then forgetting
 * the partition takes the outcome back: the message counts as dropped, since it will be read again.
 *
 * A **waiting step** has to know which messages have come to it: those of which no reference is in a step before it (a
 * step that reads times behind several lanes, chain/timers.h). Of each message the tracker counts the references before
 * each waiting step. Steps that stand before one take and give back references by the functions whose names end with
 * `_before`; all others are behind them.
 *
 * Each assignment of a partition has a new epoch, which the origins of its messages carry.
 *   state     entered by                       what happens to an origin of that epoch
 *   owned     tide_offsets_assign              everything is allowed
 *   leaving   tide_offsets_revoke, at once     it is no longer current, so nothing more of it is sent; references are
 *             when the partition is revoked    still given back, by the delivery reports that are due
 *   away      tide_offsets_forget, after the   nothing: late reports are counted and ignored; messages that were in
 *             commit                           flight are dropped, since the next owner reads them again */
#ifndef TIDE_CHAIN_OFFSETS_H
#define TIDE_CHAIN_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

/** How a message became complete. Of several outputs the highest outcome counts. */
enum tide_outcome {
    TIDE_OUTCOME_FILTERED = 0,
    TIDE_OUTCOME_PRODUCED = 1,
    TIDE_OUTCOME_DEAD_LETTERED = 2,
    TIDE_OUTCOMES = 3
};

struct tide_offsets;

struct tide_offsets_totals {
    uint64_t read;
    uint64_t produced_from;
    uint64_t filtered;
    uint64_t dead_lettered;
    uint64_t dropped;      /* they were in flight when their partition went away */
    uint64_t late_reports; /* references given back after the partition went away */
    uint64_t in_flight; /* read = produced_from + filtered + dead_lettered + dropped + in_flight */
    uint64_t groups;    /* that are open */
    uint64_t members_visited; /* of groups: measures the work that groups cost */
    uint64_t positions_moved; /* a cheap test for "is there anything to commit?" */
};

/** What the tracker knows about an origin. Of a group, `partition` and `offset` are its first member's. */
struct tide_origin_info {
    bool current;        /* as tide_offsets_current() */
    bool in_transaction; /* as tide_offsets_in_transaction() */
    uint32_t partition;
    uint32_t count; /* of messages that the origin stands for: 1, or the members of the group */
    int64_t offset; /* -1 when its assignment is over */
};

struct tide_offsets *tide_offsets_new(void);
void tide_offsets_free(struct tide_offsets *offsets); /* NULL is fine */

/* Partitions (offsets.c). */

void tide_offsets_assign(struct tide_offsets *offsets, uint32_t partition);
void tide_offsets_revoke(struct tide_offsets *offsets, uint32_t partition);
void tide_offsets_forget(struct tide_offsets *offsets, uint32_t partition);
/** The log has no messages between the last message read and `offset`, only markers of transactions. The position gets
 * there once all messages before are complete. */
void tide_offsets_skip(struct tide_offsets *offsets, uint32_t partition, int64_t offset);

/* Messages (offsets.c). An origin may carry the mark of a dead letter. */

/** A message was read. Offsets of a partition must rise. */
struct tide_origin tide_offsets_open(struct tide_offsets *offsets, uint32_t partition,
                                     int64_t offset);
/** Something happens in a partition of which no message is in flight, and that was read up to offset `end`, or will be read from
 * there on. Its origin has the offset before, so the position stays, and is to be committed again (tide_offsets_is_beside). It
 * counts as a message. */
struct tide_origin tide_offsets_open_beside(struct tide_offsets *offsets, uint32_t partition,
                                            int64_t end);
/** Takes back the newest tide_offsets_open: the first step did not take the message. */
void tide_offsets_unopen(struct tide_offsets *offsets, struct tide_origin origin);
void tide_offsets_ref(struct tide_offsets *offsets, struct tide_origin origin);
/** Gives one reference back, and says what became of it. */
void tide_offsets_unref(struct tide_offsets *offsets, struct tide_origin origin,
                        enum tide_outcome outcome);
/** Gives back the reference of an output that was dropped because its messages are no longer current. The members of a
 * group do not become complete then, since they will be read again. For the origin of a single message this does
 * nothing, since tide_offsets_forget settles it. */
void tide_offsets_drop(struct tide_offsets *offsets, struct tide_origin origin);
/** The last step has sent an output of the message: a delivery report is due. */
void tide_offsets_mark_sent(struct tide_offsets *offsets, struct tide_origin origin);
/** The same for each of `count` messages, in order, and so at a fraction of the cost. Of an origin that is to be opened only
 * the partition is read. */
void tide_offsets_open_many(struct tide_offsets *offsets, struct tide_message *messages,
                            size_t count);
void tide_offsets_ref_many(struct tide_offsets *offsets, const struct tide_message *messages,
                           size_t count);
void tide_offsets_unref_many(struct tide_offsets *offsets, const struct tide_origin *origins,
                             size_t count, enum tide_outcome outcome);
void tide_offsets_mark_sent_many(struct tide_offsets *offsets, const struct tide_message *messages,
                                 size_t count);

/* Waiting steps (offsets_waiting.c). `next`: the first waiting step behind the step that has the reference, as a number
 * from 0; where there is none the functions do what those without it do. */

/** There is one more, behind those before. Before any message is opened. Returns its number. */
uint32_t tide_offsets_add_waiting(struct tide_offsets *offsets);
/** How many there are so far. */
uint32_t tide_offsets_waiting(const struct tide_offsets *offsets);
/** The caller has a reference in the same place, or before. */
void tide_offsets_ref_before(struct tide_offsets *offsets, struct tide_origin origin,
                             uint32_t next);
void tide_offsets_unref_before(struct tide_offsets *offsets, struct tide_origin origin,
                               uint32_t next, enum tide_outcome outcome);
void tide_offsets_ref_many_before(struct tide_offsets *offsets, const struct tide_message *messages,
                                  size_t count, uint32_t next);
void tide_offsets_unref_many_before(struct tide_offsets *offsets, const struct tide_origin *origins,
                                    size_t count, uint32_t next, enum tide_outcome outcome);
/** Waiting step `step` has taken the message: its reference is before it no more. */
void tide_offsets_came(struct tide_offsets *offsets, struct tide_origin origin, uint32_t step);
/** All messages of the partition before this offset have come to the waiting step. */
int64_t tide_offsets_came_to(struct tide_offsets *offsets, uint32_t partition, uint32_t step);

/* Groups (offsets.c). */

/** Makes an origin, with one reference, for outputs that stand for several messages. Each member gets one reference
 * more, which is given back with the group's last: so the members become complete together. A group is current as long
 * as one of its members is, and its output is sent then: a revoked member may be seen twice, but none is lost. In
 * exactly_once it is current only as long as all its members are. */
struct tide_origin tide_offsets_group(struct tide_offsets *offsets,
                                      const struct tide_origin *members, uint32_t count);

/* Transactions, exactly_once (offsets_transaction.c). */

/** From now on outcomes are final only with tide_offsets_committed. */
void tide_offsets_transactional(struct tide_offsets *offsets);
/** The open transaction is committed. */
void tide_offsets_committed(struct tide_offsets *offsets);
/** The open transaction is aborted: revokes all partitions that are owned, and what is complete in them must not be
 * committed either. */
void tide_offsets_abort(struct tide_offsets *offsets);
/** True if something of the partition was sent that is in no committed transaction yet. */
bool tide_offsets_uncommitted(const struct tide_offsets *offsets, uint32_t partition);
/** The barrier: in every partition all messages up to the last one that was sent are complete. */
bool tide_offsets_at_barrier(const struct tide_offsets *offsets);
/** True if a group has members that are current and others that are not. In exactly_once its output cannot be sent, and
 * the members that are current cannot become complete before everything is read again. */
bool tide_offsets_partially_revoked(struct tide_offsets *offsets);

/* Questions (offsets_read.c). */

/** False once the partition is revoked: drop the message. */
bool tide_offsets_current(struct tide_offsets *offsets, struct tide_origin origin);
/** How many of the messages, from the first one on, are current. */
size_t tide_offsets_current_many(struct tide_offsets *offsets, const struct tide_message *messages,
                                 size_t count);
/** True if the open transaction must contain this message: another of its outputs, or a later message of its partition,
 * was sent already. */
bool tide_offsets_in_transaction(const struct tide_offsets *offsets, struct tide_origin origin);
/** Everything about one origin that is not complete. Of a group it visits the members, so loops over many messages ask
 * for what they need by the functions beside it. */
struct tide_origin_info tide_offsets_look_up(struct tide_offsets *offsets,
                                             struct tide_origin origin);
/** The partition of a message; of a group its first member's. */
uint32_t tide_offsets_partition(const struct tide_offsets *offsets, struct tide_origin origin);
size_t tide_offsets_partitions(const struct tide_offsets *offsets);
/** True if the partition is assigned and not being revoked. */
bool tide_offsets_owned(const struct tide_offsets *offsets, uint32_t partition);
/** True if the partition's position may be committed: it is owned or leaving, and its transaction is not aborted. */
bool tide_offsets_may_commit(const struct tide_offsets *offsets, uint32_t partition);
/** The offset to commit: everything before it is complete. -1 when nothing was read since the assignment. */
int64_t tide_offsets_position(const struct tide_offsets *offsets, uint32_t partition);
/** The newest message of the partition is one of tide_offsets_open_beside: its position stands for more than it did. */
bool tide_offsets_is_beside(const struct tide_offsets *offsets, uint32_t partition);
/** The offset after the last message read; -1 when none was. */
int64_t tide_offsets_read_to(const struct tide_offsets *offsets, uint32_t partition);
/** Messages of the partition that were sent and are not complete: delivery reports are due. */
uint64_t tide_offsets_awaiting_report(const struct tide_offsets *offsets, uint32_t partition);
/** Messages that the tracker keeps in all: they are in flight, or complete behind one that is. */
uint64_t tide_offsets_kept(const struct tide_offsets *offsets);
void tide_offsets_totals(const struct tide_offsets *offsets, struct tide_offsets_totals *totals);

#endif
