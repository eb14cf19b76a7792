/* SPDX-License-Identifier: MIT
 * engine/shm/block.h - a piece of shared memory: a memfd of `max` bytes, sealed, mapped once before the fork at an
 * address that never changes. How much of it is in use, only its owner knows; pages exist once they are touched, and
 * tide_block_trim gives them back. It has no name in /dev/shm, so nothing is left after kill -9. Sizes are in bytes.
 *
 * Who has it mapped, and how (proc/spawn.c sees to it):
 *   worker              engine   zygote       the worker of that slot   other workers
 *   TIDE_BLOCK_ENGINE   write    read-only    read-only                 read-only
 *   a worker slot       write    not at all   write                     not at all
 * A worker gets the memfd of its slot with its spawn. Each block has one of its own, so that a worker which makes its mapping larger (mremap) finds nothing behind it. */
#ifndef TIDE_SHM_BLOCK_H
#define TIDE_SHM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tide_block {
    char *data; /* `max` bytes, and TIDE_BLOCK_TAIL readable ones after them */
    size_t max;
    size_t
        touched; /* kept by the step that fills it: so many bytes may have pages, which trim looks at */
    int32_t
        worker; /* the slot, over all pools, whose worker may write here; or TIDE_BLOCK_ENGINE */
    int fd;     /* -1 in the zygote and in workers */
};
enum { TIDE_BLOCK_ENGINE = -1 };

/** The engine's. NULL with tide_error(). To be called before the first fork. */
struct tide_block *tide_block_new(size_t max);
/** In the zygote: maps the same pages at the same address from a read-only descriptor, so that no worker
 * can ever write here (mprotect alone could be undone), and closes the descriptors. */
int tide_block_make_read_only(struct tide_block *block);
/** In the zygote: takes the mapping away, keeps its addresses free for tide_block_map, and closes the descriptor. */
int tide_block_reserve(struct tide_block *block);
/** In the worker that may write here: maps the pages of the memfd `fd` at the reserved addresses. */
int tide_block_map(struct tide_block *block, int fd);
/** Gives back the pages beyond `size`, if there are any. Not while a worker has the block. */
void tide_block_trim(struct tide_block *block, size_t size);
/** Gives back the whole pages of bytes [from, end). False when the kernel refused. */
bool tide_block_punch(const struct tide_block *block, size_t from, size_t end);
/** `size` bytes rounded up to whole pages. */
size_t tide_block_pages(size_t size);
/** Makes the bytes [from, end), whole pages, this process's own: it goes on seeing what they hold, and whoever else has the
 * block mapped finds them empty and writes there without being seen here. False when the kernel refused; then nothing is
 * changed. */
bool tide_block_keep(const struct tide_block *block, size_t from, size_t end);
/** The end of that: they are those of the block again, whatever it holds by then. */
bool tide_block_share(const struct tide_block *block, size_t from, size_t end);
/** Bytes of memory that its pages take now (st_blocks), or a negative status. */
int64_t tide_block_memory(const struct tide_block *block);
/** In the engine, after the fork. No block can be cut (seals), but the kernel may have no page for one that is touched
 * (vm.overcommit_memory = 2), or lose one with the memory chip that it is in. From now on that ends this process with
 * TIDE_ETEMPORARY and a text, in place of a SIGBUS without a word. Workers tell of it as of any crash (proc/crash.h). */
void tide_block_end_on_loss(void);
void tide_block_free(struct tide_block *block); /* NULL is fine */

#endif
