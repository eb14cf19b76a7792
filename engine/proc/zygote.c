/* SPDX-License-Identifier: MIT
 * The engine's side of the zygote. Workers are forked by a process that never had librdkafka's threads: a fork of the
 * engine itself would copy locks that no thread ever gives back. So the zygote is forked first, before the engine has a
 * second thread, loads the user's code once, and forks each worker from that, which is cheap (pages are shared) and the
 * same for a first worker and for its replacement. posix_spawn of a fresh program was not taken: each worker would load
 * the transforms again, and shared memory would have to be mapped at an agreed address.
 *
 * Start with tide_zygote_fork(). The engine then waits in zygote_load.c; what the zygote does after the fork is in
 * worker.c. */
#include "proc/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/received.h"

enum {
    MOST_FALSE =
        1000 /* events that break the protocol: then nothing that comes is worth waiting for */
};

struct tide_zygote *tide_zygote_new(struct tide_loop *loop, uint32_t workers)
{
    struct tide_zygote *zygote = tide_alloc(sizeof(*zygote));
    zygote->loop = loop;
    zygote->revision = 1;
    zygote->engine_end = zygote->zygote_end = zygote->signals = zygote->own = -1;
    zygote->log.engine_end = zygote->log.worker_end = -1;
    zygote->engine_ends = tide_alloc(sizeof(int) * (workers + 1));
    zygote->worker_ends = tide_alloc(sizeof(int) * (workers + 1));
    zygote->children = tide_alloc(sizeof(struct tide_child) * (workers + 1)); /* with the builder */
    zygote->limits = tide_alloc(sizeof(*zygote->limits) * (workers + 1));
    zygote->logs = tide_alloc(sizeof(*zygote->logs) * (workers + 1));
    if (tide_zygote_make_pair(&zygote->engine_end, &zygote->zygote_end) < 0)
        goto fail;
    for (uint32_t i = 0; i < workers; i++) {
        if (tide_zygote_make_pair(&zygote->engine_ends[i], &zygote->worker_ends[i]) < 0)
            goto fail;
        zygote->logs[i].engine_end = zygote->logs[i].worker_end = -1;
        /* It counts the pairs that are open, since tide_zygote_free() closes that many. */
        zygote->workers = i + 1;
    }
    /* No callback: the engine takes the events in each turn (engine.c), and this only ends its wait. */
    if (tide_loop_watch(loop, zygote->engine_end, NULL, NULL) < 0)
        goto fail;
    return zygote;
fail:
    tide_zygote_free(zygote);
    return NULL;
}

static int check_sandbox(struct tide_zygote *zygote)
{
    tide_sandbox_support(&zygote->support);
    int status = tide_sandbox_check(&zygote->support, &zygote->sandbox);
    const char *gaps = tide_sandbox_gaps(&zygote->support, &zygote->sandbox);
    if (status == TIDE_OK && gaps)
        tide_log(TIDE_LOG_WARN, "%s", gaps);
    return status;
}

static int prepare(struct tide_zygote *zygote)
{
    int count = tide_family_threads();
    if (count > 1)
        return tide_fail(TIDE_EINTERNAL, "cannot fork: this process has %d threads", count);
    int status = check_sandbox(zygote);
    if (status == TIDE_OK)
        status = tide_zygote_open_log(zygote);
    if (status < 0)
        return status;
    if (zygote->sandbox.trust != TIDE_TRUST_FULL && zygote->sandbox.host_count > 0) {
        zygote->connector = tide_connector_new(zygote->loop, &zygote->sandbox, &zygote->support,
                                               zygote->workers);
        if (!zygote->connector)
            return tide_failure();
    }
    return TIDE_OK;
}

int tide_zygote_fork(struct tide_zygote *zygote)
{
    int status = prepare(zygote);
    if (status < 0)
        return status;
    zygote->lookups = tide_lookups_new();
    if (!zygote->lookups)
        return tide_failure();
    int32_t parent = getpid();
    zygote->forked_us = zygote->loading_us = tide_clock_us();
    zygote->pid = fork();
    if (zygote->pid < 0)
        return tide_fail(TIDE_ETEMPORARY, "fork: %s", strerror(errno));
    if (zygote->pid == 0)
        return tide_zygote_become(zygote, parent);
    if (zygote->reloads && (status = tide_forker_fork(zygote)) <= 0)
        return status;
    /* With these ends open, this process would not see the end of file when the zygote is gone. That of its log stays open:
     * a script may close its standard error, and an end of file would end each wait for the pipe at once. */
    close(zygote->zygote_end);
    zygote->zygote_end = -1;
    tide_lookups_free(zygote->lookups);
    zygote->lookups = NULL;
    if (zygote->connector)
        tide_connector_detach(zygote->connector);
    return zygote->pid;
}

