/* SPDX-License-Identifier: MIT
 * The module tidemill_json.so, which turns JSON text into plain Lua tables and back by the Lua C API. It is a module of
 * its own, loaded by run/json_tables.lua, since libtidemill knows no Lua. Arrays carry a metatable, so that an empty array
 * stays one; null is the light userdata NULL, as in lua-cjson; integers beyond 2^53 are cdata, which only Lua can make or
 * look into. */
#include "json_inside.h"

/* The one name that Lua looks for. It is given a table with the fields
 * - documents: the struct tide_json of the views;
 * - array: the mark of arrays;
 * - describe(value) -> the text of a cdata, or TIDE_JSON_INT64, TIDE_JSON_UINT64;
 * - box, an int64_t[1], and int64() and uint64() -> what is in it;
 * - big(string, length) -> an integer beyond 64 bits;
 * - constructor(names) -> a function that makes the table with these names of as many values, or nil. */
int luaopen_tidemill_json(lua_State *L);
int luaopen_tidemill_json(lua_State *L)
{
    lua_settop(L, 1);
    tide_decode_open(L);
    tide_encode_open(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, tide_decode);
    lua_setfield(L, -2, "decode");
    lua_pushcfunction(L, tide_decode_node);
    lua_setfield(L, -2, "decode_node");
    lua_pushcfunction(L, tide_encode);
    lua_setfield(L, -2, "encode");
    return 1;
}
