/* SPDX-License-Identifier: MIT */
#include "io/memory_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static const char *copy_bytes(char **to, const char *bytes, uint32_t length)
{
    if (!bytes)
        return NULL;
    char *at = memcpy(*to, bytes, length);
    *to += length;
    return at;
}

struct tide_message *tide_memory_keep(struct tide_memory_list *list,
                                      const struct tide_message *message)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = tide_realloc(list->items, sizeof(struct tide_memory_kept) * list->capacity);
    }
    struct tide_memory_kept *kept = &list->items[list->count++];
    char *to = tide_alloc((size_t)message->value_length + message->key_length +
                          message->headers_length + 1);
    kept->bytes = to;
    kept->message = *message;
    kept->message.value = copy_bytes(&to, message->value, message->value_length);
    kept->message.key = copy_bytes(&to, message->key, message->key_length);
    kept->message.headers = copy_bytes(&to, message->headers, message->headers_length);
    return &kept->message;
}

void tide_memory_drop(struct tide_memory_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].bytes);
    free(list->items);
}
