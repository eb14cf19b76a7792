/* SPDX-License-Identifier: MIT
 * Since when workers are in what they run, as the engine knows it: from the jobs that it has given and the reports that it has
 * read. What was replaced before that (rows of tables, versions of lookup tables) is read by nobody any more. No worker is
 * asked, so none can keep it from being free but by a job that lasts. Start with tide_pool_since_us(). */
#include "proc/pool_inside.h"

void tide_pool_begins(const struct tide_pool *pool, struct tide_worker_slot *slot)
{
    if (slot->given_count == 0)
        slot->since.began_us = pool->turn_us;
}

void tide_pool_found_empty(const struct tide_pool *pool, struct tide_worker_slot *slot)
{
    slot->since.empty_us = pool->turn_us;
}

void tide_pool_goes_on(struct tide_worker_slot *slot)
{
    if (slot->since.empty_us > slot->since.began_us)
        slot->since.began_us = slot->since.empty_us;
}

int64_t tide_pool_since_us(const struct tide_pool *pool, const struct tide_zygote *of)
{
    int64_t since_us = INT64_MAX;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const struct tide_worker_slot *slot = &pool->slots[i];
        bool starts = of && slot->state == TIDE_WORKER_STARTING;
        bool runs = slot->given_count > 0 || slot->state == TIDE_WORKER_RETIRED;
        if ((starts || runs) && (!of || slot->zygote == of) && slot->since.began_us < since_us)
            since_us = slot->since.began_us;
    }
    return since_us;
}
