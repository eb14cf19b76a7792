/* SPDX-License-Identifier: MIT
 * The memory of a table: what is free is used again for what is of the same size class, and nothing is ever moved, since
 * workers read it. Classes are an eighth of a power of two apart, so at most an eighth of a row is lost. Start with
 * tide_table_take(). */
#include <string.h>

#include "table/inside.h"

enum { LEAST = 32, STEP = 8 };

/* The class of a size, which becomes that of the class. */
static uint32_t class_of(uint64_t *size)
{
    uint64_t need = *size < LEAST ? LEAST : *size;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(need);
    uint64_t step = 1ULL << (shift - 3);
    uint64_t eighths = (need - (1ULL << shift) + step - 1) / step;
    if (step < STEP) { /* all places are multiples of 8 */
        eighths = (need - (1ULL << shift) + STEP - 1) / STEP * (STEP / step);
    }
    *size = (1ULL << shift) + eighths * step;
    return shift * 8 + (uint32_t)eighths;
}

uint64_t tide_table_take(struct tide_table *table, uint64_t size)
{
    uint32_t number = class_of(&size);
    if (number >= TIDE_TABLE_CLASSES)
        return 0;
    uint64_t place = table->unused[number];
    if (place != 0) {
        memcpy(&table->unused[number], table->block->data + place, sizeof(place));
        return place;
    }
    if (table->block->max - table->used < size)
        return 0;
    place = table->used;
    table->used += size;
    return place;
}

void tide_table_give_back(struct tide_table *table, uint64_t place, uint64_t size)
{
    uint32_t number = class_of(&size);
    memcpy(table->block->data + place, &table->unused[number], sizeof(place));
    table->unused[number] = place;
}

uint64_t tide_table_record_size(const struct tide_table_record *record)
{
    uint64_t size = record->size == TIDE_TABLE_DELETED ? 0 : record->size;
    return sizeof(*record) + record->key_size + size;
}
