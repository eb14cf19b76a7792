/* SPDX-License-Identifier: MIT
 * engine/shm/message.h - a message as the engine's modules pass it to each other: pointers, no bytes. It is valid for the
 * length of the call that it is an argument of; a callee that needs it longer copies it (shm/message_list.h). */
#ifndef TIDE_SHM_MESSAGE_H
#define TIDE_SHM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/** The engine's short name of a message that it read: the offset tracker (chain/offsets.h) finds the message by it. It has
 * only 8 bytes, since one is kept for each message on its way. */
struct tide_origin {
    uint32_t sequence;  /* of the message within its partition and epoch */
    uint16_t partition; /* index into the source's partitions (io/source.h), not the number */
    uint16_t epoch;     /* of the assignment of its partition; with an older one it is dropped */
};
/** Set in origin.epoch of a dead letter on its way to the sink, so that its report is known as one. */
enum { TIDE_ORIGIN_DEAD_LETTER = 0x8000, TIDE_ORIGIN_EPOCH = 0x7FFF };
/** As origin.partition: the origin stands for a group of messages (tide_offsets_group). */
enum { TIDE_ORIGIN_GROUP = 0xFFFF };
/** As origin.partition: it is no message's, but a record of a changelog (chain/states.h). */
enum { TIDE_ORIGIN_STATE = 0xFFFE };

enum tide_message_flag {
    /* Its bytes are made by a step, from one message or several. Not set when a result took over all of its record. */
    TIDE_MESSAGE_RESULT = 1,
    /* No message, but a timer that is due (chain/timers.h): `key` is that of its state, `timestamp` its time. */
    TIDE_MESSAGE_TIMER = 2,
    /* No message, but a time to which the watermark of its partition is moved: `timestamp`. Tests put it into the source in
     * memory; it is given to each step that has a watermark, and to no worker. */
    TIDE_MESSAGE_TICK = 4
};

/** Where messages are gone through whose bytes another thread or process has written, those of the message so many places
 * further on are asked for (prefetched): they are there when its turn comes. */
enum { TIDE_MESSAGES_AHEAD = 8 };

struct tide_message {
    const char *value;   /* NULL = null; an empty one is not NULL */
    const char *key;     /* NULL = null */
    const char *headers; /* packed as in shm/layout.h; NULL when headers_length is 0 */
    uint32_t value_length;
    uint32_t key_length;
    uint32_t headers_length;
    uint16_t topic;           /* it was read from (shm/topics.h) */
    int64_t timestamp;        /* ms since the epoch, -1 = none */
    int64_t offset;           /* it was read from */
    int32_t partition;        /* it was read from */
    uint16_t target_topic;    /* TIDE_TOPIC_NONE = the sink decides */
    uint16_t flags;           /* enum tide_message_flag */
    int32_t target_partition; /* TIDE_PARTITION_ANY = the sink decides */
    struct tide_origin origin;
    int64_t
        watermark; /* in a step that reads times: as it was when the step took it (chain/timers.h) */
};

/** Bytes of its value, key and headers together. */
size_t tide_message_size(const struct tide_message *message);
/** Copies the message, and its bytes to `to`, which has room for tide_message_size() of them. */
void tide_message_copy(struct tide_message *copy, const struct tide_message *message, char *to);

/** Reads the next one of packed headers; `*at` is 0 at first. 1 = a header was read, 0 = there are no more, negative = the
 * bytes are malformed (a worker has written them, chain/results.c has copied them). */
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
