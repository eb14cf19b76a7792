/* SPDX-License-Identifier: MIT
 * Plain Lua tables to JSON text. The members of an object are written in the order of their names, so that equal tables
 * give equal texts: a small object's values are gathered on the stack, sorted by name and written; those of a large or
 * deep one are written as they come and put in order afterwards (json_members.h). What has no JSON is told by a text on top of the stack
 * and a result of false, and not by lua_error: LuaJIT would not compile the loop of a script around a call that has to
 * be protected. Start with tide_encode() and put_value(). */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/status.h"
#include "json_inside.h"
#include "json_members.h"
#include "json/json.h"

enum {
    KEPT = 1024 * 1024, /* bytes of the buffer that outlive a call */
    FEW = 32,           /* members of an object that is small */
    SHALLOW = 32        /* the depth up to which that counts, as Lua's stack ends at 8000 places */
};

/* A process has one Lua state. The buffer is static so that an error of Lua's, which leaves by longjmp, leaks nothing. */
static struct {
    char *bytes;
    size_t used, room;
} out;
static struct tide_members open_members; /* of the large objects that are being written */
static int describe_ref;
static const void *array_mark;
static const struct tide_json *views; /* their documents: numbers that were read keep their text */

/* Writes the value at the index. False, with the reason on top of the stack: it has no JSON. */
static bool put_value(lua_State *L, int index, int depth);

static bool refuse(lua_State *L, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    return false;
}

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
    *reserve(1) = c;
    out.used++;
}

static bool put_string(lua_State *L, int index)
{
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    int64_t written = tide_json_quote(bytes, length, reserve(length * 6 + 2));
    if (written < 0)
        return refuse(L, "a string is not UTF-8");
    out.used += (size_t)written;
    return true;
}

static bool put_number(lua_State *L, double number)
{
    if (!isfinite(number))
        return refuse(L, "%s is no JSON number", isnan(number) ? "NaN" : "infinity");
    const char *text;
    int32_t length = tide_json_read_text(views, number, false, &text);
    if (length > 0)
        put(text, (size_t)length);
    else
        out.used += (size_t)tide_json_write_double(number, reserve(TIDE_JSON_NUMBER));
    return true;
}

enum mark { MARK_NONE, MARK_ARRAY, MARK_STAND_IN, MARK_NOTHING }; /* of a table (run/marks.lua) */

/* MARK_NOTHING: the reason is on top of the stack. */
static enum mark mark_of(lua_State *L, int table)
{
    if (!lua_getmetatable(L, table))
        return MARK_NONE;
    bool is_array = lua_topointer(L, -1) == array_mark;
    lua_pop(L, 1);
    if (is_array)
        return MARK_ARRAY;
    if (!luaL_getmetafield(L, table, "written_as"))
        return MARK_NONE;
    const char *kind = lua_tostring(L, -1);
    enum mark mark = kind && !strcmp(kind, "array") ? MARK_ARRAY : MARK_NONE;
    if (kind && !strcmp(kind, "stand-in"))
        mark = MARK_STAND_IN;
    if (kind && mark == MARK_NONE && luaL_callmeta(L, table, "__tostring")) {
        refuse(L, "%s has no JSON", lua_tostring(L, -1));
        return MARK_NOTHING;
    }
    lua_pop(L, 1);
    return mark;
}

/* Lua describes a cdata or a stand-in: a view or larger integer by its text, an int64 or uint64 by its kind. */
static bool put_described(lua_State *L, int index)
{
    int64_t bits;
    lua_rawgeti(L, LUA_REGISTRYINDEX, describe_ref);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0))
        return false;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        put(lua_tostring(L, -1), lua_objlen(L, -1));
        break;
    case LUA_TNUMBER:
        memcpy(&bits, lua_topointer(L, index), sizeof(bits));
        out.used += (size_t)(lua_tonumber(L, -1) == TIDE_JSON_INT64
                                 ? tide_json_write_integer(bits, reserve(TIDE_JSON_NUMBER))
                                 : tide_json_write_natural((uint64_t)bits,
                                                           reserve(TIDE_JSON_NUMBER)));
        break;
    default:
        return refuse(L, "a cdata that is no int64, uint64 or view has no JSON");
    }
    lua_pop(L, 1);
    return true;
}

