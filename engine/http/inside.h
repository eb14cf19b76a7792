/* SPDX-License-Identifier: MIT
 * engine/http/inside.h - what the files of the server share. They stand in the order in which they call each other:
 *
 *   documents.c  what paths answer
 *   live.c       requests that the engine's thread answers in pieces
 *   clients.c    the connections, and how long each may last
 *   answer.c     from a request to its answer
 *   http.c       the socket, the thread, and the end
 *
 * Two threads meet here: the engine's, which calls what http.h declares, and the server's. Everything of libmicrohttpd is
 * called by the server's thread alone, but for making and freeing responses, whose reference counts it locks itself.
 * `lock` guards what both use, and is held for a few assignments or one copy. */
#ifndef TIDE_HTTP_INSIDE_H
#define TIDE_HTTP_INSIDE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "http/http.h"

/** A path and its answer. */
struct tide_document {
    char path[TIDE_HTTP_PATH];
    struct MHD_Response *response; /* NULL = a live path */
    char type[TIDE_HTTP_TYPE];     /* of a live path */
};

/** A request of a live path.
 *   state   what happens                                next
 *   ASKED   it waits for tide_http_next                 OPEN: it is taken; freed: the client leaves
 *   OPEN    the engine's thread writes                  ENDED: tide_http_end; GONE: the client leaves
 *   ENDED   what is left of the bytes is sent           freed: all is sent, or the client leaves
 *   GONE    the engine's thread will learn of it        freed: tide_http_end */
enum tide_live_state { TIDE_LIVE_ASKED, TIDE_LIVE_OPEN, TIDE_LIVE_ENDED, TIDE_LIVE_GONE };

struct tide_live {
    TAILQ_ENTRY(tide_live) next;
    enum tide_live_state state;
    struct tide_http_request request;
    char type[TIDE_HTTP_TYPE];
    char *bytes; /* TIDE_HTTP_LIVE_BYTES of room */
    size_t from; /* what is not sent yet: [from, from + size) of the bytes */
    size_t size;
    bool written;      /* something was written, so the status of the answer is 200 */
    int code;          /* the status of the answer otherwise ... */
    char refusal[512]; /* ... and its text */
};

/** A connection. It has one request. Only the server's thread uses it. */
struct tide_client {
    TAILQ_ENTRY(tide_client) next;
    struct MHD_Connection *connection;
    int fd;
    struct tide_http *http;
    int64_t deadline_us; /* when it is cut; INT64_MAX = never */
    bool suspended; /* it waits for bytes of the engine's thread; libmicrohttpd does not watch it */
    bool cut;       /* its time has passed, or it has left */
    bool too_long;  /* its path or its query */
    char path[TIDE_HTTP_LONGEST];
    char query[TIDE_HTTP_QUERY];
    struct tide_live *live; /* NULL = none */
};

struct tide_http {
    struct MHD_Daemon *daemon;
    int listener;
    int waker; /* an eventfd that ends the thread's wait */
    uint16_t port;
    bool everywhere; /* it listens on all addresses */
    pthread_t thread;
    bool started;               /* the thread */
    _Atomic int64_t request_us; /* limits; see tide_http_limit */
    _Atomic int64_t answer_us;
    _Atomic int64_t alive_us; /* when tide_http_alive was called last */
    _Atomic bool stopping;

    pthread_mutex_t lock; /* guards the rest, but for the clients */
    char **names;         /* of this host */
    uint32_t name_count;
    struct tide_document documents[TIDE_HTTP_DOCUMENTS];
    uint32_t document_count;
    TAILQ_HEAD(, tide_live) lives;
    uint32_t live_count;
    uint64_t last_id;
    bool ready;
    char ready_text[256];

    TAILQ_HEAD(, tide_client) clients; /* the oldest first */
    uint32_t client_count;
};

/* ---- documents.c ---- */

/** A response with the headers that all answers have. It copies the bytes. NULL = no memory. */
struct MHD_Response *tide_http_response(const char *type, const void *bytes, size_t size);
/** Adds these headers. */
void tide_http_headers(struct MHD_Response *response, const char *type);
/** The document of a path that is asked for; NULL = none. The lock is held. */
struct tide_document *tide_http_find(struct tide_http *http, const char *path);
/** All paths, with a blank between them. The lock is held. */
void tide_http_paths(const struct tide_http *http, char *text, size_t size);

/* ---- live.c ---- */

/** Makes a live request; NULL = there are too many. The lock is held. */
struct tide_live *tide_live_new(struct tide_http *http, const struct tide_client *client,
                                const struct tide_document *document);
/** True when there is something to send, or the end. */
bool tide_live_due(struct tide_http *http, const struct tide_live *live);
/** True while there is a request that was ended, whose client has not got all of it. */
bool tide_live_any_ended(struct tide_http *http);
/** The status to answer with. */
int tide_live_code(struct tide_http *http, const struct tide_live *live);
/** Takes at most `size` bytes; -1 = nothing follows. */
ssize_t tide_live_read(struct tide_http *http, struct tide_live *live, char *bytes, size_t size);
/** The client has all, or has left. */
void tide_live_leave(struct tide_http *http, struct tide_live *live);

/* ---- clients.c ---- */

/** For libmicrohttpd: a connection has begun or ended. `context` is the struct tide_http. */
void tide_clients_notify(void *context, struct MHD_Connection *connection, void **client_context,
                         enum MHD_ConnectionNotificationCode code);
/** Stops the watching of a client until tide_clients_turn finds bytes for it. */
void tide_clients_suspend(struct tide_client *client);
/** Has those go on for whom there are bytes, and cuts those whose time has passed. */
void tide_clients_turn(struct tide_http *http);
/** Cuts all. */
void tide_clients_cut(struct tide_http *http);

/* ---- answer.c ---- */

/** For libmicrohttpd: the first line of a request has come, it is to be answered, it is over. `context` is the struct
 * tide_http. */
void *tide_answer_uri(void *context, const char *uri, struct MHD_Connection *connection);
enum MHD_Result tide_answer(void *context, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload,
                            size_t *upload_size, void **client_context);
void tide_answer_over(void *context, struct MHD_Connection *connection, void **client_context,
                      enum MHD_RequestTerminationCode code);

#endif
