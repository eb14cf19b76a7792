/* SPDX-License-Identifier: MIT
 * What was replaced, in the order of its sequence, until no worker can read it (table.h). Start with tide_tables_collect(). */
#include <stdlib.h>

#include "base/status.h"
#include "table/inside.h"

enum { FIRST_ROOM = 1024, MOST_AT_ONCE = 20000 };

static struct tide_table_replaced *item(const struct tide_tables *tables, uint32_t index)
{
    return &tables->replaced[(tables->replaced_first + index) & (tables->replaced_room - 1)];
}

static void double_room(struct tide_tables *tables)
{
    uint32_t room = tables->replaced_room ? tables->replaced_room * 2 : FIRST_ROOM;
    struct tide_table_replaced *larger = tide_alloc(room * sizeof(*larger));
    for (uint32_t i = 0; i < tables->replaced_count; i++)
        larger[i] = *item(tables, i);
    free(tables->replaced);
    tables->replaced = larger;
    tables->replaced_room = room;
    tables->replaced_first = 0;
}

void tide_tables_replace(struct tide_tables *tables, uint32_t table,
                         enum tide_table_replaced_kind kind, uint64_t place, uint64_t size)
{
    if (tables->replaced_count == tables->replaced_room)
        double_room(tables);
    *item(tables, tables->replaced_count++) = (struct tide_table_replaced){
        tables->control->sequence + 1, tables->turn_us, place, size, table, (uint32_t)kind};
    tables->changed = true;
}

/* Everybody sees that the key has no row, so its slot is given up. Somebody may just have read the slot, so the row itself
 * stays once more. A key that was put again meanwhile has a row of its own there. */
static void give_up_slot(struct tide_tables *tables, const struct tide_table_replaced *replaced)
{
    struct tide_table *table = &tables->tables[replaced->table];
    const struct tide_table_record *record = tide_table_record(table, replaced->place);
    const char *key = (const char *)(record + 1);
    uint64_t hash = tide_table_hash(key, record->key_size), place;
    uint64_t *slot = tide_table_slot(table, key, record->key_size, hash, &place);
    if (slot && place == replaced->place) {
        __atomic_store_n(slot, TIDE_TABLE_GIVEN_UP, __ATOMIC_RELEASE);
        table->given_up[tide_table_segment(hash)]++;
    }
    tide_tables_replace(tables, replaced->table, TIDE_TABLE_ROW, replaced->place, 0);
}

bool tide_tables_keeps(const struct tide_tables *tables)
{
    return tables->replaced_count > 0;
}

/* It was published by the end of its turn, so a job of a later turn began with it. */
static bool may_be_read(const struct tide_tables *tables,
                        const struct tide_table_replaced *replaced, int64_t since_us)
{
    return replaced->sequence > tables->control->sequence || replaced->turn_us >= since_us;
}

/* Up to a limit, for the sake of the turn. */
void tide_tables_collect(struct tide_tables *tables, int64_t since_us)
{
    for (int i = 0; i < MOST_AT_ONCE && tables->replaced_count > 0; i++) {
        struct tide_table_replaced replaced = *item(tables, 0);
        struct tide_table *table = &tables->tables[replaced.table];
        if (may_be_read(tables, &replaced, since_us))
            return;
        tables->replaced_first = (tables->replaced_first + 1) & (tables->replaced_room - 1);
        tables->replaced_count--;
        if (replaced.kind == TIDE_TABLE_ROW_DELETED)
            give_up_slot(tables, &replaced);
        else if (replaced.kind == TIDE_TABLE_ROW)
            tide_table_give_back(table, replaced.place,
                                 tide_table_record_size(tide_table_record(table, replaced.place)));
        else
            tide_table_give_back(table, replaced.place, replaced.size);
    }
}