/* Names the key at `key` on the stack, which is neither a name nor an element. */
static bool refuse_key(lua_State *L, int key)
{
    const char *type = luaL_typename(L, key), *text = lua_tostring(L, key);
    return refuse(L,
                  "a table has keys other than strings, or 1 to n without gaps: the %s %s; names "
                  "are written as tostring(key), null in an array is tide.null",
                  type, text ? text : "key");
}

/* As refuse_key, of the first key that is no element; where all are elements, one is missing. */
static bool refuse_keys(lua_State *L, int table, size_t n)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        double number = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (number < 1 || number > (double)n || number != floor(number))
            return refuse_key(L, -2);
    }
    return refuse(L, "an array has gaps among 1 to %d: null in an array is tide.null", (int)n);
}

/* Writes elements that do not come in order: each of 1 .. n must be there, and nothing else. */
static bool put_scattered(lua_State *L, int table, int depth)
{
    size_t n = lua_objlen(L, table), keys = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        keys++;
    if (keys != n || n == 0)
        return refuse_keys(L, table, n);
    int element = lua_gettop(L) + 1;
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, table, (int)i);
        if (i > 1)
            put_char(',');
        if (!put_value(L, element, depth))
            return false;
        lua_pop(L, 1);
    }
    return true;
}

/* The first key and value are on the stack. Elements mostly come in order. */
static bool put_array(lua_State *L, int table, int depth)
{
    size_t start = out.used;
    int element = lua_gettop(L);
    double expected = 1;
    do {
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != expected) {
            out.used = start;
            lua_pop(L, 2);
            if (!put_scattered(L, table, depth))
                return false;
            break;
        }
        if (expected++ > 1)
            put_char(',');
        if (!put_value(L, element, depth))
            return false;
        lua_pop(L, 1);
    } while (lua_next(L, table));
    put_char(']');
    return true;
}

/* A large object. The first key and value are on the stack. */
static bool put_many_members(lua_State *L, int table, int depth)
{
    size_t first = open_members.used, key_length;
    int value = lua_gettop(L);
    do {
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse_key(L, -2);
        const char *key = lua_tolstring(L, -2, &key_length);
        size_t member = tide_members_begin(&open_members, key, key_length, out.used);
        if (!put_string(L, value - 1))
            return false;
        put_char(':');
        if (!put_value(L, value, depth))
            return false;
        put_char(',');
        open_members.list[member].to = out.used;
        lua_pop(L, 1);
    } while (lua_next(L, table));
    tide_members_close(&open_members, first, out.bytes);
    out.bytes[out.used - 1] = '}'; /* in place of the last comma */
    return true;
}

/* A member of a small object; its value lies on the stack. */
struct member {
    uint64_t rank; /* the first eight bytes of the name, the first one highest */
    const char *name;
    size_t length;
};

struct few_members {
    struct member list[FEW];  /* as they came */
    unsigned char order[FEW]; /* their numbers by name */
    int count;
    int first; /* the index of the first value on the stack; the others follow */
};

static bool is_before(const struct member *a, const struct member *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    size_t length = a->length < b->length ? a->length : b->length;
    int order = length > 8 ? memcmp(a->name + 8, b->name + 8, length - 8) : 0;
    return order ? order < 0 : a->length < b->length;
}

static void add_member(struct few_members *members, const char *name, size_t length)
{
    int own = members->count++, at = own;
    struct member *member = &members->list[own];
    *member = (struct member){__builtin_bswap64(tide_first_bytes(name, length)), name, length};
    for (; at > 0 && is_before(member, &members->list[members->order[at - 1]]); at--)
        members->order[at] = members->order[at - 1];
    members->order[at] = (unsigned char)own;
}

