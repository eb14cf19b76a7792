/* SPDX-License-Identifier: MIT
 * Turns JSON text into plain Lua tables and back, by the Lua C API. It is a module of its own, loaded by run/json.lua,
 * since libtidemill knows no Lua. Arrays carry a metatable, so that an empty array stays one; null is the light
 * userdata NULL, as in lua-cjson; integers beyond 2^53 are cdata, which only Lua can make or look into. Start reading
 * at luaopen_tidemill_json, at the end. */
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "json_members.h"
#include "json/json.h"

enum {
    LUA_TCDATA = 10,   /* of LuaJIT; lua.h has no name for it */
    KEPT = 1024 * 1024 /* bytes of the buffer that outlive a call */
};

/* A process has one Lua state. The buffer is static so that an error, which leaves by longjmp, leaks nothing. */
static struct tide_json *json;
static struct {
    char *bytes;
    size_t used, room;
} out;
static struct tide_members open_members; /* of the objects that are being written */
static int array_ref, describe_ref, signed_ref, unsigned_ref, big_ref;
static const struct tide_json *views; /* their documents: numbers that were read keep their text */
static int64_t
    *box; /* an int64_t[1] of Lua's: what the functions of signed_ref and unsigned_ref return */

/* ---- text -> tables ---- */

static void push_value(lua_State *L, struct tide_json_doc *doc, uint32_t node);

static void push_integer(lua_State *L, int64_t bits, int ref)
{
    *box = bits;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    lua_call(L, 0, 1);
}

static void push_big(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, big_ref);
    lua_pushlstring(L, json->bytes, (size_t)json->length);
    lua_pushinteger(L, json->length);
    lua_call(L, 2, 1);
}

static void push_number(lua_State *L, const struct tide_json_doc *doc, uint32_t node)
{
    const char *to = doc->bytes + tide_json_end(doc, node);
    switch (tide_json_read_number(json, doc->bytes + doc->at[node], to, doc->bytes + doc->length)) {
    case TIDE_JSON_INT64:
        push_integer(L, json->integer, signed_ref);
        break;
    case TIDE_JSON_UINT64:
        push_integer(L, (int64_t)json->natural, unsigned_ref);
        break;
    case TIDE_JSON_BIG:
        push_big(L);
        break;
    default:
        lua_pushnumber(L, json->number);
    }
}

static void push_string(lua_State *L, struct tide_json_doc *doc, uint32_t node)
{
    const char *from = doc->bytes + doc->at[node] + 1;
    const char *to = doc->bytes + tide_json_end(doc, node) - 1;
    if (doc->escaped && memchr(from, '\\', (size_t)(to - from))) {
        tide_json_value(doc, (int32_t)node);
        lua_pushlstring(L, json->bytes, (size_t)json->length);
    } else {
        lua_pushlstring(L, from, (size_t)(to - from));
    }
}

/* A member takes two tokens and a value, an element one token and a value. */
static int count(const struct tide_json_doc *doc, uint32_t node, uint32_t before)
{
    const uint32_t *link = doc->link;
    int members = 0;
    for (uint32_t at = node + 1; at < link[node]; at = link[at + before] + 2)
        members++;
    return members;
}

static void push_array(lua_State *L, struct tide_json_doc *doc, uint32_t node)
{
    const uint32_t *link = doc->link;
    int index = 0;
    lua_createtable(L, count(doc, node, 0), 0);
    for (uint32_t at = node + 1; at < link[node]; at = link[at] + 2) {
        push_value(L, doc, at);
        lua_rawseti(L, -2, ++index);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, array_ref);
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, struct tide_json_doc *doc, uint32_t node)
{
    const uint32_t *link = doc->link;
    lua_createtable(L, 0, count(doc, node, 2));
    for (uint32_t at = node + 1; at < link[node]; at = link[at + 2] + 2) {
        push_string(L, doc, at);
        push_value(L, doc, at + 2);
        lua_rawset(L, -3);
    }
}

static void push_value(lua_State *L, struct tide_json_doc *doc, uint32_t node)
{
    const char *from = doc->bytes + doc->at[node];
    switch (*from) {
    case '{':
    case '[':
        luaL_checkstack(L, 6, "JSON");
        if (*from == '{')
            push_object(L, doc, node);
        else
            push_array(L, doc, node);
        break;
    case '"':
        push_string(L, doc, node);
        break;
    case 't':
    case 'f':
        lua_pushboolean(L, *from == 't');
        break;
    case 'n':
        lua_pushlightuserdata(L, NULL);
        break;
    default:
        push_number(L, doc, node);
    }
}

