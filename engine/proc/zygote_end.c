/* SPDX-License-Identifier: MIT
 * The end of a zygote, as the engine brings it about: in order at the end of a run, at once when its place was taken by that of
 * another revision, which has its worker slots then. Start with tide_zygote_free(). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "proc/forker.h"
#include "proc/inside.h"
#include "proc/zygote.h"

enum {
    LEAVE_MS = 5000, /* for a zygote that was commanded to leave: longer than it waits (family.c) */
    LOOK_MS = 20     /* at what workers write meanwhile */
};

/* The kernel gives orphans to these two only (prctl(2)); elsewhere there are none to take. */
static bool adopts_orphans(void)
{
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

/* These stay unreaped: they are killed by their numbers, which must not be others' by then. */
static bool is_ours(const struct tide_zygote *zygote, int32_t pid)
{
    return pid == zygote->pid || (zygote->other && pid == zygote->other->pid) ||
           (zygote->connector && pid == tide_connector_pid(zygote->connector)) ||
           (zygote->forker && pid == tide_forker_pid(zygote->forker));
}

void tide_zygote_reap_orphans(const struct tide_zygote *zygote)
{
    siginfo_t dead;
    if (!adopts_orphans())
        return;
    do {
        dead.si_pid = 0;
        waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT);
    } while (dead.si_pid > 0 && !is_ours(zygote, dead.si_pid) && waitpid(dead.si_pid, NULL, 0) > 0);
}

/* A `close` hook may write more than its pipe holds. */
static void read_logs(struct tide_zygote *zygote, enum tide_log_moment when)
{
    for (uint32_t i = 0; i < zygote->workers && !zygote->slots_elsewhere; i++)
        tide_zygote_read_log(zygote, i, tide_clock_us(), when);
    if (when == TIDE_LOG_ENDS)
        tide_worker_log_end(&zygote->log, tide_clock_us());
    else
        tide_worker_log_read(&zygote->log, tide_clock_us(), true);
}

/* Ends of file tell the zygote and the workers to leave; its own end of file, that it has. Workers hear of it first, so
 * that they run their `close` hooks while the zygote waits for them. */
static void leave_in_order(struct tide_zygote *zygote)
{
    char ignored[sizeof(struct tide_zygote_event)];
    struct pollfd fd = {zygote->engine_end, POLLIN, 0};
    for (uint32_t i = 0; i < zygote->workers; i++)
        shutdown(zygote->engine_ends[i], SHUT_RDWR);
    shutdown(zygote->engine_end, SHUT_WR);
    for (int left_ms = LEAVE_MS; left_ms > 0;) {
        int ready = poll(&fd, 1, LOOK_MS);
        read_logs(zygote, TIDE_LOG_AT_ONCE);
        if (ready > 0 && recv(zygote->engine_end, ignored, sizeof(ignored), 0) <= 0)
            return;
        left_ms -= ready > 0 ? 0 : LOOK_MS;
    }
}

static void unwatch(const struct tide_zygote *zygote, int fd)
{
    if (fd >= 0)
        tide_loop_unwatch(zygote->loop, fd);
}

void tide_zygote_unwatch(struct tide_zygote *zygote)
{
    unwatch(zygote, zygote->engine_end);
    unwatch(zygote, zygote->log.engine_end);
    for (uint32_t i = 0; i < zygote->workers && !zygote->slots_elsewhere; i++)
        unwatch(zygote, zygote->logs[i].engine_end);
}

static void free_slots(struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < zygote->workers; i++) {
        close(zygote->engine_ends[i]);
        if (zygote->worker_ends[i] >= 0)
            close(zygote->worker_ends[i]);
        tide_worker_log_free(&zygote->logs[i]);
    }
    tide_connector_free(zygote->connector);
    tide_forker_free(zygote->forker);
    tide_sandbox_plan_free(&zygote->sandbox);
    free(zygote->blocks);
    free(zygote->limits);
    free(zygote->logs);
    free(zygote->engine_ends);
    free(zygote->worker_ends);
}

/* Closing in order gives `close` hooks their time; the kill that follows is for a zygote that does not leave. */
static void end_process(struct tide_zygote *zygote)
{
    if (zygote->loaded && !zygote->slots_elsewhere)
        leave_in_order(zygote);
    else /* the user's code may have forked: nothing is left that has what workers of these slots had */
        tide_hold_kill_children(zygote);
    /* Workers have PDEATHSIG, so none outlives the zygote. */
    kill(zygote->pid, SIGKILL);
    while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    read_logs(zygote, TIDE_LOG_ENDS);
}

void tide_zygote_free(struct tide_zygote *zygote)
{
    if (!zygote)
        return;
    tide_zygote_unwatch(zygote);
    if (zygote->pid > 0)
        end_process(zygote);
    if (zygote->engine_end >= 0)
        close(zygote->engine_end);
    if (zygote->zygote_end >= 0)
        close(zygote->zygote_end);
    tide_worker_log_free(&zygote->log);
    if (!zygote->slots_elsewhere)
        free_slots(zygote);
    if (zygote->other)
        zygote->other->other = NULL;
    tide_lookups_free(zygote->lookups);
    free(zygote->children);
    free(zygote);
}
