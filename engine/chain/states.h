/* SPDX-License-Identifier: MIT
 * engine/chain/states.h - keyed state as the engine has it: the values that were accepted, and the store below them.
 *
 * A step with state (tide_step_plan.state) runs on lanes by key. Of each lane one batch at a time is between its fill and
 * its release, so what a batch is filled with is all that was accepted for its keys: no worker keeps state between two
 * jobs, and what is run again (a crash, a hang, tide.retry) sees the state that it saw before. That workers are busy
 * meanwhile, there are more lanes than workers.
 *
 *   a job is given    task_state.c puts the value of each key into the state block of the batch (shm/layout.h)
 *   a worker          returns at most one change for each message, among its results
 *   accepted          the message is released: not rejected, not put off, its partition not revoked
 *   stored            with the commit whose position covers the message: all changes before it and the position, in one
 *                     transaction. Changes of later messages wait, so the store is always the state at its position
 *   forgotten         the partition was revoked: what is not stored is dropped, since its messages are read again
 *
 * The value that is stored has all changes of its key in it that were accepted before, those of later messages and of
 * other topics too. So a commit has to cover of each key the first changes that were accepted: tide_states_choose finds
 * such positions.
 *
 * Topics that are read together have one state: partition P of each of them is partition P of the state. They come and go
 * together, since the group is asked to assign them so (plan.source.together).
 *
 * Values are kept in memory up to a bound, as the cache of the store.
 *
 * With a Kafka source there is a changelog (chain/changelog_record.h): a topic for each state, from which the store of
 * whoever gets a partition is restored. Its records and the committed offsets are in one transaction of Kafka, also in at
 * least once (where results are not in it): so the changelog always is the state at the committed position, whatever dies
 * when, and no engine that has lost a partition can write to it any more. A commit then is
 *   begin       the changes before the positions are chosen, of each key the last one
 *   send        their records are sent, and acknowledged
 *   commit      the transaction is committed, with the positions
 *   store       changes, positions and how far the changelog was written are stored in one transaction. A crash before it
 *               costs nothing: the store is behind the changelog, and is restored from where it stands
 * An abort forgets all partitions, and they are assigned again.
 *
 * A partition, with a changelog:
 *   state       what happens                                     next
 *   AWAY        another engine has it, or none                   RESTORING: tide_states_assigned, of its first topic
 *   RESTORING   records of its changelogs are stored, from the   READY: tide_states_restored
 *               offset on that the store has; no message of the  AWAY: tide_states_forget
 *               partition is read
 *   READY       changes are accepted                             AWAY: tide_states_forget; its values are read from the
 *                                                                store again when it comes back */
#ifndef TIDE_CHAIN_STATES_H
#define TIDE_CHAIN_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct tide_message;
struct tide_offsets;
struct tide_position;
struct tide_report;
struct tide_rises;
struct tide_sink;
struct tide_states;
struct tide_timeline;
struct tide_timers;
struct tide_topics;

/** The key of the entry that says by what the keys of a state are made (tide_states_add), in each partition of a changelog:
 * whoever has the changelog alone would go on with a state that was kept by another key. Messages with this key are
 * rejected. */
#define TIDE_STATES_BY "\0by"
enum { TIDE_STATES_BY_LENGTH = 3 };

struct tide_state_value {
    uint32_t references;
    uint32_t kind;      /* enum tide_state_kind */
    int64_t expires_ms; /* since the epoch; 0 = never */
    uint32_t length;
    char bytes[];
};

/** The state of one key. Only states.c changes it, but for the fields of task_state.c. */
struct tide_state_entry {
    struct tide_state_entry *next; /* of its place in the table */
    struct tide_state_value
        *value;       /* the newest that was accepted; NULL = it has to be read from the store */
    uint32_t waiting; /* its changes that are not stored yet ... */
    uint32_t newest_index; /* ... and of which partition and ... */
    int64_t newest_offset; /* ... message the newest of these is */
    uint64_t lowered; /* owned by states_store.c: the last pass that does not cover all of it */
    struct tide_taken_timer *taken; /* owned by timers.c: its timers whose records are in flight */
    uint64_t fill;                  /* owned by task_state.c: the last fill that had it ... */
    uint32_t place;                 /* ... and where it is in that block, in units of 8 bytes */
    uint32_t pins;   /* records of batches (task_state.c) and timers (timers.c) that point to it */
    uint64_t commit; /* the last that covered a change of it */
    uint32_t hash;
    uint32_t state;
    int32_t partition;
    uint32_t key_length;
    char key[];
};

