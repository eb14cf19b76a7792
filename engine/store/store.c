/* SPDX-License-Identifier: MIT
 * The store of keyed state in LMDB. One table: the first byte of a key says what the entry is ('I' the pipeline, 'N' a
 * state's name, 'P' a position, 'S' a value, 'T' a timer), numbers follow in big endian so that LMDB's order is theirs. One read
 * transaction is used again and again; it is reset while one writes, since without LMDB's own lock file (MDB_NOLOCK: there
 * is one thread, and a lock on the folder) a writer may use pages that an old reader still sees. Start reading at
 * tide_store_put. */
#include "store/store.h"

#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "store/inside.h"

/* ---- keys and values ---- */

static MDB_val value_key(const struct tide_store_key *key, struct tide_store_room *room)
{
    tide_require(key->length <= TIDE_STORE_KEY);
    room->bytes[0] = 'S';
    tide_store_number(room->bytes + 1, key->state);
    tide_store_number(room->bytes + 5, (uint32_t)key->partition);
    if (key->length > 0)
        memcpy(room->bytes + TIDE_STORE_PREFIX, key->bytes, key->length);
    return (MDB_val){TIDE_STORE_PREFIX + key->length, room->bytes};
}

static MDB_val position_key(const char *input, int32_t partition, struct tide_store_room *room)
{
    tide_store_name_positions(input, room->bytes);
    tide_store_number(room->bytes + TIDE_STORE_POSITION, (uint32_t)partition);
    return (MDB_val){TIDE_STORE_POSITION + 4, room->bytes};
}

int tide_store_read_value(struct tide_store *store, const MDB_val *key, const MDB_val *data,
                          struct tide_store_value *value)
{
    return tide_store_is_value(key, data, value)
               ? 1
               : tide_store_damaged(store, "the checksum of a value is wrong");
}

/* ---- reading ---- */

static int get(struct tide_store *store, MDB_val *key, MDB_val *data)
{
    int status = tide_store_read(store);
    if (status < 0)
        return status;
    int code = mdb_get(store->reader, store->table, key, data);
    if (code == MDB_NOTFOUND)
        return 0;
    return code ? tide_store_failed(store, code, "read") : 1;
}

int tide_store_get(struct tide_store *store, const struct tide_store_key *key,
                   struct tide_store_value *value)
{
    struct tide_store_room room;
    MDB_val name = value_key(key, &room), data;
    int found = get(store, &name, &data);
    return found == 1 ? tide_store_read_value(store, &name, &data, value) : found;
}

int tide_store_get_position(struct tide_store *store, const char *input, int32_t partition,
                            struct tide_store_position *position)
{
    struct tide_store_room room;
    MDB_val key = position_key(input, partition, &room), data;
    int found = get(store, &key, &data);
    if (found == 1 && (data.mv_size != sizeof(*position) + sizeof(uint32_t) ||
                       tide_store_check_entry(&key, &data) != TIDE_ENTRY_SOUND))
        return tide_store_damaged(store, "the checksum of a position is wrong");
    if (found == 1)
        memcpy(position, data.mv_data, sizeof(*position));
    return found;
}

/* ---- writing ---- */

int tide_store_begin(struct tide_store *store)
{
    tide_require(!store->writer);
    if (store->reading)
        mdb_txn_reset(store->reader);
    store->reading = false;
    tide_fault("store.begin");
    for (uint32_t i = 0; i < store->timed_count; i++)
        store->timed[i].before = store->timed[i].timers;
    int code = mdb_txn_begin(store->env, NULL, 0, &store->writer);
    if (!code)
        code = mdb_cursor_open(store->writer, store->table, &store->cursor);
    return code ? tide_store_failed(store, code, "write") : TIDE_OK;
}

static int put(struct tide_store *store, MDB_val key, MDB_val data)
{
    int code = mdb_put(store->writer, store->table, &key, &data, 0);
    return code ? tide_store_write_failed(store, code, "write") : TIDE_OK;
}

int tide_store_put(struct tide_store *store, const struct tide_store_key *key,
                   const struct tide_store_value *value)
{
    struct tide_store_room room;
    struct tide_store_head head = {value->expires_ms, value->kind, 0};
    MDB_val name = value_key(key, &room);
    MDB_val data = {sizeof(head) + value->length, NULL};
    tide_require(value->length <= TIDE_STORE_VALUE + TIDE_STORE_TIMER);
    head.check = tide_store_value_checksum(&name, &head, value->bytes, value->length);
    tide_fault("store.put");
    int status = tide_store_keep_timer(store, &name, value);
    if (status < 0)
        return status;
    int code = mdb_cursor_put(store->cursor, &name, &data, MDB_RESERVE);
    if (code)
        return tide_store_write_failed(store, code, "write");
    memcpy(data.mv_data, &head, sizeof(head));
    if (value->length > 0)
        memcpy((char *)data.mv_data + sizeof(head), value->bytes, value->length);
    return TIDE_OK;
}

