/* SPDX-License-Identifier: MIT
 * engine/http/http.h - a small HTTP server beside the engine: GET and HEAD, for metrics, probes and the dashboard. It has a
 * thread of its own and answers from documents that were published before, so that a request never runs anything on the
 * engine's thread. All functions here are for that one thread; none of them waits. The server is started after the fork:
 * zygote and workers have neither its socket nor its thread.
 *
 * Two paths are always there: /healthz (200 while tide_http_alive is called, 503 after 30 s without) and /readyz. */
#ifndef TIDE_HTTP_HTTP_H
#define TIDE_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIDE_HTTP_PATH = 64, /* bytes of a path that is published or offered, its zero byte included */
    TIDE_HTTP_LONGEST = 2048, /* of a path that is asked for, likewise */
    TIDE_HTTP_QUERY = 1024,   /* bytes of what stands behind the "?", likewise */
    TIDE_HTTP_TYPE = 64,      /* of a media type, likewise */
    TIDE_HTTP_DOCUMENTS = 32, /* paths that may be published or offered */
    TIDE_HTTP_LIVES = 16,     /* live requests at a time; a further one is answered with 503 */
    TIDE_HTTP_LIVE_BYTES = 1 << 20, /* what may wait for the client of a live request */
    TIDE_HTTP_CLIENTS = 100 /* connections; with one more, that whose time ends first is closed */
};

struct tide_http;
/** Listens on `host` (a name or an address) and `port` (0 = any that is free). NULL with tide_error() and the status in
 * `*status`: TIDE_ECONFIG when the host is not known or the port is in use. */
struct tide_http *tide_http_new(const char *host, uint16_t port, int *status);
/** The port that it listens on. */
uint16_t tide_http_port(const struct tide_http *http);
/** True when it listens on all addresses of the machine: 0.0.0.0, ::, or another way to write these. */
bool tide_http_everywhere(const struct tide_http *http);
/** Another name by which clients may call this host. A request whose header Host is neither an address, nor localhost, nor
 * such a name is refused (DNS rebinding: a page of another site would have our documents read by its visitors). */
void tide_http_allow(struct tide_http *http, const char *name);
/** How long a request may take to arrive, and how long a client may take for the answer (or leave a live one unread).
 * Without it: 5 s and 30 s. */
void tide_http_limit(struct tide_http *http, int64_t request_us, int64_t answer_us);

/** What GET `path` answers from now on. `type` is the media type; the bytes are copied. TIDE_ECONFIG when there are too
 * many paths. */
int tide_http_publish(struct tide_http *http, const char *path, const char *type, const void *bytes,
                      size_t size);
/** To be called once a turn: the engine's loop is alive. `ready`: it is connected and reads; `text` says why not, in one
 * line. */
void tide_http_alive(struct tide_http *http, bool ready, const char *text);

/** A request of a live path. */
struct tide_http_request {
    uint64_t id;
    char path[TIDE_HTTP_PATH]; /* as it was offered ... */
    char rest
        [TIDE_HTTP_LONGEST]; /* ... and what stands behind it, where it ends with "/": percent-encoded */
    char query[TIDE_HTTP_QUERY]; /* as it was sent: percent-encoded */
};
enum tide_http_written {
    TIDE_HTTP_TAKEN,
    TIDE_HTTP_FULL, /* the client is too slow: nothing of these bytes is sent */
    TIDE_HTTP_GONE  /* the client has left; the caller ends the request */
};
/** Makes `path` a live path: its requests are taken by tide_http_next, and answered in pieces. One that ends with "/"
 * stands for all paths that begin with it. */
int tide_http_offer(struct tide_http *http, const char *path, const char *type);
/** The next request of a live path that was not taken yet; false when there is none. The caller ends it sometime. */
bool tide_http_next(struct tide_http *http, struct tide_http_request *request);
/** Sends bytes to the client of a live request: all or none. With a size of 0 it only tells whether the client is there. */
enum tide_http_written tide_http_write(struct tide_http *http, uint64_t id, const void *bytes,
                                       size_t size);
/** Nothing follows for this request. `code` is the status of the answer when nothing was written. */
void tide_http_end(struct tide_http *http, uint64_t id, int code);
/** The same with a line of text for the client, when nothing was written. */
void tide_http_refuse(struct tide_http *http, uint64_t id, int code, const char *text);
/** Closes all connections; the thread has ended when it returns. NULL is fine. */
void tide_http_free(struct tide_http *http);

#endif
