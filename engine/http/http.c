/* SPDX-License-Identifier: MIT
 * The server: its socket, its thread, and its end. libmicrohttpd could run a thread of its own; ours waits for its epoll
 * descriptor and for the engine's thread, so that connections are resumed and cut between its turns and never beside them,
 * and all signals are blocked: the engine reads them from a signalfd, and a thread that had one of them open would be
 * killed by it instead. */
#include "http/http.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "http/inside.h"

enum {
    SWEEP_MS = 250,     /* how late a deadline may be seen */
    FINISH_MS = 500,    /* how long the end of the server may wait for clients of live requests */
    COUNTED_US = 50000, /* of that, from one turn to the next */
    BACKLOG = 128,
    CONNECTIONS = TIDE_HTTP_CLIENTS +
                  28, /* libmicrohttpd's limit: room for those that are being closed */
    MEMORY =
        16384 /* bytes of a connection: the most that the head of a request may take, and a piece of an answer */
};

/* ---- the thread ---- */

static void empty_waker(struct tide_http *http)
{
    uint64_t wakes;
    ssize_t taken = read(http->waker, &wakes, sizeof(wakes));
    (void)taken;
}

static int wait_ms(const struct tide_http *http)
{
    MHD_UNSIGNED_LONG_LONG due;
    int sweep = http->client_count > 0 ? SWEEP_MS : -1;
    if (MHD_get_timeout(http->daemon, &due) != MHD_YES)
        return sweep;
    return due < SWEEP_MS ? (int)due : SWEEP_MS;
}

/* Clients of live requests that were ended get the rest, if they take it at once: else they could not tell the end of a
 * run from a connection that broke. A process that was stopped meanwhile has as many turns as any. */
static void finish_lives(struct tide_http *http, struct pollfd *ready)
{
    int64_t left_us = FINISH_MS * 1000LL, before_us = tide_clock_us();
    while (tide_live_any_ended(http) && left_us > 0) {
        poll(ready, 2, FINISH_MS / 20);
        tide_clients_turn(http);
        MHD_run(http->daemon);
        int64_t now_us = tide_clock_us(), since_us = now_us - before_us;
        left_us -= since_us < COUNTED_US ? since_us : COUNTED_US;
        before_us = now_us;
    }
}

static void *serve(void *context)
{
    struct tide_http *http = context;
    int epoll = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd ready[] = {{.fd = epoll, .events = POLLIN},
                             {.fd = http->waker, .events = POLLIN}};
    while (!http->stopping) {
        if (poll(ready, 2, wait_ms(http)) > 0 && ready[1].revents)
            empty_waker(http);
        tide_clients_turn(http);
        MHD_run(http->daemon);
    }
    finish_lives(http, ready);
    tide_clients_cut(http);
    MHD_run(http->daemon);
    return NULL;
}

static int start_thread(struct tide_http *http)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&http->thread, NULL, serve, http);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        errno = failure;
        return tide_fail_system("the thread of the HTTP server");
    }
    http->started = true;
    pthread_setname_np(http->thread, "http");
    return TIDE_OK;
}

/* ---- the socket ---- */

static int listen_on(struct tide_http *http, const struct addrinfo *address, const char *host,
                     uint16_t port)
{
    int one = 1;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    socklen_t size = sizeof(bound);
    http->listener = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (http->listener < 0)
        return tide_fail_system("a socket for HTTP");
    setsockopt(http->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(http->listener, address->ai_addr, address->ai_addrlen) < 0 ||
        listen(http->listener, BACKLOG) < 0) {
        const char *reason =
            errno == EADDRINUSE
                ? "the port is in use by another program; choose another, or 0 for any that is free"
                : strerror(errno);
        return tide_fail(TIDE_ECONFIG, "HTTP on %s, port %u: %s", host, port, reason);
    }
    if (getsockname(http->listener, &bound.any, &size) < 0)
        return tide_fail_system("the port of a socket");
    bool six = bound.any.sa_family == AF_INET6;
    http->port = ntohs(six ? bound.v6.sin6_port : bound.v4.sin_port);
    http->everywhere = six ? IN6_IS_ADDR_UNSPECIFIED(&bound.v6.sin6_addr)
                           : bound.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return TIDE_OK;
}

