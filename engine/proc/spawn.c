/* SPDX-License-Identifier: MIT
 * What a worker has of the engine beside what its zygote has: the socket, log, channel to the connector and writable blocks
 * of its slot. Their descriptors go with the command SPAWN, and the zygote keeps none of them. So the user's code, when a
 * zygote loads it, finds nothing of any worker, be it of its own revision or of the one that runs meanwhile.
 *
 * Engine and worker go through the same list in the same order: tide_spawn_descriptors() and tide_spawn_take(). */
#include <unistd.h>

#include "base/status.h"
#include "proc/inside.h"
#include "shm/block.h"

/* Blocks of the engine become read-only. No descriptor of any is left: with one, its owner could map the pages once more, as
 * it likes. */
int tide_zygote_map_blocks(struct tide_zygote *zygote)
{
    int status = TIDE_OK;
    for (uint32_t i = 0; i < zygote->block_count && status == TIDE_OK; i++) {
        struct tide_block *block = zygote->blocks[i];
        status = block->worker == TIDE_BLOCK_ENGINE ? tide_block_make_read_only(block)
                                                    : tide_block_reserve(block);
    }
    return status;
}

static bool has_log(const struct tide_zygote *zygote, uint32_t worker)
{
    return zygote->limits[worker].max_log_lines > 0;
}

static bool is_of(const struct tide_block *block, uint32_t worker)
{
    return block->worker == (int32_t)worker;
}

uint32_t tide_spawn_count(const struct tide_zygote *zygote, uint32_t worker)
{
    uint32_t count = 1 + has_log(zygote, worker) + (zygote->connector != NULL);
    for (uint32_t i = 0; i < zygote->block_count; i++)
        count += is_of(zygote->blocks[i], worker);
    return count;
}

void tide_spawn_descriptors(const struct tide_zygote *zygote, uint32_t worker, int *fds)
{
    *fds++ = zygote->worker_ends[worker];
    if (has_log(zygote, worker))
        *fds++ = zygote->logs[worker].worker_end;
    if (zygote->connector)
        *fds++ = tide_connector_of_worker(zygote->connector, worker);
    for (uint32_t i = 0; i < zygote->block_count; i++) {
        if (is_of(zygote->blocks[i], worker))
            *fds++ = zygote->blocks[i]->fd;
    }
}

static int map(struct tide_block *block, int fd)
{
    int status = tide_block_map(block, fd);
    close(fd);
    return status;
}

int tide_spawn_take(struct tide_zygote *zygote, uint32_t worker, const int *fds)
{
    int status = TIDE_OK;
    zygote->own = *fds++;
    if (has_log(zygote, worker)) {
        zygote->logs[worker].worker_end = *fds++;
        tide_worker_log_enter(&zygote->logs[worker]);
        close(zygote->logs[worker].worker_end);
    }
    if (zygote->connector)
        tide_connector_enter_worker(zygote->connector, *fds++);
    for (uint32_t i = 0; i < zygote->block_count; i++) {
        if (is_of(zygote->blocks[i], worker) && map(zygote->blocks[i], *fds++) < 0)
            status = tide_failure();
    }
    return status;
}
