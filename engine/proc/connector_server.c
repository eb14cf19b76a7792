/* SPDX-License-Identifier: MIT
 * What the connector's process serves (connector.h). It makes sockets of its own: one that is passed to it could still be
 * changed by its owner, so that it would wait, or go by another host (IP options). What it answers with is connected
 * already, or is about to be.
 *
 * It never waits for anybody: connections are only begun, questions come in one piece, an answer that nobody takes is lost.
 * Start with tide_connector_server_turn(). */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/status.h"
#include "proc/connector.h"
#include "proc/connector_inside.h"

enum { MOST_LOOKUPS = 8 }; /* of a channel at once: its oldest is given up for a new one */

struct tide_connector_server {
    struct tide_hosts *hosts;
    struct pollfd *fds; /* life, the first lookup of names, channels, questions of each channel */
    uint32_t channels;
    uint32_t *next_lookup; /* of each channel */
    bool ready;            /* names were looked up */
};

enum { LIFE, NAMES, CHANNELS };

/* The answer to a request for names: one end of a pair, at whose other end questions are read. */
static int open_lookup(struct tide_connector_server *server, uint32_t channel, int *error)
{
    int ends[2];
    struct pollfd *places = &server->fds[CHANNELS + server->channels + channel * MOST_LOOKUPS];
    struct pollfd *place = &places[server->next_lookup[channel]++ % MOST_LOOKUPS];
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

static bool may_reach(const struct tide_connector_server *server,
                      const struct tide_connect_request *request)
{
    return (request->type == SOCK_STREAM || request->type == SOCK_DGRAM) &&
           tide_hosts_have(server->hosts, request->address, request->port);
}

static bool send_answer(int channel, const struct tide_connect_answer *answer, int fd)
{
    int failed = tide_descriptors_send(channel, answer, sizeof(*answer), &fd, fd >= 0 ? 1 : 0);
    return failed == 0 || failed == EAGAIN;
}

/* An empty message cannot be told from the end of file but by poll(), which leaves out what is negative. */
static void take_request(struct tide_connector_server *server, uint32_t number)
{
    struct pollfd *channel = &server->fds[CHANNELS + number];
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
        fd = open_lookup(server, number, &answer.error);
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

static void answer_lookups(struct tide_connector_server *server)
{
    struct pollfd *lookups = server->fds + CHANNELS + server->channels;
    for (uint32_t i = 0; i < server->channels * MOST_LOOKUPS; i++) {
        if (lookups[i].fd < 0 || !lookups[i].revents)
            continue;
        tide_lookup_answer(lookups[i].fd, server->hosts);
        close(lookups[i].fd);
        lookups[i].fd = -1;
    }
}

struct tide_connector_server *tide_connector_server_new(struct tide_hosts *hosts,
                                                        const int *channels, uint32_t count,
                                                        int life)
{
    struct tide_connector_server *server = tide_alloc(sizeof(*server));
    uint32_t places = CHANNELS + count * (1 + MOST_LOOKUPS);
    *server = (struct tide_connector_server){.hosts = hosts, .channels = count};
    server->fds = tide_alloc(sizeof(*server->fds) * places);
    server->next_lookup = tide_alloc(sizeof(*server->next_lookup) * count);
    for (uint32_t i = 0; i < places; i++)
        server->fds[i] = (struct pollfd){-1, POLLIN, 0};
    for (uint32_t i = 0; i < count; i++)
        server->fds[CHANNELS + i].fd = channels[i];
    server->fds[LIFE].fd = life;
    server->fds[NAMES].fd = tide_hosts_look_up(hosts);
    server->ready = server->fds[NAMES].fd < 0;
    return server;
}

/* Until names were looked up, requests wait. */
bool tide_connector_server_turn(struct tide_connector_server *server, int timeout_ms)
{
    struct pollfd *fds = server->fds;
    uint32_t count = CHANNELS + server->channels * (1 + MOST_LOOKUPS);
    if (poll(fds, server->ready ? count : CHANNELS, timeout_ms) <= 0)
        return true;
    if (fds[LIFE].revents)
        return false;
    if (fds[NAMES].revents) {
        server->ready = true;
        fds[NAMES].fd = -1;
        return true;
    }
    if (!server->ready)
        return true;
    answer_lookups(server);
    for (uint32_t i = 0; i < server->channels; i++) {
        if (fds[CHANNELS + i].revents)
            take_request(server, i);
    }
    return true;
}
