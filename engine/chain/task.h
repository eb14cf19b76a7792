/* SPDX-License-Identifier: MIT
 * engine/chain/task.h - the step run_task_with_multiprocessing. Each file calls those before it only:
 *   task_sizes.c    sizes of blocks and batches, and the gauge of batches in progress
 *   task_timers.c   event time: the watermark, and timers that are due
 *   task_clock.c    the same, by the clock, where no message comes
 *   task_state.c    the state of a batch's keys: into its state block, and what became of it
 *   task_batch.c    takes a batch from the free list, gives it to the pool, finishes or rejects one of its records
 *   task_lanes.c    which lane a message goes to, which batches of a lane may run, and messages that wait for a full lane
 *   task_time.c     what the step waits for, and for how long
 *   task_retry.c    messages that are tried again (tide.retry), and those after them in their partition
 *   task_each.c     a step whose results each stand for one message
 *   task_reduce.c   a step whose results stand for all messages of their batch
 *   task_slow.c     which messages took long
 *   task_tap.c      shows taps (chain/tap.h) what became of the records that were released
 *   canary_compare.c, task_canary.c    the canary of a reload (chain/canary.h)
 *   task_items.c    goes past the results that were forwarded, and finishes their records
 *   task_release.c  the way out: the states of the oldest batch of a lane (chain/batch.h), by which results are forwarded
 *   task_view.c     what the engine asks about batches
 *   step_run_task_with_multiprocessing.c   the way in: fills and seals batches; the verbs of the step
 *
 * A lane is a sequence of batches: their results leave in the order in which they were sealed, so a slow batch holds back
 * faster ones after it in its lane, and none of another lane.
 *   order       lanes                                                     runs in
 *   PARTITION   one: the results of all batches leave in order            any worker; batches run at the same time
 *   KEY         as many as the pool may have processes; a key is always   one worker, which a lane keeps as long as the
 *               in the same one, messages without a key go to each in     number of processes is the same; one after
 *               turn. Each fills a batch of its own                       another
 *   NONE        each batch is a lane by itself; lane 0 fills them         any worker; batches run at the same time
 *
 * Where lanes are by key, messages of a lane that is full wait in its list as long as another lane has less to do than
 * it could (tide_lanes_keep): one hot key does not hold back the others. The list is bounded by max_input_block_size,
 * for all lanes together; in exactly_once, where a transaction has to wait for these messages, also by their number. When
 * a bound is reached the step takes nothing any more, until the full lane has got on. */
#ifndef TIDE_CHAIN_TASK_H
#define TIDE_CHAIN_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/plan.h"
#include "chain/batch.h"
#include "chain/lane_key.h"
#include "chain/partition_queue.h"
#include "chain/results.h"
#include "chain/retry_wait.h"
#include "chain/states.h"
#include "chain/step.h"
#include "chain/tally.h"
#include "chain/tap.h"
#include "shm/counters.h"

struct tide_canary;
struct tide_event_time;
struct tide_zygote;
struct tide_reject;
struct tide_state_place;
struct tide_task;

/** What differs between a step whose results stand for one message each and one that reduces. */
struct tide_task_kind {
    /* A crash is attributed to one record, which is run again alone. Else the whole batch is run again. */
    bool isolates;
    /* Marks records of [first, end), which are about to be run, that workers are to leave out. */
    void (*mark)(struct tide_task *task, struct tide_batch *batch, uint32_t first, uint32_t end);
    /* Decides which results of the run are used, and whether a crash is attributed. TIDE_EDATA = the worker broke the
     * protocol. */
    int (*take)(struct tide_task *task, struct tide_batch *batch, int64_t now_us);
    /* All results of the run are forwarded. NULL = nothing to do. */
    void (*leave)(struct tide_task *task, struct tide_batch *batch);
    /* The record that is released next is to be tried again, because of `reason`. TIDE_BUSY = not now. NULL = it is
     * rejected. */
    int (*retry)(struct tide_task *task, struct tide_batch *batch, const char *reason,
                 int64_t now_us);
    /* Rejects what the crash is attributed to. TIDE_BUSY = not now. */
    int (*reject)(struct tide_task *task, struct tide_batch *batch,
                  const struct tide_reject *fields);
    /* `count` records from the one that is released next on are finished, all of one partition. `passed`: they are neither
     * rejected nor revoked; `filtered` of them had no result. */
    void (*finish)(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                   uint32_t filtered, bool passed);
};

