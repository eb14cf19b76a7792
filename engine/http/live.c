/* SPDX-License-Identifier: MIT
 * Live requests: the server's thread keeps the request until the engine's thread looks for it, and then sends what that
 * writes. Between them is a buffer with a bound: a client that does not read loses bytes, and the engine never waits. The
 * two sides leave in any order; the last one frees the request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "http/inside.h"

/* ---- the server's side ---- */

struct tide_live *tide_live_new(struct tide_http *http, const struct tide_client *client,
                                const struct tide_document *document)
{
    if (http->live_count == TIDE_HTTP_LIVES)
        return NULL;
    struct tide_live *live = tide_alloc(sizeof(*live));
    size_t length = strlen(document->path);
    memcpy(live->type, document->type, sizeof(live->type));
    live->request.id = ++http->last_id;
    memcpy(live->request.path, document->path, sizeof(document->path));
    strcpy(live->request.rest, client->path + length);
    memcpy(live->request.query, client->query, sizeof(client->query));
    TAILQ_INSERT_TAIL(&http->lives, live, next);
    http->live_count++;
    return live;
}

static void free_live(struct tide_http *http, struct tide_live *live)
{
    TAILQ_REMOVE(&http->lives, live, next);
    http->live_count--;
    free(live->bytes);
    free(live);
}

bool tide_live_due(struct tide_http *http, const struct tide_live *live)
{
    pthread_mutex_lock(&http->lock);
    bool due = live->size > 0 || live->state == TIDE_LIVE_ENDED;
    pthread_mutex_unlock(&http->lock);
    return due;
}

bool tide_live_any_ended(struct tide_http *http)
{
    struct tide_live *live;
    pthread_mutex_lock(&http->lock);
    TAILQ_FOREACH(live, &http->lives, next)
    {
        if (live->state == TIDE_LIVE_ENDED)
            break;
    }
    pthread_mutex_unlock(&http->lock);
    return live != NULL;
}

int tide_live_code(struct tide_http *http, const struct tide_live *live)
{
    pthread_mutex_lock(&http->lock);
    int code = live->written ? MHD_HTTP_OK : live->code;
    pthread_mutex_unlock(&http->lock);
    return code;
}

ssize_t tide_live_read(struct tide_http *http, struct tide_live *live, char *bytes, size_t size)
{
    pthread_mutex_lock(&http->lock);
    ssize_t taken = (ssize_t)(live->size < size ? live->size : size);
    if (taken > 0) {
        memcpy(bytes, live->bytes + live->from, (size_t)taken);
        live->size -= (size_t)taken;
        live->from = live->size > 0 ? live->from + (size_t)taken : 0;
    } else if (live->state == TIDE_LIVE_ENDED) {
        taken = -1;
    }
    pthread_mutex_unlock(&http->lock);
    return taken;
}

void tide_live_leave(struct tide_http *http, struct tide_live *live)
{
    pthread_mutex_lock(&http->lock);
    if (live->state == TIDE_LIVE_OPEN)
        live->state = TIDE_LIVE_GONE;
    else
        free_live(http, live);
    pthread_mutex_unlock(&http->lock);
}

/* ---- the engine's side ---- */

static struct tide_live *find(struct tide_http *http, uint64_t id)
{
    struct tide_live *live;
    TAILQ_FOREACH(live, &http->lives, next)
    {
        if (live->request.id == id)
            return live;
    }
    return NULL;
}

/* Ends the wait of the server's thread. An eventfd takes any number of these, and never makes us wait. */
static void wake(struct tide_http *http)
{
    uint64_t one = 1;
    ssize_t written = write(http->waker, &one, sizeof(one));
    (void)written;
}

bool tide_http_next(struct tide_http *http, struct tide_http_request *request)
{
    struct tide_live *live;
    pthread_mutex_lock(&http->lock);
    TAILQ_FOREACH(live, &http->lives, next)
    {
        if (live->state == TIDE_LIVE_ASKED)
            break;
    }
    if (live) {
        live->state = TIDE_LIVE_OPEN;
        *request = live->request;
    }
    pthread_mutex_unlock(&http->lock);
    return live != NULL;
}

enum tide_http_written tide_http_write(struct tide_http *http, uint64_t id, const void *bytes,
                                       size_t size)
{
    enum tide_http_written written = TIDE_HTTP_TAKEN;
    pthread_mutex_lock(&http->lock);
    struct tide_live *live = find(http, id);
    if (!live || live->state != TIDE_LIVE_OPEN) {
        written = TIDE_HTTP_GONE;
    } else if (size > TIDE_HTTP_LIVE_BYTES - live->size) {
        written = TIDE_HTTP_FULL;
    } else if (size > 0) {
        if (!live->bytes)
            live->bytes = tide_alloc(TIDE_HTTP_LIVE_BYTES);
        if (size > TIDE_HTTP_LIVE_BYTES - live->size - live->from) {
            memmove(live->bytes, live->bytes + live->from, live->size);
            live->from = 0;
        }
        memcpy(live->bytes + live->from + live->size, bytes, size);
        live->size += size;
        live->written = true;
    }
    pthread_mutex_unlock(&http->lock);
    if (written == TIDE_HTTP_TAKEN && size > 0)
        wake(http);
    return written;
}

void tide_http_end(struct tide_http *http, uint64_t id, int code)
{
    tide_http_refuse(http, id, code, code == MHD_HTTP_NOT_FOUND ? "there is none" : "");
}

void tide_http_refuse(struct tide_http *http, uint64_t id, int code, const char *text)
{
    pthread_mutex_lock(&http->lock);
    struct tide_live *live = find(http, id);
    if (live && live->state == TIDE_LIVE_GONE) {
        free_live(http, live);
    } else if (live) {
        live->state = TIDE_LIVE_ENDED;
        live->code = code;
        snprintf(live->refusal, sizeof(live->refusal), "%s%s", text, *text ? "\n" : "");
    }
    pthread_mutex_unlock(&http->lock);
    wake(http);
}
