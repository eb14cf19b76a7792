/* SPDX-License-Identifier: MIT
 * engine/store/inside.h - what the files of the store share:
 *   store_base.c    failures, the read transaction, numbers in keys
 *   store_checksums.c  the checksums of entries
 *   store_timers.c  the list of timers: reads and keeps it
 *   store_sort.c    the order of changes; no state
 *   store_boot.c    the file that says whether a copy is synced
 *   store.c         values, positions, transactions
 *   store_open.c    opens and closes: whose store it is, and which states it has
 *   store_walk.c    goes through what it holds
 *   store_drop.c    deletes a state
 *   store_check.c   checks the file before LMDB opens it, in several threads
 *   store_pages.c   goes through its pages for that (pages.h) */
#ifndef TIDE_STORE_INSIDE_H
#define TIDE_STORE_INSIDE_H

#include <lmdb.h>
#include <stdbool.h>
#include <string.h>

#include "store/store.h"

/** What the entry of the pipeline begins with. Version 1 had no checksums but those of values. */
#define TIDE_STORE_FORMAT "tidemill state 2 of "

enum {
    TIDE_STORE_PREFIX = 9,   /* of a value's key: 'S', state, partition */
    TIDE_STORE_POSITION = 9, /* of a position's key: 'P', input */
    TIDE_STORE_ROOM = TIDE_STORE_KEY + TIDE_STORE_PREFIX + 8 /* for any key of the table */
};

struct tide_store_room {
    char bytes[TIDE_STORE_ROOM];
};

struct tide_store {
    char *dir;
    bool temporary; /* owned by store_open.c, as is the lock (of the folder) */
    bool copy;      /* it is synced when it is closed */
    int lock;
    MDB_env *env;
    MDB_dbi table;
    size_t map;
    MDB_txn *reader;    /* owned by store_base.c: NULL before the first read */
    bool reading;       /* it is not reset */
    MDB_txn *writer;    /* NULL = no transaction */
    MDB_cursor *cursor; /* of the writer, which ends with it: where the last value was put */
    uint64_t expired;   /* values that were deleted for their time */
    struct tide_store_timed
        *timed; /* owned by store_timers.c: the states whose keys may have timers */
    uint32_t timed_count;
    char swept[TIDE_STORE_KEY + TIDE_STORE_PREFIX]; /* where the last sweep ended */
    size_t swept_length;
};

struct tide_store_timed {
    uint32_t number;
    uint64_t timers, before; /* in the list; as of the last commit */
};

/** Ends the transaction, if there is one, and fails with the text of what LMDB said. */
int tide_store_failed(struct tide_store *store, int code, const char *what);
int tide_store_damaged(struct tide_store *store, const char *why);

/** What an entry of the table is. */
enum tide_store_entry {
    TIDE_ENTRY_SOUND,
    TIDE_ENTRY_OTHER_FORMAT, /* of a store that another version has written; it is not damaged */
    TIDE_ENTRY_NONE,         /* of a store at all */
    TIDE_ENTRY_WRONG_VALUE,  /* its checksum, or its size */
    TIDE_ENTRY_WRONG         /* the checksum of one that is no value */
};
/** What is wrong with one that is not SOUND. */
const char *tide_store_entry_text(enum tide_store_entry entry);
/** The store has an entry that is not SOUND: what tide_store_damaged does, unless it has another format. */
int tide_store_refuse(struct tide_store *store, enum tide_store_entry entry);
/** Checks what stands at a key, and gives it: 1, or negative. */
int tide_store_read_value(struct tide_store *store, const struct MDB_val *key,
                          const struct MDB_val *data, struct tide_store_value *value);
/** A read transaction is there then. */
int tide_store_read(struct tide_store *store);
/** The same of a write. TIDE_BUSY: the map was full, and has grown. */
int tide_store_write_failed(struct tide_store *store, int code, const char *what);
/** Writes what the keys of all positions of an input begin with: TIDE_STORE_POSITION bytes; the partition follows. */
void tide_store_name_positions(const char *input, char *to);
/** Writes and reads four bytes in big endian. */
void tide_store_number(char *to, uint32_t number);
uint32_t tide_store_number_at(const char *bytes);
/** The first entry at the key or, with `behind`, after it: 1 and both, borrowed until the next call for this store; 0 = there is
 * none. */
int tide_store_seek(struct tide_store *store, MDB_val *key, MDB_val *data, bool behind);
static inline bool tide_store_begins_with(const MDB_val *key, const MDB_val *prefix)
{
    return key->mv_size >= prefix->mv_size &&
           memcmp(key->mv_data, prefix->mv_data, prefix->mv_size) == 0;
}
/** The numbers of timers are as of the last commit again. */
void tide_store_recount(struct tide_store *store);

/** What stands before the bytes of a value. LMDB aligns nothing, so it is copied. */
struct tide_store_head {
    int64_t expires_ms;
    uint32_t kind;
    uint32_t check;
};

/* store.c */

/** In a transaction: deletes at most `most` entries whose keys begin so, a value with its timer; `deleted` is how many, with
 * TIDE_OK. */
int tide_store_delete_some(struct tide_store *store, const MDB_val *prefix, uint32_t most,
                           uint32_t *deleted);

/* store_checksums.c */

uint32_t tide_store_value_checksum(const struct MDB_val *key, const struct tide_store_head *head,
                                   const char *bytes, size_t length);
/** What stands at the key is a value, with the right checksum: it is in *value. */
bool tide_store_is_value(const struct MDB_val *key, const struct MDB_val *data,
                         struct tide_store_value *value);
/** The checksum of an entry that is no value, which stands behind its data. */
uint32_t tide_store_checksum(const struct MDB_val *key, const char *data, size_t length);
enum tide_store_entry tide_store_check_entry(const struct MDB_val *key, const struct MDB_val *data);

/* store_check.c */

/** The file, if there is one, has all that its newest transaction has written. Before LMDB opens it. */
int tide_store_check_file(struct tide_store *store);

/* store_boot.c */

/** Whether the machine has ended since the copy in this folder was written to. */
bool tide_store_is_of_other_boot(const char *dir);
/** From now on it is written to without a sync. */
int tide_store_mark_unsynced(const char *dir);
/** It is synced. */
void tide_store_mark_synced(const char *dir);

/* store_timers.c */

/** The value at `name` is about to become `value` (NULL: to be deleted): so does the list of timers, if the state may have
 * some. */
int tide_store_keep_timer(struct tide_store *store, const struct MDB_val *name,
                          const struct tide_store_value *value);
/** The value `data` at `name` is about to be deleted: its timer is, too. A code of LMDB; MDB_NOTFOUND = it has none. */
int tide_store_drop_timer(struct tide_store *store, const struct MDB_val *name,
                          const struct MDB_val *data);

#endif
