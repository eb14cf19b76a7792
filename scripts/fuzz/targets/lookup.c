/* SPDX-License-Identifier: MIT
 * The builder of lookup tables (engine/lookup): a file of each format, by keys of one and two members. What was read is read
 * back: each slot of the index leads to a row within the table, whose key finds it and whose cells are as many as its shape
 * has names. The same bytes give the same table. Input: format and key, then the bytes of the file. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "lookup/inside.h"

enum { ROOM = 1 << 18, ROW_HEAD = 8 };

static const char *base(const struct tide_lookup_table *table)
{
    return (const char *)table;
}

/* Goes behind a cell; the end of the row when there is no room for it. */
static const char *behind(const char *at, const char *end)
{
    uint32_t size = 0;
    fuzz_require(at < end);
    unsigned char head = (unsigned char)*at++;
    if (head < TIDE_LOOKUP_LONG) {
        size = head;
    } else if (head == TIDE_LOOKUP_NUMBER) {
        size = 8;
    } else if (head == TIDE_LOOKUP_LONG || head == TIDE_LOOKUP_AS_IS) {
        fuzz_require(end - at >= 4);
        memcpy(&size, at, 4);
        at += 4;
    }
    fuzz_require((uint64_t)(end - at) >= size);
    return at + size;
}

/* The number of names of a shape, from 1. */
static uint32_t names_of(const struct tide_lookup_table *table, unsigned shape)
{
    struct tide_lookup_row shapes;
    uint32_t count = 0;
    tide_lookup_shapes(table, &shapes);
    const char *at = shapes.cells, *end = shapes.cells + shapes.size;
    fuzz_require(fuzz_lies_within(at, shapes.size, base(table), table->size));
    fuzz_require(shape <= table->shape_count);
    for (unsigned i = 0; i < shape; i++) {
        fuzz_require(end - at >= 4);
        memcpy(&count, at, 4);
        at += 4;
        for (uint32_t n = 0; n < count; n++)
            at = behind(at, end);
    }
    return count;
}

static void check_row(const struct tide_lookup_table *table, uint64_t place)
{
    uint32_t sizes[2];
    struct tide_lookup_row row;
    fuzz_require(place >= sizeof(*table) && place + ROW_HEAD <= table->size);
    memcpy(sizes, base(table) + place, ROW_HEAD);
    const char *key = base(table) + place + ROW_HEAD, *cells = key + sizes[1];
    const char *end = cells + sizes[0];
    fuzz_require(fuzz_lies_within(key, (size_t)sizes[0] + sizes[1], base(table), table->size));
    fuzz_require(tide_lookup_find(table, key, sizes[1], &row));
    fuzz_require(row.cells == cells && row.size == sizes[0] && sizes[0] > 0);
    unsigned shape = (unsigned char)*cells++;
    if (shape == 0)
        return;
    for (uint32_t left = names_of(table, shape); left > 0; left--)
        cells = behind(cells, end);
    fuzz_require(cells == end);
}

static void check_table(const struct tide_lookup_table *table)
{
    uint64_t rows = 0, slot;
    fuzz_require(table->size <= ROOM && table->index + (table->mask + 1) * 8 == table->size);
    for (uint64_t i = 0; i <= table->mask; i++) {
        memcpy(&slot, base(table) + table->index + i * 8, 8);
        if (slot != 0)
            check_row(table, slot & ((1ULL << 40) - 1));
        rows += slot != 0;
    }
    fuzz_require(rows == table->rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tide_lookup_table *tables[2];
    struct fuzz_input input = {data, size};
    struct tide_lookup_source source = {.name = "f", .path = "f", .keys = {"id", "b"}};
    struct tide_lookup_row row;
    source.format = fuzz_below(&input, 3);
    uint32_t shape = fuzz_byte(&input);
    source.separator = shape & 4 ? ';' : ',';
    source.key_count = source.format == TIDE_LOOKUP_CSV ? shape % 3 : 1 + shape % 2;
    if (input.left > 65536)
        return 0;
    const char *bytes = fuzz_guarded_copy(0, input.at, input.left);
    int status[2];
    for (int i = 0; i < 2; i++) {
        tables[i] = tables[i] ? tables[i] : malloc(ROOM);
        memset(tables[i], 0, ROOM);
        status[i] = tide_lookup_build(&source, bytes, input.left, tables[i], ROOM);
    }
    fuzz_require(status[0] == status[1]);
    fuzz_require(status[0] == TIDE_OK || (status[0] == TIDE_ECONFIG && tide_error()[0] == 'f'));
    if (status[0] < 0)
        return 0;
    fuzz_require(memcmp(tables[0], tables[1], ROOM) == 0);
    check_table(tables[0]);
    tide_lookup_find(tables[0], bytes, input.left < 40 ? input.left : 40, &row);
    return 0;
}