/* decode(string) or decode(const char *, length) */
static int decode(lua_State *L)
{
    size_t length;
    const char *bytes;
    if (lua_type(L, 1) == LUA_TCDATA) {
        memcpy(&bytes, lua_topointer(L, 1), sizeof(bytes));
        length = (size_t)luaL_checknumber(L, 2);
    } else {
        bytes = luaL_checklstring(L, 1, &length);
    }
    tide_json_reset(json);
    if (length > INT32_MAX || tide_json_open(json, bytes, (int32_t)length) < 0)
        return luaL_error(L, "not JSON: %s", length > INT32_MAX ? "more than 2 GiB" : tide_error());
    push_value(L, json->root, 0);
    return 1;
}

/* ---- tables -> text ---- */

/* Writes the value on top of the stack, which stays there. */
static void put_value(lua_State *L, int depth);

/* Makes room for `more` bytes after those in use. */
static char *reserve(size_t more)
{
    if (out.room - out.used < more) {
        out.room = (out.used + more) * 2;
        out.bytes = tide_realloc(out.bytes, out.room);
    }
    return out.bytes + out.used;
}

static void put(const char *bytes, size_t length)
{
    memcpy(reserve(length), bytes, length);
    out.used += length;
}

static void put_char(char c)
{
    put(&c, 1);
}

static void put_string(lua_State *L, int index)
{
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    int64_t written = tide_json_quote(bytes, length, reserve(length * 6 + 2));
    if (written < 0)
        luaL_error(L, "a string is not UTF-8");
    out.used += (size_t)written;
}

static void put_number(lua_State *L, double number)
{
    if (!isfinite(number))
        luaL_error(L, "%s is no JSON number", isnan(number) ? "NaN" : "infinity");
    const char *text;
    int32_t length = tide_json_read_text(views, number, false, &text);
    if (length > 0)
        put(text, (size_t)length);
    else
        out.used += (size_t)tide_json_write_double(number, reserve(TIDE_JSON_NUMBER));
}

enum mark { MARK_NONE, MARK_ARRAY, MARK_STAND_IN }; /* of a table (run/marks.lua) */

static enum mark mark_of(lua_State *L, int table)
{
    if (!luaL_getmetafield(L, table, "written_as"))
        return MARK_NONE;
    const char *kind = lua_tostring(L, -1);
    enum mark mark = kind && !strcmp(kind, "array") ? MARK_ARRAY : MARK_NONE;
    if (kind && !strcmp(kind, "stand-in"))
        mark = MARK_STAND_IN;
    if (kind && mark == MARK_NONE && luaL_callmeta(L, table, "__tostring"))
        luaL_error(L, "%s has no JSON", lua_tostring(L, -1));
    lua_pop(L, 1);
    return mark;
}

/* Lua describes a cdata or a stand-in: a view or larger integer by its text, an int64 or uint64 by its kind. */
static void put_described(lua_State *L)
{
    int64_t bits;
    lua_rawgeti(L, LUA_REGISTRYINDEX, describe_ref);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        put(lua_tostring(L, -1), lua_objlen(L, -1));
        break;
    case LUA_TNUMBER:
        memcpy(&bits, lua_topointer(L, -2), sizeof(bits));
        out.used += (size_t)(lua_tonumber(L, -1) == TIDE_JSON_INT64
                                 ? tide_json_write_integer(bits, reserve(TIDE_JSON_NUMBER))
                                 : tide_json_write_natural((uint64_t)bits,
                                                           reserve(TIDE_JSON_NUMBER)));
        break;
    default:
        luaL_error(L, "a cdata that is no int64, uint64 or view has no JSON");
    }
    lua_pop(L, 1);
}

/* Writes elements that do not come in order: each of 1 .. n must be there, and nothing else. */
static void put_scattered(lua_State *L, int table, int depth)
{
    size_t n = lua_objlen(L, table), keys = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        keys++;
    if (keys != n || n == 0)
        luaL_error(L, "a table has keys other than 1 to %d without gaps; null is tide.null",
                   (int)n);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, table, (int)i);
        if (i > 1)
            put_char(',');
        put_value(L, depth);
        lua_pop(L, 1);
    }
}

