/* SPDX-License-Identifier: MIT
 * engine/lookup/inside.h - what the files of this folder share. Calls go down this list: reload.c (builders), lookups.c (versions,
 * workers), build.c (a file), csv.c, json_lines.c, msgpack.c (its rows), cells.c (what is in a row), table.c (where it goes). */
#ifndef TIDE_LOOKUP_INSIDE_H
#define TIDE_LOOKUP_INSIDE_H

#include <sys/types.h>

#include "base/text.h"
#include "lookup/lookup.h"

/* ---- table.c ---- */

/** A version that is being written. */
struct tide_lookup_writer {
    const struct tide_lookup_source *source;
    struct tide_lookup_table *table; /* where it lies */
    uint64_t room;                   /* bytes from there on */
    uint64_t used;
    uint64_t row;    /* where the row begins that is being written */
    uint64_t *slots; /* the index, in the builder's own memory until the end */
    uint64_t mask;
    uint64_t line;          /* of the file, from 1, for texts; 0 = `byte` */
    uint64_t byte;          /* of the file, from 0 */
    struct tide_text key;   /* of the row that is being written */
    struct tide_text names; /* of its cells, as cells; owned by cells.c, like what follows */
    uint32_t name_count;
    struct tide_text shapes; /* as they will lie in the table */
    uint32_t shape_count;
    uint64_t
        shape_at[TIDE_LOOKUP_SHAPES + 1]; /* in `shapes`, from 1; the end of the last one follows */
    uint32_t last_shape;
};

void tide_lookup_writer_init(struct tide_lookup_writer *writer,
                             const struct tide_lookup_source *source,
                             struct tide_lookup_table *table, uint64_t room);
void tide_lookup_writer_free(struct tide_lookup_writer *writer);
/** TIDE_ECONFIG with the name of the file and the place in it before the text. */
int tide_lookup_refuse(const struct tide_lookup_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Begins a row. */
int tide_lookup_begin_row(struct tide_lookup_writer *writer);
/** Appends to the cells of the row. */
int tide_lookup_append(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
/** Moves what was appended from `from` on by `by` bytes, for a head before it. */
int tide_lookup_make_room(struct tide_lookup_writer *writer, uint64_t from, uint64_t by);
/** The row is complete: the key goes before its cells, so that it lies beside the sizes. `shape` is that of the row. */
int tide_lookup_end_row(struct tide_lookup_writer *writer, uint32_t shape);
/** No more rows: writes shapes and index. */
int tide_lookup_finish(struct tide_lookup_writer *writer);
/** Bytes of the user as they can be shown: no control bytes, at most 40. Valid until the fourth call from here. */
const char *tide_lookup_shown(const char *bytes, uint64_t size);

/* ---- cells.c ---- */

/** Appends a member to the key; `last` or not. */
void tide_lookup_append_key(struct tide_lookup_writer *writer, const char *bytes, uint64_t size,
                            bool last);
/** A number as a member of a key: its digits in `text`. False = it is no integer that a double holds. */
bool tide_lookup_digits(double number, char text[32]);
/** Begins a row whose names are not known yet. */
int tide_lookup_begin_named(struct tide_lookup_writer *writer);
/** The name of the next cell. */
void tide_lookup_add_name(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
/** The next cell: a string. */
int tide_lookup_add_string(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
/** One whose bytes were appended from `from` on. */
int tide_lookup_close_string(struct tide_lookup_writer *writer, uint64_t from);
/** A cell that is `kind` and these bytes: NULL, FALSE, TRUE have none. */
int tide_lookup_add_cell(struct tide_lookup_writer *writer, enum tide_lookup_cell kind,
                         const char *bytes, uint64_t size);
int tide_lookup_add_number(struct tide_lookup_writer *writer, double number);
/** The bytes of a value as they stand in the file. */
int tide_lookup_add_as_is(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
/** The number of the shape that has these names; 0 = there are too many shapes or names. */
uint32_t tide_lookup_shape(struct tide_lookup_writer *writer);
/** True when names that are of no shape yet have one twice. */
bool tide_lookup_has_name_twice(const struct tide_lookup_writer *writer);
/** Ends a row whose names were added; `bytes` are those of the row, for one without a shape. */
int tide_lookup_end_named(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);

/* ---- csv.c, json_lines.c, msgpack.c: all rows of a file's bytes ---- */

int tide_lookup_read_csv(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
int tide_lookup_read_json(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);
int tide_lookup_read_msgpack(struct tide_lookup_writer *writer, const char *bytes, uint64_t size);

/* ---- build.c ---- */

/** What tells one state of a file from another. */
struct tide_lookup_file {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};

/** TIDE_ECONFIG with its name and the reason. */
int tide_lookup_look(const struct tide_lookup_source *source, struct tide_lookup_file *file);
/** Reads bytes into a table, which lies in zeroed memory of `room` bytes. TIDE_OK or TIDE_ECONFIG. */
int tide_lookup_build(const struct tide_lookup_source *source, const char *bytes, uint64_t size,
                      struct tide_lookup_table *table, uint64_t room);
/** The same for the file. Sets what of the report a builder knows; `file` is what was read. */
void tide_lookup_build_file(const struct tide_lookup_source *source,
                            struct tide_lookup_table *table, uint64_t room,
                            struct tide_lookup_file *file, struct tide_lookup_report *report);

/* ---- lookups.c ---- */

/** In shared memory: written by the zygote and its builder, read by workers. */
struct tide_lookups_control {
    uint64_t epoch;                       /* rises with each new version; 1 at first */
    uint64_t version[TIDE_LOOKUP_TABLES]; /* 0 = none; it lies in half `version & 1` */
    struct tide_lookup_report report;     /* of the builder */
    struct tide_lookup_file file;         /* that it has read */
};

/** In the zygote: what is known of a table. */
struct tide_lookup_entry {
    struct tide_lookup_source source; /* owned */
    char *halves;                     /* two versions, 2 * TIDE_LOOKUP_ROOM bytes */
    struct tide_lookup_file read; /* the file of the last reading, whether it succeeded or not */
    struct tide_lookup_file seen; /* at the last look */
    bool gone;                    /* there was no file at the last look; that was reported */
    bool kept;                    /* the version before is there still: workers may read it */
    int64_t held_us; /* since when another file waits for that to end; 0 = none does ... */
    bool held;       /* ... and that was reported */
};

struct tide_lookups {
    int fd;        /* -1 = closed */
    int read_only; /* of the same memory */
    uint32_t count;
    struct tide_lookups_control *control; /* NULL while there is no table */
    struct tide_lookup_entry tables[TIDE_LOOKUP_TABLES];
    struct tide_lookup_report reports[TIDE_LOOKUP_TABLES]; /* that were not fetched yet, by table */
    int32_t builder;                                       /* 0 = none */
    uint32_t building;                                     /* the table */
    int64_t next_look_us;
};

/** Where the version goes that is not current. */
struct tide_lookup_table *tide_lookups_other(const struct tide_lookups *lookups, uint32_t table);
/** Gives back the memory of that half. */
void tide_lookups_empty_other(struct tide_lookups *lookups, uint32_t table);
/** What lies there is current from now on. The number of its version. */
uint32_t tide_lookups_swap(struct tide_lookups *lookups, uint32_t table);
/** Adds a table, with its memory. Its number, or TIDE_ECONFIG. */
int tide_lookups_add(struct tide_lookups *lookups, const struct tide_lookup_source *source);

#endif
