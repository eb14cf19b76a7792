/* SPDX-License-Identifier: MIT
 * How a process becomes the zygote, right after its fork: what it must not have of the engine goes, then it enters the sandbox.
 * Between these two a zygote of the forker reads the pipeline file (run/revision.lua), as the engine has read it at the start.
 * Start with tide_zygote_become(). */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/inside.h"
#include "proc/worker.h"
#include "proc/zygote.h"

static int enter_sandbox(struct tide_zygote *zygote)
{
    uint32_t count = 0;
    int keep[6]; /* of the connector, two of the lookup tables, and its own */
    if (zygote->connector)
        keep[count++] = tide_connector_of_zygote(zygote->connector);
    count += tide_lookups_descriptors(zygote->lookups, keep + count);
    keep[count++] = zygote->zygote_end;
    keep[count++] = zygote->signals;
    keep[count++] = tide_guard_open();
    return tide_sandbox_enter_zygote(&zygote->sandbox, &zygote->support, keep, count);
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void tide_zygote_close_slots(struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < zygote->workers; i++) {
        close_if_open(&zygote->engine_ends[i]);
        close_if_open(&zygote->worker_ends[i]);
        close_if_open(&zygote->logs[i].engine_end);
        close_if_open(&zygote->logs[i].worker_end);
    }
    if (zygote->connector)
        tide_connector_close_slots(zygote->connector);
}

/* Standard input may be the source, and a script that reads it would take messages away; standard output may be the
 * sink, and what a script prints is no message. The engine's ends are closed, since the end of file by which workers
 * notice that the engine is gone comes only when nobody has them open. */
void tide_zygote_begin(struct tide_zygote *zygote, int32_t parent)
{
    sigset_t chld;
    tide_child_dies_with(parent);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    tide_child_signals(true);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    zygote->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    close_if_open(&zygote->engine_end);
    tide_zygote_close_slots(zygote);
    close_if_open(&zygote->log.engine_end);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    tide_worker_log_enter(&zygote->log);
    close(zygote->log.worker_end);
    if (null > STDERR_FILENO)
        close(null);
    tide_limit_core(zygote->core_dumps);
    tide_crash_watch_zygote(zygote);
    if (zygote->connector)
        tide_connector_enter_zygote(zygote->connector);
    tide_guard_loading(zygote->load_memory);
    if (tide_zygote_map_blocks(zygote) < 0)
        tide_zygote_loaded(zygote, tide_error(), false);
}

void tide_zygote_confine(struct tide_zygote *zygote, const struct tide_plan_sandbox *sandbox)
{
    if (sandbox)
        tide_zygote_sandbox(zygote, sandbox);
    if (!zygote->lookups)
        zygote->lookups = tide_lookups_new();
    if (!zygote->lookups || enter_sandbox(zygote) < 0)
        tide_zygote_loaded(zygote, tide_error(), false);
}

int tide_zygote_become(struct tide_zygote *zygote, int32_t parent)
{
    tide_zygote_begin(zygote, parent);
    tide_zygote_confine(zygote, NULL);
    return 0;
}
