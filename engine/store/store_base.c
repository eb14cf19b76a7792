/* SPDX-License-Identifier: MIT
 * What all files of the store need: failures, the read transaction, numbers in keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/status.h"
#include "store/inside.h"

/* ---- failures ---- */

/* LMDB says EIO, too, where the disk took a part of what was to be written. */
static bool is_full(const struct tide_store *store, int code)
{
    struct statvfs disk;
    return code == ENOSPC || (code == EIO && statvfs(store->dir, &disk) == 0 && disk.f_bavail == 0);
}

static int fail_data(struct tide_store *store, const char *is, const char *why)
{
    tide_store_rollback(store);
    return tide_fail(TIDE_EDATA,
                     "the store %s is %s (%s); without it the state is restored where it has a "
                     "changelog, and on files begins empty and reads its input from the start",
                     store->dir, is, why);
}

int tide_store_damaged(struct tide_store *store, const char *why)
{
    return fail_data(store, "damaged", why);
}

const char *tide_store_entry_text(enum tide_store_entry entry)
{
    static const char *const why[] = {
        [TIDE_ENTRY_OTHER_FORMAT] = "it has the format of another version of tidemill",
        [TIDE_ENTRY_NONE] = "an entry is none of a store",
        [TIDE_ENTRY_WRONG_VALUE] = "the checksum of a value is wrong",
        [TIDE_ENTRY_WRONG] = "the checksum of an entry is wrong",
    };
    return why[entry];
}

int tide_store_refuse(struct tide_store *store, enum tide_store_entry entry)
{
    return fail_data(store, entry == TIDE_ENTRY_OTHER_FORMAT ? "not read" : "damaged",
                     tide_store_entry_text(entry));
}

int tide_store_failed(struct tide_store *store, int code, const char *what)
{
    char why[200];
    tide_store_rollback(store);
    snprintf(why, sizeof(why), "%s: %s", what, mdb_strerror(code));
    if (code == MDB_INVALID || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND ||
        code == MDB_VERSION_MISMATCH || code == MDB_BAD_TXN || code == MDB_PANIC)
        return tide_store_damaged(store, why);
    return tide_fail(TIDE_ETEMPORARY, "the store %s: cannot %s: %s", store->dir, what,
                     is_full(store, code) ? "its disk is full; the last commit stands"
                                          : mdb_strerror(code));
}

/* The map is address space; a new size can be set only while no transaction is open. */
static int grow(struct tide_store *store)
{
    tide_store_rollback(store);
    if (store->reader)
        mdb_txn_abort(store->reader);
    store->reader = NULL;
    store->reading = false;
    store->map *= 2;
    int code = mdb_env_set_mapsize(store->env, store->map);
    return code ? tide_store_failed(store, code, "grow") : TIDE_BUSY;
}

int tide_store_write_failed(struct tide_store *store, int code, const char *what)
{
    return code == MDB_MAP_FULL ? grow(store) : tide_store_failed(store, code, what);
}

void tide_store_recount(struct tide_store *store)
{
    for (uint32_t i = 0; i < store->timed_count; i++)
        store->timed[i].timers = store->timed[i].before;
}

void tide_store_rollback(struct tide_store *store)
{
    if (store->writer) {
        mdb_txn_abort(store->writer);
        tide_store_recount(store);
    }
    store->writer = NULL;
}

/* ---- reading ---- */

int tide_store_read(struct tide_store *store)
{
    int code = 0;
    tide_require(!store->writer);
    if (!store->reader)
        code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader);
    else if (!store->reading)
        code = mdb_txn_renew(store->reader);
    if (code)
        return tide_store_failed(store, code, "read");
    store->reading = true;
    return TIDE_OK;
}

int tide_store_seek(struct tide_store *store, MDB_val *key, MDB_val *data, bool behind)
{
    MDB_val wanted = *key;
    MDB_cursor *cursor;
    int status = tide_store_read(store);
    if (status < 0)
        return status;
    int code = mdb_cursor_open(store->reader, store->table, &cursor);
    if (code)
        return tide_store_failed(store, code, "read");
    code = mdb_cursor_get(cursor, key, data, MDB_SET_RANGE);
    if (!code && behind && key->mv_size == wanted.mv_size &&
        memcmp(key->mv_data, wanted.mv_data, wanted.mv_size) == 0)
        code = mdb_cursor_get(cursor, key, data, MDB_NEXT);
    mdb_cursor_close(cursor);
    if (code && code != MDB_NOTFOUND)
        return tide_store_failed(store, code, "read");
    return code ? 0 : 1;
}

/* An input's name may be a long path: its hash stands for it. */
void tide_store_name_positions(const char *input, char *to)
{
    uint64_t hash = tide_store_hash(0, input, strlen(input));
    to[0] = 'P';
    tide_store_number(to + 1, (uint32_t)(hash >> 32));
    tide_store_number(to + 5, (uint32_t)hash);
}

void tide_store_number(char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(number >> (24 - 8 * i));
}

uint32_t tide_store_number_at(const char *bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < 4; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}
