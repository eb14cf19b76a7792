/* SPDX-License-Identifier: MIT
 * The zygotes of two revisions beside each other, on the engine's side. What belongs to the worker slots (sockets, limits,
 * logs, blocks), the connector and the forker there is once: the struct that has them says so by `slots_elsewhere` being
 * false, and hands them over with the slots. Start with tide_zygote_next(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/zygote.h"

/* One that was gone back from has had its number. */
static uint32_t newest(const struct tide_zygote *zygote)
{
    return zygote->newest > zygote->revision ? zygote->newest : zygote->revision;
}

static struct tide_zygote *copy(const struct tide_zygote *zygote)
{
    struct tide_zygote *next = tide_alloc(sizeof(*next));
    *next = (struct tide_zygote){
        .workers = zygote->workers,
        .engine_ends = zygote->engine_ends,
        .worker_ends = zygote->worker_ends,
        .blocks = zygote->blocks,
        .block_count = zygote->block_count,
        .load_memory = zygote->load_memory,
        .memory = zygote->memory,
        .core_dumps = zygote->core_dumps,
        .limits = zygote->limits,
        .logs = zygote->logs,
        .sandbox = zygote->sandbox,
        .support = zygote->support,
        .connector = zygote->connector,
        .forker = zygote->forker,
        .revision = newest(zygote) + 1,
        .loop = zygote->loop,
        .start_limit_us = zygote->start_limit_us,
        .slots_elsewhere = true,
        .engine_end = -1,
        .zygote_end = -1,
        .signals = -1,
        .own = -1,
    };
    next->log.engine_end = next->log.worker_end = -1;
    next->forked_us = next->loading_us = tide_clock_us();
    return next;
}

struct tide_zygote *tide_zygote_next(struct tide_zygote *zygote, const char *known)
{
    struct tide_zygote *next = copy(zygote);
    struct tide_forker_request request = {.revision = next->revision};
    snprintf(request.known, sizeof(request.known), "%s", known);
    if (tide_zygote_make_pair(&next->engine_end, &next->zygote_end) < 0 ||
        tide_zygote_open_log(next) < 0 ||
        tide_loop_watch(next->loop, next->engine_end, NULL, NULL) < 0 ||
        tide_forker_ask(next->forker, &request, next->zygote_end, next->log.worker_end) < 0) {
        tide_zygote_free(next);
        return NULL;
    }
    close(next->zygote_end); /* as in tide_zygote_fork() */
    next->zygote_end = -1;
    next->other = zygote;
    zygote->other = next;
    return next;
}

/* What was counted goes on, so that no counter falls, also when `next` is the older one, which has counted before. */
static void take_over_counts(struct tide_zygote *next, struct tide_zygote *zygote)
{
    next->false_events += zygote->false_events;
    next->lookup_totals.reads += zygote->lookup_totals.reads;
    next->lookup_totals.errors += zygote->lookup_totals.errors;
    next->lookup_totals.time_us += zygote->lookup_totals.time_us;
    next->forked_us = zygote->forked_us;
    zygote->false_events = 0;
    zygote->lookup_totals.reads = zygote->lookup_totals.errors = 0;
    zygote->lookup_totals.time_us = 0;
}

void tide_zygote_hand_over(struct tide_zygote *zygote, struct tide_zygote *next)
{
    zygote->slots_elsewhere = true;
    next->slots_elsewhere = false;
    next->newest = newest(next) > newest(zygote) ? newest(next) : newest(zygote);
    take_over_counts(next, zygote);
}

const char *tide_zygote_mark(const struct tide_zygote *zygote)
{
    return zygote->mark;
}
