/* SPDX-License-Identifier: MIT */
#include "json_shapes.h"

#include <stdlib.h>

#include "base/status.h"
#include "json_inside.h"

static const uint64_t FACTOR = 0x9E3779B97F4A7C15;

enum { SLOTS = 128, SEEN = 16, MOST_SCORE = 256 };

struct shape {
    int constructor; /* in the registry; TIDE_SHAPE_NONE: two names are equal */
    struct tide_names names;
    char rest[]; /* of the names with more than eight bytes, one behind the other */
};

/* A hash belongs to one slot. The slot is held by the shape that is seen more often than all others there together: each
 * time that it is seen raises its score, any other one lowers it. */
static struct slot {
    uint32_t hash;
    int32_t score;
    struct shape *shape; /* NULL: not made yet */
} slots[SLOTS];

bool tide_names_read(const struct tide_json_doc *doc, uint32_t node, struct tide_names *names)
{
    const uint32_t *at = doc->at, *link = doc->link, close = link[node];
    uint64_t hash = 0;
    uint32_t count = 0;
    for (uint32_t key = node + 1; key < close; key = link[key + 2] + 2) {
        const char *from = doc->bytes + at[key] + 1, *to = doc->bytes + at[key + 1] - 1;
        while (*to != '"') /* white space may stand before the colon */
            to--;
        size_t length = (size_t)(to - from);
        if (count == TIDE_SHAPE_NAMES || length > TIDE_SHAPE_LENGTH)
            return false;
        uint64_t first = tide_first_bytes(from, length);
        names->token[count] = key;
        names->length[count] = (uint32_t)length;
        names->first[count++] = first;
        hash = (hash ^ first ^ length << 56) * FACTOR;
        hash ^= hash >> 32;
    }
    names->count = count;
    names->hash = (uint32_t)(hash * FACTOR >> 32); /* all bits of the last name count in it */
    return count > 0;
}

static const char *rest_of(const struct tide_json_doc *doc, const struct tide_names *names,
                           uint32_t i)
{
    return doc->bytes + doc->at[names->token[i]] + 1 + 8;
}

static bool has_names(const struct shape *shape, const struct tide_json_doc *doc,
                      const struct tide_names *names)
{
    const struct tide_names *own = &shape->names;
    size_t count = names->count;
    if (own->count != count || memcmp(own->length, names->length, count * sizeof(*own->length)) ||
        memcmp(own->first, names->first, count * sizeof(*own->first)))
        return false;
    const char *rest = shape->rest;
    for (uint32_t i = 0; i < count; i++) {
        if (names->length[i] <= 8)
            continue;
        size_t length = names->length[i] - 8;
        if (memcmp(rest, rest_of(doc, names, i), length))
            return false;
        rest += length;
    }
    return true;
}

static void forget(lua_State *L, struct slot *slot)
{
    if (slot->shape && slot->shape->constructor != TIDE_SHAPE_NONE)
        luaL_unref(L, LUA_REGISTRYINDEX, slot->shape->constructor);
    free(slot->shape);
    *slot = (struct slot){0};
}

int tide_shapes_find(lua_State *L, const struct tide_json_doc *doc, const struct tide_names *names)
{
    struct slot *slot = &slots[names->hash % SLOTS];
    if (slot->hash != names->hash || (slot->shape && !has_names(slot->shape, doc, names))) {
        if (--slot->score <= 0) {
            forget(L, slot);
            slot->hash = names->hash;
            slot->score = 1;
        }
        return TIDE_SHAPE_NONE;
    }
    slot->score += slot->score < MOST_SCORE;
    if (slot->shape)
        return slot->shape->constructor;
    return slot->score >= SEEN ? TIDE_SHAPE_WANTED : TIDE_SHAPE_NONE;
}

int tide_shapes_add(lua_State *L, const struct tide_json_doc *doc, const struct tide_names *names)
{
    size_t size = 0;
    for (uint32_t i = 0; i < names->count; i++)
        size += names->length[i] > 8 ? names->length[i] - 8 : 0;
    struct shape *shape = tide_realloc(NULL, sizeof(*shape) + size);
    shape->names = *names;
    char *rest = shape->rest;
    for (uint32_t i = 0; i < names->count; i++) {
        if (names->length[i] <= 8)
            continue;
        memcpy(rest, rest_of(doc, names, i), names->length[i] - 8);
        rest += names->length[i] - 8;
    }
    bool has_one = !lua_isnil(L, -1);
    int constructor = luaL_ref(L, LUA_REGISTRYINDEX);
    shape->constructor = has_one ? constructor : TIDE_SHAPE_NONE;
    slots[names->hash % SLOTS].shape = shape;
    return shape->constructor;
}
