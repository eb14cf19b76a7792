/* SPDX-License-Identifier: MIT
 * The list of timers in the store: for each value with a timer an entry with nothing but its checksum, whose key is 'T',
 * state, partition, time, key of the value. So the timers of a partition lie in the order of their times, and what is due is found without a
 * look at the values. It follows from the values, and is kept in their transaction. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"
#include "store/inside.h"

enum { TIME_AT = TIDE_STORE_PREFIX, KEY_AT = TIDE_STORE_PREFIX + 8 };

int64_t tide_store_timer_of(const struct tide_store_value *value)
{
    int64_t at = 0;
    if (value->kind & TIDE_STORE_TIMED && value->length >= sizeof(at))
        memcpy(&at, value->bytes, sizeof(at));
    return at;
}

static struct tide_store_timed *find_timed(const struct tide_store *store, uint32_t number)
{
    for (uint32_t i = 0; i < store->timed_count; i++)
        if (store->timed[i].number == number)
            return &store->timed[i];
    return NULL;
}

/* Of the state that a key of the table is of; NULL = it has no timers. */
static struct tide_store_timed *timed_of(const struct tide_store *store, const MDB_val *name)
{
    return find_timed(store, tide_store_number_at((const char *)name->mv_data + 1));
}

uint64_t tide_store_timers(const struct tide_store *store, uint32_t number)
{
    const struct tide_store_timed *timed = find_timed(store, number);
    return timed ? timed->timers : 0;
}

static int count_timers(struct tide_store *store, struct tide_store_timed *timed)
{
    char room[5] = "T";
    const MDB_val prefix = {sizeof(room), room};
    MDB_cursor *cursor;
    MDB_val key = prefix, data;
    tide_store_number(room + 1, timed->number);
    int status = tide_store_read(store);
    if (status < 0)
        return status;
    int code = mdb_cursor_open(store->reader, store->table, &cursor);
    if (code)
        return tide_store_failed(store, code, "read");
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (!code && tide_store_begins_with(&key, &prefix)) {
        timed->timers++;
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return code && code != MDB_NOTFOUND ? tide_store_failed(store, code, "read") : TIDE_OK;
}

int tide_store_has_timers(struct tide_store *store, uint32_t number)
{
    uint32_t at = store->timed_count;
    tide_grow(&store->timed, &store->timed_count, at + 1, sizeof(*store->timed));
    store->timed[at] = (struct tide_store_timed){.number = number};
    return count_timers(store, &store->timed[at]);
}

static void write_time(char *to, int64_t at)
{
    tide_store_number(to, (uint32_t)((uint64_t)at >> 32));
    tide_store_number(to + 4, (uint32_t)at);
}

static uint64_t read_time(const char *from)
{
    uint64_t at = 0;
    for (int i = 0; i < 8; i++)
        at = at << 8 | (unsigned char)from[i];
    return at;
}

/* The entry of a value whose key in the table is `name`. */
static MDB_val timer_key(const MDB_val *name, int64_t at, struct tide_store_room *room)
{
    size_t length = name->mv_size - TIDE_STORE_PREFIX;
    memcpy(room->bytes, name->mv_data, TIDE_STORE_PREFIX);
    room->bytes[0] = 'T';
    write_time(room->bytes + TIME_AT, at);
    memcpy(room->bytes + KEY_AT, (const char *)name->mv_data + TIDE_STORE_PREFIX, length);
    return (MDB_val){KEY_AT + length, room->bytes};
}

static int64_t timer_in(const MDB_val *data)
{
    struct tide_store_head head;
    struct tide_store_value value;
    if (data->mv_size < sizeof(head))
        return 0;
    memcpy(&head, data->mv_data, sizeof(head));
    value = (struct tide_store_value){.kind = head.kind,
                                      .length = (uint32_t)(data->mv_size - sizeof(head)),
                                      .bytes = (const char *)data->mv_data + sizeof(head)};
    return tide_store_timer_of(&value);
}

int tide_store_drop_timer(struct tide_store *store, const MDB_val *name, const MDB_val *data)
{
    struct tide_store_room room;
    int64_t at = timer_in(data);
    struct tide_store_timed *timed = timed_of(store,
                                              name); /* which may move with what is deleted */
    if (at == 0)
        return MDB_NOTFOUND;
    MDB_val key = timer_key(name, at, &room);
    int code = mdb_del(store->writer, store->table, &key, NULL);
    if (!code && timed)
        timed->timers--;
    return code;
}

int tide_store_keep_timer(struct tide_store *store, const MDB_val *name,
                          const struct tide_store_value *value)
{
    struct tide_store_room room;
    MDB_val before = *name, data;
    int64_t at = value ? tide_store_timer_of(value) : 0;
    struct tide_store_timed *timed = timed_of(store, name);
    if (!timed)
        return 0;
    int code = mdb_get(store->writer, store->table, &before, &data);
    if (!code && timer_in(&data) == at)
        return 0;
    if (!code)
        code = tide_store_drop_timer(store, name, &data);
    if ((!code || code == MDB_NOTFOUND) && at != 0) {
        MDB_val key = timer_key(name, at, &room);
        uint32_t check = tide_store_checksum(&key, "", 0);
        code = mdb_put(store->writer, store->table, &key, &(MDB_val){sizeof(check), &check}, 0);
        timed->timers += !code;
    }
    return code && code != MDB_NOTFOUND ? tide_store_write_failed(store, code, "write a timer") : 0;
}

int tide_store_next_timer(struct tide_store *store, uint32_t state, int32_t partition,
                          struct tide_store_timer *timer)
{
    struct tide_store_room from;
    from.bytes[0] = 'T';
    tide_store_number(from.bytes + 1, state);
    tide_store_number(from.bytes + 5, (uint32_t)partition);
    write_time(from.bytes + TIME_AT, timer->at);
    if (timer->key_length > 0)
        memcpy(from.bytes + KEY_AT, timer->key, timer->key_length);
    MDB_val key = {KEY_AT + timer->key_length, from.bytes}, data;
    int found = tide_store_seek(store, &key, &data, timer->at != 0);
    if (found <= 0)
        return found;
    const char *bytes = key.mv_data;
    if (key.mv_size < KEY_AT || memcmp(bytes, from.bytes, TIME_AT) != 0)
        return 0;
    *timer = (struct tide_store_timer){(int64_t)read_time(bytes + TIME_AT), bytes + KEY_AT,
                                       (uint32_t)(key.mv_size - KEY_AT)};
    return 1;
}
