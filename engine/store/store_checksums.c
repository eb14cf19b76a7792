/* SPDX-License-Identifier: MIT
 * The checksums of what a store holds. Each entry has one, of its key and its data: of a value it stands in the head, of the
 * others behind the data. */
#include <string.h>

#include "store/inside.h"

/* Words of 8 bytes, multiplied and folded: it finds damage, and is no protection from anybody who wants to forge. */
uint64_t tide_store_hash(uint64_t seed, const char *bytes, size_t length)
{
    uint64_t hash = seed ^ (length * 0x9E3779B97F4A7C15u), word;
    for (; length > 0; bytes += length < 8 ? length : 8, length -= length < 8 ? length : 8) {
        word = 0;
        memcpy(&word, bytes, length < 8 ? length : 8);
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    hash *= 0x9FB21C651E98DF25u;
    return hash ^ hash >> 29;
}

uint32_t tide_store_value_checksum(const MDB_val *key, const struct tide_store_head *head,
                                   const char *bytes, size_t length)
{
    uint64_t hash = tide_store_hash((uint64_t)head->expires_ms + head->kind, key->mv_data,
                                    key->mv_size);
    hash = tide_store_hash(hash, bytes, length);
    return (uint32_t)(hash >> 32);
}

bool tide_store_is_value(const MDB_val *key, const MDB_val *data, struct tide_store_value *value)
{
    struct tide_store_head head;
    if (data->mv_size < sizeof(head))
        return false;
    memcpy(&head, data->mv_data, sizeof(head));
    const char *bytes = (const char *)data->mv_data + sizeof(head);
    size_t length = data->mv_size - sizeof(head);
    *value = (struct tide_store_value){head.expires_ms, head.kind, (uint32_t)length, bytes};
    return length <= TIDE_STORE_VALUE + TIDE_STORE_TIMER &&
           head.check == tide_store_value_checksum(key, &head, bytes, length);
}

uint32_t tide_store_checksum(const MDB_val *key, const char *data, size_t length)
{
    uint64_t hash = tide_store_hash(0, key->mv_data, key->mv_size);
    return (uint32_t)(tide_store_hash(hash, data, length) >> 32);
}

/* The entry of the pipeline is the first of the table, so it is looked at before any entry that looks damaged. */
static bool is_of_other_format(const MDB_val *data)
{
    static const char format[] = TIDE_STORE_FORMAT, any[] = "tidemill state ";
    return data->mv_size >= sizeof(any) && memcmp(data->mv_data, any, sizeof(any) - 1) == 0 &&
           (data->mv_size < sizeof(format) ||
            memcmp(data->mv_data, format, sizeof(format) - 1) != 0);
}

enum tide_store_entry tide_store_check_entry(const MDB_val *key, const MDB_val *data)
{
    struct tide_store_value value;
    uint32_t check;
    char what = key->mv_size > 0 ? *(const char *)key->mv_data : 0;
    if (what == 'S' && key->mv_size >= TIDE_STORE_PREFIX &&
        key->mv_size <= TIDE_STORE_PREFIX + TIDE_STORE_KEY)
        return tide_store_is_value(key, data, &value) ? TIDE_ENTRY_SOUND : TIDE_ENTRY_WRONG_VALUE;
    if (what == 'I' && is_of_other_format(data))
        return TIDE_ENTRY_OTHER_FORMAT;
    if (!what || !strchr("INPT", what) || data->mv_size < sizeof(check))
        return TIDE_ENTRY_NONE;
    size_t length = data->mv_size - sizeof(check);
    memcpy(&check, (const char *)data->mv_data + length, sizeof(check));
    return check == tide_store_checksum(key, data->mv_data, length) ? TIDE_ENTRY_SOUND
                                                                    : TIDE_ENTRY_WRONG;
}
