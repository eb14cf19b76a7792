/* SPDX-License-Identifier: MIT
 * engine/store/inside.h - what the files of the store share:
 *   store.c       values, positions, transactions
 *   store_open.c  opens and closes: whose store it is, and which states it has
 *   store_walk.c  goes through what it holds */
#ifndef TIDE_STORE_INSIDE_H
#define TIDE_STORE_INSIDE_H

#include <lmdb.h>
#include <stdbool.h>

#include "store/store.h"

enum { TIDE_STORE_PREFIX = 9 /* of a value's key: 'S', state, partition */ };

struct tide_store {
    char *dir;
    bool temporary; /* owned by store_open.c, as is the lock (of the folder) */
    int lock;
    MDB_env *env;
    MDB_dbi table;
    size_t map;
    MDB_txn *reader;  /* owned by store.c: NULL before the first read */
    bool reading;     /* it is not reset */
    MDB_txn *writer;  /* NULL = no transaction */
    uint64_t expired; /* values that were deleted for their time */
    char swept[TIDE_STORE_KEY + TIDE_STORE_PREFIX]; /* where the last sweep ended */
    size_t swept_length;
};

/** Ends the transaction, if there is one, and fails with the text of what LMDB said. */
int tide_store_failed(struct tide_store *store, int code, const char *what);
void tide_store_rollback(struct tide_store *store);
/** Checks what stands at a key, and gives it: 1, or negative. */
int tide_store_read_value(struct tide_store *store, const struct MDB_val *key,
                          const struct MDB_val *data, struct tide_store_value *value);
/** A read transaction is there then. */
int tide_store_read(struct tide_store *store);
/** Writes four bytes in big endian. */
void tide_store_number(char *to, uint32_t number);

#endif
