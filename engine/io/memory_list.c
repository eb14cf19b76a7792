/* SPDX-License-Identifier: MIT */
#include "io/memory_list.h"

#include <stdlib.h>

#include "base/status.h"

struct tide_message *tide_memory_keep(struct tide_memory_list *list,
                                      const struct tide_message *message)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = tide_realloc(list->items, sizeof(struct tide_memory_kept) * list->capacity);
    }
    struct tide_memory_kept *kept = &list->items[list->count++];
    kept->bytes = tide_alloc(tide_message_size(message) +
                             1); /* never 0: an empty value is not null */
    tide_message_copy(&kept->message, message, kept->bytes);
    return &kept->message;
}

void tide_memory_drop(struct tide_memory_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].bytes);
    free(list->items);
}
