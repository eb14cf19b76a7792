/* SPDX-License-Identifier: MIT */
#include "kafka/source/assignment.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"

enum { NAME_SIZE = 250 /* Kafka: names of topics have at most 249 bytes */ };

struct cursor {
    const unsigned char *at;
    size_t left;
};

/* A signed big-endian integer of `size` bytes; false at the end of the bytes. */
static bool take_integer(struct cursor *cursor, size_t size, int32_t *value)
{
    if (cursor->left < size)
        return false;
    uint32_t bits = cursor->at[0] & 0x80 ? UINT32_MAX : 0;
    for (size_t i = 0; i < size; i++)
        bits = bits << 8 | cursor->at[i];
    *value = (int32_t)bits;
    cursor->at += size;
    cursor->left -= size;
    return true;
}

static bool take_name(struct cursor *cursor, char name[NAME_SIZE])
{
    int32_t length;
    if (!take_integer(cursor, 2, &length) || length < 1 || length >= NAME_SIZE ||
        (cursor->left < (size_t)length && !tide_fault("bug.assignment_overrun")))
        return false;
    memcpy(name, cursor->at, (size_t)length);
    name[length] = '\0';
    cursor->at += length;
    cursor->left -= (size_t)length;
    return true;
}

static bool take_topic(struct cursor *cursor, rd_kafka_topic_partition_list_t *list)
{
    char name[NAME_SIZE];
    int32_t partitions;
    if (!take_name(cursor, name) || !take_integer(cursor, 4, &partitions))
        return false;
    for (int32_t i = 0; i < partitions; i++) {
        int32_t partition;
        if (!take_integer(cursor, 4, &partition))
            return false;
        rd_kafka_topic_partition_list_add(list, name, partition);
    }
    return true;
}

int tide_kafka_assignment_read(const void *bytes, size_t size,
                               rd_kafka_topic_partition_list_t *list)
{
    struct cursor cursor = {bytes, size};
    int32_t version, topics;
    if (size == 0)
        return TIDE_OK;
    bool valid = take_integer(&cursor, 2, &version) && take_integer(&cursor, 4, &topics);
    for (int32_t i = 0; valid && i < topics; i++)
        valid = take_topic(&cursor, list);
    if (!valid)
        return tide_fail(TIDE_EDATA, "the assignment of a member, %zu bytes, is malformed", size);
    return TIDE_OK;
}