extern const struct tide_task_kind tide_task_each;   /* in task_each.c */
extern const struct tide_task_kind tide_task_reduce; /* in task_reduce.c */

/** The size of one kind of block of a step, the same for all its batches. */
struct tide_size {
    uint64_t now;
    uint64_t max;
    bool automatic;
    uint64_t most_used; /* by one batch since `since_us` */
    int64_t since_us;
};

/** Batches whose results leave in order. */
struct tide_lane {
    struct tide_batch *open; /* owned by step_run_task_with_multiprocessing.c: it is FILLING */
    struct {                 /* owned by task_batch.c: sealed batches, the oldest first */
        STAILQ_HEAD(, tide_batch) list;
        uint32_t count;
    } sealed;
    struct tide_message_list
        waiting;               /* owned by task_lanes.c: they wait for a batch, oldest first */
    struct tide_parsed parsed; /* owned by task_release.c: results of its oldest batch */

    struct {          /* owned by task_tap.c: the record that the next portion may go on with */
        uint64_t job; /* whose results it has; 0 = none */
        uint32_t record;
        uint32_t results; /* so far ... */
        bool revoked;     /* ... of which some were dropped */
        bool told;
        struct tide_message first[TIDE_TAP_RESULTS];
    } tapped;
};

/** A partition with timers that are due. */
struct tide_firing {
    struct tide_rises *rises;
    struct tide_message message; /* what they have in common; its origin has a reference */
};

struct tide_task {
    /* Set when the step is made. */
    struct tide_step step;
    const struct tide_task_kind *kind;
    struct tide_step_plan plan;
    char *stage; /* the plan's, a copy */
    struct tide_pool *pool;
    struct tide_outputs *outputs;
    struct tide_batch **batches;
    uint32_t batch_count;
    struct tide_lane *lanes;
    uint32_t lane_count;
    uint32_t filled; /* lanes that are filled: all of them by key, else only the first */

    struct tide_canary *canary; /* owned by task_canary.c; NULL = there are none */
    struct tide_tally tally;    /* owned by task_release.c and task_batch.c */

    struct {                            /* owned by task_batch.c */
        struct tide_batch *free;        /* last in, first out: its pages are warm */
        STAILQ_HEAD(, tide_batch) list; /* sealed batches of all lanes, the oldest first */
        uint32_t count;
        uint64_t sequence; /* batches sealed since the start */
    } order;

    struct {                       /* owned by task_lanes.c */
        struct tide_lane_key *key; /* NULL = lanes are not by key */
        uint32_t next;             /* for a message without a key */
        uint32_t hungry;           /* the lane that was found to have little to do last */
        uint32_t waiting;          /* messages in the lists of all lanes */
        uint64_t waiting_bytes;    /* of them, with their items */
    } by_key;

    uint32_t state; /* the index of its first one (chain/states.h); by_key.key is its key then */
    bool has_state;

    struct { /* waiting steps (chain/offsets.h) */
        bool
            is_one; /* messages come in another order than in their partition, and it reads times */
        uint32_t step; /* its number then */
        bool timers;   /* results of timers of a step before come to it */
        uint32_t next; /* the first one behind it */
    } waiting;

    struct {                          /* owned by task_timers.c */
        struct tide_event_time *time; /* NULL = the step reads no times */
        struct tide_firing *list;     /* of partitions with timers that are due */
        uint32_t count, room;
        struct tide_firing *held; /* of partitions with timers that will be due then */
        uint32_t held_count, held_room;
        struct tide_due due; /* the first one of the first partition */
        uint64_t untold;   /* messages that are too far ahead, since the last line in the log ... */
        int64_t told_us;   /* ... at this time; 0 = none yet */
        int64_t looked_us; /* when partitions were looked at last that are silent */
        int64_t observed_us; /* when the metrics were; 0 = never */
        bool known;          /* there was a watermark */
    } timers;

