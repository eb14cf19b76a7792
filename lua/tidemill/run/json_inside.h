/* SPDX-License-Identifier: MIT
 * lua/tidemill/run/json_inside.h - what the C files of tidemill_json.so share. json_table.c is what Lua opens; it calls
 * json_decode.c (text to tables) and json_encode.c (tables to text), those call json_shapes.c and json_members.c. */
#ifndef TIDE_RUN_JSON_INSIDE_H
#define TIDE_RUN_JSON_INSIDE_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TIDE_LUA_CDATA = 10 }; /* a type of LuaJIT; lua.h has no name for it */

/* The table of what Lua gives (json_tables.lua) is at index 1 while these two run. */
void tide_decode_open(lua_State *L);
void tide_encode_open(lua_State *L);
/** decode(string) or decode(const char *, length) -> value, or nil and what is wrong. */
int tide_decode(lua_State *L);
/** decode_node(struct tide_json_doc *, node) -> value; the document has no changes. */
int tide_decode_node(lua_State *L);
/** encode(value) -> text, or nil and what is wrong. */
int tide_encode(lua_State *L);

/* Keeps the field `name` of the table at index 1 for good. Returns its number in the registry. */
static inline int tide_keep(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The first eight bytes as a word, the first one lowest; zeros stand for those that are not there. Short names are
 * compared by such words, as a call of memcmp would take more time than its work. As all of engine/json, it is for
 * little-endian processors. */
static inline uint64_t tide_first_bytes(const char *bytes, size_t length)
{
    uint64_t word = 0;
    if (length >= 8) {
        memcpy(&word, bytes, 8);
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + length - 4, 4);
        word = first | (uint64_t)last << 8 * (length - 4);
    } else if (length > 0) {
        const unsigned char *byte = (const unsigned char *)bytes;
        word = byte[0] | (uint64_t)byte[length / 2] << 8 * (length / 2) |
               (uint64_t)byte[length - 1] << 8 * (length - 1);
    }
    return word;
}

#endif
