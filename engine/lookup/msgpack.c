/* SPDX-License-Identifier: MIT
 * Reads MessagePack for a lookup table: one map after another. Strings and numbers are kept as such, all else as its bytes. A
 * worker decodes these (lua/tidemill/lib/msgpack.lua), so what that would refuse is refused here: values that are cut, that are none, that
 * nest deeper than 100. Names of members are strings. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "lookup/inside.h"

enum { DEEPEST = 100 };
enum kind { NONE, NIL, BOOLEAN, INTEGER, NATURAL, FLOAT, STRING, BINARY, ARRAY, MAP };

struct value {
    enum kind kind;
    int64_t integer;
    uint64_t natural; /* NATURAL; the length of STRING, BINARY, ARRAY (elements), MAP (pairs) */
    double number;
    const char *bytes;
};

struct reader {
    const char *at, *end;
    const char *problem; /* NULL = none */
};

static bool fail(struct reader *reader, const char *problem)
{
    reader->problem = problem;
    return false;
}

static bool take(struct reader *reader, uint64_t size, const char **bytes)
{
    if ((uint64_t)(reader->end - reader->at) < size)
        return fail(reader, "the file ends within a value");
    *bytes = reader->at;
    reader->at += size;
    return true;
}

/* A number of `size` bytes, the highest first. */
static bool take_natural(struct reader *reader, uint32_t size, uint64_t *natural)
{
    const char *bytes;
    if (!take(reader, size, &bytes))
        return false;
    *natural = 0;
    for (uint32_t i = 0; i < size; i++)
        *natural = *natural << 8 | (unsigned char)bytes[i];
    return true;
}

static bool take_bytes(struct reader *reader, enum kind kind, uint64_t size, struct value *value)
{
    value->kind = kind;
    value->natural = size;
    return take(reader, size, &value->bytes);
}

static bool read_float(struct reader *reader, uint32_t size, struct value *value)
{
    uint64_t bits;
    float number;
    if (!take_natural(reader, size, &bits))
        return false;
    uint32_t bits32 = (uint32_t)bits;
    memcpy(&number, &bits32, 4);
    value->number = number;
    if (size == 8)
        memcpy(&value->number, &bits, 8);
    value->kind = FLOAT;
    return true;
}

static bool read_integer(struct reader *reader, uint32_t size, struct value *value)
{
    uint64_t bits;
    tide_require(size >= 1 && size <= 8);
    if (!take_natural(reader, size, &bits))
        return false;
    value->kind = INTEGER;
    value->integer = (int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size);
    return true;
}

/* A head of one byte, and a length or a value of 1 << (head - first) bytes behind it. */
static bool read_sized(struct reader *reader, unsigned char head, struct value *value)
{
    uint64_t size;
    if (head >= 0xCC && head <= 0xCF) {
        value->kind = NATURAL;
        return take_natural(reader, 1U << (head - 0xCC), &value->natural);
    }
    if (head >= 0xD0 && head <= 0xD3)
        return read_integer(reader, 1U << (head - 0xD0), value);
    if (head == 0xCA || head == 0xCB)
        return read_float(reader, head == 0xCA ? 4 : 8, value);
    if (head >= 0xC4 && head <= 0xC6)
        return take_natural(reader, 1U << (head - 0xC4), &size) &&
               take_bytes(reader, BINARY, size, value);
    if (head >= 0xC7 && head <= 0xC9) /* an extension: its type is one byte more */
        return take_natural(reader, 1U << (head - 0xC7), &size) &&
               take_bytes(reader, BINARY, size + 1, value);
    if (head >= 0xD4 && head <= 0xD8)
        return take_bytes(reader, BINARY, (1U << (head - 0xD4)) + 1, value);
    if (head >= 0xD9 && head <= 0xDB)
        return take_natural(reader, 1U << (head - 0xD9), &size) &&
               take_bytes(reader, STRING, size, value);
    if (head >= 0xDC) { /* 0xDC, 0xDD arrays, 0xDE, 0xDF maps */
        value->kind = head < 0xDE ? ARRAY : MAP;
        return take_natural(reader, head & 1 ? 4 : 2, &value->natural);
    }
    return fail(reader, "a byte that is the head of no value (0xC1)");
}

/* One value, of an array or map the head alone. */
static bool read_value(struct reader *reader, struct value *value)
{
    const char *first;
    if (!take(reader, 1, &first))
        return false;
    unsigned char head = (unsigned char)*first;
    value->kind = NIL;
    if (head < 0x80 || head >= 0xE0) {
        value->kind = INTEGER;
        value->integer = head < 0x80 ? head : (int64_t)head - 256;
        return true;
    }
    if (head < 0xA0) {
        value->kind = head < 0x90 ? MAP : ARRAY;
        value->natural = head & 15;
        return true;
    }
    if (head < 0xC0)
        return take_bytes(reader, STRING, head & 31, value);
    if (head == 0xC0)
        return true;
    value->kind = BOOLEAN;
    return head == 0xC2 || head == 0xC3 || read_sized(reader, head, value);
}

/* What a table of Lua cannot have as a key. */
static bool check_name(struct reader *reader, const struct value *name)
{
    if (name->kind == NIL || (name->kind == FLOAT && isnan(name->number)))
        return fail(reader, "a map within the row has a key that no table can have");
    return true;
}

