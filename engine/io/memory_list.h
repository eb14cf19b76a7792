/* SPDX-License-Identifier: MIT
 * engine/io/memory_list.h - messages by number, for the memory source and sink: those of shm/message_list.h can only be
 * taken in order. */
#ifndef TIDE_IO_MEMORY_LIST_H
#define TIDE_IO_MEMORY_LIST_H

#include "shm/message_list.h"

struct tide_memory_list {
    struct tide_message_item **items;
    uint32_t count;
    uint32_t capacity;
};

/** Appends a copy of the message, which stays where it is until the list is freed. */
struct tide_message *tide_memory_list_append(struct tide_memory_list *list,
                                             const struct tide_message *message);
void tide_memory_list_free(struct tide_memory_list *list);

#endif
