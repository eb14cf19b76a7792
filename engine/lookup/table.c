/* SPDX-License-Identifier: MIT
 * A version of a lookup table: how it is written, row by row, and how a row is found. The hash table is open and at most half
 * full, so that a key costs one look at the index and one at its row. Start with tide_lookup_find(). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "lookup/inside.h"

#define PLACE ((1ULL << 40) - 1)
enum { ROW_HEAD = 8, FIRST_SLOTS = 1024, SHOWN = 40 };

/* ---- the hash: the key is the user's own, so nobody looks for two keys of one hash ---- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xD6E8FEB86659FD93ULL;
    return hash ^ (hash >> 32);
}

/* 8 bytes at a time. */
static uint64_t hash_of(const char *key, uint64_t size)
{
    uint64_t hash = size * 0x9E3779B97F4A7C15ULL, word;
    for (; size >= 8; key += 8, size -= 8) {
        memcpy(&word, key, 8);
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, key, size);
    return mix(mix(hash, word), 0);
}

/* ---- reading ---- */

/* The sizes of a row that begins at `place`. False: it does not lie within the table, which is then no table. */
static bool sizes_at(const struct tide_lookup_table *table, uint64_t size, uint64_t place,
                     uint32_t sizes[2])
{
    if (place > size || size - place < ROW_HEAD)
        return false;
    memcpy(sizes, (const char *)table + place, ROW_HEAD);
    return size - place - ROW_HEAD >= (uint64_t)sizes[0] + sizes[1];
}

bool tide_lookup_find(const struct tide_lookup_table *table, const char *key, uint64_t size,
                      struct tide_lookup_row *row)
{
    struct tide_lookup_table head = *table;
    uint64_t hash = hash_of(key, size);
    const char *base = (const char *)table;
    if (head.rows == 0 || head.size > TIDE_LOOKUP_ROOM || head.mask >= head.size / 8 ||
        head.index > head.size - (head.mask + 1) * 8)
        return false;
    for (uint64_t at = hash & head.mask, left = head.mask + 1; left > 0; left--) {
        uint64_t slot;
        uint32_t sizes[2];
        memcpy(&slot, base + head.index + at * 8, 8);
        if (slot == 0)
            return false;
        if (slot >> 40 == hash >> 40) {
            uint64_t place = slot & PLACE;
            if (!sizes_at(table, head.size, place, sizes))
                return false;
            row->cells = base + place + ROW_HEAD + sizes[1];
            row->size = sizes[0];
            if (sizes[1] == size && memcmp(base + place + ROW_HEAD, key, size) == 0)
                return true;
        }
        at = (at + 1) & head.mask;
    }
    return false;
}

void tide_lookup_shapes(const struct tide_lookup_table *table, struct tide_lookup_row *shapes)
{
    shapes->cells = (const char *)table + table->shapes;
    shapes->size = table->shapes_size;
}

/* ---- writing ---- */

void tide_lookup_writer_init(struct tide_lookup_writer *writer,
                             const struct tide_lookup_source *source,
                             struct tide_lookup_table *table, uint64_t room)
{
    *writer = (struct tide_lookup_writer){.source = source, .table = table, .room = room};
    writer->used = sizeof(*table);
    writer->mask = FIRST_SLOTS - 1;
    writer->slots = tide_alloc((size_t)FIRST_SLOTS * 8);
}

void tide_lookup_writer_free(struct tide_lookup_writer *writer)
{
    free(writer->slots);
    tide_text_free(&writer->key);
    tide_text_free(&writer->names);
    tide_text_free(&writer->shapes);
}

