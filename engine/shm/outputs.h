/* SPDX-License-Identifier: MIT
 * engine/shm/outputs.h - the output blocks of one step. Each belongs to a worker slot, and no other worker has it mapped:
 * a batch gets a block of the slot whose worker it is given to (proc/pool_work.c), and the step gives it back when it has
 * forwarded the results (chain/task_batch.c). When a worker is gone, what it has left becomes the engine's own memory before
 * the next worker of its slot begins. So no worker can change what another one has left.
 *
 *   state   who has it                                        next
 *   COLD    the slot; the block has no pages                  TAKEN, when the slot has no warm one
 *   WARM    the slot; it has pages from the last time         TAKEN, the one that was given back last first;
 *                                                             COLD, when other blocks need its share of memory
 *   TAKEN   a batch, and the worker while the batch is GIVEN  WARM, when it is given back
 *
 * A slot has as many blocks as the step has batches, since its worker may have run all of them while an older one is slow
 * elsewhere. That is address space: of all blocks of the step at most as many have pages as it has batches (and one more while a canary has it, chain/canary.h). A worker that
 * touches others breaks the protocol (tide_outputs_exceeded). Sizes are in bytes. */
#ifndef TIDE_SHM_OUTPUTS_H
#define TIDE_SHM_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct tide_block;
struct tide_output;
struct tide_outputs;

struct tide_output_block {
    struct tide_output *output; /* in shared memory; its worker has it at the same address */
    /* owned by outputs.c */
    uint32_t slot;   /* from 0 */
    uint32_t number; /* within the slot, from 0 */
    bool taken;      /* TAKEN; else WARM where `touched` is more than 0, else COLD */
    bool kept;       /* TAKEN, and the worker that filled it is gone: it is the engine's own */
    size_t touched;  /* so many bytes may have pages */
    TAILQ_ENTRY(tide_output_block) next; /* of its slot, unless it is TAKEN: WARM ones first */
    TAILQ_ENTRY(tide_output_block)
    warm; /* of all slots, while it is WARM: the one used last first */
};

/** For the worker slots `first` to `first + slots - 1`, each with `blocks` blocks for `max` bytes of results. NULL with
 * tide_error(). To be called before the fork. */
struct tide_outputs *tide_outputs_new(uint32_t first, uint32_t slots, uint32_t blocks, size_t max);
/** At most `blocks` of them have pages, over all slots, unless more are TAKEN; as many as a slot has without this call. */
void tide_outputs_bound(struct tide_outputs *outputs, uint32_t blocks);
/** A block of worker slot `worker`. The caller has at most `blocks` of them, over all slots. */
struct tide_output_block *tide_outputs_take(struct tide_outputs *outputs, uint32_t worker);
/** The worker has filled so many bytes of results, or may have. */
void tide_outputs_filled(struct tide_outputs *outputs, struct tide_output_block *block,
                         size_t bytes);
/** Gives a block back, whose worker must not write to it any more, and the pages that more than `size` bytes of results
 * had. */
void tide_outputs_give_back(struct tide_outputs *outputs, struct tide_output_block *block,
                            size_t size);
/** Gives back the pages of all blocks that are not TAKEN beyond `size` bytes of results. */
void tide_outputs_trim(struct tide_outputs *outputs, size_t size);
/** True when the worker of this slot has touched more than the blocks that it was given. */
bool tide_outputs_exceeded(const struct tide_outputs *outputs, uint32_t worker);
/** The worker of this slot is gone, and the next one has not begun: makes TAKEN blocks the engine's own until they are given
 * back, and gives back the pages that the worker has touched without a right to. */
void tide_outputs_recover(struct tide_outputs *outputs, uint32_t worker);
/** The shared memory of slot `index`, from 0; NULL past the last one. */
struct tide_block *tide_outputs_memory(const struct tide_outputs *outputs, uint32_t index);
void tide_outputs_free(struct tide_outputs *outputs); /* NULL is fine */

#endif
