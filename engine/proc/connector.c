/* SPDX-License-Identifier: MIT
 * The connector (connector.h): its fork, its end, and its sockets. What it does is in connector_server.c.
 *
 * Why a process that is asked, and not one that is notified by the kernel (SECCOMP_RET_USER_NOTIF) and reads the address in
 * the memory of whoever calls: that takes the right to trace it, which Yama, a container or PR_SET_DUMPABLE (which the sandbox
 * uses) may refuse. Here whoever calls sends the address himself, in the handler of the signal with which the filter stops
 * connect(). A script that takes the handler away only loses its connections.
 *
 * Start with tide_connector_new() and become_connector(). */
#include "proc/connector.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "proc/connector_inside.h"
#include "proc/inside.h"
#include "proc/sandbox.h"

struct tide_connector {
    struct tide_loop *loop;
    uint32_t channels; /* one for each worker slot, and the last for the zygote */
    int *inner;        /* ends of zygote and workers; -1 = closed */
    int *outer;        /* ends of the connector */
    int life;          /* the engine's end of a pair, by which each sees the end of the other */
    int other_life;
    int32_t pid;
    bool lost;
};

static _Noreturn void become_connector(struct tide_connector *connector,
                                       const struct tide_plan_sandbox *plan,
                                       const struct tide_sandbox_support *support, int32_t parent)
{
    int *keep = tide_alloc(sizeof(int) * (connector->channels + 1));
    tide_child_dies_with(parent);
    tide_child_signals(false);
    tide_log_wait(); /* only the thread that looks up names logs */
    struct tide_hosts *hosts = tide_hosts_new(plan->hosts, plan->host_count);
    memcpy(keep, connector->outer, sizeof(int) * connector->channels);
    keep[connector->channels] = connector->other_life;
    if (tide_sandbox_enter_connector(support, keep, connector->channels + 1) < 0) {
        tide_log(TIDE_LOG_ERROR, "the connector: %s", tide_error());
        _exit(-TIDE_EINTERNAL);
    }
    struct tide_connector_server *server = tide_connector_server_new(
        hosts, connector->outer, connector->channels, connector->other_life);
    while (tide_connector_server_turn(server, -1))
        continue;
    _exit(0);
}

/* ---- in the engine ---- */

static int make_pair(int type, int *mine, int *other)
{
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
        return tide_fail_system("a socket pair of the connector");
    *mine = ends[0];
    *other = ends[1];
    return TIDE_OK;
}

static void close_all(int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static void set_lost(void *context)
{
    struct tide_connector *connector = context;
    tide_loop_unwatch(connector->loop, connector->life); /* it is readable for ever */
    connector->lost = true;
}

static int make_sockets(struct tide_connector *connector)
{
    int status = make_pair(SOCK_STREAM, &connector->life, &connector->other_life);
    for (uint32_t i = 0; i < connector->channels && status == TIDE_OK; i++)
        status = make_pair(SOCK_SEQPACKET, &connector->inner[i], &connector->outer[i]);
    return status == TIDE_OK
               ? tide_loop_watch(connector->loop, connector->life, set_lost, connector)
               : status;
}

struct tide_connector *tide_connector_new(struct tide_loop *loop,
                                          const struct tide_plan_sandbox *plan,
                                          const struct tide_sandbox_support *support,
                                          uint32_t workers)
{
    struct tide_connector *connector = tide_alloc(sizeof(*connector));
    *connector = (struct tide_connector){
        .loop = loop, .channels = workers + 1, .life = -1, .other_life = -1};
    connector->inner = tide_alloc(sizeof(int) * connector->channels);
    connector->outer = tide_alloc(sizeof(int) * connector->channels);
    for (uint32_t i = 0; i < connector->channels; i++)
        connector->inner[i] = connector->outer[i] = -1;
    int32_t parent = getpid();
    if (make_sockets(connector) < 0)
        goto fail;
    connector->pid = fork();
    if (connector->pid == 0)
        become_connector(connector, plan, support, parent);
    if (connector->pid < 0) {
        tide_fail(TIDE_ETEMPORARY, "fork: %s", strerror(errno));
        goto fail;
    }
    close_all(connector->outer, connector->channels);
    close_all(&connector->other_life, 1);
    return connector;
fail:
    tide_connector_free(connector);
    return NULL;
}

void tide_connector_detach(struct tide_connector *connector)
{
    close_all(&connector->inner[connector->channels - 1], 1);
}

int tide_connector_of_worker(const struct tide_connector *connector, uint32_t worker)
{
    return connector->inner[worker];
}

bool tide_connector_lost(const struct tide_connector *connector)
{
    return connector->lost;
}

int32_t tide_connector_pid(const struct tide_connector *connector)
{
    return connector->pid;
}

void tide_connector_free(struct tide_connector *connector)
{
    if (!connector)
        return;
    if (connector->life >= 0)
        tide_loop_unwatch(connector->loop, connector->life);
    close_all(&connector->life, 1);
    close_all(&connector->other_life, 1);
    close_all(connector->inner, connector->channels);
    close_all(connector->outer, connector->channels);
    if (connector->pid > 0) {
        kill(connector->pid, SIGKILL);
        while (waitpid(connector->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    free(connector->inner);
    free(connector->outer);
    free(connector);
}

/* ---- in the zygote and in workers ---- */

void tide_connector_close_slots(struct tide_connector *connector)
{
    close_all(connector->inner, connector->channels - 1);
}

int tide_connector_of_zygote(const struct tide_connector *connector)
{
    return connector->inner[connector->channels - 1];
}

void tide_connector_enter_zygote(const struct tide_connector *connector)
{
    tide_client_enter(tide_connector_of_zygote(connector));
}

void tide_connector_enter_worker(struct tide_connector *connector, int socket)
{
    tide_connector_detach(connector);
    tide_client_enter(socket);
}
