/* SPDX-License-Identifier: MIT
 * The engine's wait for the user's code to be loaded. It may block: nothing is read from the source yet, and signals end it
 * by `wake`. What that code prints meanwhile is passed on, and always before what the zygote says next is looked at: so the
 * lines of a transform stand before the error with which it ended. Start with tide_zygote_wait_loaded(). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/received.h"
#include "proc/zygote.h"

enum {
    DEATH_MS = 2000,     /* for a zygote whose socket has ended, until its death is seen ... */
    LOOK_MS = 20,        /* ... by a look each time */
    MOST_LOADING = 10000 /* pieces of the user's code: each begins the limit anew */
};

/* What it is at, for a text. */
static const char *loading(const struct tide_zygote *zygote)
{
    return zygote->loading[0] ? zygote->loading : "loading the transforms";
}

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
                     loading(zygote), (double)zygote->start_limit_us / 1e6);
}

static bool goes_on(const struct tide_zygote_event *event)
{
    return event->kind == TIDE_ZYGOTE_LOADING || event->kind == TIDE_ZYGOTE_LOOKUP;
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
        if (is_event && event->kind == TIDE_ZYGOTE_LOOKUP)
            is_event = tide_zygote_take_lookup(zygote, event);
    } while (is_event && goes_on(event) && count++ < MOST_LOADING);
    if (!is_event)
        event->kind = TIDE_ZYGOTE_LOADING;
    return TIDE_OK;
}

/* The socket of the zygote has ended. The process is left unreaped, for tide_zygote_free(). It may go on all the same,
 * where the user's code has closed the socket. */
static int tell_death(const struct tide_zygote *zygote)
{
    siginfo_t dead = {0};
    for (int left_ms = DEATH_MS; left_ms > 0 && dead.si_pid == 0; left_ms -= LOOK_MS) {
        if (left_ms < DEATH_MS)
            poll(NULL, 0, LOOK_MS);
        if (waitid(P_PID, (id_t)zygote->pid, &dead, WEXITED | WNOHANG | WNOWAIT) < 0)
            break;
    }
    if (dead.si_pid > 0 && dead.si_code == CLD_EXITED && dead.si_status == TIDE_EXIT_MEMORY)
        return tide_fail(TIDE_ECONFIG,
                         "%s: wanted more memory to be loaded than load_memory (%llu MiB) or "
                         "LuaJIT allows; if it needs more, raise load_memory",
                         loading(zygote), (unsigned long long)zygote->load_memory >> 20);
    if (dead.si_pid > 0 && dead.si_code == CLD_KILLED)
        return tide_fail(TIDE_ECONFIG,
                         "%s: the process that loads the transforms was killed by signal %d (%s)%s",
                         loading(zygote), dead.si_status, strsignal(dead.si_status),
                         dead.si_status == SIGKILL ? "; was the machine out of memory?" : "");
    return tide_fail(TIDE_ECONFIG, "a transform ended the process that loads it (os.exit?)");
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
    return tell_death(zygote);
}