    struct { /* owned by task_sizes.c */
        struct tide_size input;
        struct tide_size output;
        uint32_t in_progress;      /* batches that a worker has or will get */
        uint32_t max_batch_size;   /* in force; the plan has the largest */
        int64_t max_batch_time_us; /* in force */
        uint32_t max_messages;     /* of the next batch */
        double run_limit_ns;       /* how long a batch may keep a worker busy */
        int64_t idle_us;           /* when the source had nothing more the last time */
        double run_ns;             /* run time of late, the newest counting most ... */
        double run_bytes;          /* ... and bytes of results ... */
        double run_messages;       /* ... of so many messages */
    } size;

    struct { /* owned by task_time.c */
        enum tide_metric
            cause;     /* what the step waits for that takes no message: TIDE_M_BLOCKED_*; ... */
        bool blocked;  /* ... it takes none */
        uint32_t lane; /* ... into this lane */
        int64_t charged_us; /* until when its time is charged */
    } time;

    struct { /* owned by task_retry.c */
        struct tide_partition_queues queues;
        uint32_t waiting;       /* messages in all queues */
        uint64_t waiting_bytes; /* of them */
        uint64_t unlogged;      /* retries since the last line in the log ... */
        int64_t logged_us;      /* ... at this time; 0 = none yet */
    } retry;
};

/** Its output blocks, for the pool. */
struct tide_outputs *tide_task_outputs(const struct tide_task *task);
/** Makes the step; `kind` is that of its plan. Maps all blocks, so it is called before the fork. NULL with tide_error(). */
struct tide_task *tide_task_new(struct tide_chain *chain, const struct tide_step_plan *plan,
                                struct tide_pool *pool, uint32_t processes, uint32_t number,
                                uint32_t row);

/* ---- task_sizes.c ---- */

/** Sets the sizes that the plan asks for. */
void tide_task_sizes(struct tide_task *task, int64_t now_us);
/** How many batches may be in use: as many as the workers can have, and one more to be filled meanwhile. */
uint32_t tide_task_batches(const struct tide_task *task);
/** Verbs of the step (chain/step.h). */
void tide_task_get_sizes(const struct tide_step *step, struct tide_sizes *sizes);
int tide_task_set_sizes(struct tide_step *step, const struct tide_sizes *sizes, int64_t now_us);
/** Decides how long a batch may keep a worker busy: 50 ms; a quarter of the target of latency, if there is one and the
 * source has had nothing more within it. Called when a poll begins. */
void tide_task_pace(struct tide_task *task, int64_t now_us);
/** True when a batch of so many bytes is as large as an automatic one is to be. */
bool tide_task_is_large(const struct tide_task *task, uint64_t bytes);
/** A worker has run so many messages of this work, with so many bytes of results. Where a step is eager, its batches are
 * kept to what takes a worker that long: more would leave others idle, and gains nothing; automatic ones hold no more
 * than 1 MiB of results either. As long as nothing is known a batch is one message. */
void tide_task_measure(struct tide_task *task, const struct tide_work *work, uint32_t messages,
                       uint32_t result_bytes);
/** The batch is forwarded: grows what overflowed, shrinks what was large for a minute, gives pages back. */
void tide_task_resize(struct tide_task *task, struct tide_batch *batch, int64_t now_us);
/** Records the gauge batches_in_progress. */
void tide_task_observe_progress(struct tide_task *task);

/* ---- task_batch.c ---- */

/** The oldest batch that is sealed; NULL when there is none. */
struct tide_batch *tide_task_oldest(const struct tide_task *task);
/** True when a batch may be taken for this lane, of those that are filled: one is free, and no more are in use than the
 * workers (by key: the worker of the lane) can have, and one to be filled. */
bool tide_task_has_free(const struct tide_task *task, uint32_t lane);
/** Takes a batch from the free list for this lane: FILLING. NULL when none may be taken. */
struct tide_batch *tide_task_take_free(struct tide_task *task, uint32_t lane, int64_t now_us);
/** Seals the batch: it goes to the ends of the order and of its lane, and to the pool as soon as it may. `reason`:
 * TIDE_M_BATCH_CLOSE_*. */
