/* SPDX-License-Identifier: MIT
 * engine/shm/message.h - a message as the engine's modules hand it to each other: pointers, no bytes.
 * Lent for the length of the call it is given to; who needs bytes longer copies them. */
#ifndef TIDE_SHM_MESSAGE_H
#define TIDE_SHM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/** Which input message this comes from: the ticket of chain/offsets, 8 bytes, as one is kept for each
 * message that is on its way. */
struct tide_origin {
    uint32_t sequence;  /* of the message within its partition and epoch */
    uint16_t partition; /* index into the source's partitions (io/source.h), not the number */
    uint16_t epoch;     /* of the assignment; an older one is dropped */
};
/** Set in origin.epoch of a dead letter on its way to the sink, so that its report is known as one. */
enum { TIDE_ORIGIN_DEAD_LETTER = 0x8000, TIDE_ORIGIN_EPOCH = 0x7FFF };
/** As origin.partition: the origin stands for a group of messages (tide_offsets_group). */
enum { TIDE_ORIGIN_GROUP = 0xFFFF };

enum tide_message_flag {
    /* Its bytes are what a step made of the message, or of several; of one result that took all over they are not. */
    TIDE_MESSAGE_RESULT = 1
};

struct tide_message {
    const char *value;   /* NULL = null; an empty one is not NULL */
    const char *key;     /* NULL = null */
    const char *headers; /* packed as in shm/layout.h; NULL when headers_length is 0 */
    uint32_t value_length;
    uint32_t key_length;
    uint32_t headers_length;
    uint16_t topic;           /* it came from (shm/topics.h) */
    int64_t timestamp;        /* ms since the epoch, -1 = none */
    int64_t offset;           /* it came from */
    int32_t partition;        /* it came from */
    uint16_t target_topic;    /* TIDE_TOPIC_NONE = by the rule of the sink */
    uint16_t flags;           /* enum tide_message_flag */
    int32_t target_partition; /* TIDE_PARTITION_ANY = by the rule of the sink */
    struct tide_origin origin;
};

/** Bytes of its value, key and headers; a null takes none. */
size_t tide_message_size(const struct tide_message *message);
/** The same message, with its bytes copied to `to`, which has room for tide_message_size of them. */
void tide_message_copy(struct tide_message *copy, const struct tide_message *message, char *to);

/** Walks packed headers: `*at` is 0 at first. 1 = one read, 0 = no more, negative = the bytes do not
 * fit `length` (they may be a worker's). Lengths are copied once before they are used. */
struct tide_header {
    const char *name;
    const char *value; /* NULL = null */
    uint32_t name_length;
    uint32_t value_length;
};
int tide_header_next(const char *headers, uint32_t length, uint32_t *at,
                     struct tide_header *header);

struct tide_text;
/** Appends one header in packed form. `value` NULL = null. */
void tide_header_pack(struct tide_text *packed, const char *name, uint32_t name_length,
                      const char *value, uint32_t value_length);

#endif
