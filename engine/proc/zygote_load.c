/* SPDX-License-Identifier: MIT
 * The engine's wait for the user's code to be loaded. It may block: nothing is read from the source yet, and signals end it
 * by `wake`. What that code prints meanwhile is passed on, and always before what the zygote says next is looked at: so the
 * lines of a transform stand before the error with which it ended. Start with tide_zygote_wait_loaded(). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/received.h"
#include "proc/zygote.h"

enum { MOST_LOADING = 10000 }; /* pieces of the user's code: each begins the limit anew */

/* For poll(): -1 = for ever. */
static int left_ms(const struct tide_zygote *zygote)
{
    int64_t left_us = zygote->loading_us + zygote->start_limit_us - tide_clock_us();
    if (zygote->start_limit_us == 0)
        return -1;
    return left_us <= 0 ? 0 : left_us / 1000 < INT32_MAX ? (int)(left_us / 1000 + 1) : INT32_MAX;
}

/* TIDE_OK = the zygote has sent something, TIDE_BUSY = `wake` is readable, TIDE_ECONFIG = the limit was reached. The limit
 * holds for code that prints without end, too. */
static int wait_for_event(struct tide_zygote *zygote, int wake)
{
    struct pollfd fds[3] = {
        {zygote->engine_end, POLLIN, 0}, {wake, POLLIN, 0}, {zygote->log.engine_end, POLLIN, 0}};
    for (int left = -1, ready = -1; left != 0 || ready != 0;) {
        left = left_ms(zygote);
        ready = poll(fds, 3, left);
        if (ready <= 0)
            continue;
        if (fds[2].revents)
            tide_worker_log_read(&zygote->log, tide_clock_us(), true);
        if (fds[0].revents)
            return TIDE_OK;
        if (fds[1].revents)
            return TIDE_BUSY;
        if (left == 0)
            break;
    }
    return tide_fail(TIDE_ECONFIG,
                     "%s: not complete after %.1f s; an endless loop? If it needs more, raise "
                     "start_timeout",
                     zygote->loading[0] ? zygote->loading : "loading the transforms",
                     (double)zygote->start_limit_us / 1e6);
}

/* The last event; its kind is LOADING for as long as there is none. */
static int read_event(struct tide_zygote *zygote, int wake, struct tide_zygote_event *event)
{
    bool is_event;
    uint32_t count = 0;
    do {
        ssize_t size;
        int status = wait_for_event(zygote, wake);
        if (status != TIDE_OK)
            return status;
        do
            size = recv(zygote->engine_end, event, sizeof(*event), MSG_TRUNC);
        while (size < 0 && errno == EINTR);
        is_event = size > 0 && tide_received_from_zygote(event, (size_t)size, zygote->workers);
        tide_worker_log_read(&zygote->log, tide_clock_us(), true);
        zygote->loading_us = tide_clock_us();
        if (is_event && event->kind == TIDE_ZYGOTE_LOADING)
            snprintf(zygote->loading, sizeof(zygote->loading), "%s", event->text);
    } while (is_event && event->kind == TIDE_ZYGOTE_LOADING && count++ < MOST_LOADING);
    if (!is_event)
        event->kind = TIDE_ZYGOTE_LOADING;
    return TIDE_OK;
}

int tide_zygote_wait_loaded(struct tide_zygote *zygote, int wake)
{
    struct tide_zygote_event event = {0};
    int status = read_event(zygote, wake, &event);
    if (status != TIDE_OK)
        return status;
    zygote->loaded = true;
    if (event.kind == TIDE_ZYGOTE_LOADED)
        return TIDE_OK;
    tide_worker_log_end(&zygote->log, tide_clock_us());
    if (event.kind == TIDE_ZYGOTE_REJECTED) {
        tide_hold_kill_children(zygote);
        return tide_fail(event.status == TIDE_ETEMPORARY ? TIDE_ETEMPORARY : TIDE_ECONFIG, "%s",
                         event.text);
    }
    if (event.kind == TIDE_ZYGOTE_CRASHED) {
        char crash[TIDE_CRASH_TEXT];
        tide_crash_clean(crash, event.text, sizeof(event.text));
        return tide_fail(TIDE_ECONFIG, "%s: the process that loads the transforms crashed: %s",
                         zygote->loading, crash);
    }
    return tide_fail(TIDE_ECONFIG, "a transform ended the process that loads it (os.exit?)");
}