int tide_lookup_refuse(const struct tide_lookup_writer *writer, const char *format, ...)
{
    char text[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (writer->line > 0)
        return tide_fail(TIDE_ECONFIG, "%s:%llu: %s", writer->source->name,
                         (unsigned long long)writer->line, text);
    return tide_fail(TIDE_ECONFIG, "%s: row %llu, at byte %llu: %s", writer->source->name,
                     (unsigned long long)writer->table->rows + 1, (unsigned long long)writer->byte,
                     text);
}

const char *tide_lookup_shown(const char *bytes, uint64_t size)
{
    static char texts[4][SHOWN + 4];
    static unsigned next;
    char *text = texts[next++ % 4];
    uint64_t length = 0;
    while (length < size) {
        size_t step = tide_utf8_length(bytes + length, size - length);
        if (length + (step ? step : 1) > SHOWN)
            break;
        memcpy(text + length, bytes + length, step ? step : 1);
        if (step == 0 || (unsigned char)text[length] < ' ' || text[length] == 127)
            text[length] = '?';
        length += step ? step : 1;
    }
    strcpy(text + length, length < size ? "..." : "");
    return text;
}

static int check_room(const struct tide_lookup_writer *writer, uint64_t more)
{
    if (writer->room - writer->used >= more)
        return TIDE_OK;
    return tide_fail(TIDE_ECONFIG, "%s: makes a table of more than %llu MiB", writer->source->name,
                     (unsigned long long)writer->room >> 20);
}

static char *end_of(const struct tide_lookup_writer *writer)
{
    return (char *)writer->table + writer->used;
}

int tide_lookup_begin_row(struct tide_lookup_writer *writer)
{
    writer->row = writer->used;
    writer->key.length = 0;
    if (check_room(writer, ROW_HEAD + 1) < 0)
        return TIDE_ECONFIG;
    writer->used += ROW_HEAD + 1; /* with the number of the shape */
    return TIDE_OK;
}

int tide_lookup_append(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    if (check_room(writer, size) < 0)
        return TIDE_ECONFIG;
    if (size > 0) /* nobody says that there are bytes otherwise */
        memcpy(end_of(writer), bytes, size);
    writer->used += size;
    return TIDE_OK;
}

int tide_lookup_make_room(struct tide_lookup_writer *writer, uint64_t from, uint64_t by)
{
    char *bytes = (char *)writer->table + from;
    if (check_room(writer, by) < 0)
        return TIDE_ECONFIG;
    memmove(bytes + by, bytes, writer->used - from);
    writer->used += by;
    return TIDE_OK;
}

static void insert(uint64_t *slots, uint64_t mask, uint64_t hash, uint64_t place)
{
    uint64_t at = hash & mask;
    while (slots[at] != 0)
        at = (at + 1) & mask;
    slots[at] = (hash >> 40 << 40) | place;
}

/* The hash of a key is not kept whole, so it is made anew. */
static void double_slots(struct tide_lookup_writer *writer)
{
    uint64_t mask = writer->mask * 2 + 1;
    uint64_t *slots = tide_alloc((mask + 1) * 8);
    for (uint64_t i = 0; i <= writer->mask; i++) {
        const char *row = (const char *)writer->table + (writer->slots[i] & PLACE);
        uint32_t sizes[2];
        if (writer->slots[i] == 0)
            continue;
        memcpy(sizes, row, ROW_HEAD);
        insert(slots, mask, hash_of(row + ROW_HEAD, sizes[1]), writer->slots[i] & PLACE);
    }
    free(writer->slots);
    writer->slots = slots;
    writer->mask = mask;
}

static bool is_there(const struct tide_lookup_writer *writer, const char *key, uint64_t size,
                     uint64_t hash)
{
    for (uint64_t at = hash & writer->mask; writer->slots[at] != 0; at = (at + 1) & writer->mask) {
        const char *row = (const char *)writer->table + (writer->slots[at] & PLACE);
        uint32_t sizes[2];
        if (writer->slots[at] >> 40 != hash >> 40)
            continue;
        memcpy(sizes, row, ROW_HEAD);
        if (sizes[1] == size && memcmp(row + ROW_HEAD, key, size) == 0)
            return true;
    }
    return false;
}

int tide_lookup_end_row(struct tide_lookup_writer *writer, uint32_t shape)
{
    const char *key = writer->key.length > 0 ? writer->key.data : "";
    uint64_t hash = hash_of(key, writer->key.length);
    uint64_t size = writer->used - writer->row - ROW_HEAD;
    if (size > UINT32_MAX || writer->key.length > UINT32_MAX)
        return tide_lookup_refuse(writer, "the row is larger than 4 GiB");
    if (is_there(writer, key, writer->key.length, hash))
        return tide_lookup_refuse(
            writer, "the key \"%s\" is that of an earlier row; a key may be there once",
            tide_lookup_shown(key, writer->key.length));
    uint32_t sizes[2] = {(uint32_t)size, (uint32_t)writer->key.length};
    char *row = (char *)writer->table + writer->row;
    row[ROW_HEAD] = (char)shape;
    if (tide_lookup_make_room(writer, writer->row + ROW_HEAD, writer->key.length) < 0)
        return TIDE_ECONFIG;
    memcpy(row, sizes, ROW_HEAD);
    memcpy(row + ROW_HEAD, key, writer->key.length);
    writer->table->rows++;
    if (writer->table->rows * 2 > writer->mask)
        double_slots(writer);
    insert(writer->slots, writer->mask, hash, writer->row);
    return TIDE_OK;
}

int tide_lookup_finish(struct tide_lookup_writer *writer)
{
    struct tide_lookup_table *table = writer->table;
    table->shapes = writer->used;
    table->shapes_size = (uint32_t)writer->shapes.length;
    table->shape_count = writer->shape_count;
    if (tide_lookup_append(writer, writer->shapes.data, writer->shapes.length) < 0)
        return TIDE_ECONFIG;
    uint64_t bytes = (writer->mask + 1) * 8, padding = -writer->used & 7;
    if (check_room(writer, padding + bytes) < 0)
        return TIDE_ECONFIG;
    writer->used += padding;
    memcpy(end_of(writer), writer->slots, bytes);
    table->index = writer->used;
    table->mask = writer->mask;
    writer->used += bytes;
    table->size = writer->used;
    return TIDE_OK;
}