/* The first key and value are on the stack. Elements mostly come in order. */
static void put_array(lua_State *L, int table, int depth)
{
    size_t start = out.used;
    double expected = 1;
    do {
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != expected) {
            out.used = start;
            lua_pop(L, 2);
            put_scattered(L, table, depth);
            break;
        }
        if (expected++ > 1)
            put_char(',');
        put_value(L, depth);
        lua_pop(L, 1);
    } while (lua_next(L, table));
    put_char(']');
}

static void put_object(lua_State *L, int table, int depth)
{
    size_t first = open_members.used, key_length;
    do {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "a table has keys other than strings, or 1 to n");
        const char *key = lua_tolstring(L, -2, &key_length);
        size_t member = tide_members_begin(&open_members, key, key_length, out.used);
        put_string(L, -2);
        put_char(':');
        put_value(L, depth);
        put_char(',');
        open_members.list[member].to = out.used;
        lua_pop(L, 1);
    } while (lua_next(L, table));
    tide_members_close(&open_members, first, out.bytes);
    out.bytes[out.used - 1] = '}'; /* in place of the last comma */
}

static void put_table(lua_State *L, int table, int depth)
{
    if (depth > TIDE_JSON_DEPTH)
        luaL_error(L, "tables are nested deeper than %d, or in a cycle", TIDE_JSON_DEPTH);
    luaL_checkstack(L, 8, "JSON");
    enum mark mark = mark_of(L, table);
    if (mark == MARK_STAND_IN) {
        put_described(L);
        return;
    }
    lua_pushnil(L);
    if (!lua_next(L, table)) {
        put(mark == MARK_ARRAY ? "[]" : "{}", 2);
    } else if (lua_type(L, -2) == LUA_TNUMBER || mark == MARK_ARRAY) {
        put_char('[');
        put_array(L, table, depth);
    } else {
        put_char('{');
        put_object(L, table, depth);
    }
}

static void put_value(lua_State *L, int depth)
{
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        put_string(L, -1);
        break;
    case LUA_TNUMBER:
        put_number(L, lua_tonumber(L, -1));
        break;
    case LUA_TTABLE:
        put_table(L, lua_gettop(L), depth + 1);
        break;
    case LUA_TBOOLEAN:
        put(lua_toboolean(L, -1) ? "true" : "false", lua_toboolean(L, -1) ? 4 : 5);
        break;
    case LUA_TCDATA:
        put_described(L);
        break;
    default:
        if (lua_type(L, -1) != LUA_TLIGHTUSERDATA || lua_touserdata(L, -1))
            luaL_error(L, "a %s has no JSON", lua_typename(L, lua_type(L, -1)));
        put("null", 4);
    }
}

static int encode(lua_State *L)
{
    lua_settop(L, 1);
    out.used = open_members.used = 0;
    put_value(L, 0);
    lua_pushlstring(L, out.bytes, out.used);
    if (out.room > KEPT || open_members.sorted_room > KEPT ||
        open_members.room > KEPT / sizeof(struct tide_member)) {
        tide_members_free(&open_members);
        free(out.bytes);
        out.bytes = NULL;
        out.room = 0;
    }
    return 1;
}

static const void *pointer_in(lua_State *L, int index)
{
    const void *pointer;
    memcpy(&pointer, lua_topointer(L, index), sizeof(pointer));
    return pointer;
}

/* The one name that Lua looks for. It is given describe(cdata) -> text or kind, functions that return what
 * is in the box as int64 and as uint64, the box, the documents of the views, a function (string, length) -> an integer
 * beyond 64 bits, and the mark of arrays. */
int luaopen_tidemill_json(lua_State *L);
int luaopen_tidemill_json(lua_State *L)
{
    lua_settop(L, 7);
    array_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    big_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    views = pointer_in(L, 5);
    box = (int64_t *)(uintptr_t)lua_topointer(L, 4);
    lua_settop(L, 3);
    unsigned_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    signed_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    describe_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!json)
        json = tide_json_new();
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, decode);
    lua_setfield(L, -2, "decode");
    lua_pushcfunction(L, encode);
    lua_setfield(L, -2, "encode");
    return 1;
}
