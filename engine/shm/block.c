/* SPDX-License-Identifier: MIT
 * Blocks. Each is mapped at its maximum size once, before the first fork, so that a pointer into it is the same in every
 * process and never moves; only the pages that are touched take memory, and trimming punches a hole into the rest. A memfd
 * rather than shm_open, so that there is no name to clean up; seals, so that no worker can truncate it under the engine
 * (which would be a SIGBUS there). Start with tide_block_new() and tide_block_make_read_only(). */
#include "shm/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "shm/layout.h"

/* Without F_SEAL_FUTURE_WRITE, which would forbid PUNCH_HOLE as well. */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

size_t tide_block_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static size_t mapped_size(const struct tide_block *block)
{
    return tide_block_pages(block->max + TIDE_BLOCK_TAIL);
}

struct tide_block *tide_block_new(size_t max)
{
    struct tide_block *block = tide_alloc(sizeof(*block));
    block->max = max;
    block->worker = TIDE_BLOCK_ENGINE;
    block->data = MAP_FAILED;
    block->fd = memfd_create("tidemill-block", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* The seals come last, since F_SEAL_GROW would forbid ftruncate() as well. */
    if (block->fd < 0 || ftruncate(block->fd, (off_t)mapped_size(block)) < 0 ||
        fcntl(block->fd, F_ADD_SEALS, SEALS) < 0)
        goto fail;
    block->data = mmap(NULL, mapped_size(block), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                       block->fd, 0);
    if (block->data == MAP_FAILED)
        goto fail;
    return block;
fail:
    tide_fail_system("a block of %zu bytes", max);
    tide_block_free(block);
    return NULL;
}

static void detach(struct tide_block *block)
{
    if (block->fd >= 0)
        close(block->fd);
    block->fd = -1;
}

/* In place of what is mapped there. */
static int map_again(const struct tide_block *block, int protection, int flags, int fd)
{
    void *data = mmap(block->data, mapped_size(block), protection,
                      flags | MAP_NORESERVE | MAP_FIXED, fd, 0);
    return data == MAP_FAILED ? tide_fail_system("a block mapped anew") : TIDE_OK;
}

int tide_block_make_read_only(struct tide_block *block)
{
    char path[32];
    /* Opened anew, since a descriptor that may write lets its owner map the pages writable again. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", block->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tide_fail_system("a block read-only");
    /* It is where the writable mapping was that the zygote inherited: so that one is gone, and the addresses in jobs
     * still hold. */
    int status = map_again(block, PROT_READ, MAP_SHARED, fd);
    close(fd);
    detach(block);
    return status;
}

int tide_block_reserve(struct tide_block *block)
{
    detach(block);
    return map_again(block, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

int tide_block_map(struct tide_block *block, int fd)
{
    return map_again(block, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
}

bool tide_block_punch(const struct tide_block *block, size_t from, size_t end)
{
    return fallocate(block->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                     (off_t)(end - from)) == 0;
}

/* What is not a hole is copied, then the copy takes the place of the pages: so no moment is without them. */
bool tide_block_keep(const struct tide_block *block, size_t from, size_t end)
{
    char *copy = mmap(NULL, end - from, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED)
        return false;
    off_t data = (off_t)from;
    while ((data = lseek(block->fd, data, SEEK_DATA)) >= 0 && (size_t)data < end) {
        off_t hole = lseek(block->fd, data, SEEK_HOLE);
        size_t last = hole < 0 || (size_t)hole > end ? end : (size_t)hole;
        memcpy(copy + ((size_t)data - from), block->data + data, last - (size_t)data);
        data = (off_t)last;
    }
    if (mremap(copy, end - from, end - from, MREMAP_MAYMOVE | MREMAP_FIXED, block->data + from) ==
        MAP_FAILED) {
        munmap(copy, end - from);
        return false;
    }
    (void)tide_block_punch(block, from, end);
    return true;
}

bool tide_block_share(const struct tide_block *block, size_t from, size_t end)
{
    return mmap(block->data + from, end - from, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE | MAP_FIXED, block->fd, (off_t)from) != MAP_FAILED;
}

void tide_block_trim(struct tide_block *block, size_t size)
{
    size_t from = tide_block_pages(size + TIDE_BLOCK_TAIL);
    if (block->touched + TIDE_BLOCK_TAIL <= from)
        return;
    /* When it fails, the pages stay, which costs memory and nothing else. */
    if (tide_block_punch(block, from, mapped_size(block)))
        block->touched = size;
}

int64_t tide_block_memory(const struct tide_block *block)
{
    struct stat status;
    if (fstat(block->fd, &status) < 0)
        return tide_fail_system("a block's memory");
    return (int64_t)status.st_blocks * 512;
}

/* One that another process has sent is no loss. */
static void on_loss(int number, siginfo_t *info, void *context)
{
    static const char text[] =
        "tidemill: a page of memory cannot be had (SIGBUS); is the machine out of memory?\n";
    (void)context;
    if (info->si_code <= 0) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(-TIDE_ETEMPORARY);
}

void tide_block_end_on_loss(void)
{
    struct sigaction action = {.sa_sigaction = on_loss, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

void tide_block_free(struct tide_block *block)
{
    if (!block)
        return;
    if (block->data != MAP_FAILED)
        munmap(block->data, mapped_size(block));
    detach(block);
    free(block);
}
