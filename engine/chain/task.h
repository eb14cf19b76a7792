/* SPDX-License-Identifier: MIT
 * engine/chain/task.h - the step run_task_with_multiprocessing: step_run_task_with_multiprocessing.c fills
 * and closes batches, task_release.c hands on results, task_sizes.c keeps the sizes of blocks and batches, task_reduce.c
 * is what a step that reduces does otherwise, task_retry.c keeps what is tried again, task_view.c tells the stuck
 * detector.
 *
 * A batch's way: free -> open (being filled) -> in `order` (with the pool, or ready) -> free. Results leave in
 * the order in which batches were closed, so a slow batch holds back faster ones behind it. */
#ifndef TIDE_CHAIN_TASK_H
#define TIDE_CHAIN_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "chain/batch.h"
#include "chain/partition_queue.h"
#include "chain/results.h"
#include "chain/step.h"
#include "shm/counters.h"

struct tide_zygote;
struct tide_reject;

/** The size of one kind of block of a step, the same for all its batches. */
struct tide_size {
    uint64_t now;
    uint64_t max;
    bool automatic;
    uint64_t most_used; /* by one batch since `since_us` */
    int64_t since_us;
};

struct tide_task {
    struct tide_step step;
    struct tide_step_plan plan;
    char *word;   /* of the plan, a copy */
    bool reduces; /* results stand for all messages of their batch (task_reduce.c) */
    struct tide_pool *pool;
    struct tide_batch **batches;
    uint32_t batch_count;
    struct tide_batch *free; /* last in, first out: its pages are warm */
    struct tide_batch *open;
    struct tide_batch **order; /* ring of batch_count */
    uint32_t order_head;
    uint32_t order_count;
    uint64_t turns;
    struct tide_size input;
    struct tide_size output;
    struct tide_partition_queues
        queues;       /* of messages that are tried again, and those behind them */
    uint32_t waiting; /* in all queues */
    uint64_t waiting_bytes;
    uint64_t retries;          /* since the log was told of one ... */
    int64_t retry_said_us;     /* ... at this time */
    struct tide_parsed parsed; /* results of the head of `order` on their way out */
    uint32_t in_progress;      /* batches a worker has or will get */
    uint32_t most;             /* messages of the next batch */
    double measured_ns;        /* run time of late, the newest counting most ... */
    double measured;           /* ... and of so many messages */
};

/** Maps all blocks: before the fork. NULL with tide_error(). */
struct tide_task *tide_task_new(struct tide_chain *chain, const struct tide_step_plan *plan,
                                struct tide_pool *pool, uint32_t processes, uint32_t number,
                                uint32_t row);

/** Hands on what is ready, in order. TIDE_BUSY when the next step takes no more now. */
int tide_task_release(struct tide_task *task, int64_t now_us);
/** Closes the batch: it goes to the end of `order` and to the pool. `reason`: TIDE_M_BATCH_CLOSE_*. */
void tide_task_seal(struct tide_task *task, struct tide_batch *batch, enum tide_metric reason,
                    int64_t now_us);
/** Gives the batch's records from `first` to the pool. */
void tide_task_submit(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end);

/** Hands record `record` to the dlq. TIDE_BUSY = not now. */
int tide_task_reject(struct tide_task *task, struct tide_batch *batch, uint32_t record,
                     const struct tide_reject *fields);
/** The record's own hold goes back; its results have theirs. Goes on to the next. */
void tide_task_finish_record(struct tide_task *task, struct tide_batch *batch);

/* A step that reduces (task_reduce.c). */
/** Marks records [first, end) that are not current any more. True when it marked any. */
bool tide_reduce_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                      uint32_t end);
bool tide_reduce_dropped(const struct tide_batch *batch, uint32_t index);
/** What a worker left was accepted: opens the group of its results, or lets none of it stand. */
void tide_reduce_take(struct tide_task *task, struct tide_batch *batch, int64_t now_us);
/** All results of the run are handed on. */
void tide_reduce_leave(struct tide_task *task, struct tide_batch *batch);
/** Rejects the record that workers die of. TIDE_BUSY = not now. */
int tide_reduce_reject(struct tide_task *task, struct tide_batch *batch,
                       const struct tide_reject *fields);

/* tide.retry (task_retry.c). */
/** Marks records [first, end) that wait behind one that is tried again, so that they are not run for nothing. */
void tide_retry_mark(struct tide_task *task, struct tide_batch *batch, uint32_t first,
                     uint32_t end);
/** Record `index`, which is the one to be released next, has to wait. */
bool tide_retry_waits(struct tide_task *task, const struct tide_batch *batch, uint32_t index);
/** Record `released` goes to the queue of its partition; it is for the caller to go on behind it. */
void tide_retry_park(struct tide_task *task, struct tide_batch *batch);
/** Record `released` asks to be tried again, for `reason`: it waits from now on, or is rejected after retry_timeout. When
 * the batch was a queue's, all of it is put off, and its parsed is empty then. TIDE_BUSY = not now. */
int tide_retry_again(struct tide_task *task, struct tide_batch *batch,
                     const struct tide_message *message, const char *reason, int64_t now_us);
/** Record `released` is through: it leaves its queue, if the batch is one's. */
void tide_retry_finished(struct tide_task *task, struct tide_batch *batch);
/** The batch is done with. */
void tide_retry_end(struct tide_task *task, struct tide_batch *batch);
/** Runs again what is due, and lets go what was revoked. */
void tide_retry_poll(struct tide_task *task, int64_t now_us);
int64_t tide_retry_deadline(const struct tide_task *task);
void tide_retry_free(struct tide_task *task);
/** A step that reduces: the run asks to be tried again. */
void tide_retry_note(struct tide_task *task, struct tide_batch *batch, const char *reason,
                     int64_t now_us);
/** A step that reduces: TIDE_OK when the batch need not wait (any more), or all of it is rejected. TIDE_BUSY = not now. */
int tide_retry_batch(struct tide_task *task, struct tide_batch *batch, int64_t now_us);

/* Optional verbs of the step (chain/step.h; task_view.c). */
bool tide_task_blocks(const struct tide_step *step, uint32_t index,
                      struct tide_step_blocks *blocks);
/** Changes when the oldest batch gets on. */
uint64_t tide_task_progress(const struct tide_step *step);
/** Describes what the oldest batch waits for. False when no batch is closed. */
bool tide_task_waits(const struct tide_step *step, char *text, size_t size);

/** Records the gauge batches_in_progress. */
void tide_task_observe_progress(struct tide_task *task);

/** A worker has run so many messages of this work. Where a step is eager, batches are kept to what takes a worker 50 ms:
 * more would leave others idle, and gains nothing. As long as nothing is known a batch is one message. */
void tide_task_measure(struct tide_task *task, const struct tide_work *work, uint32_t messages);
/** A batch is through: grows what overflowed, shrinks what was large for a minute, trims the batch. */
void tide_task_resize(struct tide_task *task, struct tide_batch *batch, int64_t now_us);
/** An empty size: what `plan` asks for. */
void tide_task_sizes(struct tide_task *task, int64_t now_us);

#endif
