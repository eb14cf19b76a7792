/* SPDX-License-Identifier: MIT
 * A request as libmicrohttpd hands it to the server (engine/http): method, path with query, and the header Host. What
 * libmicrohttpd would do is played here, so that an input is a call and no connection. Each request has one answer, of
 * the status that a plain rule expects; a host that is not ours gets no document; a live request has the path and the
 * query of its client, who gets the bytes that the engine wrote, in order.
 * Input: method; host, path with query, each ended by a zero byte; what engine and client do then, a byte each. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "fuzz.h"
#include "http/http.h"
#include "http/inside.h"

/* ---- libmicrohttpd ---- */

struct MHD_Response {
    int references;
    MHD_ContentReaderCallback reader;
    void *context;
};

struct MHD_Connection {
    union MHD_ConnectionInfo info;
    const char *host;
    void *socket_context;
    struct MHD_Response *answer;
    unsigned code;
    bool suspended;
};

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    if (type == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        connection->info.socket_context = connection->socket_context;
    else
        connection->info.connect_fd = -1;
    return &connection->info;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                        const char *key)
{
    fuzz_require(kind == MHD_HEADER_KIND && strcmp(key, "Host") == 0);
    return connection->host;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *bytes,
                                                     enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = calloc(1, sizeof(*response));
    fuzz_require(mode == MHD_RESPMEM_MUST_COPY && (size == 0 || bytes) && response);
    for (size_t i = 0; i < size; i++) /* as the copy would read it */
        response->references += ((const char *)bytes)[i] == 0;
    response->references = 1;
    return response;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block,
                                                       MHD_ContentReaderCallback reader,
                                                       void *context,
                                                       MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *response = calloc(1, sizeof(*response));
    fuzz_require(size == MHD_SIZE_UNKNOWN && block > 0 && !release && response);
    *response = (struct MHD_Response){1, reader, context};
    return response;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name,
                                        const char *value)
{
    fuzz_require(response->references > 0 && !strpbrk(name, "\r\n:") && !strpbrk(value, "\r\n"));
    return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response)
{
    if (--response->references == 0)
        free(response);
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned code,
                                   struct MHD_Response *response)
{
    fuzz_require(!connection->answer && !connection->suspended);
    response->references++;
    connection->answer = response;
    connection->code = code;
    return MHD_YES;
}

void MHD_suspend_connection(struct MHD_Connection *connection)
{
    fuzz_require(!connection->suspended);
    connection->suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
    fuzz_require(connection->suspended);
    connection->suspended = false;
}

/* ---- the server, and what is expected of it ---- */

static const char *const METHODS[] = {"GET", "HEAD", "POST", ""};

static struct tide_http *new_server(void)
{
    struct tide_http *http = calloc(1, sizeof(*http));
    fuzz_require(http);
    http->waker = http->listener = -1;
    http->request_us = http->answer_us = 10000000;
    pthread_mutex_init(&http->lock, NULL);
    TAILQ_INIT(&http->lives);
    TAILQ_INIT(&http->clients);
    tide_http_allow(http, "tide.example");
    tide_http_publish(http, "/metrics", "text/plain", "tide 1\n", 7);
    tide_http_offer(http, "/tap", "text/plain");
    tide_http_offer(http, "/state/", "text/plain");
    tide_http_alive(http, true, "ready");
    return http;
}

/* Letters that neither an address nor one of the names has make another host. */
static bool is_foreign(const char *host)
{
    static const char ours[] = "0123456789abcdefABCDEF.:[]";
    if (!host || strncasecmp(host, "localhost", 9) == 0 ||
        strncasecmp(host, "tide.example", 12) == 0 || strncasecmp(host, "[localhost", 10) == 0 ||
        strncasecmp(host, "[tide.example", 13) == 0)
        return false;
    size_t end = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
    return strspn(host, ours) < end;
}

/* 0 = a live request. */
static unsigned expected_code(const char *method, const char *path)
{
    if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ||
        strcmp(path, "/metrics") == 0)
        return 200;
    if (strcmp(path, "/tap") == 0 || strncmp(path, "/state/", 7) == 0)
        return strcmp(method, "HEAD") == 0 ? 200 : 0;
    return 404;
}

static void check_answer(const struct MHD_Connection *connection, const char *method,
                         const char *uri)
{
    size_t length = strcspn(uri, "?");
    char path[TIDE_HTTP_LONGEST];
    unsigned code = connection->answer ? connection->code : 0;
    fuzz_require(connection->suspended == !connection->answer);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        fuzz_require(code == 405);
    } else if (is_foreign(connection->host)) {
        fuzz_require(code == 403);
    } else if (code == 403) {
        fuzz_require(connection->host && strcmp(connection->host, "localhost") != 0);
    } else if (length >= TIDE_HTTP_LONGEST ||
               (uri[length] && strlen(uri + length + 1) >= TIDE_HTTP_QUERY)) {
        fuzz_require(code == 414);
    } else {
        memcpy(path, uri, length);
        path[length] = 0;
        fuzz_require(code == expected_code(method, path));
    }
}

/* ---- a live request ---- */

struct live {
    struct tide_http *http;
    struct MHD_Connection *connection;
    uint64_t id; /* 0 = the engine does not know of it yet */
    size_t written, read;
    bool ended;
    bool told_end; /* the client has got the end of the answer */
};

