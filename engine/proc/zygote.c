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
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/received.h"

enum {
    LEAVE_MS = 2000, /* for a zygote that was commanded to leave */
    LOOK_MS = 20,    /* at what workers write meanwhile */
    MOST_FALSE =
        1000 /* events that break the protocol: then nothing that comes is worth waiting for */
};

/* SOCK_SEQPACKET keeps messages apart, as datagrams are, and tells of the other end's death, as a stream does. */
static int make_pair(int *mine, int *other)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return tide_fail_system("a socket pair");
    *mine = ends[0];
    *other = ends[1];
    return TIDE_OK;
}

struct tide_zygote *tide_zygote_new(struct tide_loop *loop, uint32_t workers)
{
    struct tide_zygote *zygote = tide_alloc(sizeof(*zygote));
    zygote->loop = loop;
    zygote->engine_end = zygote->zygote_end = zygote->signals = zygote->own = -1;
    zygote->log.engine_end = zygote->log.worker_end = -1;
    zygote->engine_ends = tide_alloc(sizeof(int) * (workers + 1));
    zygote->worker_ends = tide_alloc(sizeof(int) * (workers + 1));
    zygote->children = tide_alloc(sizeof(struct tide_child) * (workers + 1)); /* with the builder */
    zygote->limits = tide_alloc(sizeof(*zygote->limits) * (workers + 1));
    zygote->logs = tide_alloc(sizeof(*zygote->logs) * (workers + 1));
    if (make_pair(&zygote->engine_end, &zygote->zygote_end) < 0)
        goto fail;
    for (uint32_t i = 0; i < workers; i++) {
        if (make_pair(&zygote->engine_ends[i], &zygote->worker_ends[i]) < 0)
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
static int open_own_log(struct tide_zygote *zygote)
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

static int check_sandbox(struct tide_zygote *zygote)
{
    tide_sandbox_support(&zygote->support);
    int status = tide_sandbox_check(&zygote->support, &zygote->sandbox);
    const char *gaps = tide_sandbox_gaps(&zygote->support, &zygote->sandbox);
    if (status == TIDE_OK && gaps)
        tide_log(TIDE_LOG_WARN, "%s", gaps);
    return status;
}

int tide_zygote_fork(struct tide_zygote *zygote)
{
    int count = tide_family_threads();
    if (count > 1)
        return tide_fail(TIDE_EINTERNAL, "cannot fork: this process has %d threads", count);
    int status = check_sandbox(zygote);
    if (status == TIDE_OK)
        status = open_own_log(zygote);
    if (status < 0)
        return status;
    if (zygote->sandbox.trust != TIDE_TRUST_FULL && zygote->sandbox.host_count > 0) {
        zygote->connector = tide_connector_new(zygote->loop, &zygote->sandbox, &zygote->support,
                                               zygote->workers);
        if (!zygote->connector)
            return tide_failure();
    }
    zygote->lookups = tide_lookups_new(zygote->workers);
    if (!zygote->lookups)
        return tide_failure();
    int32_t parent = getpid();
    zygote->forked_us = zygote->loading_us = tide_clock_us();
    zygote->pid = fork();
    if (zygote->pid < 0)
        return tide_fail(TIDE_ETEMPORARY, "fork: %s", strerror(errno));
    if (zygote->pid == 0)
        return tide_zygote_become(zygote, parent);
    /* With these ends open, this process would not see the end of file when the zygote is gone. That of its log stays open:
     * a script may close its standard error, and an end of file would end each wait for the pipe at once. */
    close(zygote->zygote_end);
    zygote->zygote_end = -1;
    tide_lookups_free(zygote->lookups);
    zygote->lookups = NULL;
    if (zygote->connector)
        tide_connector_detach(zygote->connector);
    for (uint32_t i = 0; i < zygote->workers; i++) {
        close(zygote->worker_ends[i]);
        zygote->worker_ends[i] = -1;
        if (zygote->logs[i].worker_end >= 0)
            close(zygote->logs[i].worker_end);
        zygote->logs[i].worker_end = -1;
    }
    return zygote->pid;
}

int tide_zygote_socket(const struct tide_zygote *zygote, uint32_t worker)
{
    return zygote->engine_ends[worker];
}

/* It never waits: a zygote that is stopped must not stop the engine. Who finds its queue full tries again in the next
 * turn, and worker_slot.c notices when that goes on. */
int tide_zygote_send(struct tide_zygote *zygote, enum tide_zygote_command_kind kind,
                     uint32_t worker, uint32_t generation)
{
    struct tide_zygote_command command = {kind, worker, generation};
    ssize_t sent = send(zygote->engine_end, &command, sizeof(command), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        return TIDE_BUSY;
    if (sent < 0)
        return tide_fail(TIDE_ETEMPORARY, "the zygote does not take commands: %s", strerror(errno));
    return TIDE_OK;
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

/* The kernel gives orphans to these two only (prctl(2)); elsewhere there are none to take. */
static bool adopts_orphans(void)
{
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

void tide_zygote_reap_orphans(const struct tide_zygote *zygote)
{
    siginfo_t dead;
    int32_t connector = zygote->connector ? tide_connector_pid(zygote->connector) : 0;
    if (!adopts_orphans())
        return;
    do {
        dead.si_pid = 0;
        waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT);
        /* Zygote and connector stay unreaped: they are killed by their numbers, which must not be others' by then. */
    } while (dead.si_pid > 0 && dead.si_pid != zygote->pid && dead.si_pid != connector &&
             waitpid(dead.si_pid, NULL, 0) > 0);
}

/* A `close` hook may write more than its pipe holds. */
static void read_logs(struct tide_zygote *zygote, enum tide_log_moment when)
{
    for (uint32_t i = 0; i < zygote->workers; i++)
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

static void free_log(struct tide_zygote *zygote, struct tide_worker_log *log)
{
    if (log->engine_end >= 0)
        tide_loop_unwatch(zygote->loop, log->engine_end);
    tide_worker_log_free(log);
}

/* Closing in order gives `close` hooks their time; the kill that follows is for a zygote that does not leave. */
void tide_zygote_free(struct tide_zygote *zygote)
{
    if (!zygote)
        return;
    if (zygote->engine_end >= 0)
        tide_loop_unwatch(zygote->loop, zygote->engine_end);
    if (zygote->pid > 0) {
        if (zygote->loaded)
            leave_in_order(zygote);
        else /* it is in the user's code, which may have forked, and reads nothing */
            tide_hold_kill_children(zygote);
        /* Workers have PDEATHSIG, so none outlives the zygote. */
        kill(zygote->pid, SIGKILL);
        while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        read_logs(zygote, TIDE_LOG_ENDS);
    }
    if (zygote->engine_end >= 0)
        close(zygote->engine_end);
    if (zygote->zygote_end >= 0)
        close(zygote->zygote_end);
    for (uint32_t i = 0; i < zygote->workers; i++) {
        close(zygote->engine_ends[i]);
        if (zygote->worker_ends[i] >= 0)
            close(zygote->worker_ends[i]);
        free_log(zygote, &zygote->logs[i]);
    }
    free_log(zygote, &zygote->log);
    tide_connector_free(zygote->connector);
    tide_lookups_free(zygote->lookups);
    free(zygote->limits);
    free(zygote->logs);
    free(zygote->engine_ends);
    free(zygote->worker_ends);
    free(zygote->children);
    tide_sandbox_plan_free(&zygote->sandbox);
    free(zygote->blocks);
    free(zygote);
}