/** `dir` NULL: the state is gone with the process. Both are copied. */
struct tide_states *tide_states_new(const char *dir, const char *pipeline);
void tide_states_free(struct tide_states *states); /* NULL is fine */
/** A step has this state; its index. `by`: what its keys are, as text. Before tide_states_open. */
uint32_t tide_states_add(struct tide_states *states, const char *name, const char *by);
/** After the states were added, before the fork: they have changelogs. `inputs`: the topics that are read. The topics of the
 * changelogs get numbers. */
int tide_states_changelog(struct tide_states *states, const char *const *inputs, uint32_t count,
                          struct tide_topics *topics);
bool tide_states_has_changelog(const struct tide_states *states);
uint32_t tide_states_count(const struct tide_states *states);
/** The topic of the changelog of a state, which stays valid. */
const char *tide_states_topic(const struct tide_states *states, uint32_t state);
/** After the fork. */
int tide_states_open(struct tide_states *states);
/** The failure of the store that tide_states_find ran into, if any; then nothing more may be accepted. */
int tide_states_status(const struct tide_states *states);

/** The step of this state has timers, and a watermark that is `grace_ms` behind the newest time. Before tide_states_open. */
void tide_states_add_timers(struct tide_states *states, uint32_t state, int64_t grace_ms);
/** The time of a value's timer; 0 = it has none. */
int64_t tide_state_timer(const struct tide_state_value *value);

/** The entry of a key, with its value. NULL when the store fails. */
struct tide_state_entry *tide_states_find(struct tide_states *states, uint32_t state,
                                          int32_t partition, const char *key, uint32_t length);
/** The value that a key has now, for somebody who looks on: 1 = found, 0 = there is none, negative = failed, which is no
 * failure of the run. Nothing is kept of it. `value` is borrowed until the next call for these states. */
int tide_states_look(const struct tide_states *states, const char *name, int32_t partition,
                     const char *key, uint32_t length, struct tide_store_value *value);
/** A number that no fill had before. */
uint64_t tide_states_fill(struct tide_states *states);
/** The change of message `offset` of partition `index` (of the source) is accepted. The bytes are copied. */
void tide_states_change(struct tide_states *states, struct tide_state_entry *entry, uint32_t index,
                        int64_t offset, const struct tide_store_value *value);

/** What changes that are not stored take in memory is bounded: from one bound on a commit is due whatever its policy says,
 * from the next one on no message may be read until changes are stored. */
enum tide_states_room { TIDE_STATES_HAVE_ROOM = 0, TIDE_STATES_WANT_COMMIT, TIDE_STATES_FULL };
enum tide_states_room tide_states_room(const struct tide_states *states); /* NULL has room */

/** Finds for all partitions that may be committed the largest positions, up to those of the tracker, at which there is a state
 * to be stored. */
void tide_states_choose(struct tide_states *states, const struct tide_offsets *offsets);
/** The one of a partition, -1 = none. */
int64_t tide_states_limit(const struct tide_states *states, uint32_t index);

/** How far `input` was read as partition `index`, when it is the same input still: `mark` and `bytes` are compared. 1 = the
 * offset is in *position. From now on its position is stored too. */
int tide_states_input(struct tide_states *states, uint32_t index, const char *input,
                      struct tide_store_position *position);