int tide_zygote_socket(const struct tide_zygote *zygote, uint32_t worker)
{
    return zygote->engine_ends[worker];
}

/* It never waits: a zygote that is stopped must not stop the engine. Who finds its queue full (or the kernel full of
 * descriptors that are on their way) tries again in the next turn, and worker_slot.c notices when that goes on. */
int tide_zygote_send(struct tide_zygote *zygote, enum tide_zygote_command_kind kind,
                     uint32_t worker, uint32_t generation)
{
    struct tide_zygote_command command = {kind, worker, generation};
    int fds[TIDE_DESCRIPTORS];
    uint32_t count = kind == TIDE_COMMAND_SPAWN ? tide_spawn_count(zygote, worker) : 0;
    tide_require(count <= TIDE_DESCRIPTORS); /* a pool has few steps (TIDE_POOL_MOST_STEPS) */
    if (count > 0)
        tide_spawn_descriptors(zygote, worker, fds);
    int failed = tide_descriptors_send(zygote->engine_end, &command, sizeof(command), fds, count);
    if (failed == EAGAIN || failed == ETOOMANYREFS)
        return TIDE_BUSY;
    if (failed != 0)
        return tide_fail(TIDE_ETEMPORARY, "the zygote does not take commands: %s",
                         strerror(failed));
    return TIDE_OK;
}

/* When its queue is full, it is told with a later turn. One that is lost is found out by tide_zygote_receive(). */
void tide_zygote_unused_lookups(struct tide_zygote *zygote, int64_t since_us)
{
    for (uint32_t i = 0; i < TIDE_LOOKUP_TABLES; i++) {
        int64_t replaced_us = zygote->replaced[i].since_us;
        uint32_t version = zygote->replaced[i].version;
        if (replaced_us > 0 && replaced_us < since_us &&
            tide_zygote_send(zygote, TIDE_COMMAND_UNUSED, i, version) == TIDE_OK)
            zygote->replaced[i].since_us = 0;
    }
}

/* The first one is logged: what the zygote says may not be true from then on. */
void tide_zygote_false_event(struct tide_zygote *zygote, const char *why)
{
    if (zygote->false_events++ == 0)
        tide_log(TIDE_LOG_ERROR,
                 "the zygote (pid %d) sent an event that %s; it and others like it are ignored",
                 zygote->pid, why);
}

uint32_t tide_zygote_false_events(const struct tide_zygote *zygote)
{
    return zygote->false_events;
}

static bool is_of_worker(const struct tide_zygote_event *event)
{
    return event->kind == TIDE_ZYGOTE_SPAWNED || event->kind == TIDE_ZYGOTE_EXITED;
}

/* The time is asked for only when there is something to do. */
static void read_own_log(struct tide_zygote *zygote)
{
    const struct tide_worker_log *log = &zygote->log;
    if (log->readable || log->length > 0 || log->dropped > 0)
        tide_worker_log_read(&zygote->log, tide_clock_us(), false);
}

/* It is not replaced: the engine has librdkafka's threads by now, so it could not fork another one. So as long as workers
 * can be had from it at all, what it sends besides is ignored. An empty message cannot be told from the end of file. */
int tide_zygote_receive(struct tide_zygote *zygote, struct tide_zygote_event *event)
{
    read_own_log(zygote);
    if (zygote->connector && tide_connector_lost(zygote->connector))
        return tide_fail(TIDE_ETEMPORARY, "the connector, which makes the connections of "
                                          "transforms, is lost; nothing past the last commit is "
                                          "committed");
    /* MSG_TRUNC gives the size that was sent, so that a longer message is not taken for an event. */
    ssize_t size = recv(zygote->engine_end, event, sizeof(*event), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    bool is_event = size > 0 && tide_received_from_zygote(event, (size_t)size, zygote->workers);
    if (size > 0 && !is_event)
        tide_zygote_false_event(zygote, "is none");
    else if (is_event && event->kind == TIDE_ZYGOTE_LOOKUP) {
        if (!tide_zygote_take_lookup(zygote, event))
            tide_zygote_false_event(zygote, "is no report of a lookup table, or one too many");
    } else if (is_event && !is_of_worker(event))
        tide_zygote_false_event(zygote, "belongs to loading, which is over");
    if (size <= 0 || zygote->false_events > MOST_FALSE)
        return tide_fail(TIDE_ETEMPORARY,
                         "the zygote is lost; nothing past the last commit is committed");
    if (!is_event || !is_of_worker(event))
        return 0;
    zygote->events++;
    return 1;
}

uint64_t tide_zygote_events_received(const struct tide_zygote *zygote)
{
    return zygote->events;
}

int32_t tide_zygote_pid(const struct tide_zygote *zygote)
{
    return zygote->pid;
}