int tide_store_delete(struct tide_store *store, const struct tide_store_key *key)
{
    struct tide_store_room room;
    MDB_val name = value_key(key, &room);
    int status = tide_store_keep_timer(store, &name, NULL);
    if (status < 0)
        return status;
    int code = mdb_del(store->writer, store->table, &name, NULL);
    return code && code != MDB_NOTFOUND ? tide_store_write_failed(store, code, "write") : TIDE_OK;
}

int tide_store_put_position(struct tide_store *store, const char *input, int32_t partition,
                            const struct tide_store_position *position)
{
    struct tide_store_room room;
    char bytes[sizeof(*position) + sizeof(uint32_t)];
    MDB_val key = position_key(input, partition, &room);
    memcpy(bytes, position, sizeof(*position));
    uint32_t check = tide_store_checksum(&key, bytes, sizeof(*position));
    memcpy(bytes + sizeof(*position), &check, sizeof(check));
    return put(store, key, (MDB_val){sizeof(bytes), bytes});
}

int tide_store_commit(struct tide_store *store)
{
    tide_fault("store.commit");
    int code = mdb_txn_commit(store->writer);
    store->writer = NULL;
    if (code)
        tide_store_recount(store);
    tide_fault("store.committed");
    return code ? tide_store_write_failed(store, code, "commit") : TIDE_OK;
}

static int delete_at(struct tide_store *store, MDB_cursor *cursor, const MDB_val *key,
                     const MDB_val *data)
{
    int code = tide_store_drop_timer(store, key, data);
    return code && code != MDB_NOTFOUND ? code : mdb_cursor_del(cursor, 0);
}

uint64_t tide_store_expired(const struct tide_store *store)
{
    return store->expired;
}

int tide_store_delete_some(struct tide_store *store, const MDB_val *prefix, uint32_t most,
                           uint32_t *deleted)
{
    MDB_cursor *cursor;
    MDB_val key = *prefix, data;
    uint32_t count = 0;
    int code = mdb_cursor_open(store->writer, store->table, &cursor);
    if (code)
        return tide_store_failed(store, code, "write");
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (!code && count < most && tide_store_begins_with(&key, prefix)) {
        code = *(const char *)key.mv_data == 'S' ? delete_at(store, cursor, &key, &data)
                                                 : mdb_cursor_del(cursor, 0);
        count += !code;
        if (!code)
            code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    *deleted = count;
    return code && code != MDB_NOTFOUND ? tide_store_write_failed(store, code, "write") : TIDE_OK;
}

int tide_store_clear(struct tide_store *store, uint32_t state, int32_t partition, uint32_t most,
                     uint32_t *deleted)
{
    const struct tide_store_key first = {state, partition, NULL, 0};
    struct tide_store_room room;
    const MDB_val prefix = value_key(&first, &room);
    return tide_store_delete_some(store, &prefix, most, deleted);
}

/* One cursor looks at the next values; the key it ended at is kept, since that may be gone the next time. */
int tide_store_sweep(struct tide_store *store, int64_t now_ms, uint32_t most)
{
    MDB_cursor *cursor;
    MDB_val key = {store->swept_length, store->swept}, data;
    struct tide_store_head head;
    if (store->swept_length == 0)
        key = (MDB_val){1, "S"};
    int code = mdb_cursor_open(store->writer, store->table, &cursor);
    if (code)
        return tide_store_failed(store, code, "write");
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    for (uint32_t i = 0; !code && i < most && *(const char *)key.mv_data == 'S'; i++) {
        memcpy(&head, data.mv_data, data.mv_size < sizeof(head) ? data.mv_size : sizeof(head));
        bool expired = data.mv_size >= sizeof(head) && head.expires_ms > 0 &&
                       head.expires_ms <= now_ms;
        if (expired)
            code = delete_at(store, cursor, &key, &data);
        store->expired += expired && !code;
        if (!code)
            code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    bool more = !code && *(const char *)key.mv_data == 'S' && key.mv_size <= sizeof(store->swept);
    store->swept_length = more ? key.mv_size : 0;
    if (more)
        memcpy(store->swept, key.mv_data, key.mv_size);
    mdb_cursor_close(cursor);
    return code && code != MDB_NOTFOUND ? tide_store_write_failed(store, code, "write") : TIDE_OK;
}
