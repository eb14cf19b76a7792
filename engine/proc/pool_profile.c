/* SPDX-License-Identifier: MIT
 * Profiles of the workers of a pool. The states stand in proc/profile.h. A profile is text by a worker, so it is taken
 * in pieces that are checked, up to a size, and only when it was asked for. Start reading at
 * tide_pool_profile_begin. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/status.h"
#include "proc/pool_inside.h"

/* The profile of a worker that is gone never comes. */
static enum tide_profile_state lost_or(const struct tide_worker_slot *slot)
{
    enum tide_profile_state state = slot->profile.state;
    bool gone = slot->state != TIDE_WORKER_READY || slot->generation != slot->profile.generation;
    bool awaited = state == TIDE_PROFILE_SAMPLING || state == TIDE_PROFILE_ENDING ||
                   state == TIDE_PROFILE_ABANDONED;
    return awaited && gone ? TIDE_PROFILE_LOST : state;
}

static void set_none(struct tide_worker_slot *slot)
{
    free(slot->profile.bytes);
    slot->profile.bytes = NULL;
    slot->profile.size = 0;
    slot->profile.state = TIDE_PROFILE_NONE;
}

static int send_order(const struct tide_worker_slot *slot, enum tide_order_kind kind,
                      int64_t limit_us)
{
    struct tide_order order = {slot->generation, kind, limit_us};
    bool sent = send(slot->socket, &order, sizeof(order), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
    return sent ? TIDE_OK : TIDE_BUSY;
}

int tide_pool_profile_begin(struct tide_pool *pool, uint32_t index, int64_t limit_us)
{
    tide_require(index < pool->slot_count);
    struct tide_worker_slot *slot = &pool->slots[index];
    if (lost_or(slot) == TIDE_PROFILE_LOST)
        set_none(slot);
    if (slot->profile.state != TIDE_PROFILE_NONE || slot->state != TIDE_WORKER_READY ||
        send_order(slot, TIDE_ORDER_PROFILE, limit_us) != TIDE_OK)
        return TIDE_BUSY;
    slot->profile.state = TIDE_PROFILE_SAMPLING;
    slot->profile.generation = slot->generation;
    return TIDE_OK;
}

int tide_pool_profile_end(struct tide_pool *pool, uint32_t index)
{
    tide_require(index < pool->slot_count);
    struct tide_worker_slot *slot = &pool->slots[index];
    if (lost_or(slot) != TIDE_PROFILE_SAMPLING)
        return TIDE_OK;
    int status = send_order(slot, TIDE_ORDER_PROFILE_END, 0);
    if (status == TIDE_OK)
        slot->profile.state = TIDE_PROFILE_ENDING;
    return status;
}

enum tide_profile_state tide_pool_profile(const struct tide_pool *pool, uint32_t index,
                                          const char **bytes, size_t *size)
{
    tide_require(index < pool->slot_count);
    const struct tide_worker_slot *slot = &pool->slots[index];
    *bytes = slot->profile.bytes;
    *size = slot->profile.size;
    return lost_or(slot);
}

/* A worker whose socket is full gets no order to end: its own limit ends the sampling, and the next profile of it has to
 * wait until the worker is replaced. */
void tide_pool_profile_forget(struct tide_pool *pool, uint32_t index)
{
    struct tide_worker_slot *slot = &pool->slots[index];
    (void)tide_pool_profile_end(pool, index);
    enum tide_profile_state state = lost_or(slot);
    if (state == TIDE_PROFILE_SAMPLING || state == TIDE_PROFILE_ENDING)
        slot->profile.state = TIDE_PROFILE_ABANDONED;
    else if (state != TIDE_PROFILE_ABANDONED)
        set_none(slot);
}

bool tide_pool_profile_piece(struct tide_worker_slot *slot, const struct tide_profile_piece *piece)
{
    enum tide_profile_state state = lost_or(slot);
    if ((state != TIDE_PROFILE_ENDING && state != TIDE_PROFILE_ABANDONED) ||
        piece->size > sizeof(piece->bytes) ||
        (slot->profile.size + piece->size > TIDE_PROFILE_BYTES &&
         !tide_fault("bug.profile_overrun")))
        return false;
    if (!slot->profile.bytes)
        slot->profile.bytes = tide_alloc(TIDE_PROFILE_BYTES);
    memcpy(slot->profile.bytes + slot->profile.size, piece->bytes, piece->size);
    slot->profile.size += piece->size;
    if (piece->last && state == TIDE_PROFILE_ABANDONED)
        set_none(slot);
    else if (piece->last)
        slot->profile.state = TIDE_PROFILE_DONE;
    return true;
}