void tide_task_seal(struct tide_task *task, struct tide_batch *batch, enum tide_metric reason,
                    int64_t now_us);
/** Gives records [first, end) to the pool, which has an output block for them; the one that the batch still has is given
 * back before: WITH_POOL. */
void tide_task_submit(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end);
/** True if workers have no record of the batch to run any more, as far as the pool knows. */
bool tide_task_is_run(const struct tide_batch *batch);
/** The oldest batch of a lane is done: it goes back to the free list, EMPTY. */
void tide_task_give_back(struct tide_task *task, struct tide_batch *batch);
/** Hands record `record` to the dlq; one that is revoked is dropped. TIDE_BUSY = not now. */
int tide_task_reject(struct tide_task *task, struct tide_batch *batch, uint32_t record,
                     const struct tide_reject *fields);
/** Gives back the reference of the record that is released next (its results have their own) and goes to the next one. */
void tide_task_finish_record(struct tide_task *task, struct tide_batch *batch);
/** The same for several records, none of them rejected, all of one partition and assignment, of which `filtered` had no
 * result. batch->record is the caller's: it may be about a record after them already. */
void tide_task_finish_records(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                              uint32_t filtered);
/** Goes on to the next record without finishing this one. */
void tide_task_next_record(struct tide_batch *batch);

/* ---- task_lanes.c ---- */

/** The lane that is filled with this message, where lanes are by key. *problem: NULL, or why the message is to be
 * rejected, since the step has state and the message can have none. */
uint32_t tide_lanes_choose(struct tide_task *task, const struct tide_message *message,
                           const char **problem);
/** Gives the pool the batches that may run now. */
void tide_lanes_run(struct tide_task *task);
/** True when the lane has no batch left that is to be run or is being run. */
bool tide_lanes_is_idle(const struct tide_task *task, uint32_t lane);
/** Copies the message to the end of what waits for a full lane. False = no more may wait. */
bool tide_lanes_keep(struct tide_task *task, uint32_t lane, const struct tide_message *message);
/** The oldest message that waits for the lane; NULL = none does. Those that were revoked meanwhile are dropped. */
const struct tide_message *tide_lanes_oldest(struct tide_task *task, uint32_t lane);
/** The oldest message that waits has been taken into a batch. */
void tide_lanes_drop_oldest(struct tide_task *task, uint32_t lane);

/* ---- task_state.c ---- */

/** Makes the state block of a batch, before the fork. Negative with tide_error(). */
int tide_state_prepare(struct tide_task *task, struct tide_batch *batch);
/** Puts the state of records [first, end) into the block: returns the record to end with, since not all of it may fit. A
 * failure of the store is in tide_states_status(), and nothing that comes of this job is accepted then. */
uint32_t tide_state_fill(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                         uint32_t end);
/** A change of the step's state `state` is among the results of the record that is released next. */
void tide_state_take(struct tide_batch *batch, const struct tide_parsed_change *change);
/** Record `record`, which that is, is released: its changes are accepted, if its partition is not revoked. */
void tide_state_accept(struct tide_task *task, struct tide_batch *batch, uint32_t record);
/** Record `record` is rejected, or accepted: if it is a timer, that is over, also where its worker has not said so. */
void tide_state_end_timer(struct tide_task *task, const struct tide_batch *batch, uint32_t record);
/** The batch is done. */
void tide_state_end(struct tide_task *task, struct tide_batch *batch);
/** NULL, or why a message with such a key can have no state: it is rejected for that. `missing`: why it has no key; NULL
 * where it has one. */
const char *tide_state_problem(const char *missing, const char *key, uint32_t length);

/* ---- task_time.c ---- */

/** Charges the time since the last call to what the step waited for. Called when a poll begins. */
void tide_task_charge(struct tide_task *task, int64_t now_us);
/** The step takes no message into this lane now, since no batch is free (or too many messages are to be tried again). */
void tide_task_blocked(struct tide_task *task, uint32_t lane);
/** The step has polled, or takes messages: it may be blocked by something else now, or not at all. */
void tide_task_unblocked(struct tide_task *task);