/* Goes behind what belongs to an array or map. Elements need at least a byte each, so the loop ends with the file. */
static bool skip_inside(struct reader *reader, const struct value *of, int depth)
{
    if (of->kind != ARRAY && of->kind != MAP)
        return true;
    if (depth > DEEPEST)
        return fail(reader, "arrays and maps nest deeper than 100");
    uint64_t count = of->kind == MAP ? of->natural * 2 : of->natural;
    for (uint64_t i = 0; i < count; i++) {
        struct value value = {0};
        if (!read_value(reader, &value))
            return false;
        if (of->kind == MAP && i % 2 == 0 && !check_name(reader, &value))
            return false;
        if (!skip_inside(reader, &value, depth + 1))
            return false;
    }
    return true;
}

static int append_key(struct tide_lookup_writer *writer, const char *name,
                      const struct value *value, bool last)
{
    static const char *const kinds[] = {
        [NIL] = "nil",       [BOOLEAN] = "a boolean", [FLOAT] = "no integer",
        [BINARY] = "binary", [ARRAY] = "an array",    [MAP] = "a map"};
    char digits[32];
    if (value->kind == NONE)
        return tide_lookup_refuse(writer, "the map has no member \"%s\"", name);
    if (value->kind == STRING) {
        tide_lookup_append_key(writer, value->bytes, value->natural, last);
        return TIDE_OK;
    }
    if (value->kind == INTEGER)
        snprintf(digits, sizeof(digits), "%lld", (long long)value->integer);
    else if (value->kind == NATURAL)
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value->natural);
    else if (value->kind != FLOAT || !tide_lookup_digits(value->number, digits))
        return tide_lookup_refuse(writer, "the key \"%s\" is %s; a key is a string or an integer",
                                  name, kinds[value->kind]);
    tide_lookup_append_key(writer, digits, strlen(digits), last);
    return TIDE_OK;
}

static int add_value(struct tide_lookup_writer *writer, const struct value *value, const char *from,
                     const char *end)
{
    const double exact = 9007199254740992.0;
    switch (value->kind) {
    case STRING:
        return tide_lookup_add_string(writer, value->bytes, value->natural);
    case NIL:
        return tide_lookup_add_cell(writer, TIDE_LOOKUP_NULL, NULL, 0);
    case BOOLEAN:
        return tide_lookup_add_cell(writer, *from == '\xC3' ? TIDE_LOOKUP_TRUE : TIDE_LOOKUP_FALSE,
                                    NULL, 0);
    case FLOAT:
        return tide_lookup_add_number(writer, value->number);
    case INTEGER:
        if (fabs((double)value->integer) <= exact)
            return tide_lookup_add_number(writer, (double)value->integer);
        break;
    case NATURAL:
        if ((double)value->natural <= exact)
            return tide_lookup_add_number(writer, (double)value->natural);
        break;
    default:
        break;
    }
    return tide_lookup_add_as_is(writer, from, (uint64_t)(end - from));
}

/* Reads the members of a map, and keeps those of the key: of a name that stands twice the last one. */
static int read_members(struct reader *reader, struct tide_lookup_writer *writer, uint64_t count,
                        struct value keys[TIDE_LOOKUP_KEYS])
{
    const struct tide_lookup_source *source = writer->source;
    for (uint64_t i = 0; i < count; i++) {
        struct value name = {0}, value = {0};
        if (!read_value(reader, &name))
            return tide_lookup_refuse(writer, "%s", reader->problem);
        if (name.kind != STRING)
            return tide_lookup_refuse(writer, "the name of a member is no string");
        const char *from = reader->at;
        if (!read_value(reader, &value) || !skip_inside(reader, &value, 2))
            return tide_lookup_refuse(writer, "%s", reader->problem);
        tide_lookup_add_name(writer, name.bytes, name.natural);
        int status = add_value(writer, &value, from, reader->at);
        if (status < 0)
            return status;
        for (uint32_t k = 0; k < source->key_count; k++) {
            if (strlen(source->keys[k]) == name.natural &&
                memcmp(source->keys[k], name.bytes, name.natural) == 0)
                keys[k] = value;
        }
    }
    return TIDE_OK;
}

static int read_row(struct tide_lookup_writer *writer, struct reader *reader)
{
    const struct tide_lookup_source *source = writer->source;
    const char *from = reader->at;
    struct value map = {0}, keys[TIDE_LOOKUP_KEYS] = {{0}};
    if (!read_value(reader, &map))
        return tide_lookup_refuse(writer, "%s", reader->problem);
    if (map.kind != MAP)
        return tide_lookup_refuse(writer, "a row is a map, this is none");
    if (tide_lookup_begin_named(writer) < 0)
        return TIDE_ECONFIG;
    int status = read_members(reader, writer, map.natural, keys);
    if (status == TIDE_OK && tide_lookup_has_name_twice(writer))
        return tide_lookup_refuse(writer, "a member is there twice");
    for (uint32_t k = 0; k < source->key_count && status == TIDE_OK; k++)
        status = append_key(writer, source->keys[k], &keys[k], k + 1 == source->key_count);
    return status < 0 ? status : tide_lookup_end_named(writer, from, (uint64_t)(reader->at - from));
}

int tide_lookup_read_msgpack(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    struct reader reader = {bytes, bytes + size, NULL};
    int status = TIDE_OK;
    while (reader.at < reader.end && status == TIDE_OK) {
        writer->byte = (uint64_t)(reader.at - bytes);
        status = read_row(writer, &reader);
    }
    return status;
}
