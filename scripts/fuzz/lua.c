/* SPDX-License-Identifier: MIT
 * Runs a target that is written in Lua (FUZZ_SCRIPT, a file of targets/): it returns a function of a string, and an error
 * that it raises is a finding. LuaJIT itself is not instrumented, so in a build for libFuzzer coverage.lua puts marks
 * into the Lua that is run, and these are told to libFuzzer as counters: then it keeps inputs that reach what is new, as
 * it does for C. */
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
    MOST_MARKS = 2000000,         /* of one input: more is an endless loop ... */
    MOST_INSTRUCTIONS = 20000000, /* ... as is this in Lua of the input itself */
    MOST_MEMORY = 256 << 20
};

/* libFuzzer adds what lies in this section to the coverage. */
__attribute__((section("__libfuzzer_extra_counters"), used)) static uint8_t counters[COUNTERS];

static lua_State *lua;
static int target_ref;
static uint32_t last, marks;
static bool counting = true, interpreted;
static struct {
    lua_Alloc function;
    void *context;
    size_t used;
} memory;

/* What is counted for libFuzzer is not itself looked at by it: that would be most of what is counted. */
#if defined(__clang__)
#define UNOBSERVED __attribute__((no_sanitize("coverage", "address", "undefined")))
#else
#define UNOBSERVED
#endif

/* An input may ask for any amount: it gets an error then, as a worker would be ended. */
static UNOBSERVED void *allocate(void *context, void *block, size_t old, size_t size)
{
    (void)context;
    if (size > old && memory.used + size - old > MOST_MEMORY)
        return NULL;
    void *made = memory.function(memory.context, block, old, size);
    if (made || size == 0)
        memory.used += size - old;
    return made;
}

/* Called by the marks of coverage.lua. What counts are pairs of marks one after the other, so that a loop and a branch
 * that was not taken show too. */
UNOBSERVED void fuzz_mark(uint32_t number)
{
    if (++marks > MOST_MARKS)
        fuzz_fail(FUZZ_SCRIPT, 0, "an endless loop");
    if (!counting)
        return;
    uint32_t place = number * 2654435761U >> 8;
    uint8_t *counter = &counters[(place ^ last >> 1) % COUNTERS];
    *counter = (uint8_t)(*counter + (*counter < 255));
    last = place;
}

static void end_loop(lua_State *state, lua_Debug *info)
{
    (void)info;
    luaL_error(state, "fuzz: an endless loop");
}

static int call_mark(lua_State *state)
{
    fuzz_mark((uint32_t)lua_tointeger(state, 1));
    return 0;
}

/* For a target that runs Lua of the input, which has no marks: fuzz_interpreted() has LuaJIT compile nothing, as only
 * its interpreter calls a hook. What is loaded after it calls a mark as the interpreter is quick at. */
static int stay_interpreted(lua_State *state)
{
    luaJIT_setmode(state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_register(state, "fuzz_mark", call_mark);
    interpreted = true;
    return 0;
}

/* Calls its upvalue, whose marks do not count: what is called for each byte of an input has no new line to show. */
static int call_uncounted(lua_State *state)
{
    bool before = counting;
    lua_pushvalue(state, lua_upvalueindex(1));
    lua_insert(state, 1);
    counting = false;
    int status = lua_pcall(state, lua_gettop(state) - 1, LUA_MULTRET, 0);
    counting = before;
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

static void load_target(void)
{
#ifdef FUZZ_COVERAGE
    if (luaL_loadfile(lua, "scripts/fuzz/coverage.lua") != 0)
        fuzz_fail(FUZZ_SCRIPT, 0, lua_tostring(lua, -1));
    call(0, 1);
    lua_pushstring(lua, FUZZ_SCRIPT);
    call(1, 1);
#else
    if (luaL_loadfile(lua, FUZZ_SCRIPT) != 0)
        fuzz_fail(FUZZ_SCRIPT, 0, lua_tostring(lua, -1));
#endif
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
    lua_register(lua, "fuzz_interpreted", stay_interpreted);
    load_target();
    call(0, 1);
    target_ref = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    last = marks = 0;
    if (interpreted)
        lua_sethook(lua, end_loop, LUA_MASKCOUNT, MOST_INSTRUCTIONS);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, target_ref);
    lua_pushlstring(lua, (const char *)data, size);
    call(1, 0);
    return 0;
}
