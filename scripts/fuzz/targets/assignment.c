/* SPDX-License-Identifier: MIT
 * What another member of the consumer group was assigned (kafka/source/assignment.h), as its client wrote it. A second
 * reader, written from the format alone, must find the same partitions, or the same bytes malformed. */
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "kafka/source/assignment.h"

/* A big-endian number; takes nothing and returns false when there are too few bytes. */
static bool number(struct fuzz_input *input, size_t size, int64_t *value)
{
    if (input->left < size)
        return false;
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++)
        bits = bits * 256 + fuzz_byte(input);
    uint64_t half = 1ULL << (8 * size - 1);
    *value = bits >= half ? (int64_t)bits - (int64_t)(2 * half) : (int64_t)bits;
    return true;
}

/* The partitions of one topic must be the next ones of the list. */
static bool topic(struct fuzz_input *input, const rd_kafka_topic_partition_list_t *list, int *next)
{
    int64_t length, partitions, partition;
    if (!number(input, 2, &length) || length < 1 || length > 249 || input->left < (size_t)length)
        return false;
    size_t size = (size_t)length;
    const char *name = fuzz_bytes(input, &size);
    if (!number(input, 4, &partitions))
        return false;
    for (int64_t i = 0; i < partitions; i++) {
        if (!number(input, 4, &partition))
            return false;
        fuzz_require(*next < list->cnt);
        const rd_kafka_topic_partition_t *found = &list->elems[(*next)++];
        fuzz_require(found->partition == partition);
        fuzz_require(strlen(found->topic) == strnlen(name, size) &&
                     memcmp(found->topic, name, strlen(found->topic)) == 0);
    }
    return true;
}

static bool agrees(struct fuzz_input input, const rd_kafka_topic_partition_list_t *list, int *next)
{
    int64_t version, topics = 0;
    if (input.left == 0)
        return true;
    bool valid = number(&input, 2, &version) && number(&input, 4, &topics);
    for (int64_t i = 0; valid && i < topics; i++)
        valid = topic(&input, list, next);
    return valid;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    int status = tide_kafka_assignment_read(fuzz_guarded_copy(0, data, size), size, list);
    int next = 0;
    bool valid = agrees((struct fuzz_input){data, size}, list, &next);
    fuzz_require(status == (valid ? TIDE_OK : TIDE_EDATA));
    fuzz_require(next == list->cnt);
    rd_kafka_topic_partition_list_destroy(list);
    return 0;
}
