/* SPDX-License-Identifier: MIT
 * engine/shm/foreign.h - reading what a worker can write while it is read. Whatever the engine decides by (a length, a
 * count, an index, a flag) is copied once into the engine's own memory; only the copy is checked, and only the copy is
 * used. Single words are read by an atomic load in place of this. shm/layout.h lists all that is read. */
#ifndef TIDE_SHM_FOREIGN_H
#define TIDE_SHM_FOREIGN_H

#include <stddef.h>
#include <string.h>

/** Copies `size` bytes. After a plain memcpy the compiler might read the source again where the copy is used, since it knows
 * them to be equal. The barrier says that the copy may have changed, so it is the copy that is read. Inline, as it is
 * called for each result. */
static inline void tide_foreign_copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

#endif
