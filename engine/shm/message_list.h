/* SPDX-License-Identifier: MIT
 * engine/shm/message_list.h - messages that are kept longer than the call they were given to: each with a copy of its
 * bytes behind it, in a list, oldest first.
 *
 *     struct tide_message_list list = {0};
 *     tide_message_list_append(&list, tide_message_item_new(message, sizeof(struct tide_message_item)));
 *     STAILQ_FOREACH(item, &list.items, next) ...
 *     tide_message_list_free(&list);
 *
 * A kept message that has more to it is a struct of its own with the item as first member; `size` is then the size of
 * that struct, and its further members are zero at first. */
#ifndef TIDE_SHM_MESSAGE_LIST_H
#define TIDE_SHM_MESSAGE_LIST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shm/message.h"

struct tide_message_item {
    STAILQ_ENTRY(tide_message_item) next;
    struct tide_message message; /* its bytes lie behind the whole struct */
};

/** Zero it to begin with. An empty one may be moved in memory, as an array that grows does; so may a filled one. */
struct tide_message_list {
    STAILQ_HEAD(, tide_message_item) items;
    uint32_t count;
    uint64_t bytes; /* of the messages, as tide_message_size() counts them */
};

/** A copy of the message, in no list yet, in a struct of `size` bytes. Free it with free(), or give it to a list. */
struct tide_message_item *tide_message_item_new(const struct tide_message *message, size_t size);
/** The list owns the item from here on. */
void tide_message_list_append(struct tide_message_list *list, struct tide_message_item *item);
void tide_message_list_prepend(struct tide_message_list *list, struct tide_message_item *item);
/** Takes the oldest item off the list: the caller owns it. NULL when the list is empty. */
struct tide_message_item *tide_message_list_take(struct tide_message_list *list);
/** Frees all items; the list is empty then. Items that own more than their bytes have to be taken one by one. */
void tide_message_list_free(struct tide_message_list *list);

#endif
