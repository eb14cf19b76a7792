/* SPDX-License-Identifier: MIT
 * lua/tidemill/run/json_shapes.h - the shapes of the objects that were decoded lately. Objects of one kind mostly have
 * the same names in the same order, which is their shape. For a shape that is seen again and again there is a function of
 * Lua, its constructor, which makes the table of all values at once (json_tables.lua): the names are neither made
 * strings again nor put into a table one by one. The first name mostly tells the shape, so the names are compared with
 * those of the shape that had it last; the others are looked for by a hash of all names.
 *
 * Memory and time are bounded whatever the messages are: there are at most 128 shapes, one is made when it has been
 * seen 16 times, and it gives way when others are seen more often than it. */
#ifndef TIDE_RUN_JSON_SHAPES_H
#define TIDE_RUN_JSON_SHAPES_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"

enum {
    TIDE_SHAPE_NAMES =
        64, /* at most; an object with more has no shape, and neither has one with a single name */
    TIDE_SHAPE_LENGTH = 255, /* bytes of a name, at most; the same */
    TIDE_SHAPE_NONE = 0,     /* there is no constructor */
    TIDE_SHAPE_WANTED = -1,  /* there is none yet, and it is time to make one */
};

/** The names of an object, as they stand in the text: not unescaped. */
struct tide_names {
    uint32_t count;
    uint32_t hash;
    uint32_t token[TIDE_SHAPE_NAMES];
    uint32_t length[TIDE_SHAPE_NAMES];
    uint64_t first[TIDE_SHAPE_NAMES]; /* the first bytes (json_inside.h) */
};

/** Finds the shape of an object: the number of its constructor in the registry, or one of the two above. Sets the count
 * and the tokens of the names when there is a constructor, and all of `names` when one is wanted. */
int tide_shapes_find(lua_State *L, const struct tide_json_doc *doc, uint32_t node,
                     struct tide_names *names);
/** After TIDE_SHAPE_WANTED: takes the constructor from the top of the stack; nil says that these names have none.
 * Returns what tide_shapes_find will return. */
int tide_shapes_add(lua_State *L, const struct tide_json_doc *doc, const struct tide_names *names);

#endif
