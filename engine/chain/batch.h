/* SPDX-License-Identifier: MIT
 * engine/chain/batch.h - a batch: one input block, and what the engine alone knows of it. A step makes its batches when it
 * starts and uses them again and again. Nothing that decides anything is in shared memory. While a worker runs it, and until
 * its results are forwarded, it has an output block of that worker's slot (work.output, shm/outputs.h).
 *
 * States of a batch. Results leave in the order in which the batches of a lane were sealed (chain/task.h), so the oldest
 * batch of a lane alone gets past WITH_POOL; task_release.c has a function for each of those states.
 *   state      who has it         next
 *   EMPTY      the free list      FILLING
 *   FILLING    the step           SEALED, by size, time, a full block, an idle worker
 *   SEALED     the step           WITH_POOL, at once; where lanes are by key, when the batches before it in its lane have
 *                                 been run to their ends
 *   WITH_POOL  the pool, then a   RESULTS, when the worker has reported or is lost, and it is the oldest batch of its
 *              worker             lane; WITH_POOL still, when what it left breaks the protocol: until that worker is
 *                                 gone
 *   RESULTS    the step, which    when all are forwarded: CRASHED, if a crash is attributed to a record; PAUSED, if the
 *              forwards them      batch is to be tried again; else FORWARDED.
 *                                 WITH_POOL, when a result is malformed
 *   CRASHED    the step           WITH_POOL, when the record is run again; FORWARDED, when it is rejected
 *   PAUSED     the step           FORWARDED, when the pause is over, or all its messages are rejected
 *   FORWARDED  the step           WITH_POOL, when records are left to run; else EMPTY */
#ifndef TIDE_CHAIN_BATCH_H
#define TIDE_CHAIN_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "chain/partition_queue.h"
#include "proc/pool.h"
#include "shm/layout.h"
#include "shm/message.h"
#include "store/store.h"

struct tide_block;
struct tide_record;
struct tide_state_entry;

enum tide_batch_state {
    TIDE_BATCH_EMPTY,
    TIDE_BATCH_FILLING,
    TIDE_BATCH_SEALED,
    TIDE_BATCH_WITH_POOL,
    TIDE_BATCH_RESULTS,
    TIDE_BATCH_CRASHED,
    TIDE_BATCH_PAUSED,
    TIDE_BATCH_FORWARDED
};

/** What the batch was filled with. */
struct tide_batch_records {
    uint32_t count;
    uint64_t bytes;
    int64_t opened_us;
    uint64_t
        overflowed; /* it was sealed since a message did not fit a block of so many bytes; 0 = it was not */
    bool from_queue; /* its records are the oldest ones of a partition queue (task_retry.c) ... */
    uint32_t queue;  /* ... with this number */
};

/** How far its results are forwarded. Records [released, count) are left. */
struct tide_batch_release {
    uint32_t released;
    uint32_t results;
    uint64_t result_bytes;
    uint64_t overflowed; /* results did not fit a block of so many bytes; 0 = they did */
    bool
        one_by_one; /* a worker died in a function that had several records: it gets one at a time now */
    bool marked; /* records that wait were marked, so that workers leave them out (task_retry.c) */
};

/** The last run of records by a worker. Those of [released, ready) have their results. */
struct tide_batch_run {
    uint32_t ready;
    uint32_t result_bytes;
    uint32_t result_at; /* byte of the next result that is read */
    bool within_record; /* the result before that is of the same record, so there are several */
    bool crashed;       /* the worker died, and that is attributed to a record: see CRASHED */
};

/** The record that is released next. */
struct tide_batch_record {
    uint32_t
        attempts; /* times that a worker died of it; where a step reduces, of the one that the crash is attributed to */
    bool rejected;    /* the dead letter queue has it */
    bool waits;       /* it is to be tried again later */
    bool has_results; /* some of its results are forwarded */
    uint32_t changed; /* bit i: keyed.changes[i] is what it makes of that state of its key */
};

/** Where the step has state (task_state.c). */
struct tide_batch_keyed {
    struct tide_block *block;          /* NULL = it has none */
    uint32_t states;                   /* how many states a record has */
    int64_t *watermarks;               /* of each record; NULL = the step reads no times */
    struct tide_state_entry **entries; /* of each record: those of its key, `states` of them ... */
    uint32_t first, end;               /* ... pinned for these records */
    /* In the output block; expires_ms is how long the value is to live. */
    struct tide_store_value changes[TIDE_STATES_MOST];
};

/** Where a step reduces: what its results stand for, and what a crash is attributed to (task_reduce.c). */
struct tide_batch_group {
    struct tide_origin origin; /* while `open` */
    bool open;
    bool attributed_to_all; /* the worker died of the result, and so of all records; else ... */
    uint32_t attributed;    /* ... of this record */
};

/** Where a step reduces: the whole batch is to be tried again (task_reduce.c). */
struct tide_batch_pause {
    bool wanted;
    struct tide_partition_queue times; /* no message is in it */
    char reason[256];
};

struct tide_batch {
    /* For as long as the step lives. */
    struct tide_block *input;
    uint32_t capacity;           /* records at most */
    struct tide_origin *origins; /* of each record */
    struct tide_batch_keyed keyed;
    uint64_t *record_at;               /* of each record: its first byte in the input block */
    struct tide_batch *next;           /* of the free list */
    STAILQ_ENTRY(tide_batch) in_order; /* of the sealed batches of the step ... */
    STAILQ_ENTRY(tide_batch) in_lane;  /* ... and of those of its lane */
    uint32_t lane;                     /* set by task_batch.c */
    /* From FILLING to EMPTY. */
    enum tide_batch_state state;
    struct tide_work work; /* the pool's while the batch is WITH_POOL */
    struct tide_batch_records records;
    struct tide_batch_release release;
    struct tide_batch_run run;
    struct tide_batch_record record;
    struct tide_batch_group group;
    struct tide_batch_pause pause;
};

/** `max_input` in bytes. NULL with tide_error(). Maps the input block, so it is called before the fork. */
struct tide_batch *tide_batch_new(uint32_t capacity, uint64_t max_input);
/** Makes it EMPTY. The pool must not have it. */
void tide_batch_reset(struct tide_batch *batch);
/** Bytes that `message` takes as a record. */
uint64_t tide_batch_need(const struct tide_message *message);
/** Copies the message in as the next record. The caller has checked that there is room. */
void tide_batch_append(struct tide_batch *batch, const struct tide_message *message);
struct tide_record *tide_batch_record(const struct tide_batch *batch, uint32_t index);
/** Record `index` as the message that it was. Its bytes are the block's. */
void tide_batch_message(const struct tide_batch *batch, uint32_t index,
                        struct tide_message *message);
void tide_batch_free(struct tide_batch *batch); /* NULL is fine */

#endif
