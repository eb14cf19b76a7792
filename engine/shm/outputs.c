/* SPDX-License-Identifier: MIT
 * Output blocks that belong to workers. A free list for each slot rather than one for the step, because a worker keeps
 * its mapping for life: to unmap a block of one worker and map it in another one would be two system calls of theirs for
 * each batch, and a worker that lies would not make them. So there are more blocks than batches, and what is scarce is
 * not blocks but pages: where the blocks that were used before are not those that are used now, the pages go over from the
 * ones to the others. Start with tide_outputs_take(). */
#include "shm/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

enum { HUGE_PAGE = 2 * 1024 * 1024 };

struct slot {
    struct tide_block *memory;
    struct tide_output_block **made; /* those that were ever taken, by number */
    uint32_t made_count;
    uint32_t with_pages; /* TAKEN or WARM */
    TAILQ_HEAD(, tide_output_block) free;
};

struct tide_outputs {
    uint32_t first;
    uint32_t slot_count;
    uint32_t blocks;     /* of each slot */
    size_t stride;       /* bytes from one block to the next */
    uint32_t bound;      /* of the next, unless more are TAKEN */
    uint32_t with_pages; /* TAKEN or WARM, of all slots */
    TAILQ_HEAD(warm_list, tide_output_block) warm;
    struct slot slots[];
};

struct tide_outputs *tide_outputs_new(uint32_t first, uint32_t slots, uint32_t blocks, size_t max)
{
    struct tide_outputs *outputs = tide_alloc(sizeof(*outputs) + slots * sizeof(struct slot));
    outputs->first = first;
    outputs->blocks = outputs->bound = blocks;
    outputs->stride = tide_block_pages(sizeof(struct tide_output) + max + TIDE_BLOCK_TAIL);
    TAILQ_INIT(&outputs->warm);
    for (; outputs->slot_count < slots; outputs->slot_count++) {
        struct slot *slot = &outputs->slots[outputs->slot_count];
        slot->memory = tide_block_new(blocks * outputs->stride - TIDE_BLOCK_TAIL);
        if (!slot->memory) {
            tide_outputs_free(outputs);
            return NULL;
        }
        slot->memory->worker = (int32_t)(first + outputs->slot_count);
        slot->made = tide_alloc(blocks * sizeof(struct tide_output_block *));
        TAILQ_INIT(&slot->free);
    }
    return outputs;
}

void tide_outputs_bound(struct tide_outputs *outputs, uint32_t blocks)
{
    outputs->bound = blocks;
}

static struct slot *slot_of(const struct tide_outputs *outputs, uint32_t worker)
{
    tide_require(worker >= outputs->first && worker - outputs->first < outputs->slot_count);
    return (struct slot *)(uintptr_t)&outputs->slots[worker - outputs->first];
}

static size_t begin_of(const struct tide_outputs *outputs, uint32_t number)
{
    return number * outputs->stride;
}

/* Gives back the pages beyond `keep` bytes of a block. When the kernel refuses, they stay, which costs memory and nothing
 * else. */
static void punch(const struct tide_outputs *outputs, const struct slot *slot, uint32_t number,
                  size_t keep)
{
    size_t begin = begin_of(outputs, number);
    (void)tide_block_punch(slot->memory, begin + keep, begin + outputs->stride);
}

static struct tide_output_block *make(const struct tide_outputs *outputs, struct slot *slot)
{
    struct tide_output_block *block = tide_alloc(sizeof(*block));
    tide_require(slot->made_count < outputs->blocks);
    block->slot = (uint32_t)(slot - outputs->slots);
    block->number = slot->made_count;
    block->output = (struct tide_output *)(void *)(slot->memory->data +
                                                   begin_of(outputs, block->number));
    slot->made[slot->made_count++] = block;
    return block;
}

/* WARM becomes COLD. Behind the others of its slot: it is taken again only when none of them is warm. */
static void cool(struct tide_outputs *outputs, struct tide_output_block *block)
{
    struct slot *slot = &outputs->slots[block->slot];
    punch(outputs, slot, block->number, 0);
    block->touched = 0;
    TAILQ_REMOVE(&outputs->warm, block, warm);
    TAILQ_REMOVE(&slot->free, block, next);
    TAILQ_INSERT_TAIL(&slot->free, block, next);
    slot->with_pages--;
    outputs->with_pages--;
}

/* The pages of a COLD block are those of the block that was not used for longest, of whatever slot. */
static void warm_up(struct tide_outputs *outputs, struct slot *slot)
{
    if (outputs->with_pages >= outputs->bound && !TAILQ_EMPTY(&outputs->warm))
        cool(outputs, TAILQ_LAST(&outputs->warm, warm_list));
    slot->with_pages++;
    outputs->with_pages++;
}

