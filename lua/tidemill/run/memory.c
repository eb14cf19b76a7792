/* SPDX-License-Identifier: MIT
 * Memory that LuaJIT is refused in a worker. It would raise an error, which the Debian build does not always survive
 * (unwinding through compiled code) and which a script may catch; so the worker ends, and its message is dealt
 * with as after a crash. The limit itself is proc/guard.c's. */
#include <lauxlib.h>
#include <lua.h>

#include "proc/worker.h"

static lua_Alloc allocate;

static void *allocate_or_leave(void *state, void *memory, size_t old_size, size_t size)
{
    void *got = allocate(state, memory, old_size, size);
    if (!got && size > 0)
        tide_worker_exit(TIDE_EXIT_MEMORY);
    return got;
}

int luaopen_tidemill_memory(lua_State *L);
int luaopen_tidemill_memory(lua_State *L)
{
    void *state;
    allocate = lua_getallocf(L, &state);
    lua_setallocf(L, allocate_or_leave, state);
    return 0;
}
