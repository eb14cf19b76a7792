/* SPDX-License-Identifier: MIT
 * Runs a target that is written in Lua (FUZZ_SCRIPT, a file of targets/): it returns a function of a string, and an error
 * that it raises is a finding. LuaJIT itself is not instrumented, so the lines of Lua that are run are told to libFuzzer
 * as counters: then it keeps inputs that reach new lines, as it does for C. The compiler of LuaJIT is off, as compiled
 * code calls no hook. */
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum {
    COUNTERS = 1 << 15,
    MOST_LINES = 2000000, /* of one input: more is an endless loop */
    MOST_MEMORY = 256 << 20
};

/* libFuzzer adds what lies in this section to the coverage. */
__attribute__((section("__libfuzzer_extra_counters"), used)) static uint8_t counters[COUNTERS];

static lua_State *lua;
static int target_ref;
static uint32_t lines, last;
static struct {
    lua_Alloc function;
    void *context;
    size_t used;
} memory;

/* An input may ask for any amount: it gets an error then, as a worker would be ended. */
static void *allocate(void *context, void *block, size_t old, size_t size)
{
    (void)context;
    if (size > old && memory.used + size - old > MOST_MEMORY)
        return NULL;
    void *made = memory.function(memory.context, block, old, size);
    if (made || size == 0)
        memory.used += size - old;
    return made;
}

/* Pairs of lines one after the other, so that a loop and a branch that was not taken show too. The file is not asked for:
 * that would take most of the time, and pairs of lines of two files are seldom the same. */
static void count_line(lua_State *state, lua_Debug *info)
{
    if (++lines > MOST_LINES)
        luaL_error(state, "fuzz: an endless loop");
    lua_getinfo(state, "l", info);
    uint32_t place = (uint32_t)info->currentline * 2654435761U >> 8;
    uint8_t *counter = &counters[(place ^ last >> 1) % COUNTERS];
    *counter += *counter < 255;
    last = place;
}

/* Calls its upvalue, whose lines do not count: what is called for each byte of an input takes most of the time then, and
 * has no new line to show. */
static int call_uncounted(lua_State *state)
{
    lua_pushvalue(state, lua_upvalueindex(1));
    lua_insert(state, 1);
    lua_sethook(state, NULL, 0, 0);
    int status = lua_pcall(state, lua_gettop(state) - 1, LUA_MULTRET, 0);
    lua_sethook(state, count_line, LUA_MASKLINE, 0);
    return status == 0 ? lua_gettop(state) : lua_error(state);
}

/* For targets: fuzz_uncounted(f) returns a function that does what f does. */
static int make_uncounted(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TFUNCTION);
    lua_settop(state, 1);
    lua_pushcclosure(state, call_uncounted, 1);
    return 1;
}

static int traceback(lua_State *state)
{
    luaL_traceback(state, state, lua_tostring(state, 1), 1);
    return 1;
}

static void call(int arguments, int results)
{
    int handler = lua_gettop(lua) - arguments;
    lua_pushcfunction(lua, traceback);
    lua_insert(lua, handler);
    if (lua_pcall(lua, arguments, results, handler) != 0)
        fuzz_fail(FUZZ_SCRIPT, 0, lua_tostring(lua, -1));
    lua_remove(lua, handler);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    setenv("TIDE_BUILD", FUZZ_BUILD, 1);
    setenv("LUA_PATH", "./lua/?.lua;./lua/?/init.lua;./?.lua;;", 1);
    lua = luaL_newstate();
    memory.function = lua_getallocf(lua, &memory.context);
    lua_setallocf(lua, allocate, NULL);
    luaL_openlibs(lua);
    lua_register(lua, "fuzz_uncounted", make_uncounted);
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (luaL_loadfile(lua, FUZZ_SCRIPT) != 0)
        fuzz_fail(FUZZ_SCRIPT, 0, lua_tostring(lua, -1));
    call(0, 1);
    target_ref = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_sethook(lua, count_line, LUA_MASKLINE, 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lines = last = 0;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, target_ref);
    lua_pushlstring(lua, (const char *)data, size);
    call(1, 0);
    return 0;
}
