/* SPDX-License-Identifier: MIT
 * The tables of an engine, and what a message sees of them (table.h has the protocol). A job and a report are system calls, so
 * what was published before a job was given is there when it begins. Start with tide_tables_publish() and
 * tide_tables_refresh(). */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/status.h"
#include "table/inside.h"

struct tide_tables *tide_tables_new(void)
{
    struct tide_tables *tables = tide_alloc(sizeof(*tables));
    tables->control_block = tide_block_new(sizeof(*tables->control));
    if (!tables->control_block) {
        tide_tables_free(tables);
        return NULL;
    }
    tables->control = (void *)tables->control_block->data;
    tables->control->sequence = 1;
    return tables;
}

/* Beyond the limit of this process ftruncate() ends it by SIGXFSZ. */
static bool is_size_limited(uint64_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur < size;
}

int tide_tables_add(struct tide_tables *tables, const char *name, uint64_t max_bytes)
{
    struct tide_table *table = &tables->tables[tables->count];
    if (tables->count == TIDE_TABLES)
        return tide_fail(TIDE_ECONFIG, "table \"%s\": there are more than %d tables", name,
                         TIDE_TABLES);
    if (is_size_limited(max_bytes + (1 << 20)))
        return tide_fail(TIDE_ECONFIG,
                         "table \"%s\": the size of files is limited (ulimit -f, LimitFSIZE=), and "
                         "with it that of a table's memory; it has to be unlimited",
                         name);
    table->block = tide_block_new(max_bytes);
    if (!table->block)
        return tide_fail(TIDE_ECONFIG,
                         "table \"%s\": no address space for max_bytes = %llu MiB; is it limited "
                         "(ulimit -v)?",
                         name, (unsigned long long)max_bytes >> 20);
    table->name = tide_copy(name);
    table->used = sizeof(struct tide_table_head);
    return (int)tables->count++;
}

struct tide_block *tide_tables_block(const struct tide_tables *tables, uint32_t index)
{
    if (index == 0)
        return tables->control_block;
    return index <= tables->count ? tables->tables[index - 1].block : NULL;
}

void tide_tables_publish(struct tide_tables *tables)
{
    if (!tables->changed)
        return;
    for (uint32_t i = 0; i < tables->count; i++)
        __atomic_store_n(&tables->control->rows[i], tables->tables[i].rows, __ATOMIC_RELAXED);
    __atomic_store_n(&tables->control->sequence, tables->control->sequence + 1, __ATOMIC_SEQ_CST);
    tables->changed = false;
}

void tide_tables_turn(struct tide_tables *tables, int64_t now_us)
{
    tide_require(!tables->changed);
    tables->turn_us = now_us;
}

void tide_table_view(const struct tide_tables *tables, uint32_t number,
                     struct tide_table_view *view)
{
    const struct tide_table *table = &tables->tables[number];
    int64_t memory = tide_block_memory(table->block);
    *view = (struct tide_table_view){tables->control->rows[number],
                                     memory < 0 ? table->used : (uint64_t)memory, table->changes};
}

void tide_tables_free(struct tide_tables *tables)
{
    if (!tables)
        return;
    for (uint32_t i = 0; i < tables->count; i++) {
        tide_block_free(tables->tables[i].block);
        free(tables->tables[i].name);
    }
    tide_block_free(tables->control_block);
    free(tables->replaced);
    free(tables);
}

/* ---- in a worker ---- */

void tide_tables_refresh(struct tide_tables *tables)
{
    if (tables)
        tables->reads = __atomic_load_n(&tables->control->sequence, __ATOMIC_ACQUIRE);
}

void tide_tables_end(struct tide_tables *tables)
{
    if (tables)
        tables->reads = 0;
}

int tide_tables_number(const struct tide_tables *tables, const char *name)
{
    for (uint32_t i = 0; tables && i < tables->count; i++)
        if (strcmp(tables->tables[i].name, name) == 0)
            return (int)i;
    return -1;
}

double tide_table_rows(const struct tide_tables *tables, uint32_t table)
{
    if (!tables || table >= tables->count)
        return 0;
    return (double)__atomic_load_n(&tables->control->rows[table], __ATOMIC_RELAXED);
}
