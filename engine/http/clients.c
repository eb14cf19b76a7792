/* SPDX-License-Identifier: MIT
 * The connections, and how long each may last. libmicrohttpd has a time limit of its own, but one that begins anew with
 * each byte: a client that sends a byte a second would stay forever. Here each connection has a deadline for its request
 * and then one for its answer. And when there are too many, the one whose deadline is next is closed: those are the ones
 * that have sent nothing for longest, so that a thousand idle connections keep nobody out. */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/status.h"
#include "http/inside.h"

/* The end of the connection is left to libmicrohttpd, which sees that nothing more can be read or written. A connection
 * that it does not watch has to be resumed to see it. */
static void cut(struct tide_client *client)
{
    if (client->cut)
        return;
    client->cut = true;
    shutdown(client->fd, SHUT_RDWR);
    if (client->suspended) {
        client->suspended = false;
        MHD_resume_connection(client->connection);
    }
}

static void cut_next(struct tide_http *http)
{
    struct tide_client *client, *first = NULL;
    TAILQ_FOREACH(client, &http->clients, next)
    {
        if (!client->cut && (!first || client->deadline_us < first->deadline_us))
            first = client;
    }
    if (first)
        cut(first);
}

static void add(struct tide_http *http, struct MHD_Connection *connection, void **context)
{
    struct tide_client *client = tide_alloc(sizeof(*client));
    client->http = http;
    client->connection = connection;
    client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    client->deadline_us = tide_clock_us() + http->request_us;
    if (++http->client_count > TIDE_HTTP_CLIENTS)
        cut_next(http);
    TAILQ_INSERT_TAIL(&http->clients, client, next);
    *context = client;
}

void tide_clients_notify(void *context, struct MHD_Connection *connection, void **client_context,
                         enum MHD_ConnectionNotificationCode code)
{
    struct tide_http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        add(http, connection, client_context);
        return;
    }
    struct tide_client *client = *client_context;
    if (client->live)
        tide_live_leave(http, client->live);
    TAILQ_REMOVE(&http->clients, client, next);
    http->client_count--;
    free(client);
    *client_context = NULL;
}

/* Without bytes there is nothing that the client could take its time for. */
void tide_clients_suspend(struct tide_client *client)
{
    client->suspended = true;
    client->deadline_us = INT64_MAX;
    MHD_suspend_connection(client->connection);
}

static bool has_left(const struct tide_client *client)
{
    struct pollfd seen = {.fd = client->fd, .events = POLLRDHUP};
    return poll(&seen, 1, 0) > 0;
}

void tide_clients_turn(struct tide_http *http)
{
    int64_t now_us = tide_clock_us();
    struct tide_client *client;
    TAILQ_FOREACH(client, &http->clients, next)
    {
        if (now_us >= client->deadline_us || (client->suspended && has_left(client))) {
            cut(client);
        } else if (client->suspended && tide_live_due(http, client->live)) {
            client->suspended = false;
            client->deadline_us = now_us + http->answer_us;
            MHD_resume_connection(client->connection);
        }
    }
}

void tide_clients_cut(struct tide_http *http)
{
    struct tide_client *client;
    TAILQ_FOREACH(client, &http->clients, next) cut(client);
}
