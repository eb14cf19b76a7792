/* SPDX-License-Identifier: MIT
 * build/bench/floor.so - what Lua itself takes to make tables and to walk them, whoever decodes and encodes: the least that a
 * JSON library for plain tables can take (scripts/bench/limits_json.lua). prepare() notes what given tables are made of;
 * make() makes them again from that, with lengths, numbers and names known beforehand: nothing is parsed, and no name is
 * made a string again. walk() goes through tables and copies the bytes of their names and strings. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

enum kind { OBJECT, ARRAY, STRING, NUMBER, TRUE_OR_FALSE, NOTHING };

/* One value; the members of a table follow it. */
struct part {
    enum kind kind;
    int count;       /* of members */
    int name;        /* of a member of an object: its string in the registry */
    int constructor; /* of an object: a function that makes it of its values, in the registry */
    double number;
    size_t length;
    char *bytes;
};

static struct part *parts;
static size_t used, room;
static char text[1 << 20];

static struct part *add_part(enum kind kind)
{
    if (used == room) {
        room = room ? room * 2 : 1024;
        parts = realloc(parts, room * sizeof(*parts));
        if (!parts)
            abort();
    }
    parts[used] = (struct part){.kind = kind};
    return &parts[used++];
}

/* The number of the string on top of the stack in the registry: one for equal strings. Pops it. */
static int name_of(lua_State *L)
{
    lua_pushvalue(L, -1);
    lua_rawget(L, 2);
    int name = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (name == 0) {
        lua_pushvalue(L, -1);
        name = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_pushvalue(L, -1);
        lua_pushinteger(L, name);
        lua_rawset(L, 2);
    }
    lua_pop(L, 1);
    return name;
}

/* The function at index 3 has a constructor for the names of the table at the index. */
static int constructor_of(lua_State *L, int table)
{
    lua_pushvalue(L, 3);
    lua_pushvalue(L, table);
    lua_call(L, 1, 1);
    return name_of(L);
}

static void note(lua_State *L, int value);

static void note_table(lua_State *L, int table)
{
    size_t own = used;
    add_part(lua_objlen(L, table) > 0 ? ARRAY : OBJECT);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t member = used;
        parts[own].count++;
        note(L, lua_gettop(L));
        if (parts[own].kind == OBJECT) {
            lua_pushvalue(L, -2);
            parts[member].name = name_of(L);
        }
    }
    if (parts[own].kind == OBJECT)
        parts[own].constructor = constructor_of(L, table);
}

/* What is no value of lua.h (an integer beyond 2^53) counts as a number, which takes less. */
static void note(lua_State *L, int value)
{
    struct part *part;
    luaL_checkstack(L, 8, "floor");
    switch (lua_type(L, value)) {
    case LUA_TTABLE:
        note_table(L, value);
        break;
    case LUA_TSTRING:
        part = add_part(STRING);
        part->bytes = malloc(lua_objlen(L, value) + 1);
        if (!part->bytes)
            abort();
        memcpy(part->bytes, lua_tolstring(L, value, &part->length), lua_objlen(L, value));
        break;
    case LUA_TBOOLEAN:
        add_part(TRUE_OR_FALSE)->number = lua_toboolean(L, value);
        break;
    case LUA_TLIGHTUSERDATA:
        add_part(NOTHING);
        break;
    default:
        add_part(NUMBER)->number = lua_tonumber(L, value);
    }
}

/* prepare(list of tables, {}, constructor_of(table) -> function); forgets what was prepared before. */
static int prepare(lua_State *L)
{
    lua_settop(L, 3);
    used = 0;
    for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
        lua_rawgeti(L, 1, i);
        note(L, 4);
        lua_settop(L, 3);
    }
    return 0;
}

static const struct part *make_value(lua_State *L, const struct part *part, int by_constructor);

/* Returns the part after it. */
static const struct part *make_table(lua_State *L, const struct part *own, int by_constructor)
{
    const struct part *part = own + 1;
    int object = own->kind == OBJECT;
    luaL_checkstack(L, own->count + 8, "floor");
    if (object && by_constructor)
        lua_rawgeti(L, LUA_REGISTRYINDEX, own->constructor);
    else
        lua_createtable(L, object ? 0 : own->count, object ? own->count : 0);
    for (int i = 1; i <= own->count; i++) {
        if (object && !by_constructor)
            lua_rawgeti(L, LUA_REGISTRYINDEX, part->name);
        part = make_value(L, part, by_constructor);
        if (!object)
            lua_rawseti(L, -2, i);
        else if (!by_constructor)
            lua_rawset(L, -3);
    }
    if (object && by_constructor)
        lua_call(L, own->count, 1);
    return part;
}

static const struct part *make_value(lua_State *L, const struct part *part, int by_constructor)
{
    switch (part->kind) {
    case OBJECT:
    case ARRAY:
        return make_table(L, part, by_constructor);
    case STRING:
        lua_pushlstring(L, part->bytes, part->length);
        break;
    case NUMBER:
        lua_pushnumber(L, part->number);
        break;
    case TRUE_OR_FALSE:
        lua_pushboolean(L, (int)part->number);
        break;
    case NOTHING:
        lua_pushlightuserdata(L, NULL);
        break;
    }
    return part + 1;
}

/* make(by_constructor): makes all that was prepared, one after the other. */
static int make(lua_State *L)
{
    int by_constructor = lua_toboolean(L, 1);
    for (const struct part *part = parts; part < parts + used; lua_settop(L, 0))
        part = make_value(L, part, by_constructor);
    return 0;
}

static size_t put(size_t at, const char *bytes, size_t length)
{
    if (at + length > sizeof(text))
        abort();
    memcpy(text + at, bytes, length);
    return at + length;
}

static size_t walk_value(lua_State *L, int value, size_t at)
{
    size_t length;
    const char *bytes;
    switch (lua_type(L, value)) {
    case LUA_TTABLE:
        luaL_checkstack(L, 8, "floor");
        for (lua_pushnil(L); lua_next(L, value); lua_pop(L, 1)) {
            if (lua_type(L, -2) == LUA_TSTRING) {
                bytes = lua_tolstring(L, -2, &length);
                at = put(at, bytes, length);
            }
            at = walk_value(L, lua_gettop(L), at);
        }
        return at;
    case LUA_TSTRING:
        bytes = lua_tolstring(L, value, &length);
        return put(at, bytes, length);
    default:
        return put(at, "00000000", 8);
    }
}

/* walk(table): goes through it, and makes a string of the bytes that were copied. */
static int walk(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushlstring(L, text, walk_value(L, 1, 0));
    return 1;
}

int luaopen_bench_floor(lua_State *L);
int luaopen_bench_floor(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, prepare);
    lua_setfield(L, -2, "prepare");
    lua_pushcfunction(L, make);
    lua_setfield(L, -2, "make");
    lua_pushcfunction(L, walk);
    lua_setfield(L, -2, "walk");
    return 1;
}