static int open_socket(struct tide_http *http, const char *host, uint16_t port)
{
    char service[8];
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof(service), "%u", port);
    int failure = getaddrinfo(host, service, &hints, &found);
    if (failure || !found)
        return tide_fail(TIDE_ECONFIG, "HTTP on %s: %s", host, gai_strerror(failure));
    const struct addrinfo *address =
        found; /* a name that has both is one of IPv4, as localhost for most clients */
    while (address && address->ai_family != AF_INET)
        address = address->ai_next;
    int status = listen_on(http, address ? address : found, host, port);
    freeaddrinfo(found);
    return status;
}

static int start_daemon(struct tide_http *http)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, tide_answer, http,
        MHD_OPTION_LISTEN_SOCKET, http->listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_URI_LOG_CALLBACK, tide_answer_uri, http, MHD_OPTION_NOTIFY_CONNECTION,
        tide_clients_notify, http, MHD_OPTION_NOTIFY_COMPLETED, tide_answer_over, http,
        MHD_OPTION_END);
    if (!http->daemon)
        return tide_fail(TIDE_EINTERNAL, "libmicrohttpd does not start");
    http->listener = -1; /* it is the daemon's now */
    return TIDE_OK;
}

/* ---- begin and end ---- */

struct tide_http *tide_http_new(const char *host, uint16_t port, int *status)
{
    struct tide_http *http = tide_alloc(sizeof(*http));
    TAILQ_INIT(&http->lives);
    TAILQ_INIT(&http->clients);
    pthread_mutex_init(&http->lock, NULL);
    http->listener = -1;
    http->alive_us = tide_clock_us();
    tide_http_limit(http, 5000000, 30000000);
    tide_http_allow(http, host);
    snprintf(http->ready_text, sizeof(http->ready_text), "starting");
    http->waker = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    *status = http->waker < 0 ? tide_fail_system("eventfd") : open_socket(http, host, port);
    if (*status == TIDE_OK)
        *status = start_daemon(http);
    if (*status == TIDE_OK)
        *status = start_thread(http);
    if (*status == TIDE_OK)
        return http;
    tide_http_free(http);
    return NULL;
}

uint16_t tide_http_port(const struct tide_http *http)
{
    return http->port;
}

bool tide_http_everywhere(const struct tide_http *http)
{
    return http->everywhere;
}

void tide_http_allow(struct tide_http *http, const char *name)
{
    pthread_mutex_lock(&http->lock);
    http->names = tide_realloc(http->names, sizeof(*http->names) * (http->name_count + 1));
    http->names[http->name_count++] = tide_copy(name);
    pthread_mutex_unlock(&http->lock);
}

void tide_http_limit(struct tide_http *http, int64_t request_us, int64_t answer_us)
{
    http->request_us = request_us;
    http->answer_us = answer_us;
}

void tide_http_alive(struct tide_http *http, bool ready, const char *text)
{
    http->alive_us = tide_clock_us();
    pthread_mutex_lock(&http->lock);
    http->ready = ready;
    snprintf(http->ready_text, sizeof(http->ready_text), "%s", text);
    pthread_mutex_unlock(&http->lock);
}

static void stop_thread(struct tide_http *http)
{
    uint64_t one = 1;
    http->stopping = true;
    ssize_t written = write(http->waker, &one, sizeof(one));
    (void)written;
    pthread_join(http->thread, NULL);
}

void tide_http_free(struct tide_http *http)
{
    struct tide_live *live;
    if (!http)
        return;
    if (http->started)
        stop_thread(http);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    while ((live = TAILQ_FIRST(&http->lives))) {
        TAILQ_REMOVE(&http->lives, live, next);
        free(live->bytes);
        free(live);
    }
    for (uint32_t i = 0; i < http->document_count; i++) {
        if (http->documents[i].response)
            MHD_destroy_response(http->documents[i].response);
    }
    for (uint32_t i = 0; i < http->name_count; i++)
        free(http->names[i]);
    free(http->names);
    if (http->listener >= 0)
        close(http->listener);
    if (http->waker >= 0)
        close(http->waker);
    pthread_mutex_destroy(&http->lock);
    free(http);
}
