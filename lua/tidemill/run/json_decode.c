/* SPDX-License-Identifier: MIT
 * JSON text to plain Lua tables. The index of engine/json finds and checks everything; here each value is pushed, and a
 * container takes what was pushed for it. Integers beyond 2^53 are cdata, which only Lua can make. Most of the time goes
 * into making strings and tables, so an object of a known shape is made by its constructor (json_shapes.h). Start with
 * tide_decode() and push_value(). */
#include "base/status.h"
#include "json_inside.h"
#include "json_shapes.h"

/* The values of an object with a shape are all on the stack, of which Lua gives a C function 8000 places. So deeper objects
 * are built member by member. */
enum { SHAPED_DEPTH = 32 };

enum { SHORT_STRING = 512 }; /* bytes */

/* A process has one Lua state. */
static struct tide_json *json;
static int array_ref, int64_ref, uint64_ref, big_ref, constructor_ref;
static int64_t
    *box; /* an int64_t[1] of Lua's: what the functions of int64_ref and uint64_ref return */

static void push_value(lua_State *L, struct tide_json_doc *doc, uint32_t node, int depth);

/* The byte after the token. */
static const char *end_of(const struct tide_json_doc *doc, uint32_t token)
{
    const char *end = doc->bytes + doc->at[token + 1];
    while ((unsigned char)end[-1] <= ' ') /* no token ends with one of these */
        end--;
    return end;
}

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
    const char *from = doc->bytes + doc->at[node];
    switch (tide_json_read_number(json, from, end_of(doc, node), doc->bytes + doc->length)) {
    case TIDE_JSON_INT64:
        push_integer(L, json->integer, int64_ref);
        break;
    case TIDE_JSON_UINT64:
        push_integer(L, (int64_t)json->natural, uint64_ref);
        break;
    case TIDE_JSON_BIG:
        push_big(L);
        break;
    default:
        lua_pushnumber(L, json->number);
    }
}

/* Of a document that has a backslash somewhere. Most strings are short, and those are copied without looking for one.
 * Not inlined: push_value() is recursive. */
__attribute__((noinline)) static void push_unescaped(lua_State *L, struct tide_json_doc *doc,
                                                     uint32_t node, size_t length)
{
    char text[SHORT_STRING];
    if (length <= sizeof(text)) {
        const char *from = doc->bytes + doc->at[node] + 1;
        lua_pushlstring(L, text, (size_t)tide_json_unescape(from, from + length, text));
    } else {
        tide_json_value(doc, (int32_t)node);
        lua_pushlstring(L, doc->json->bytes, (size_t)doc->json->length);
    }
}

static void push_string(lua_State *L, struct tide_json_doc *doc, uint32_t node)
{
    const char *from = doc->bytes + doc->at[node] + 1, *to = end_of(doc, node) - 1;
    if (doc->escaped)
        push_unescaped(L, doc, node, (size_t)(to - from));
    else
        lua_pushlstring(L, from, (size_t)(to - from));
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

static void push_array(lua_State *L, struct tide_json_doc *doc, uint32_t node, int depth)
{
    const uint32_t *link = doc->link;
    int index = 0;
    luaL_checkstack(L, 6, "JSON");
    lua_createtable(L, count(doc, node, 0), 0);
    for (uint32_t at = node + 1; at < link[node]; at = link[at] + 2) {
        push_value(L, doc, at, depth + 1);
        lua_rawseti(L, -2, ++index);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, array_ref);
    lua_setmetatable(L, -2);
}

static void push_members(lua_State *L, struct tide_json_doc *doc, uint32_t node, int depth)
{
    const uint32_t *link = doc->link;
    luaL_checkstack(L, 6, "JSON");
    lua_createtable(L, 0, count(doc, node, 2));
    for (uint32_t at = node + 1; at < link[node]; at = link[at + 2] + 2) {
        push_string(L, doc, at);
        push_value(L, doc, at + 2, depth + 1);
        lua_rawset(L, -3);
    }
}

static int make_shape(lua_State *L, struct tide_json_doc *doc, const struct tide_names *names)
{
    luaL_checkstack(L, 6, "JSON");
    lua_rawgeti(L, LUA_REGISTRYINDEX, constructor_ref);
    lua_createtable(L, (int)names->count, 0);
    for (uint32_t i = 0; i < names->count; i++) {
        push_string(L, doc, names->token[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_call(L, 1, 1);
    return tide_shapes_add(L, doc, names);
}

/* False: the object has no constructor. */
static bool push_shaped(lua_State *L, struct tide_json_doc *doc, uint32_t node, int depth)
{
    struct tide_names names;
    if (depth > SHAPED_DEPTH)
        return false;
    int constructor = tide_shapes_find(L, doc, node, &names);
    if (constructor == TIDE_SHAPE_WANTED)
        constructor = make_shape(L, doc, &names);
    if (constructor == TIDE_SHAPE_NONE)
        return false;
    luaL_checkstack(L, (int)names.count + 4, "JSON");
    lua_rawgeti(L, LUA_REGISTRYINDEX, constructor);
    for (uint32_t i = 0; i < names.count; i++)
        push_value(L, doc, names.token[i] + 2, depth + 1);
    lua_call(L, (int)names.count, 1);
    return true;
}

static void push_value(lua_State *L, struct tide_json_doc *doc, uint32_t node, int depth)
{
    switch (doc->bytes[doc->at[node]]) {
    case '{':
        if (!push_shaped(L, doc, node, depth))
            push_members(L, doc, node, depth);
        break;
    case '[':
        push_array(L, doc, node, depth);
        break;
    case '"':
        push_string(L, doc, node);
        break;
    case 't':
        lua_pushboolean(L, 1);
        break;
    case 'f':
        lua_pushboolean(L, 0);
        break;
    case 'n':
        lua_pushlightuserdata(L, NULL);
        break;
    default:
        push_number(L, doc, node);
    }
}

int tide_decode(lua_State *L)
{
    size_t length;
    const char *bytes;
    if (lua_type(L, 1) == TIDE_LUA_CDATA) {
        memcpy(&bytes, lua_topointer(L, 1), sizeof(bytes));
        length = (size_t)luaL_checknumber(L, 2);
    } else {
        bytes = luaL_checklstring(L, 1, &length);
    }
    tide_json_reset(json);
    if (length > INT32_MAX || tide_json_open(json, bytes, (int32_t)length) < 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "not JSON: %s", length > INT32_MAX ? "more than 2 GiB" : tide_error());
        return 2;
    }
    push_value(L, json->root, 0, 1);
    return 1;
}

/* The document may be one of another struct tide_json; its numbers are read by our own, which remembers none of them. */
int tide_decode_node(lua_State *L)
{
    struct tide_json_doc *doc;
    memcpy(&doc, lua_topointer(L, 1), sizeof(doc));
    tide_json_reset(json);
    push_value(L, doc, (uint32_t)lua_tointeger(L, 2), 1);
    return 1;
}

void tide_decode_open(lua_State *L)
{
    array_ref = tide_keep(L, "array");
    int64_ref = tide_keep(L, "int64");
    uint64_ref = tide_keep(L, "uint64");
    big_ref = tide_keep(L, "big");
    constructor_ref = tide_keep(L, "constructor");
    lua_getfield(L, 1, "box");
    box = (int64_t *)(uintptr_t)lua_topointer(L, -1);
    tide_keep(L, "box");
    lua_pop(L, 1);
    if (json)
        return;
    json = tide_json_new();
    json->without_keys = true;
}
