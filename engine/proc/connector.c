/* SPDX-License-Identifier: MIT
 * The connector (connector.h): its fork, and what it serves.
 *
 * Why a process that is asked, and not one that is notified by the kernel (SECCOMP_RET_USER_NOTIF) and reads the address in
 * the memory of whoever calls: that takes the right to trace it, which Yama, a container or PR_SET_DUMPABLE (which the sandbox
 * uses) may refuse. Here whoever calls sends the address himself, in the handler of the signal with which the filter stops
 * connect(). A script that takes the handler away only loses its connections.
 *
 * Why it makes sockets of its own: one that is passed to it could still be changed by its owner, so that it would wait, or
 * go by another host (IP options). What it answers with is connected already, or is about to be.
 *
 * It never waits for anybody: connections are only begun, questions come in one piece, an answer that nobody takes is lost.
 * Start with tide_connector_new() and serve(). */
#include "proc/connector.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
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

enum { MOST_LOOKUPS = 64 }; /* at once; the oldest is given up for a new one */

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

/* ---- the connector's process ---- */

struct server {
    struct tide_hosts *hosts;
    struct pollfd *fds; /* life, the first lookup of names, channels, questions */
    uint32_t channels;
    uint32_t next_lookup;
    bool ready; /* names were looked up */
};

enum { LIFE, NAMES, CHANNELS };

/* The answer to a request for names: one end of a pair, at whose other end questions are read. */
static int open_lookup(struct server *server, int *error)
{
    int ends[2];
    struct pollfd *place =
        &server->fds[CHANNELS + server->channels + server->next_lookup++ % MOST_LOOKUPS];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        *error = errno;
        return -1;
    }
    if (place->fd >= 0)
        close(place->fd);
    *place = (struct pollfd){ends[0], POLLIN, 0};
    *error = 0;
    return ends[1];
}

static int begin_connection(const struct tide_connect_request *request, int *error)
{
    bool four = tide_address_is_mapped(request->address);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)request->port)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = to.sin_port};
    memcpy(&to.sin_addr, request->address + 12, 4);
    memcpy(&to6.sin6_addr, request->address, 16);
    int type = (int)request->type | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(four ? AF_INET : AF_INET6, type, 0);
    if (fd >= 0 && (four ? connect(fd, (struct sockaddr *)&to, sizeof(to))
                         : connect(fd, (struct sockaddr *)&to6, sizeof(to6))) == 0) {
        *error = 0;
        return fd;
    }
    *error = errno;
    if (fd >= 0 && *error == EINPROGRESS)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool may_reach(const struct server *server, const struct tide_connect_request *request)
{
    return (request->type == SOCK_STREAM || request->type == SOCK_DGRAM) &&
           tide_hosts_have(server->hosts, request->address, request->port);
}

static bool send_answer(int channel, const struct tide_connect_answer *answer, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)answer, sizeof(*answer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
}

/* An empty message cannot be told from the end of file but by poll(), which leaves out what is negative. */
static void take_request(struct server *server, struct pollfd *channel)
{
    struct tide_connect_request request;
    struct tide_connect_answer answer = {.error = EACCES};
    ssize_t size = recv(channel->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
    int fd = -1;
    if (size <= 0 && channel->revents & (POLLHUP | POLLERR))
        channel->fd = -1;
    if (size != (ssize_t)sizeof(request))
        return;
    tide_hosts_refresh(server->hosts);
    if (request.kind == TIDE_CONNECT_NAMES)
        fd = open_lookup(server, &answer.error);
    else if (may_reach(server, &request))
        fd = begin_connection(&request, &answer.error);
    answer.number = request.number;
    if (!send_answer(channel->fd, &answer, fd) && fd >= 0) {
        answer.error = ENOBUFS; /* others do not take the sockets that they were sent */
        send_answer(channel->fd, &answer, -1);
    }
    if (fd >= 0)
        close(fd);
}

/* Until names were looked up, requests wait. */
static _Noreturn void serve(struct server *server)
{
    struct pollfd *fds = server->fds, *lookups = fds + CHANNELS + server->channels;
    for (;;) {
        uint32_t count = CHANNELS + server->channels + MOST_LOOKUPS;
        if (poll(fds, server->ready ? count : CHANNELS, -1) < 0)
            continue;
        if (fds[LIFE].revents)
            _exit(0);
        if (fds[NAMES].revents) {
            server->ready = true;
            fds[NAMES].fd = -1;
            continue;
        }
        for (uint32_t i = 0; i < MOST_LOOKUPS && server->ready; i++) {
            if (lookups[i].fd < 0 || !lookups[i].revents)
                continue;
            tide_lookup_answer(lookups[i].fd, server->hosts);
            close(lookups[i].fd);
            lookups[i].fd = -1;
        }
        for (uint32_t i = 0; i < server->channels && server->ready; i++) {
            if (fds[CHANNELS + i].revents)
                take_request(server, &fds[CHANNELS + i]);
        }
    }
}

static _Noreturn void become_connector(struct tide_connector *connector,
                                       const struct tide_plan_sandbox *plan,
                                       const struct tide_sandbox_support *support, int32_t parent)
{
    struct server server = {.channels = connector->channels};
    uint32_t count = CHANNELS + connector->channels + MOST_LOOKUPS;
    int *keep = tide_alloc(sizeof(int) * (connector->channels + 1));
    tide_child_dies_with(parent);
    tide_child_signals(false);
    tide_log_wait(); /* only the thread that looks up names logs */
    server.hosts = tide_hosts_new(plan->hosts, plan->host_count);
    server.fds = tide_alloc(sizeof(*server.fds) * count);
    memcpy(keep, connector->outer, sizeof(int) * connector->channels);
    keep[connector->channels] = connector->other_life;
    if (tide_sandbox_enter_connector(support, keep, connector->channels + 1) < 0) {
        tide_log(TIDE_LOG_ERROR, "the connector: %s", tide_error());
        _exit(-TIDE_EINTERNAL);
    }
    for (uint32_t i = 0; i < count; i++)
        server.fds[i] = (struct pollfd){-1, POLLIN, 0};
    for (uint32_t i = 0; i < connector->channels; i++)
        server.fds[CHANNELS + i].fd = connector->outer[i];
    server.fds[LIFE].fd = connector->other_life;
    server.fds[NAMES].fd = tide_hosts_look_up(server.hosts);
    server.ready = server.fds[NAMES].fd < 0;
    serve(&server);
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

static void set_lost(void *connector)
{
    ((struct tide_connector *)connector)->lost = true;
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
    close_all(connector->inner, connector->channels);
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

uint32_t tide_connector_descriptors(const struct tide_connector *connector, int *descriptors)
{
    memcpy(descriptors, connector->inner, sizeof(int) * connector->channels);
    return connector->channels;
}

void tide_connector_enter_zygote(const struct tide_connector *connector)
{
    tide_client_enter(connector->inner[connector->channels - 1]);
}

void tide_connector_enter_worker(const struct tide_connector *connector, uint32_t worker)
{
    for (uint32_t i = 0; i < connector->channels; i++) {
        if (i != worker)
            close(connector->inner[i]);
    }
    tide_client_enter(connector->inner[worker]);
}
