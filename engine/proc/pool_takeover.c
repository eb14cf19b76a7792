/* SPDX-License-Identifier: MIT
 * The workers of the next revision: they start beside those that are there, in spare slots, and take all seats at once. A work
 * is given to one worker and stays with it, so there is nothing to hand over: a batch is run by the revision that it was given
 * to, to its end, and only what is run again after the death of a worker goes to the next one. Start with
 * tide_pool_next_begin(). */
#include <stdlib.h>

#include "base/status.h"
#include "proc/pool_inside.h"

static uint32_t count_coming(const struct tide_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        count += pool->slots[i].coming;
    return count;
}

/* The number of processes may change meanwhile. A slot whose worker leaves is left alone until that is gone. */
static void match_processes(struct tide_pool *pool)
{
    uint32_t count = count_coming(pool);
    for (uint32_t i = 0; i < pool->slot_count && count < pool->active; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (slot->in_use || slot->coming || slot->state != TIDE_WORKER_NONE)
            continue;
        slot->coming = true;
        slot->spawn_us = slot->lost_us = 0;
        slot->deaths = 0;
        count++;
    }
    for (uint32_t i = pool->slot_count; i-- > 0 && count > pool->active;) {
        count -= pool->slots[i].coming;
        pool->slots[i].coming = false;
    }
}

/* A worker that was about to take another's place is of the revision that goes. */
void tide_pool_next_begin(struct tide_pool *pool, struct tide_zygote *zygote)
{
    tide_require(pool->next.zygote == NULL);
    pool->next.zygote = zygote;
    pool->replace.successor = pool->replace.old = NULL;
    match_processes(pool);
}

int tide_pool_next_ready(struct tide_pool *pool)
{
    uint32_t ready = 0;
    match_processes(pool);
    if (pool->next.failed)
        return tide_fail(pool->next.status, "%s", pool->next.failed);
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const struct tide_worker_slot *slot = &pool->slots[i];
        if (!slot->coming)
            continue;
        if (tide_worker_slot_cannot_start(slot))
            return tide_fail(TIDE_ETEMPORARY,
                             "worker %u died %u times in a row before it was ready%s%s",
                             slot->number, slot->deaths, slot->crash ? ": " : "",
                             slot->crash ? slot->crash : "");
        ready += slot->state == TIDE_WORKER_READY;
    }
    return ready == pool->active ? TIDE_OK : TIDE_BUSY;
}

struct tide_worker_slot *tide_pool_next_idle(const struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        if (slot->coming && slot->state == TIDE_WORKER_READY && slot->given_count == 0)
            return slot;
    }
    return NULL;
}

bool tide_pool_next_has_idle(const struct tide_pool *pool)
{
    return tide_pool_next_idle(pool) != NULL;
}

void tide_pool_next_take_over(struct tide_pool *pool)
{
    uint32_t seat = 0;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        slot->in_use = slot->coming;
        slot->reserved = false;
        if (slot->coming)
            slot->seat = seat++;
        slot->coming = false;
    }
    tide_require(seat == pool->active);
    pool->zygote = pool->next.zygote;
    pool->next.zygote = NULL;
}

void tide_pool_next_withdraw(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++)
        pool->slots[i].coming = false;
    free(pool->next.failed);
    pool->next.failed = NULL;
    pool->next.zygote = NULL;
}

bool tide_pool_has_worker_of(const struct tide_pool *pool, const struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const struct tide_worker_slot *slot = &pool->slots[i];
        if (slot->state != TIDE_WORKER_NONE && slot->zygote == zygote)
            return true;
    }
    return false;
}