static bool put_members(lua_State *L, const struct few_members *members, int depth)
{
    for (int i = 0; i < members->count; i++) {
        int number = members->order[i];
        const struct member *member = &members->list[number];
        char *to = reserve(member->length * 6 + 4);
        *to = i ? ',' : '{';
        int64_t written = tide_json_quote(member->name, member->length, to + 1);
        if (written < 0)
            return refuse(L, "a string is not UTF-8");
        to[written + 1] = ':';
        out.used += (size_t)written + 2;
        if (!put_value(L, members->first + number, depth))
            return false;
    }
    put_char('}');
    return true;
}

/* The first key and value are on the stack, and values stay there, below the key that lua_next takes. */
static bool put_object(lua_State *L, int table, int depth)
{
    struct few_members members; /* not zeroed: that would take as long as the rest */
    bool more = true;
    members.count = 0;
    members.first = lua_gettop(L) - 1;
    while (more && depth <= SHALLOW && members.count < FEW) {
        size_t length;
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse_key(L, -2);
        const char *name = lua_tolstring(L, -2, &length);
        add_member(&members, name, length);
        lua_insert(L, -2);
        more = lua_next(L, table);
    }
    if (more) { /* it is large or deep: from the start */
        lua_settop(L, members.first - 1);
        lua_pushnil(L);
        lua_next(L, table);
        put_char('{');
        return put_many_members(L, table, depth);
    }
    bool has_json = put_members(L, &members, depth);
    if (has_json)
        lua_settop(L, members.first - 1);
    return has_json;
}

static bool put_table(lua_State *L, int table, int depth)
{
    if (depth > TIDE_JSON_DEPTH)
        return refuse(L, "tables are nested deeper than %d, or in a cycle", TIDE_JSON_DEPTH);
    luaL_checkstack(L, FEW + 8, "JSON");
    enum mark mark = mark_of(L, table);
    if (mark == MARK_NOTHING)
        return false;
    if (mark == MARK_STAND_IN)
        return put_described(L, table);
    lua_pushnil(L);
    if (!lua_next(L, table)) {
        put(mark == MARK_ARRAY ? "[]" : "{}", 2);
        return true;
    }
    if (lua_type(L, -2) != LUA_TNUMBER && mark != MARK_ARRAY)
        return put_object(L, table, depth);
    put_char('[');
    return put_array(L, table, depth);
}

static bool put_value(lua_State *L, int index, int depth)
{
    bool yes;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        return put_string(L, index);
    case LUA_TNUMBER:
        return put_number(L, lua_tonumber(L, index));
    case LUA_TTABLE:
        return put_table(L, index, depth + 1);
    case LUA_TBOOLEAN:
        yes = lua_toboolean(L, index);
        put(yes ? "true" : "false", yes ? 4 : 5);
        return true;
    case TIDE_LUA_CDATA:
        return put_described(L, index);
    default:
        if (lua_type(L, index) != LUA_TLIGHTUSERDATA || lua_touserdata(L, index))
            return refuse(L, "a %s has no JSON", lua_typename(L, lua_type(L, index)));
        put("null", 4);
        return true;
    }
}

static void give_back(void)
{
    if (out.room <= KEPT && open_members.sorted_room <= KEPT &&
        open_members.room <= KEPT / sizeof(struct tide_member))
        return;
    tide_members_free(&open_members);
    free(out.bytes);
    out.bytes = NULL;
    out.room = 0;
}

int tide_encode(lua_State *L)
{
    lua_settop(L, 1);
    out.used = open_members.used = 0;
    bool has_json = put_value(L, 1, 0);
    if (has_json) {
        lua_pushlstring(L, out.bytes, out.used);
    } else {
        lua_pushnil(L);
        lua_insert(L, -2);
    }
    give_back();
    return has_json ? 1 : 2;
}

static const void *pointer_in(lua_State *L, int index)
{
    const void *pointer;
    memcpy(&pointer, lua_topointer(L, index), sizeof(pointer));
    return pointer;
}

void tide_encode_open(lua_State *L)
{
    describe_ref = tide_keep(L, "describe");
    lua_getfield(L, 1, "array");
    array_mark = lua_topointer(L, -1);
    lua_getfield(L, 1, "documents");
    views = pointer_in(L, -1);
    lua_pop(L, 2);
    tide_keep(L, "array");
}
