/* SPDX-License-Identifier: MIT
 * engine/io/memory_list.h - messages with bytes of their own, for the memory source and sink. */
#ifndef TIDE_IO_MEMORY_LIST_H
#define TIDE_IO_MEMORY_LIST_H

#include <stddef.h>

#include "shm/message.h"

struct tide_memory_kept {
    struct tide_message message;
    char *bytes;
};

struct tide_memory_list {
    struct tide_memory_kept *items;
    size_t count;
    size_t capacity;
};

/** A copy at the end of the list; may move the items, never their bytes. */
struct tide_message *tide_memory_keep(struct tide_memory_list *list,
                                      const struct tide_message *message);
void tide_memory_drop(struct tide_memory_list *list);

#endif