enum { PERIOD = 1 << 16, MOST_WRITTEN = 1 << 19, OPERATIONS = 100 };

/* What is written at a place of the answer: it repeats itself, so any piece of it lies in one array. */
static const char *bytes_at(size_t at)
{
    static char pattern[PERIOD + MOST_WRITTEN];
    for (size_t i = 0; pattern[1] == 0 && i < PERIOD; i++)
        pattern[PERIOD + MOST_WRITTEN - 1 - i] = (char)(i * 7 + (i >> 8));
    if (pattern[1] == 0) {
        memcpy(pattern, pattern + MOST_WRITTEN, PERIOD);
        for (size_t i = PERIOD; i + PERIOD <= sizeof(pattern); i += PERIOD)
            memcpy(pattern + i, pattern, PERIOD);
    }
    return pattern + at % PERIOD;
}

static void engine_writes(struct live *live, size_t size)
{
    enum tide_http_written result = tide_http_write(live->http, live->id, bytes_at(live->written),
                                                    size);
    fuzz_require(result != TIDE_HTTP_TAKEN ||
                 live->written + size - live->read <= TIDE_HTTP_LIVE_BYTES);
    fuzz_require((result == TIDE_HTTP_GONE) == live->ended);
    live->written += result == TIDE_HTTP_TAKEN ? size : 0;
}

static void client_reads(struct live *live, size_t size)
{
    struct MHD_Response *answer = live->connection->answer;
    static char bytes[16384];
    if (!answer || !answer->reader || live->connection->suspended || live->told_end)
        return;
    ssize_t count = answer->reader(answer->context, live->read, bytes, size);
    live->told_end = count < 0;
    fuzz_require(count <= (ssize_t)size && (count >= 0 || live->ended));
    fuzz_require(count <= 0 || memcmp(bytes, bytes_at(live->read), (size_t)count) == 0);
    live->read += count > 0 ? (size_t)count : 0;
    fuzz_require(live->read <= live->written);
}

/* The request is that of the uri, whose path was offered as a whole or by what it begins with. */
static bool is_of(const struct tide_http_request *request, const char *uri)
{
    size_t path = strlen(request->path), rest = strlen(request->rest), end = path + rest;
    return strncmp(uri, request->path, path) == 0 && strcspn(uri, "?") == end &&
           memcmp(uri + path, request->rest, rest) == 0 &&
           strcmp(request->query, uri[end] ? uri + end + 1 : "") == 0;
}

static void act(struct live *live, uint8_t what, const char *uri, void **context)
{
    struct tide_http_request request;
    size_t size = 0;
    if (what == 0 && tide_http_next(live->http, &request)) {
        fuzz_require(live->id == 0 && is_of(&request, uri));
        live->id = request.id;
    } else if (what < 64 && live->id > 0) {
        engine_writes(live, what < 60 ? (size_t)what * 64 : MOST_WRITTEN);
    } else if (what < 66 && live->id > 0) {
        tide_http_end(live->http, live->id, 200);
        live->ended = true;
    } else if (what < 128) {
        tide_clients_turn(live->http);
        if (!live->connection->suspended && !live->connection->answer)
            tide_answer(live->http, live->connection, "", "GET", "", "", &size, context);
    } else {
        client_reads(live, 1 + (size_t)(what - 128) * 128);
    }
}

/* Client and engine leave; then nothing of the request may be left. */
static void leave(struct live *live, void **context)
{
    struct tide_http_request request;
    struct MHD_Connection *connection = live->connection;
    tide_answer_over(live->http, connection, context, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    tide_clients_notify(live->http, connection, &connection->socket_context,
                        MHD_CONNECTION_NOTIFY_CLOSED);
    while (tide_http_next(live->http, &request))
        tide_http_end(live->http, request.id, 200);
    if (live->id > 0)
        tide_http_end(live->http, live->id, 200);
    if (connection->answer)
        MHD_destroy_response(connection->answer);
    fuzz_require(live->http->live_count == 0 && live->http->client_count == 0);
}

/* A text up to a zero byte, at the end of memory. */
static const char *text(struct fuzz_input *input, unsigned guard)
{
    size_t length = strnlen((const char *)input->at, input->left), taken = length + 1;
    char *copy = fuzz_guarded(guard, length + 1);
    memcpy(copy, input->at, length);
    copy[length] = 0;
    (void)fuzz_bytes(input, &taken);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t none = 0;
    if (size < 3 || size > 65536)
        return 0;
    tide_clock_hold(1000000);
    const char *method = METHODS[fuzz_below(&input, 4)], *host = text(&input, 0);
    const char *uri = text(&input, 1);
    struct MHD_Connection connection = {.host = *host == '-' ? NULL : host};
    struct live live = {.http = new_server(), .connection = &connection};
    tide_clients_notify(live.http, &connection, &connection.socket_context,
                        MHD_CONNECTION_NOTIFY_STARTED);
    void *context = tide_answer_uri(live.http, uri, &connection);
    tide_answer(live.http, &connection, uri, method, "HTTP/1.1", "", &none, &context);
    check_answer(&connection, method, uri);
    for (int i = 0; i < OPERATIONS && input.left > 0 &&
                    connection.suspended + (connection.answer && connection.answer->reader);
         i++)
        act(&live, fuzz_byte(&input), uri, &context);
    leave(&live, &context);
    tide_http_free(live.http);
    return 0;
}