/* ---- task_retry.c ---- */

/** Marks records [first, end) that wait after one that is tried again, so that they are not run for nothing. */
void tide_retry_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                     uint32_t end);
/** True if record `index` of the oldest batch of a lane, which is not released yet, has to wait. */
bool tide_retry_waits(struct tide_task *task, const struct tide_batch *batch, uint32_t index);
/** Puts the record that is released next into its queue: that of its partition; where lanes are by key, of its lane. */
void tide_retry_park(struct tide_task *task, struct tide_batch *batch);
/** The record that is released next asks to be tried again: it waits from now on, or is rejected after retry_timeout. If
 * the batch comes from a queue all of it is put off: it has no records left then. TIDE_BUSY = not now. */
int tide_retry_again(struct tide_task *task, struct tide_batch *batch, const char *reason,
                     int64_t now_us);
/** The record that is released next is finished: it leaves the queue that the batch comes from. */
void tide_retry_finished(struct tide_task *task, struct tide_batch *batch);
/** The batch is done. */
void tide_retry_end(struct tide_task *task, struct tide_batch *batch);
/** Runs again what is due, and drops what was revoked. */
void tide_retry_poll(struct tide_task *task, int64_t now_us);
int64_t tide_retry_deadline(const struct tide_task *task);
void tide_retry_free(struct tide_task *task);
/** Counts a retry of the message, and logs it if none was logged for a minute. `times`: of what is tried again. The pause
 * until the next try begins. */
void tide_retry_begin_pause(struct tide_task *task, struct tide_partition_queue *times,
                            const struct tide_message *message, const char *reason, int64_t now_us);
/** True once retry_timeout has passed since the first try. */
bool tide_retry_timed_out(const struct tide_task *task, const struct tide_partition_queue *times,
                          int64_t now_us);
/** True while a message waits to be tried again, or after one that does. */
bool tide_retry_any(const struct tide_task *task);
/** A verb of the step (chain/step.h). */
bool tide_task_retry_wait(const struct tide_step *step, struct tide_retry_wait *wait);

/* ---- task_reduce.c ---- */

/** The batch is PAUSED: TIDE_OK once it need not wait any more, or all its messages are rejected after retry_timeout.
 * TIDE_BUSY = not now. */
int tide_reduce_resume(struct tide_task *task, struct tide_batch *batch, int64_t now_us);

/* ---- task_slow.c ---- */

/** Takes note of the slow messages of all batches, for the list of the chain. */
void tide_task_note_slow(struct tide_task *task);

/* ---- task_tap.c ---- */

/** All that is parsed of the batch is dealt with: shows the taps what became of its records. Only while taps are armed. */
void tide_task_tap(struct tide_task *task, const struct tide_batch *batch);

/* ---- task_items.c ---- */

/** How many of the messages, the first of which is that of the next item, can go in one call: up to the next rejection, all
 * of the present assignment. */
uint32_t tide_task_count_submittable(struct tide_task *task, const struct tide_batch *batch,
                                     const struct tide_message *messages);
/** Goes past the items of `taken` messages, and past the items after them that need no room in the next step. */
void tide_task_pass_items(struct tide_task *task, struct tide_batch *batch, uint32_t taken);

/* ---- task_release.c ---- */

/** Forwards the results that are there, in the order of each lane, until the oldest batch of each has to wait. */
int tide_task_release(struct tide_task *task, int64_t now_us);

/* ---- task_view.c ---- */

/* Optional verbs of the step (chain/step.h). */
struct tide_block *tide_task_block(const struct tide_step *step, uint32_t index);
/** Changes when a batch gets on. */
uint64_t tide_task_progress(const struct tide_step *step);
struct tide_tally *tide_task_tally(struct tide_step *step);
struct tide_canary *tide_task_canary(const struct tide_step *step);
/** Describes what the oldest batch waits for. False when no batch is sealed, and no message is to be tried again. */
bool tide_task_waits(const struct tide_step *step, char *text, size_t size);

#endif
