/* SPDX-License-Identifier: MIT
 * What paths answer. A document is a response of libmicrohttpd, made once when it is published and sent to any number of
 * clients: responses are counted, so a client that is still reading the last one keeps it, while the next one takes its
 * place. So publishing costs one copy, and a request costs the engine's thread nothing. */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "http/inside.h"

/* Pages have no resources but our own, may not be framed, and send nothing anywhere. One request for each connection:
 * then a connection that waits is one that has not asked yet, and can be told from one that is being answered. */
void tide_http_headers(struct MHD_Response *response, const char *type)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "
                                    "img-src 'self' data:; connect-src 'self'; "
                                    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
        {"Connection", "close"},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, "Content-Type", type);
}

struct MHD_Response *tide_http_response(const char *type, const void *bytes, size_t size)
{
    /* It does not write to the bytes; the parameter is not const since it may take them over. */
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)bytes,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (response)
        tide_http_headers(response, type);
    return response;
}

struct tide_document *tide_http_find(struct tide_http *http, const char *path)
{
    for (uint32_t i = 0; i < http->document_count; i++) {
        struct tide_document *document = &http->documents[i];
        size_t length = strlen(document->path);
        bool begins = !document->response && document->path[length - 1] == '/';
        if (begins ? strncmp(document->path, path, length) == 0 : strcmp(document->path, path) == 0)
            return document;
    }
    return NULL;
}

void tide_http_paths(const struct tide_http *http, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < http->document_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? " " : "",
                                 http->documents[i].path);
}

/* Returns the place of a path, which is new or known; NULL when there are too many. The lock is held. */
static struct tide_document *place_of(struct tide_http *http, const char *path)
{
    struct tide_document *document = tide_http_find(http, path);
    if (document || http->document_count == TIDE_HTTP_DOCUMENTS)
        return document;
    document = &http->documents[http->document_count++];
    snprintf(document->path, sizeof(document->path), "%s", path);
    return document;
}

/* Puts a response, or none, in the place of a path, and returns the one before in it. */
static int replace(struct tide_http *http, const char *path, struct MHD_Response **response,
                   const char *type)
{
    if (strlen(path) >= TIDE_HTTP_PATH)
        return tide_fail(TIDE_ECONFIG, "the path %s is too long", path);
    pthread_mutex_lock(&http->lock);
    struct tide_document *document = place_of(http, path);
    if (document) {
        struct MHD_Response *before = document->response;
        document->response = *response;
        snprintf(document->type, sizeof(document->type), "%s", type);
        *response = before;
    }
    pthread_mutex_unlock(&http->lock);
    return document ? TIDE_OK
                    : tide_fail(TIDE_ECONFIG, "%s: there are too many paths (%d)", path,
                                TIDE_HTTP_DOCUMENTS);
}

int tide_http_publish(struct tide_http *http, const char *path, const char *type, const void *bytes,
                      size_t size)
{
    struct MHD_Response *response = tide_http_response(type, bytes, size);
    if (!response)
        return tide_fail(TIDE_EINTERNAL, "%s: no memory for %zu bytes", path, size);
    int status = replace(http, path, &response, "");
    if (response)
        MHD_destroy_response(response);
    return status;
}

int tide_http_offer(struct tide_http *http, const char *path, const char *type)
{
    struct MHD_Response *none = NULL;
    int status = replace(http, path, &none, type);
    if (none)
        MHD_destroy_response(none);
    return status;
}
