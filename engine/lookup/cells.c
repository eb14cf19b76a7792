/* SPDX-License-Identifier: MIT
 * The cells of a row, its key, and shapes. Rows of JSON and MessagePack need not have the same members, but most do: the names
 * are kept once, as a shape, so that a row is no larger than its values and a worker has a constructor ready for it
 * (lua/tidemill/run/lookup_rows.lua). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "lookup/inside.h"

void tide_lookup_append_key(struct tide_lookup_writer *writer, const char *bytes, uint64_t size,
                            bool last)
{
    if (!last)
        tide_text_format(&writer->key, "%llu:", (unsigned long long)size);
    tide_text_append(&writer->key, bytes, size);
}

bool tide_lookup_digits(double number, char text[32])
{
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return false;
    snprintf(text, 32, "%lld", (long long)number);
    return true;
}

/* ---- names ---- */

int tide_lookup_begin_named(struct tide_lookup_writer *writer)
{
    writer->names.length = 0;
    writer->name_count = 0;
    return tide_lookup_begin_row(writer);
}

void tide_lookup_add_name(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    char head[5] = {(char)size};
    uint32_t size32 = (uint32_t)size;
    bool is_long = size >= TIDE_LOOKUP_LONG;
    if (is_long) {
        head[0] = (char)TIDE_LOOKUP_LONG;
        memcpy(head + 1, &size32, 4);
    }
    tide_text_append(&writer->names, head, is_long ? 5 : 1);
    tide_text_append(&writer->names, bytes, size);
    writer->name_count++;
}

static bool is_shape(const struct tide_lookup_writer *writer, uint32_t shape)
{
    uint64_t from = writer->shape_at[shape - 1] + 4, end = writer->shape_at[shape];
    return end - from == writer->names.length &&
           (end == from || memcmp(writer->shapes.data + from, writer->names.data, end - from) == 0);
}

static bool is_known(const struct tide_lookup_writer *writer)
{
    for (uint32_t i = 1; i <= writer->shape_count; i++) {
        if (is_shape(writer, i))
            return true;
    }
    return false;
}

/* The size of the name at `at` with its head. */
static uint64_t name_size(const char *at)
{
    uint32_t size = (unsigned char)*at;
    if (size < TIDE_LOOKUP_LONG)
        return size + 1;
    memcpy(&size, at + 1, 4);
    return (uint64_t)size + 5;
}

bool tide_lookup_has_name_twice(const struct tide_lookup_writer *writer)
{
    if (writer->name_count < 2 || writer->name_count > TIDE_LOOKUP_COLUMNS ||
        (writer->last_shape > 0 && is_shape(writer, writer->last_shape)) || is_known(writer))
        return false;
    const char *end = writer->names.data + writer->names.length;
    for (const char *one = writer->names.data; one < end; one += name_size(one)) {
        for (const char *other = one + name_size(one); other < end; other += name_size(other)) {
            if (name_size(one) == name_size(other) && memcmp(one, other, name_size(one)) == 0)
                return true;
        }
    }
    return false;
}

uint32_t tide_lookup_shape(struct tide_lookup_writer *writer)
{
    if (writer->last_shape > 0 && is_shape(writer, writer->last_shape))
        return writer->last_shape;
    for (uint32_t i = 1; i <= writer->shape_count; i++) {
        if (is_shape(writer, i))
            return writer->last_shape = i;
    }
    if (writer->shape_count == TIDE_LOOKUP_SHAPES || writer->name_count > TIDE_LOOKUP_COLUMNS)
        return 0;
    tide_text_append(&writer->shapes, &writer->name_count, 4);
    tide_text_append(&writer->shapes, writer->names.data, writer->names.length);
    writer->last_shape = ++writer->shape_count;
    writer->shape_at[writer->last_shape] = writer->shapes.length;
    return writer->last_shape;
}

/* ---- cells ---- */

int tide_lookup_add_cell(struct tide_lookup_writer *writer, enum tide_lookup_cell kind,
                         const char *bytes, uint64_t size)
{
    char head = (char)kind;
    return tide_lookup_append(writer, &head, 1) < 0 ? TIDE_ECONFIG
                                                    : tide_lookup_append(writer, bytes, size);
}

int tide_lookup_add_number(struct tide_lookup_writer *writer, double number)
{
    /* LuaJIT would take another NaN for a value of another type (run/number.lua). */
    if (isnan(number))
        number = NAN;
    return tide_lookup_add_cell(writer, TIDE_LOOKUP_NUMBER, (const char *)&number, sizeof(number));
}

static int add_sized(struct tide_lookup_writer *writer, enum tide_lookup_cell kind,
                     const char *bytes, uint64_t size)
{
    uint32_t size32 = (uint32_t)size;
    if (size > UINT32_MAX)
        return tide_lookup_refuse(writer, "a value is larger than 4 GiB");
    return tide_lookup_add_cell(writer, kind, (const char *)&size32, 4) < 0
               ? TIDE_ECONFIG
               : tide_lookup_append(writer, bytes, size);
}

int tide_lookup_add_as_is(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    return add_sized(writer, TIDE_LOOKUP_AS_IS, bytes, size);
}

int tide_lookup_add_string(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    return size < TIDE_LOOKUP_LONG
               ? tide_lookup_add_cell(writer, (enum tide_lookup_cell)size, bytes, size)
               : add_sized(writer, TIDE_LOOKUP_LONG, bytes, size);
}

/* The size is known only now, since a field with quotes loses some of its bytes. */
int tide_lookup_close_string(struct tide_lookup_writer *writer, uint64_t from)
{
    uint64_t size = writer->used - from;
    uint32_t size32 = (uint32_t)size;
    bool is_long = size >= TIDE_LOOKUP_LONG;
    char *cell = (char *)writer->table + from;
    if (tide_lookup_make_room(writer, from, is_long ? 5 : 1) < 0)
        return TIDE_ECONFIG;
    *cell = (char)(is_long ? TIDE_LOOKUP_LONG : size);
    if (is_long)
        memcpy(cell + 1, &size32, 4);
    return TIDE_OK;
}

int tide_lookup_end_named(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    uint32_t shape = tide_lookup_shape(writer);
    if (shape == 0) {
        writer->used = writer->row + 9;
        if (tide_lookup_append(writer, bytes, size) < 0)
            return TIDE_ECONFIG;
    }
    return tide_lookup_end_row(writer, shape);
}