struct tide_output_block *tide_outputs_take(struct tide_outputs *outputs, uint32_t worker)
{
    struct slot *slot = slot_of(outputs, worker);
    struct tide_output_block *block = TAILQ_FIRST(&slot->free);
    if (block)
        TAILQ_REMOVE(&slot->free, block, next);
    else
        block = make(outputs, slot);
    if (block->touched > 0)
        TAILQ_REMOVE(&outputs->warm, block, warm);
    else
        warm_up(outputs, slot);
    block->taken = true;
    tide_outputs_filled(outputs, block, 0);
    return block;
}

void tide_outputs_filled(struct tide_outputs *outputs, struct tide_output_block *block,
                         size_t bytes)
{
    size_t touched = sizeof(struct tide_output) + bytes;
    if (touched > outputs->stride - TIDE_BLOCK_TAIL)
        touched = outputs->stride - TIDE_BLOCK_TAIL;
    if (touched > block->touched)
        block->touched = touched;
}

/* Nothing is asked of the kernel when the block has no pages there, as most have not. */
static void trim(struct tide_outputs *outputs, struct tide_output_block *block, size_t size)
{
    size_t keep = tide_block_pages(sizeof(struct tide_output) + size + TIDE_BLOCK_TAIL);
    if (block->touched + TIDE_BLOCK_TAIL <= keep)
        return;
    punch(outputs, &outputs->slots[block->slot], block->number, keep);
    block->touched = sizeof(struct tide_output) + size;
}

void tide_outputs_give_back(struct tide_outputs *outputs, struct tide_output_block *block,
                            size_t size)
{
    tide_require(block->taken);
    block->taken = false;
    if (block->kept) {
        size_t begin = begin_of(outputs, block->number);
        bool shared = tide_block_share(outputs->slots[block->slot].memory, begin,
                                       begin + outputs->stride);
        tide_require(shared);
        block->kept = false;
    }
    trim(outputs, block, size);
    TAILQ_INSERT_HEAD(&outputs->slots[block->slot].free, block, next);
    TAILQ_INSERT_HEAD(&outputs->warm, block, warm);
    if (outputs->with_pages > outputs->bound)
        cool(outputs, TAILQ_LAST(&outputs->warm, warm_list));
}

void tide_outputs_trim(struct tide_outputs *outputs, size_t size)
{
    struct tide_output_block *block;
    TAILQ_FOREACH(block, &outputs->warm, warm)
    trim(outputs, block, size);
}

/* A worker may touch all of a block that it was given once. Where the kernel gives huge pages to shared memory, one of
 * them may begin before a block, and one may end behind it. */
bool tide_outputs_exceeded(const struct tide_outputs *outputs, uint32_t worker)
{
    const struct slot *slot = slot_of(outputs, worker);
    int64_t bytes = tide_block_memory(slot->memory);
    return bytes > 0 && (uint64_t)bytes > slot->with_pages * (outputs->stride + 2UL * HUGE_PAGE);
}

static void keep(const struct tide_outputs *outputs, const struct slot *slot)
{
    for (uint32_t i = 0; i < slot->made_count; i++) {
        struct tide_output_block *block = slot->made[i];
        size_t begin = begin_of(outputs, i);
        if (!block->taken || block->kept)
            continue;
        block->kept = tide_block_keep(slot->memory, begin, begin + outputs->stride);
        if (!block->kept)
            tide_log(TIDE_LOG_WARN,
                     "results of worker %u, which is gone, are not kept from the next: %s",
                     (uint32_t)slot->memory->worker, strerror(errno));
    }
}

void tide_outputs_recover(struct tide_outputs *outputs, uint32_t worker)
{
    struct slot *slot = slot_of(outputs, worker);
    bool exceeded = tide_outputs_exceeded(outputs, worker);
    keep(outputs, slot);
    if (!exceeded)
        return;
    for (uint32_t i = 0; i < outputs->blocks; i++) {
        struct tide_output_block *block = i < slot->made_count ? slot->made[i] : NULL;
        if (block && block->taken)
            tide_outputs_filled(outputs, block,
                                outputs->stride); /* trimmed when it is given back */
        else if (block && block->touched > 0)
            cool(outputs, block);
        else
            punch(outputs, slot, i, 0);
    }
}

struct tide_block *tide_outputs_memory(const struct tide_outputs *outputs, uint32_t index)
{
    return index < outputs->slot_count ? outputs->slots[index].memory : NULL;
}

void tide_outputs_free(struct tide_outputs *outputs)
{
    if (!outputs)
        return;
    for (uint32_t i = 0; i < outputs->slot_count; i++) {
        struct slot *slot = &outputs->slots[i];
        for (uint32_t j = 0; j < slot->made_count; j++)
            free(slot->made[j]);
        free(slot->made);
        tide_block_free(slot->memory);
    }
    free(outputs);
}
