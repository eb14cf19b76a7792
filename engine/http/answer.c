/* SPDX-License-Identifier: MIT
 * From a request to its answer, on the server's thread. What is asked for is compared as it was sent, without decoding:
 * our paths need none. Start reading at tide_answer. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/fault.h"
#include "http/inside.h"

/* So long may a loop not turn before a supervisor is told to start it again. */
static const int64_t SILENT_US = 30000000;

static struct tide_client *client_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void *tide_answer_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)context;
    struct tide_client *client = client_of(connection);
    size_t path = strcspn(uri, "?");
    const char *query = uri[path] == '?' ? uri + path + 1 : "";
    size_t room = sizeof(client->path) - !tide_fault("bug.path_overrun");
    client->too_long = path > room || strlen(query) >= sizeof(client->query);
    if (!client->too_long) {
        memcpy(client->path, uri, path);
        client->path[path] = 0;
        strcpy(client->query, query);
    }
    return client;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, int code, const char *text)
{
    struct MHD_Response *response = tide_http_response("text/plain; charset=utf-8", text,
                                                       strlen(text));
    if (!response)
        return MHD_NO;
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)code, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- which host was meant ---- */

/* "name:80", "10.0.0.1", "[::1]:80" without the port and the brackets. False when it is too long to be any of ours. */
static bool strip(const char *host, char *name, size_t size)
{
    bool bracket = host[0] == '[';
    size_t length = bracket ? strcspn(++host, "]") : strcspn(host, ":");
    if (length >= size)
        return false;
    memcpy(name, host, length);
    name[length] = 0;
    return true;
}

static bool is_known(struct tide_http *http, const char *name)
{
    bool known = strcasecmp(name, "localhost") == 0;
    pthread_mutex_lock(&http->lock);
    for (uint32_t i = 0; i < http->name_count && !known; i++)
        known = strcasecmp(name, http->names[i]) == 0;
    pthread_mutex_unlock(&http->lock);
    return known;
}

/* An address is fine, since the name of another site is never one. Nor has a browser ever left the header out. */
static bool is_for_us(struct tide_http *http, const char *host)
{
    char name[256];
    unsigned char address[16];
    if (!host)
        return true;
    return strip(host, name, sizeof(name)) &&
           (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1 ||
            is_known(http, name));
}

/* ---- probes ---- */

static enum MHD_Result send_probe(struct tide_http *http, struct MHD_Connection *connection,
                                  bool wants_ready)
{
    int64_t silent_us = tide_clock_us() - http->alive_us;
    char text[300] = "ok\n";
    bool fine = silent_us < SILENT_US;
    if (!fine) {
        snprintf(text, sizeof(text), "the engine's loop has not turned for %.0f s\n",
                 (double)silent_us / 1e6);
    } else if (wants_ready) {
        pthread_mutex_lock(&http->lock);
        fine = http->ready;
        snprintf(text, sizeof(text), "%s\n", http->ready_text);
        pthread_mutex_unlock(&http->lock);
    }
    return send_text(connection, fine ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

/* ---- live requests ---- */

/* For libmicrohttpd: the next bytes of an answer. A suspended client may have none. */
static ssize_t read_live(void *context, uint64_t position, char *bytes, size_t size)
{
    struct MHD_Connection *connection = context;
    struct tide_client *client = client_of(connection);
    (void)position;
    if (client->cut || !client->live)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t taken = tide_live_read(client->http, client->live, bytes, size);
    if (taken < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (taken == 0)
        tide_clients_suspend(client);
    else
        client->deadline_us = tide_clock_us() + client->http->answer_us;
    return taken;
}

/* The first bytes decide about the status of the answer, so it is not begun before. */
static enum MHD_Result send_live(struct tide_http *http, struct MHD_Connection *connection,
                                 struct tide_client *client)
{
    if (client->cut)
        return MHD_NO;
    if (!tide_live_due(http, client->live)) {
        tide_clients_suspend(client);
        return MHD_YES;
    }
    int code = tide_live_code(http, client->live);
    if (code != MHD_HTTP_OK)
        return send_text(connection, code,
                         client->live->refusal); /* nobody writes to it any more */
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384,
                                                                      read_live, connection, NULL);
    if (!response)
        return MHD_NO;
    tide_http_headers(response, client->live->type);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- what is asked for ---- */

/* A document is queued under the lock, since the next one may take its place at any moment. */
static enum MHD_Result send_document(struct tide_http *http, struct MHD_Connection *connection,
                                     struct tide_client *client, bool head)
{
    enum MHD_Result queued = MHD_NO;
    char paths[1024];
    bool refused = false;
    pthread_mutex_lock(&http->lock);
    struct tide_document *document = tide_http_find(http, client->path);
    bool known = document != NULL, sent = known && document->response;
    if (sent)
        queued = MHD_queue_response(connection, MHD_HTTP_OK, document->response);
    else if (known && !head)
        refused = !(client->live = tide_live_new(http, client, document));
    tide_http_paths(http, paths, sizeof(paths));
    pthread_mutex_unlock(&http->lock);
    if (sent)
        return queued;
    if (known && head)
        return send_text(connection, MHD_HTTP_OK, "");
    if (refused)
        return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                         "too many live requests at a time\n");
    if (known)
        return send_live(http, connection, client);
    char text[1200];
    snprintf(text, sizeof(text), "there is no such path; there are: /healthz /readyz %s\n", paths);
    return send_text(connection, MHD_HTTP_NOT_FOUND, text);
}

enum MHD_Result tide_answer(void *context, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload,
                            size_t *upload_size, void **client_context)
{
    struct tide_http *http = context;
    struct tide_client *client = *client_context;
    bool head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    (void)url, (void)version, (void)upload;
    *upload_size = 0;
    if (client->live)
        return send_live(http, connection, client);
    client->deadline_us = tide_clock_us() + http->answer_us;
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    if (!head && strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (!is_for_us(http, host))
        return send_text(connection, MHD_HTTP_FORBIDDEN,
                         "the header Host names another host; ask for the address, localhost, or a "
                         "name in the option hosts of tide.metrics\n");
    if (client->too_long)
        return send_text(connection, MHD_HTTP_URI_TOO_LONG, "the path or the query is too long\n");
    if (strcmp(client->path, "/healthz") == 0 || strcmp(client->path, "/readyz") == 0)
        return send_probe(http, connection, client->path[1] == 'r');
    return send_document(http, connection, client, head);
}

void tide_answer_over(void *context, struct MHD_Connection *connection, void **client_context,
                      enum MHD_RequestTerminationCode code)
{
    struct tide_client *client = *client_context;
    (void)connection, (void)code;
    if (client && client->live)
        tide_live_leave(context, client->live);
    if (client)
        client->live = NULL;
}
