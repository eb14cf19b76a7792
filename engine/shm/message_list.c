/* SPDX-License-Identifier: MIT
 * A message and its bytes are one allocation, so that keeping one is a copy, and giving it up a free(). */
#include "shm/message_list.h"

#include <stdlib.h>

#include "base/status.h"

struct tide_message_item *tide_message_item_new(const struct tide_message *message, size_t size)
{
    /* One byte more, so that there is an address for the bytes of an empty value too: NULL would make it null. */
    struct tide_message_item *item = tide_alloc(size + tide_message_size(message) + 1);
    tide_require(size >= sizeof(*item));
    tide_message_copy(&item->message, message, (char *)item + size);
    return item;
}

/* The head of an empty list points to itself, so one that is zeroed or was moved is set right before its first item. */
static void prepare_head(struct tide_message_list *list)
{
    if (STAILQ_EMPTY(&list->items))
        STAILQ_INIT(&list->items);
}

/* Both sums are kept and not made when somebody asks: the dlq compares them with its limits for each dead letter
 * (chain/dlq_writer.c). */
static void count_item(struct tide_message_list *list, const struct tide_message_item *item)
{
    list->count++;
    list->bytes += tide_message_size(&item->message);
}

void tide_message_list_append(struct tide_message_list *list, struct tide_message_item *item)
{
    prepare_head(list);
    STAILQ_INSERT_TAIL(&list->items, item, next);
    count_item(list, item);
}

void tide_message_list_prepend(struct tide_message_list *list, struct tide_message_item *item)
{
    prepare_head(list);
    STAILQ_INSERT_HEAD(&list->items, item, next);
    count_item(list, item);
}

struct tide_message_item *tide_message_list_take(struct tide_message_list *list)
{
    struct tide_message_item *item = STAILQ_FIRST(&list->items);
    if (!item)
        return NULL;
    STAILQ_REMOVE_HEAD(&list->items, next);
    list->count--;
    list->bytes -= tide_message_size(&item->message);
    return item;
}

void tide_message_list_free(struct tide_message_list *list)
{
    struct tide_message_item *item;
    while ((item = tide_message_list_take(list)))
        free(item);
}
