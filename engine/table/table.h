/* SPDX-License-Identifier: MIT
 * engine/table/table.h - tables (tide.table): rows by key in shared memory, which the engine alone writes, from a topic,
 * and all workers read while it does. Nothing is copied for a worker and nobody waits.
 *
 * One number, the sequence, says how far the tables are. The engine changes rows under the sequence that is to come; workers
 * see none of it until that is published.
 *
 *   engine                                                    worker
 *   puts a row: the new one lies in memory that nobody        begins a job, goes on to a message: takes the sequence that
 *   reads, it names the one before, then the slot of the      it reads by
 *   index names it (release)                                  finds a key: the slot's row (acquire), and of that the first
 *   publishes: sequence + 1 (release)                         one before that is no newer than its sequence
 *   keeps what it has replaced until that is published, and   ends the job
 *   each job that a worker is in began in a later turn
 *
 * The engine knows which jobs there are (proc/pool.h, tide_pool_since_us) and asks no worker: so one that is broken or hostile
 * keeps memory from being free no longer than its job lasts, and message_timeout ends that.
 *
 *   a row is     moved on by                                  to
 *   pending      publish                                      current
 *   current      a put or delete of its key (a pending one,    replaced
 *                too: workers pass it on their way)
 *   replaced     no worker can read it any more               free
 *   deleted      (a row without value) the same               its slot is given up; free once more no worker can read it
 *
 * So a message sees one state of all tables from its beginning to its end, and the next message that of now. While the memory
 * of a table is full of rows that a job may still read, no more is read from its topic.
 *
 * Memory: a block of max_bytes for each table (address space; pages are there when they are touched), which only the engine
 * can write. The index is SEGMENTS small hash tables, each of which grows by itself, so that no turn has to move them all.
 * Free memory is used again by its size class (steps of an eighth); it is not given back. */
#ifndef TIDE_TABLE_TABLE_H
#define TIDE_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIDE_TABLES = 16,
    TIDE_TABLE_SEGMENTS = 4096,
    TIDE_TABLE_KEY = 1048576 /* bytes of a key */
};

struct tide_tables;
struct tide_block;

/** What find has found: valid until the job ends. */
struct tide_table_row {
    const char *value;
    uint64_t size;
};

struct tide_table_view {
    uint64_t rows;    /* that are published */
    uint64_t memory;  /* bytes of shared memory */
    uint64_t changes; /* puts and deletes that changed something */
};

/* ---- in the engine ---- */

/** NULL with tide_error(). Before the fork. */
struct tide_tables *tide_tables_new(void);
/** Adds a table. Its number, from 0, or TIDE_ECONFIG. Before the fork; the name is copied. */
int tide_tables_add(struct tide_tables *tables, const char *name, uint64_t max_bytes);
/** The blocks that workers map, from 0; NULL past the last one. */
struct tide_block *tide_tables_block(const struct tide_tables *tables, uint32_t index);
/** Puts a row, in place of one with this key, or deletes it (`value` NULL). TIDE_BUSY: its memory is full of rows that workers
 * may still read, later; TIDE_ECONFIG: it is full. */
int tide_table_put(struct tide_tables *tables, uint32_t number, const char *key, uint64_t key_size,
                   const char *value, uint64_t size);
/** What was put is to be seen from now on. */
void tide_tables_publish(struct tide_tables *tables);
/** A turn begins, at `now_us`: what is replaced from now on belongs to it. All that was put before is published. */
void tide_tables_turn(struct tide_tables *tables, int64_t now_us);
/** Makes memory free that no worker can read: each job that one is in began in a turn of `since_us` or later. */
void tide_tables_collect(struct tide_tables *tables, int64_t since_us);
/** Whether there is something that it could make free. */
bool tide_tables_keeps(const struct tide_tables *tables);
void tide_table_view(const struct tide_tables *tables, uint32_t number,
                     struct tide_table_view *view);
void tide_tables_free(struct tide_tables *tables); /* NULL is fine */

/* ---- in a worker; NULL in place of tables is fine, and finds nothing ---- */

/** A job begins, or the next message of it: its rows are those of now. Outside of a job what is current is read. */
void tide_tables_refresh(struct tide_tables *tables);
void tide_tables_end(struct tide_tables *tables);
/** The number of a table; -1 = there is none of this name. */
int tide_tables_number(const struct tide_tables *tables, const char *name);
/** The value of a key; false = there is none. */
bool tide_table_find(const struct tide_tables *tables, uint32_t table, const char *key,
                     uint64_t size, struct tide_table_row *row);
double tide_table_rows(const struct tide_tables *tables, uint32_t table);

#endif
