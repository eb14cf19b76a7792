/* SPDX-License-Identifier: MIT
 * Goes through a store, for `tidemill state`: its states, and the values of one of them. Each call finds its place anew by
 * the key of the one before, so nothing is kept open between two calls. Start reading at tide_store_next. */
#include <string.h>
#include <sys/stat.h>

#include "base/status.h"
#include "store/inside.h"

enum { NAME = 5 /* bytes of the key of a state's name: 'N', its number */ };

int tide_store_next_state(struct tide_store *store, int64_t after, struct tide_store_state *state)
{
    char room[NAME] = "N";
    MDB_val key = {after < 0 ? 1 : NAME, room}, data;
    if (after >= 0)
        tide_store_number(room + 1, (uint32_t)after);
    int found = tide_store_seek(store, &key, &data, after >= 0);
    if (found <= 0 || key.mv_size != NAME || *(const char *)key.mv_data != 'N')
        return found < 0 ? found : 0;
    *state = (struct tide_store_state){tide_store_number_at((const char *)key.mv_data + 1),
                                       (uint32_t)(data.mv_size - sizeof(uint32_t)), data.mv_data};
    return 1;
}

static bool is_of_walk(const struct tide_store_walk *walk, const MDB_val *key)
{
    const char *bytes = key->mv_data;
    return key->mv_size >= TIDE_STORE_PREFIX && bytes[0] == 'S' &&
           key->mv_size <= TIDE_STORE_PREFIX + TIDE_STORE_KEY &&
           tide_store_number_at(bytes + 1) == walk->state &&
           (!walk->one || (int32_t)tide_store_number_at(bytes + 5) == walk->partition);
}

int tide_store_next(struct tide_store *store, struct tide_store_walk *walk,
                    struct tide_store_value *value)
{
    char room[TIDE_STORE_PREFIX + TIDE_STORE_KEY] = "S";
    uint32_t length = walk->begun ? walk->key.length : 0;
    int32_t partition = walk->begun ? walk->key.partition : walk->partition;
    MDB_val key = {TIDE_STORE_PREFIX + length, room}, data;
    tide_store_number(room + 1, walk->state);
    tide_store_number(room + 5, (uint32_t)partition);
    memcpy(room + TIDE_STORE_PREFIX, walk->bytes, length);
    int found = tide_store_seek(store, &key, &data, walk->begun);
    if (found <= 0 || !is_of_walk(walk, &key))
        return found < 0 ? found : 0;
    const char *bytes = key.mv_data;
    walk->begun = true;
    walk->key = (struct tide_store_key){walk->state, (int32_t)tide_store_number_at(bytes + 5),
                                        walk->bytes, (uint32_t)(key.mv_size - TIDE_STORE_PREFIX)};
    memcpy(walk->bytes, bytes + TIDE_STORE_PREFIX, walk->key.length);
    return tide_store_read_value(store, &key, &data, value);
}

uint64_t tide_store_bytes(struct tide_store *store)
{
    struct stat file;
    int fd = -1;
    if (mdb_env_get_fd(store->env, &fd) || fstat(fd, &file) < 0)
        return 0;
    return (uint64_t)file.st_size;
}

int tide_store_empty(struct tide_store *store)
{
    int status = tide_store_begin(store);
    if (status < 0)
        return status;
    int code = mdb_drop(store->writer, store->table, 0);
    return code ? tide_store_failed(store, code, "write") : tide_store_commit(store);
}
