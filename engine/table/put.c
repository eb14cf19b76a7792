/* SPDX-License-Identifier: MIT
 * Changes of a table (table.h has the protocol). Memory is taken before anything is changed, so a change that finds none has
 * changed nothing. Start with tide_table_put(). */
#include <string.h>

#include "base/status.h"
#include "table/inside.h"

enum { FIRST_SLOTS = 4 };

static int no_memory(const struct tide_tables *tables, const struct tide_table *table)
{
    if (tables->replaced_count > 0)
        return TIDE_BUSY;
    return tide_fail(TIDE_ECONFIG,
                     "table \"%s\": its %llu rows fill the memory of max_bytes = %llu MiB; raise "
                     "max_bytes",
                     table->name, (unsigned long long)table->rows,
                     (unsigned long long)table->block->max >> 20);
}

/* True when the slot was one that had been given up. */
static bool insert(uint64_t *slots, uint64_t count, uint64_t hash, uint64_t place)
{
    uint64_t at = tide_table_first(hash) & (count - 1);
    while (slots[at] != TIDE_TABLE_FREE && slots[at] != TIDE_TABLE_GIVEN_UP)
        at = (at + 1) & (count - 1);
    bool given_up = slots[at] == TIDE_TABLE_GIVEN_UP;
    __atomic_store_n(&slots[at], (hash >> 40 << 40) | place / 8, __ATOMIC_RELEASE);
    return given_up;
}

/* Puts the rows of a segment into new slots. The old ones are read on by who has found them. */
static bool move_segment(struct tide_tables *tables, uint32_t number, uint32_t segment,
                         uint64_t count)
{
    struct tide_table *table = &tables->tables[number];
    uint64_t old_count = 0, *old = tide_table_slots(table, segment, &old_count);
    uint64_t place = tide_table_take(table, count * 8);
    if (place == 0)
        return false;
    uint64_t *slots = (uint64_t *)(void *)(table->block->data + place);
    memset(slots, 0, count * 8);
    for (uint64_t i = 0; i < old_count; i++) {
        uint64_t row = (old[i] & TIDE_TABLE_PLACE) * 8;
        if (old[i] == TIDE_TABLE_FREE || old[i] == TIDE_TABLE_GIVEN_UP)
            continue;
        const struct tide_table_record *record = tide_table_record(table, row);
        insert(slots, count, tide_table_hash((const char *)(record + 1), record->key_size), row);
    }
    table->taken[segment] -= table->given_up[segment];
    table->given_up[segment] = 0;
    __atomic_store_n(&tide_table_head(table)->segments[segment],
                     place / 8 << 6 | (uint64_t)(64 - __builtin_clzll(count)), __ATOMIC_RELEASE);
    if (old)
        tide_tables_replace(tables, number, TIDE_TABLE_SLOTS,
                            (uint64_t)((char *)old - table->block->data), old_count * 8);
    return true;
}

/* Makes room for one row more: at most three quarters of the slots are taken. */
static bool make_room(struct tide_tables *tables, uint32_t number, uint32_t segment)
{
    struct tide_table *table = &tables->tables[number];
    uint64_t count = 0, kept = table->taken[segment] - table->given_up[segment];
    if (!tide_table_slots(table, segment, &count))
        return move_segment(tables, number, segment, FIRST_SLOTS);
    if ((table->taken[segment] + 1) * 4ULL <= count * 3)
        return true;
    return move_segment(tables, number, segment, kept * 2 >= count ? count * 2 : count);
}

/* A new row, which nobody sees yet. */
static uint64_t write_row(struct tide_table *table, uint64_t sequence, uint64_t before,
                          const char *key, uint64_t key_size, const char *value, uint64_t size)
{
    struct tide_table_record head = {sequence, before, (uint32_t)key_size,
                                     value ? (uint32_t)size : TIDE_TABLE_DELETED};
    uint64_t place = tide_table_take(table, tide_table_record_size(&head));
    if (place == 0)
        return 0;
    struct tide_table_record *record = tide_table_record(table, place);
    *record = head;
    if (key_size > 0)
        memcpy(record + 1, key, key_size);
    if (value && size > 0)
        memcpy((char *)(record + 1) + key_size, value, size);
    return place;
}

static void insert_row(struct tide_table *table, uint64_t hash, uint64_t place)
{
    uint32_t segment = tide_table_segment(hash);
    uint64_t count, *slots = tide_table_slots(table, segment, &count);
    if (insert(slots, count, hash, place))
        table->given_up[segment]--;
    else
        table->taken[segment]++;
}

/* The row that was there stays as the one before, for who reads by an older sequence; one that is pending too, since workers
 * pass it on their way there. */
static int change_row(struct tide_tables *tables, uint32_t number, uint64_t *slot, uint64_t place,
                      const char *value, uint64_t size)
{
    struct tide_table *table = &tables->tables[number];
    const struct tide_table_record *old = tide_table_record(table, place);
    const char *key = (const char *)(old + 1);
    bool was_there = old->size != TIDE_TABLE_DELETED;
    if (!was_there && !value)
        return TIDE_OK;
    if (was_there && value && old->size == size && memcmp(key + old->key_size, value, size) == 0)
        return TIDE_OK;
    uint64_t row = write_row(table, tables->control->sequence + 1, place, key, old->key_size, value,
                             size);
    if (row == 0)
        return no_memory(tables, table);
    __atomic_store_n(slot, (*slot >> 40 << 40) | row / 8, __ATOMIC_RELEASE);
    if (!value)
        tide_tables_replace(tables, number, TIDE_TABLE_ROW_DELETED, row, 0);
    if (was_there) /* a deleted one is in the list already */
        tide_tables_replace(tables, number, TIDE_TABLE_ROW, place, 0);
    table->rows += (value ? 1 : 0) - (was_there ? 1 : 0);
    table->changes++;
    tables->changed = true;
    return TIDE_OK;
}

int tide_table_put(struct tide_tables *tables, uint32_t number, const char *key, uint64_t key_size,
                   const char *value, uint64_t size)
{
    tide_require(number < tables->count);
    struct tide_table *table = &tables->tables[number];
    uint64_t hash = tide_table_hash(key, key_size), place;
    if (key_size > TIDE_TABLE_KEY || size >= TIDE_TABLE_DELETED)
        return tide_fail(TIDE_EDATA, "table \"%s\": a key has at most 1 MiB, and a value 4 GiB",
                         table->name);
    uint64_t *slot = tide_table_slot(table, key, key_size, hash, &place);
    if (slot)
        return change_row(tables, number, slot, place, value, size);
    if (!value)
        return TIDE_OK;
    if (!make_room(tables, number, tide_table_segment(hash)))
        return no_memory(tables, table);
    place = write_row(table, tables->control->sequence + 1, 0, key, key_size, value, size);
    if (place == 0)
        return no_memory(tables, table);
    insert_row(table, hash, place);
    table->rows++;
    table->changes++;
    tables->changed = true;
    return TIDE_OK;
}
