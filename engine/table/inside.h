/* SPDX-License-Identifier: MIT
 * engine/table/inside.h - what the files of this folder share. Calls go down this list: tables.c (the tables, and what a message sees of them),
 * put.c (changes), replaced.c (what was replaced, until it is free), find.c (reading, also for the writer), heap.c (memory).
 *
 * A place is the number of bytes from the beginning of a table's block, and a multiple of 8. */
#ifndef TIDE_TABLE_INSIDE_H
#define TIDE_TABLE_INSIDE_H

#include "shm/block.h"
#include "table/table.h"

/* ---- shared memory ---- */

/** Written by the engine, read by workers. */
struct tide_tables_control {
    uint64_t sequence; /* that is published; from 1 */
    uint64_t rows[TIDE_TABLES];
};

/** The beginning of a table's block. */
struct tide_table_head {
    uint64_t
        segments[TIDE_TABLE_SEGMENTS]; /* the place of its slots / 8, and in the lowest 6 bits 1 +
                                               log2 of their number; 0 = it has none */
};

/** A row; the key and then the value follow. */
struct tide_table_record {
    uint64_t sequence; /* under which it was put */
    uint64_t before;   /* the place of the row that it has replaced; 0 = none */
    uint32_t key_size;
    uint32_t size; /* of the value; DELETED = it has none */
};
#define TIDE_TABLE_DELETED UINT32_MAX

/* A slot: the upper 24 bits of the hash and, in the lower 40, the place / 8. */
#define TIDE_TABLE_FREE 0ULL
#define TIDE_TABLE_GIVEN_UP 1ULL /* a row was there; one that is looked for may come after it */
#define TIDE_TABLE_PLACE ((1ULL << 40) - 1)

/* ---- the engine's own ---- */

enum { TIDE_TABLE_CLASSES = 320 }; /* up to 2^40 bytes */

struct tide_table {
    char *name;
    struct tide_block *block;
    uint64_t used;                          /* bytes that were given out ever: the rest is new */
    uint64_t unused[TIDE_TABLE_CLASSES];    /* the first place of each class that is free */
    uint32_t taken[TIDE_TABLE_SEGMENTS];    /* slots that are not FREE */
    uint32_t given_up[TIDE_TABLE_SEGMENTS]; /* of them */
    uint64_t rows;
    uint64_t changes;
};

enum tide_table_replaced_kind { TIDE_TABLE_ROW, TIDE_TABLE_ROW_DELETED, TIDE_TABLE_SLOTS };
struct tide_table_replaced {
    uint64_t sequence; /* under which it was replaced */
    int64_t turn_us;   /* ... in this turn */
    uint64_t place;
    uint64_t size; /* SLOTS: their bytes */
    uint32_t table;
    uint32_t kind;
};

struct tide_tables {
    struct tide_block *control_block;
    struct tide_tables_control *control;
    uint32_t count;
    struct tide_table tables[TIDE_TABLES];
    struct tide_table_replaced *replaced; /* a ring, by sequence */
    uint32_t replaced_room, replaced_first, replaced_count;
    int64_t turn_us; /* that it is */
    bool changed;    /* since the last publish */
    uint64_t reads;  /* in a worker: the sequence that it reads by; 0 = the current one */
};

static inline struct tide_table_head *tide_table_head(const struct tide_table *table)
{
    return (struct tide_table_head *)(void *)table->block->data;
}

static inline struct tide_table_record *tide_table_record(const struct tide_table *table,
                                                          uint64_t place)
{
    return (struct tide_table_record *)(void *)(table->block->data + place);
}

/* ---- heap.c ---- */

/** Memory of a table; 0 = it is full. */
uint64_t tide_table_take(struct tide_table *table, uint64_t size);
/** `size` as it was taken. */
void tide_table_give_back(struct tide_table *table, uint64_t place, uint64_t size);
/** Bytes of a row. */
uint64_t tide_table_record_size(const struct tide_table_record *record);

/* ---- find.c ---- */

uint64_t tide_table_hash(const char *key, uint64_t size);
static inline uint32_t tide_table_segment(uint64_t hash)
{
    return (uint32_t)(hash & (TIDE_TABLE_SEGMENTS - 1));
}
/** Where the probing of a key begins in its segment. */
static inline uint64_t tide_table_first(uint64_t hash)
{
    return hash >> 12;
}
/** The slot that names a row of this key, and the place of that row, the newest; NULL = there is none. In a worker nothing
 * outside of the block is read. */
uint64_t *tide_table_slot(const struct tide_table *table, const char *key, uint64_t size,
                          uint64_t hash, uint64_t *place);
/** The slots of a segment, and how many there are; NULL = none. */
uint64_t *tide_table_slots(const struct tide_table *table, uint32_t segment, uint64_t *count);

/* ---- replaced.c ---- */

/** Something of a table was replaced under the sequence that is to come. */
void tide_tables_replace(struct tide_tables *tables, uint32_t table,
                         enum tide_table_replaced_kind kind, uint64_t place, uint64_t size);

#endif
