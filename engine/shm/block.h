/* SPDX-License-Identifier: MIT
 * engine/shm/block.h - the shared memory of one batch: a memfd of `max` bytes, sealed, mapped once before
 * the fork at an address that never changes. How much of it is in use is the step's affair (a number);
 * pages exist once they are touched, and tide_block_trim gives them back. No name in /dev/shm, nothing
 * left after kill -9. Sizes in bytes. */
#ifndef TIDE_SHM_BLOCK_H
#define TIDE_SHM_BLOCK_H

#include <stddef.h>
#include <stdint.h>

struct tide_block {
    char *data; /* `max` bytes and TIDE_BLOCK_TAIL readable ones behind them */
    size_t max;
    size_t touched; /* engine's own: bytes that may have pages, what trim looks at */
    int fd;         /* -1 in the zygote and in workers */
};

/** NULL with tide_error(). Before the first fork. */
struct tide_block *tide_block_new(size_t max);
/** In the zygote: maps the same pages at the same address from a read-only descriptor, so that no worker
 * can ever write here (mprotect alone could be undone), and closes the descriptors. */
int tide_block_make_read_only(struct tide_block *block);
/** In the zygote: closes the descriptor, keeps the mapping. */
void tide_block_detach(struct tide_block *block);
/** Gives back the pages beyond `size`. No-op when there are none. Not while a worker has the block. */
void tide_block_trim(struct tide_block *block, size_t size);
/** Bytes of memory in use now (st_blocks). */
int64_t tide_block_memory(const struct tide_block *block);
void tide_block_free(struct tide_block *block); /* NULL is fine */

#endif
