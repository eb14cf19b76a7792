/* SPDX-License-Identifier: MIT
 * Ends a worker in which LuaJIT is refused memory; its message is then treated as after a crash. The zygote is ended so
 * too, while it loads the user's code, and with it the run. LuaJIT would raise an error instead, which Debian's build does
 * not always survive (it unwinds through compiled code) and which a script may catch. The limit itself is set in
 * proc/guard.c. */
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
