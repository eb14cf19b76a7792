/* SPDX-License-Identifier: MIT */
#include "json_shapes.h"

#include <stdlib.h>

#include "base/status.h"
#include "json_inside.h"

static const uint64_t FACTOR = 0x9E3779B97F4A7C15;

enum {
    SLOTS = 128,
    SEEN = 15, /* and once more, when its first name was new */
    MOST_SCORE = 256,
    FIRST_NAMES = 4096, /* bits, a power of two */
    MOST_FIRST_NAMES = FIRST_NAMES / 8,
};

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

/* By the hash of the first name: the shape that was found last for it, which has a constructor. */
static const struct shape *expected[SLOTS];

/* The first names that were seen lately, a bit for each by its hash; all are forgotten when there are many. Where names
 * are data, as in {"k00017":3}, the first one is mostly new, and then nothing else is looked at. */
static uint64_t seen[FIRST_NAMES / 64];
static uint32_t seen_count;

static uint32_t hash_of(uint64_t first, size_t length)
{
    uint64_t hash = (first ^ (uint64_t)length << 56) * FACTOR;
    return (uint32_t)(hash >> 32);
}

static bool was_seen(uint32_t hash)
{
    uint64_t *word = &seen[hash % FIRST_NAMES / 64], bit = (uint64_t)1 << hash % 64;
    if (*word & bit)
        return true;
    if (seen_count == MOST_FIRST_NAMES) {
        memset(seen, 0, sizeof(seen));
        seen_count = 0;
    }
    seen_count++;
    *word |= bit;
    return false;
}

/* The length of the name at token `key`. */
static inline size_t length_at(const struct tide_json_doc *doc, uint32_t key)
{
    const char *from = doc->bytes + doc->at[key] + 1, *to = doc->bytes + doc->at[key + 1] - 1;
    while (*to != '"') /* white space may stand before the colon */
        to--;
    return (size_t)(to - from);
}

/* False when an object with these names has no shape. */
static bool read_names(const struct tide_json_doc *doc, uint32_t node, struct tide_names *names)
{
    const uint32_t *link = doc->link, close = link[node];
    uint64_t hash = 0;
    uint32_t count = 0;
    for (uint32_t key = node + 1; key < close; key = link[key + 2] + 2) {
        const char *from = doc->bytes + doc->at[key] + 1;
        size_t length = length_at(doc, key);
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
    return true;
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
    if (own->count != count ||
        memcmp(own->length, names->length, count * sizeof(*own->length)) != 0 ||
        memcmp(own->first, names->first, count * sizeof(*own->first)) != 0)
        return false;
    const char *rest = shape->rest;
    for (uint32_t i = 0; i < count; i++) {
        if (names->length[i] <= 8)
            continue;
        size_t length = names->length[i] - 8;
        if (memcmp(rest, rest_of(doc, names, i), length) != 0)
            return false;
        rest += length;
    }
    return true;
}

/* The first eight bytes of a name as a word, which are read at once where so many bytes are left. */
static inline uint64_t first_bytes(const struct tide_json_doc *doc, uint32_t from, uint32_t length)
{
    if (length >= 8 || (uint32_t)doc->length - from < 8)
        return tide_first_bytes(doc->bytes + from, length);
    uint64_t word;
    memcpy(&word, doc->bytes + from, 8);
    return word & (((uint64_t)1 << 8 * length) - 1);
}

/* True when the object has the names of the shape, with no white space behind them; sets the tokens then. Bytes that are
 * equal end at the same quote. */
static bool is_as_expected(const struct shape *shape, const struct tide_json_doc *doc,
                           uint32_t node, struct tide_names *names)
{
    const struct tide_names *own = &shape->names;
    const uint32_t *at = doc->at, *link = doc->link, close = link[node];
    const char *rest = shape->rest;
    uint32_t key = node + 1;
    for (uint32_t i = 0; i < own->count; i++) {
        if (key >= close)
            return false;
        uint32_t from = at[key] + 1, length = own->length[i];
        if (at[key + 1] - from != length + 1 || first_bytes(doc, from, length) != own->first[i])
            return false;
        if (length > 8) {
            if (memcmp(rest, doc->bytes + from + 8, length - 8) != 0)
                return false;
            rest += length - 8;
        }
        names->token[i] = key;
        key = link[key + 2] + 2;
    }
    names->count = own->count;
    return key == close + 1;
}

static void forget(lua_State *L, struct slot *slot)
{
    for (uint32_t i = 0; slot->shape && i < SLOTS; i++)
        if (expected[i] == slot->shape)
            expected[i] = NULL;
    if (slot->shape && slot->shape->constructor != TIDE_SHAPE_NONE)
        luaL_unref(L, LUA_REGISTRYINDEX, slot->shape->constructor);
    free(slot->shape);
    *slot = (struct slot){0};
}

static int find(lua_State *L, const struct tide_json_doc *doc, const struct tide_names *names)
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
    if (!slot->shape)
        return slot->score >= SEEN ? TIDE_SHAPE_WANTED : TIDE_SHAPE_NONE;
    if (slot->shape->constructor != TIDE_SHAPE_NONE)
        expected[hash_of(names->first[0], names->length[0]) % SLOTS] = slot->shape;
    return slot->shape->constructor;
}

int tide_shapes_find(lua_State *L, const struct tide_json_doc *doc, uint32_t node,
                     struct tide_names *names)
{
    uint32_t key = node + 1, close = doc->link[node];
    if (key == close || doc->link[key + 2] + 1 == close) /* one name is put into a table as soon */
        return TIDE_SHAPE_NONE;
    size_t length = length_at(doc, key);
    uint32_t hash = hash_of(tide_first_bytes(doc->bytes + doc->at[key] + 1, length), length);
    const struct shape *shape = expected[hash % SLOTS];
    if (shape && is_as_expected(shape, doc, node, names))
        return shape->constructor;
    return was_seen(hash) && read_names(doc, node, names) ? find(L, doc, names) : TIDE_SHAPE_NONE;
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
