/* SPDX-License-Identifier: MIT
 * engine/lookup/lookup.h - lookup tables (tide.lookup): files that are read once into shared memory, where all workers find
 * their rows by a key. The zygote owns them. A builder, a process that it forks for each reading, does the reading, so that
 * a file which is wrong, or is cut while it is read, ends no more than that process.
 *
 *   moment                                       the table
 *   declared, while user code is loaded          read at once; the caller waits. A file that is wrong ends the run (78)
 *   its file is another one (size, time, inode)  read anew, by a builder, once two looks have found it the same
 *   the builder has read it                      the next version: a worker takes it between two jobs
 *   it could not                                 the version before stays; a report says file, line and why
 *   the file is gone                             the same, once
 *   no worker is in a job that began before      the engine says so (it knows the jobs, proc/pool.h; no worker is asked): the
 *                                                memory of the version before is given back. Until then there is no third one
 *   that is waited for, for a minute             a report says so, once
 *
 * Memory: one memfd. Each table has room for two versions of TIDE_LOOKUP_ROOM bytes, which is address space; pages are there
 * when they are touched. The zygote alone keeps descriptors; a worker has all of it mapped from one that can only be read.
 *
 * A version: struct tide_lookup_table, the rows, the shapes, an index. Nothing is aligned but the index:
 *
 *   row     uint32_t size of the cells, uint32_t size of the key, key, cells
 *   cells   the number of the shape (one byte), and a cell for each of its names. Shape 0: no cells but the whole row as it
 *           stands in the file, where there are too many shapes or names
 *   cell    a byte (enum tide_lookup_cell), and what it announces
 *   shapes  of each: uint32_t number of names, and the names as cells. Shape 1 comes first
 *   key     the member's bytes, an integer in decimal digits; of several members each but the last one as its size in
 *           digits, a colon and its bytes
 *   index   uint64_t slots, a power of two: 24 bits of the key's hash, and 40 of the place of the row; 0 = free */
#ifndef TIDE_LOOKUP_LOOKUP_H
#define TIDE_LOOKUP_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIDE_LOOKUP_TABLES = 16,    /* of one zygote */
    TIDE_LOOKUP_KEYS = 8,       /* members of a key */
    TIDE_LOOKUP_COLUMNS = 2048, /* of CSV; members of another row of which a shape is made */
    TIDE_LOOKUP_SHAPES = 255,
    TIDE_LOOKUP_NAME = 256,     /* bytes of a name or path that is shown, with the NUL */
    TIDE_LOOKUP_LOOK_MS = 500,  /* between two looks at the files */
    TIDE_LOOKUP_HELD_MS = 60000 /* that the next version waits before that is reported */
};
#define TIDE_LOOKUP_ROOM (4ULL << 30)

enum tide_lookup_format { TIDE_LOOKUP_CSV, TIDE_LOOKUP_JSON, TIDE_LOOKUP_MSGPACK };

enum tide_lookup_cell {
    TIDE_LOOKUP_LONG =
        250, /* below: a string of so many bytes; this: its uint32_t size and its bytes */
    TIDE_LOOKUP_NULL,
    TIDE_LOOKUP_FALSE,
    TIDE_LOOKUP_TRUE,
    TIDE_LOOKUP_NUMBER, /* a double */
    TIDE_LOOKUP_AS_IS   /* a uint32_t size, and the bytes of the file: JSON or MessagePack */
};

/** What is to be read. All texts are copied. */
struct tide_lookup_source {
    const char *name; /* for texts */
    const char *path;
    uint32_t format;    /* enum tide_lookup_format */
    uint32_t separator; /* CSV: the byte between two fields */
    uint32_t key_count; /* 0, CSV only: the first column */
    const char *keys[TIDE_LOOKUP_KEYS];
};

/** A version of a table. All zero: a table without rows. */
struct tide_lookup_table {
    uint64_t rows;
    uint64_t size; /* bytes, with the index */
    uint64_t index;
    uint64_t mask; /* slots - 1 */
    uint64_t shapes;
    uint32_t shapes_size;
    uint32_t shape_count;
};

struct tide_lookup_row {
    const char *cells;
    uint64_t size;
};

enum tide_lookup_state {
    TIDE_LOOKUP_EMPTY,   /* nothing was read yet */
    TIDE_LOOKUP_READ,    /* a version is complete */
    TIDE_LOOKUP_FAILED,  /* it could not be read: `problem` */
    TIDE_LOOKUP_CHANGED, /* the file was changed meanwhile: it is read again */
};

/** What a builder leaves, and what the engine is told. */
struct tide_lookup_report {
    uint32_t table;   /* its number, from 0 */
    uint32_t state;   /* enum tide_lookup_state: READ or FAILED */
    uint32_t version; /* READ: its number, from 1 */
    uint64_t rows;
    uint64_t bytes;
    int64_t time_us; /* that reading took */
    char name[TIDE_LOOKUP_NAME];
    char problem[1024];
};

struct tide_lookups;

/* ---- in the engine, before the zygote is forked ---- */

/** NULL with tide_error(). */
struct tide_lookups *tide_lookups_new(void);
/** After the fork: the engine keeps no descriptor. NULL is fine. */
void tide_lookups_free(struct tide_lookups *lookups);

/* ---- in the zygote ---- */

/** Its descriptors, which stay open: writes two to `fds`. */
uint32_t tide_lookups_descriptors(const struct tide_lookups *lookups, int *fds);
/** Adds a table and reads it. Its number, or TIDE_ECONFIG with "users.csv:17: ...". */
int tide_lookups_load(struct tide_lookups *lookups, const struct tide_lookup_source *source);
/** What became of readings since the last call: false = nothing more. */
bool tide_lookups_report(struct tide_lookups *lookups, struct tide_lookup_report *report);
/** Looks at the files when it is time, has them read, and gives memory back. To be called when LOOK_MS have passed or a child
 * has ended. */
void tide_lookups_turn(struct tide_lookups *lookups, int64_t now_us);
/** For poll(): -1 while there are no tables. */
int tide_lookups_wait_ms(const struct tide_lookups *lookups);
/** The process that reads now; 0 = none. */
int32_t tide_lookups_builder(const struct tide_lookups *lookups);
/** No worker reads what was there before this version of a table, which was reported. */
void tide_lookups_unused(struct tide_lookups *lookups, uint32_t table, uint32_t version);
/** Bytes that all versions take. */
uint64_t tide_lookups_memory(const struct tide_lookups *lookups);

/* ---- in a worker ---- */

/** Right after its fork: makes the tables read-only, and keeps no descriptor. */
int tide_lookups_enter_worker(struct tide_lookups *lookups);
/** A number that rises when another version of a table is current than before. Without tables 0. */
double tide_lookups_epoch(const struct tide_lookups *lookups);
/** The version that is current, also in the zygote. */
const struct tide_lookup_table *tide_lookups_table(const struct tide_lookups *lookups,
                                                   uint32_t table);
/** The row of a key; false = there is none. `table` may hold anything: nothing beyond its room is read. */
bool tide_lookup_find(const struct tide_lookup_table *table, const char *key, uint64_t size,
                      struct tide_lookup_row *row);
/** The shapes, in place of cells. */
void tide_lookup_shapes(const struct tide_lookup_table *table, struct tide_lookup_row *shapes);

#endif