/** What is counted of the states, for metrics. */
struct tide_states_totals {
    uint64_t hits,
        misses; /* values that were asked for, and were in memory or had to be read from the store */
    uint64_t changes;     /* that were accepted */
    uint64_t expired;     /* values that were deleted from the store for their time */
    uint64_t keys, bytes; /* in memory */
    uint64_t waiting;     /* changes that are not stored yet */
    uint64_t stores;      /* transactions of the store ... */
    int64_t store_us;     /* ... the time that they took ... */
    uint64_t store_bytes; /* ... and how large its file was after the last one */
};
void tide_states_totals(const struct tide_states *states, struct tide_states_totals *totals);
/** A commit of these positions begins: from now on it covers the changes before them. */
int tide_states_begin(struct tide_states *states, const struct tide_position *positions,
                      size_t count);
/** Sends the records of what the commit covers. TIDE_BUSY: call again, it has no room or has not acknowledged all; TIDE_OK: it
 * has, or there is no changelog. */
int tide_states_send(struct tide_states *states, struct tide_sink *sink);
/** Takes the report of such a record (its origin has TIDE_ORIGIN_STATE). Negative: the topic does not take it. */
int tide_states_reported(struct tide_states *states, const struct tide_report *report);
/** Stores the changes that the commit covers, and its positions. */
int tide_states_store(struct tide_states *states);
/** Partition `index` of the source, which is partition `number` of `topic`, was assigned: finds how far the store has it.
 * 1 = the state of the partition has to be restored, TIDE_OK = it is because of another topic. */
int tide_states_assigned(struct tide_states *states, uint32_t index, const char *topic,
                         int32_t number);
/** A partition of `number` is assigned, but not that of every topic: TIDE_ECONFIG with a text that says so. */
int tide_states_together(const struct tide_states *states, int32_t number);
/** The offset of the changelog up to which the store has it; -1 = nothing of it. */
int64_t tide_states_log(const struct tide_states *states, uint32_t state, uint32_t index);
/** Takes records of changelogs, which are copied and stored once there are many: of each key and value, partition and offset
 * count, and as the origin's partition the index of the source, as its sequence the state. Those of one partition and state
 * are in order. */
int tide_states_restore(struct tide_states *states, const struct tide_message *messages,
                        size_t count);
/** Stores those that were taken and are not stored yet. */
int tide_states_restore_rest(struct tide_states *states);
/** Event time of partition `index` may be asked for: its state is restored. */
bool tide_states_ready(const struct tide_states *states, uint32_t index);
/** All records of its changelogs are stored. `begin`: the offset of the input from which the partition is read. TIDE_ECONFIG: one of
 * them was kept by another key. */
int tide_states_restored(struct tide_states *states, uint32_t index, int64_t begin);
/** What was not stored of the partition is dropped. */
void tide_states_forget(struct tide_states *states, uint32_t index);

/* ---- states_timers.c ---- */

struct tide_timers *tide_states_timers(const struct tide_states *states);
/** Event time (chain/timers.h) of partition `index` of the source, whose number this is, for a state with timers. NULL =
 * the store fails. */
struct tide_rises *tide_states_rises(struct tide_states *states, uint32_t state, uint32_t index,
                                     const char *topic, int32_t number);

/** How many timers of a state wait in the store, as of the last commit. */
uint64_t tide_states_waiting_timers(const struct tide_states *states, uint32_t state);

struct tide_due {
    struct tide_state_entry *entry; /* its key has this timer */
    int64_t at;
    bool is_stored;
};

/** The first timer that a watermark of `until_ms` has passed: 1 = it is in *due, 0 = there is none, negative = the store
 * fails. It is the same until it is taken. */
int tide_states_due(struct tide_states *states, struct tide_timeline *line, int64_t until_ms,
                    struct tide_due *due);
/** A record of it is in flight from now on, with the origin of a message of partition `index`. Until tide_states_end_timer, or
 * until that partition is forgotten, the timer is not due again, wherever it is found. */
void tide_states_due_taken(struct tide_states *states, struct tide_timeline *line,
                           const struct tide_due *due, uint32_t index);

/** The record of this timer of the entry, which was taken, has ended: accepted or rejected. The timer is over, and the value
 * stays: a change of message `offset`, unless the key has another timer by now, or none. */
void tide_states_end_timer(struct tide_states *states, struct tide_state_entry *entry,
                           uint32_t index, int64_t offset, int64_t at);

#endif
