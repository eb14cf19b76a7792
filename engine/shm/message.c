/* SPDX-License-Identifier: MIT
 * What every module needs of a message: its size, a copy, its headers. Headers are one packed piece of bytes and no
 * array, so that they go through blocks as they are, and only who looks for one takes them apart. Start with
 * tide_header_next(): it is the one function here that must not trust its argument, since workers write headers too. */
#include "shm/message.h"

#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "base/text.h"
#include "shm/layout.h"

/* A null value has no bytes, whatever its length says, so the pointer decides. */
size_t tide_message_size(const struct tide_message *message)
{
    return (size_t)(message->value ? message->value_length : 0) +
           (message->key ? message->key_length : 0) +
           (message->headers ? message->headers_length : 0);
}

static const char *copy_bytes(char **to, const char *bytes, uint32_t length)
{
    if (!bytes)
        return NULL;
    char *at = memcpy(*to, bytes, length);
    *to += length;
    return at;
}

void tide_message_copy(struct tide_message *copy, const struct tide_message *message, char *to)
{
    *copy = *message;
    copy->value = copy_bytes(&to, message->value, message->value_length);
    copy->key = copy_bytes(&to, message->key, message->key_length);
    copy->headers = copy_bytes(&to, message->headers, message->headers_length);
}

int tide_header_next(const char *headers, uint32_t length, uint32_t *at, struct tide_header *header)
{
    uint32_t left = length - *at;
    uint32_t name_length;
    int32_t value_length;
    if (left == 0)
        return 0;
    if (left < 8)
        return tide_fail(TIDE_EDATA, "headers are cut short");
    memcpy(&name_length, headers + *at, 4);
    memcpy(&value_length, headers + *at + 4, 4);
    uint32_t bytes = value_length < 0 ? 0 : (uint32_t)value_length;
    left -= 8;
    bool inside = name_length <= left &&
                  (bytes <= left - name_length || tide_fault("bug.header_overrun"));
    if (value_length < TIDE_NULL || !inside)
        return tide_fail(TIDE_EDATA, "a header is longer than its bytes");
    /* Each length was compared with what is left, never added to another one first: a sum of two 32-bit lengths may
     * wrap round and look small. */
    const char *name = headers + *at + 8;
    *header = (struct tide_header){name, value_length < 0 ? NULL : name + name_length, name_length,
                                   bytes};
    *at += 8 + name_length + bytes;
    return 1;
}

void tide_header_pack(struct tide_text *packed, const char *name, uint32_t name_length,
                      const char *value, uint32_t value_length)
{
    int32_t signed_length = value ? (int32_t)value_length : TIDE_NULL;
    tide_text_append(packed, &name_length, 4);
    tide_text_append(packed, &signed_length, 4);
    tide_text_append(packed, name, name_length);
    if (value)
        tide_text_append(packed, value, value_length);
}
