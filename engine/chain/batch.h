/* SPDX-License-Identifier: MIT
 * engine/chain/batch.h - one input block, one output block, and what the engine keeps to itself of the
 * batch in them. A step owns its batches; nothing that decides anything lives in shared memory. */
#ifndef TIDE_CHAIN_BATCH_H
#define TIDE_CHAIN_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "chain/partition_queue.h"
#include "proc/pool.h"
#include "shm/message.h"

struct tide_block;

struct tide_batch {
    struct tide_work work; /* its step's way to the pool */
    struct tide_block *input;
    struct tide_block *output;
    uint32_t capacity; /* records at the most */
    uint32_t count;
    uint64_t bytes; /* of the records */
    int64_t opened_us;
    int64_t sealed_us;
    struct tide_origin *origins; /* of each record */
    uint32_t *places;            /* of each record, in units of 8 bytes */
    bool input_overflowed;
    bool output_overflowed;
    /* release: what is left is records [released, count), of which [released, ready) have results */
    uint32_t released;
    uint32_t ready;
    uint32_t ready_bytes;   /* of results */
    uint32_t result_at;     /* byte of the next result */
    uint32_t result_record; /* of the result before; UINT32_MAX = none */
    uint32_t results;       /* released so far */
    uint64_t result_bytes;
    uint32_t results_before; /* of the records before `released` */
    bool rejected;           /* record `released` is with the dlq */
    uint32_t attempts;       /* at record `released`: times a worker died of it */
    bool one_by_one;         /* a worker died in a function that had several records */
    /* tide.retry (task_retry.c) */
    uint32_t queue; /* its records are the first ones of that queue, counted from 1; 0 = of none */
    bool marked;    /* some records are to be left out: they wait */
    bool retried;   /* record `released` is to wait */
    bool again;     /* of a step that reduces: all of it waits ... */
    struct tide_partition_queue wait; /* ... so long: its times only */
    char reason[256];                 /* ... because of this */
    /* of a step that reduces */
    struct tide_origin group; /* what its results stand for, when `grouped` */
    bool grouped;
    uint32_t suspect; /* the record that `attempts` is about; `count` = none, the result itself */
    struct tide_batch *next; /* free list */
};

/** `max_input` and `max_output` in bytes. NULL with tide_error(). Before the fork. */
struct tide_batch *tide_batch_new(uint32_t capacity, uint64_t max_input, uint64_t max_output);
/** Empty again. */
void tide_batch_reset(struct tide_batch *batch);
/** Bytes that `message` takes as a record. */
uint64_t tide_batch_need(const struct tide_message *message);
/** Copies the message in as the next record. The caller has seen to the room. */
void tide_batch_append(struct tide_batch *batch, const struct tide_message *message);
/** Record `index` as the message it was. */
void tide_batch_message(const struct tide_batch *batch, uint32_t index,
                        struct tide_message *message);
void tide_batch_free(struct tide_batch *batch); /* NULL is fine */

#endif
