/* SPDX-License-Identifier: MIT
 * Deletes a state of a store, for `tidemill state drop`: all entries of it, found by what their keys begin with. The place in its
 * changelog goes first, so that values which are deleted in part are never taken for a whole copy of it; its name goes last, so
 * that what was ended half way can be done again. Start with tide_store_drop(). */

#include "base/status.h"
#include "store/inside.h"

enum { AT_ONCE = 50000, NUMBERED = 5 /* bytes: what an entry is, and a number */ };

/* A transaction: deletes at most AT_ONCE entries. 1 = there may be more. */
static int drop_some(struct tide_store *store, const MDB_val *prefix)
{
    uint32_t count = 0;
    int status = tide_store_begin(store);
    if (status < 0)
        return status;
    status = tide_store_delete_some(store, prefix, AT_ONCE, &count);
    if (status == TIDE_OK)
        status = tide_store_commit(store);
    return status == TIDE_BUSY || (status == TIDE_OK && count == AT_ONCE) ? 1 : status;
}

static int drop(struct tide_store *store, char *bytes, size_t length)
{
    const MDB_val prefix = {length, bytes};
    int status;
    while ((status = drop_some(store, &prefix)) == 1)
        continue;
    return status;
}

int tide_store_drop(struct tide_store *store, uint32_t number, const char *input)
{
    static const char kinds[] = {'S', 'T', 'N'};
    char position[TIDE_STORE_POSITION], bytes[NUMBERED];
    int status = TIDE_OK;
    if (input) {
        tide_store_name_positions(input, position);
        status = drop(store, position, sizeof(position));
    }
    tide_store_number(bytes + 1, number);
    for (size_t i = 0; i < sizeof(kinds) && status == TIDE_OK; i++) {
        bytes[0] = kinds[i];
        status = drop(store, bytes, sizeof(bytes));
    }
    return status;
}
