/* SPDX-License-Identifier: MIT
 * Lua's way to the profiles of workers (proc/profile.h), which belong to their pools. */
#include "engine_inside.h"

int tide_engine_profile_begin(struct tide_engine *engine, uint32_t pool, uint32_t index,
                              int64_t limit_us)
{
    return tide_pool_profile_begin(engine->pools[pool], index, limit_us);
}

int tide_engine_profile_end(struct tide_engine *engine, uint32_t pool, uint32_t index)
{
    return tide_pool_profile_end(engine->pools[pool], index);
}

enum tide_profile_state tide_engine_profile(const struct tide_engine *engine, uint32_t pool,
                                            uint32_t index, const char **bytes, size_t *size)
{
    return tide_pool_profile(engine->pools[pool], index, bytes, size);
}

void tide_engine_profile_forget(struct tide_engine *engine, uint32_t pool, uint32_t index)
{
    tide_pool_profile_forget(engine->pools[pool], index);
}
