/* SPDX-License-Identifier: MIT
 * What a zygote is given before its fork: blocks, limits, logs, the sandbox. It stands below all that forks or ends one. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/zygote.h"

/* SOCK_SEQPACKET keeps messages apart, as datagrams are, and tells of the other end's death, as a stream does. */
int tide_zygote_make_pair(int *mine, int *other)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return tide_fail_system("a socket pair");
    *mine = ends[0];
    *other = ends[1];
    return TIDE_OK;
}

void tide_zygote_blocks(struct tide_zygote *zygote, struct tide_block **blocks, uint32_t count)
{
    free(zygote->blocks);
    zygote->blocks = tide_alloc(sizeof(*blocks) * (count + 1));
    zygote->block_count = count;
    for (uint32_t i = 0; i < count; i++)
        zygote->blocks[i] = blocks[i];
}

void tide_zygote_load_memory(struct tide_zygote *zygote, uint64_t bytes)
{
    zygote->load_memory = bytes;
}

void tide_zygote_memory(struct tide_zygote *zygote, uint64_t bytes)
{
    zygote->memory = bytes;
}

static int open_log(struct tide_zygote *zygote, struct tide_worker_log *log, const char *who,
                    uint32_t limit)
{
    int status = tide_worker_log_open(log, who, limit);
    return status < 0
               ? status
               : tide_loop_watch(zygote->loop, log->engine_end, tide_worker_log_set_readable, log);
}

int tide_zygote_limit_worker(struct tide_zygote *zygote, uint32_t worker,
                             const struct tide_worker_limits *limits)
{
    char who[24];
    zygote->limits[worker] = *limits;
    if (limits->max_log_lines == 0)
        return TIDE_OK;
    snprintf(who, sizeof(who), "worker %u", worker);
    return open_log(zygote, &zygote->logs[worker], who, limits->max_log_lines);
}

/* What is printed while user code is loaded has the limit of the workers that may print most. */
int tide_zygote_open_log(struct tide_zygote *zygote)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < zygote->workers; i++) {
        uint32_t lines = zygote->limits[i].max_log_lines;
        most = lines > most ? lines : most;
    }
    return open_log(zygote, &zygote->log, "loading the transforms", most > 0 ? most : UINT32_MAX);
}

void tide_zygote_core_dumps(struct tide_zygote *zygote, bool core_dumps)
{
    zygote->core_dumps = core_dumps;
}

uint64_t tide_zygote_read_log(struct tide_zygote *zygote, uint32_t worker, int64_t now_us,
                              enum tide_log_moment when)
{
    struct tide_worker_log *log = &zygote->logs[worker];
    return when == TIDE_LOG_ENDS ? tide_worker_log_end(log, now_us)
                                 : tide_worker_log_read(log, now_us, when == TIDE_LOG_AT_ONCE);
}

void tide_zygote_sandbox(struct tide_zygote *zygote, const struct tide_plan_sandbox *sandbox)
{
    tide_sandbox_plan_free(&zygote->sandbox);
    tide_sandbox_plan_copy(&zygote->sandbox, sandbox);
}

void tide_zygote_limit(struct tide_zygote *zygote, int64_t limit_us)
{
    zygote->start_limit_us = limit_us;
}

void tide_zygote_reloads(struct tide_zygote *zygote)
{
    zygote->reloads = true;
}
