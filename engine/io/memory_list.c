/* SPDX-License-Identifier: MIT */
#include "io/memory_list.h"

#include <stdlib.h>

#include "base/grow.h"

struct tide_message *tide_memory_list_append(struct tide_memory_list *list,
                                             const struct tide_message *message)
{
    struct tide_message_item *item = tide_message_item_new(message, sizeof(*item));
    if (list->count == list->capacity)
        tide_grow(&list->items, &list->capacity, list->capacity ? list->capacity * 2 : 64,
                  sizeof(struct tide_message_item *));
    list->items[list->count++] = item;
    return &item->message;
}

void tide_memory_list_free(struct tide_memory_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}
