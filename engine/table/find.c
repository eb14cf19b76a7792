/* SPDX-License-Identifier: MIT
 * How a row is found, by a worker while the engine changes the table, and by the engine itself. A worker that breaks the
 * protocol (its word is its own) may come upon memory that was used again: it reads nonsense, but nothing outside of the
 * block. Start with tide_table_find(). */
#include <string.h>

#include "store/store.h"
#include "table/inside.h"

uint64_t tide_table_hash(const char *key, uint64_t size)
{
    return tide_store_hash(0x7461626C65ULL, key, size);
}

/* The row at a place; NULL: it does not lie within the block. */
static const struct tide_table_record *record_at(const struct tide_table *table, uint64_t place)
{
    uint64_t max = table->block->max;
    if (place > max || max - place < sizeof(struct tide_table_record))
        return NULL;
    const struct tide_table_record *record = tide_table_record(table, place);
    return max - place >= tide_table_record_size(record) ? record : NULL;
}

static bool has_key(const struct tide_table_record *record, const char *key, uint64_t size)
{
    return record && record->key_size == size && memcmp(record + 1, key, size) == 0;
}

uint64_t *tide_table_slots(const struct tide_table *table, uint32_t segment, uint64_t *count)
{
    uint64_t word = __atomic_load_n(&tide_table_head(table)->segments[segment], __ATOMIC_ACQUIRE);
    if (word == 0)
        return NULL;
    *count = 1ULL << ((word & 63) - 1);
    return (uint64_t *)(void *)(table->block->data + (word >> 6) * 8);
}

uint64_t *tide_table_slot(const struct tide_table *table, const char *key, uint64_t size,
                          uint64_t hash, uint64_t *place)
{
    uint64_t count, *slots = tide_table_slots(table, tide_table_segment(hash), &count);
    if (!slots)
        return NULL;
    uint64_t at = tide_table_first(hash) & (count - 1);
    for (uint64_t left = count; left > 0; left--) {
        uint64_t slot = __atomic_load_n(&slots[at], __ATOMIC_ACQUIRE);
        if (slot == TIDE_TABLE_FREE)
            return NULL;
        *place = (slot & TIDE_TABLE_PLACE) * 8;
        if (slot != TIDE_TABLE_GIVEN_UP && slot >> 40 == hash >> 40 &&
            has_key(record_at(table, *place), key, size))
            return &slots[at];
        at = (at + 1) & (count - 1);
    }
    return NULL;
}

bool tide_table_find(const struct tide_tables *tables, uint32_t number, const char *key,
                     uint64_t size, struct tide_table_row *row)
{
    if (!tables || number >= tables->count)
        return false;
    const struct tide_table *table = &tables->tables[number];
    uint64_t reads = tables->reads ? tables->reads
                                   : __atomic_load_n(&tables->control->sequence, __ATOMIC_ACQUIRE);
    uint64_t place;
    if (!tide_table_slot(table, key, size, tide_table_hash(key, size), &place))
        return false;
    const struct tide_table_record *record = record_at(table, place);
    while (record && record->sequence > reads)
        record = record->before ? record_at(table, record->before) : NULL;
    if (!record || record->size == TIDE_TABLE_DELETED)
        return false;
    row->value = (const char *)(record + 1) + record->key_size;
    row->size = record->size;
    return true;
}
