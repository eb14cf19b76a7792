/* SPDX-License-Identifier: MIT
 * The engine's wait for the user's code to be loaded. At the start it may block: nothing is read from the source yet, and
 * signals end it by `wake`. For a later revision it looks once in each turn. What that code prints meanwhile is passed on, and
 * always before what the zygote says next is looked at: so the lines of a transform stand before the error with which it ended.
 * Start with tide_zygote_look_loaded(). */
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
    BEGIN_US = 10000000, /* a lower limit is not for what comes before the user's code */
    MOST_LOADING = 10000 /* pieces of the user's code: each begins the limit anew */
};

/* What it is at, for a text. */
static const char *loading(const struct tide_zygote *zygote)
{
    return zygote->loading[0] ? zygote->loading : "loading the transforms";
}

/* Before the first piece only our own code runs, which may wait for a processor. */
static int64_t limit_us(const struct tide_zygote *zygote)
{
    bool begins = zygote->pieces == 0 && zygote->start_limit_us < BEGIN_US;
    return begins ? BEGIN_US : zygote->start_limit_us;
}

/* For poll(): -1 = for ever. */
static int left_ms(const struct tide_zygote *zygote)
{
    int64_t left_us = zygote->loading_us + limit_us(zygote) - tide_clock_us();
    if (zygote->death_us > 0)
        return LOOK_MS;
    if (zygote->start_limit_us == 0)
        return -1;
    return left_us <= 0 ? 0 : left_us / 1000 < INT32_MAX ? (int)(left_us / 1000 + 1) : INT32_MAX;
}

static void begin_piece(struct tide_zygote *zygote)
{
    zygote->loading_us = tide_clock_us();
    zygote->processor = tide_stall_processor(zygote->pid);
    zygote->processor_us = zygote->loading_us;
}

/* Time in which it was ready to run and had no processor is not the code's: it has as much more. */
static bool excuse(struct tide_zygote *zygote)
{
    int64_t now_us = tide_clock_us();
    struct tide_stall_processor now = tide_stall_processor(zygote->pid);
    struct tide_stall stall = {.stalled_us = now_us - zygote->loading_us,
                               .before = zygote->processor,
                               .before_us = zygote->processor_us - zygote->loading_us};
    bool excused = zygote->pieces > 0 && tide_stall_excuse(&stall, &now, limit_us(zygote));
    if (excused) {
        zygote->processor = stall.before;
        zygote->processor_us = now_us;
        zygote->loading_us = now_us - stall.stalled_us;
    }
    return excused;
}

/* The limit holds for code that prints without end, too. */
static int look_at_time(struct tide_zygote *zygote)
{
    if (left_ms(zygote) != 0 || excuse(zygote))
        return TIDE_BUSY;
    return tide_fail(TIDE_ECONFIG,
                     "%s: not complete after %.1f s; an endless loop? If it needs more, raise "
                     "start_timeout",
                     loading(zygote), (double)limit_us(zygote) / 1e6);
}

/* ---- its end ---- */

static int tell_death(const struct tide_zygote *zygote, const siginfo_t *dead)
{
    if (dead->si_pid > 0 && dead->si_code == CLD_EXITED && dead->si_status == TIDE_EXIT_MEMORY)
        return tide_fail(TIDE_ECONFIG,
                         "%s: wanted more memory to be loaded than load_memory (%llu MiB) or "
                         "LuaJIT allows; if it needs more, raise load_memory",
                         loading(zygote), (unsigned long long)zygote->load_memory >> 20);
    if (dead->si_pid > 0 && dead->si_code == CLD_KILLED)
        return tide_fail(TIDE_ECONFIG,
                         "%s: the process that loads the transforms was killed by signal %d (%s)%s",
                         loading(zygote), dead->si_status, strsignal(dead->si_status),
                         dead->si_status == SIGKILL ? "; was the machine out of memory?" : "");
    return tide_fail(TIDE_ECONFIG, "a transform ended the process that loads it (os.exit?)");
}

/* The socket of the zygote has ended, or it has sent what is no event. The process is left unreaped, for
 * tide_zygote_free(). It may go on all the same, where the user's code has closed the socket. */
static int await_death(struct tide_zygote *zygote)
{
    siginfo_t dead = {0};
    int64_t now_us = tide_clock_us();
    if (zygote->death_us == 0)
        tide_worker_log_end(&zygote->log, now_us);
    if (zygote->death_us == 0)
        zygote->death_us = now_us;
    bool waited = now_us >= zygote->death_us + DEATH_MS * INT64_C(1000);
    if (waitid(P_PID, (id_t)zygote->pid, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        dead.si_pid == 0 && !waited)
        return TIDE_BUSY;
    zygote->loaded = true;
    return tell_death(zygote, &dead);
}

/* ---- what it says ---- */

static int reject(struct tide_zygote *zygote, const struct tide_zygote_event *event)
{
    zygote->unchanged = event->status == TIDE_OK && zygote->revision > 1;
    tide_hold_kill_children(zygote);
    kill(zygote->pid, SIGCONT); /* it leaves by itself at the end of its socket */
    if (zygote->unchanged)
        return TIDE_OK;
    return tide_fail(event->status == TIDE_ETEMPORARY ? TIDE_ETEMPORARY : TIDE_ECONFIG, "%s",
                     event->text);
}

/* The mark is shown to nobody, and goes back to the next zygote. */
static int take_last(struct tide_zygote *zygote, const struct tide_zygote_event *event)
{
    zygote->loaded = true;
    if (event->kind == TIDE_ZYGOTE_LOADED) {
        memcpy(zygote->mark, event->text, sizeof(zygote->mark) - 1);
        return TIDE_OK;
    }
    tide_worker_log_end(&zygote->log, tide_clock_us());
    if (event->kind == TIDE_ZYGOTE_REJECTED)
        return reject(zygote, event);
    char crash[TIDE_CRASH_TEXT];
    tide_crash_clean(crash, event->text, sizeof(event->text));
    return tide_fail(TIDE_ECONFIG, "%s: the process that loads the transforms crashed: %s",
                     zygote->loading, crash);
}

/* TIDE_BUSY = there is more to come. */
static int take_event(struct tide_zygote *zygote, const struct tide_zygote_event *event)
{
    switch (event->kind) {
    case TIDE_ZYGOTE_LOADING:
        snprintf(zygote->loading, sizeof(zygote->loading), "%s", event->text);
        break;
    case TIDE_ZYGOTE_LOOKUP:
        if (!tide_zygote_take_lookup(zygote, event))
            return await_death(zygote);
        break;
    case TIDE_ZYGOTE_LOADED:
    case TIDE_ZYGOTE_REJECTED:
    case TIDE_ZYGOTE_CRASHED:
        return take_last(zygote, event);
    default:
        return await_death(zygote);
    }
    begin_piece(zygote);
    return ++zygote->pieces > MOST_LOADING ? await_death(zygote) : TIDE_BUSY;
}

/* An event of the next revision's zygote may come before the forker's answer; the process id is waited for all the same. */
static int find_process(struct tide_zygote *zygote)
{
    return zygote->pid > 0 ? TIDE_OK : tide_forker_answer(zygote->forker, &zygote->pid);
}

int tide_zygote_look_loaded(struct tide_zygote *zygote)
{
    struct tide_zygote_event event;
    int status = find_process(zygote);
    if (status == TIDE_BUSY)
        return look_at_time(zygote);
    if (status == TIDE_OK)
        tide_worker_log_read(&zygote->log, tide_clock_us(), true);
    if (status == TIDE_OK && zygote->death_us > 0)
        return await_death(zygote);
    while (status == TIDE_OK) {
        ssize_t size = recv(zygote->engine_end, &event, sizeof(event), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return look_at_time(zygote);
        bool is_event = size > 0 &&
                        tide_received_from_zygote(&event, (size_t)size, zygote->workers);
        tide_worker_log_read(&zygote->log, tide_clock_us(), true);
        status = is_event ? take_event(zygote, &event) : await_death(zygote);
        if (status != TIDE_BUSY || zygote->death_us > 0)
            return status;
        status = TIDE_OK;
    }
    return status;
}

int tide_zygote_wait_loaded(struct tide_zygote *zygote, int wake)
{
    struct pollfd fds[3] = {
        {zygote->engine_end, POLLIN, 0}, {wake, POLLIN, 0}, {zygote->log.engine_end, POLLIN, 0}};
    for (;;) {
        int status = tide_zygote_look_loaded(zygote);
        if (status != TIDE_BUSY)
            return status;
        /* A socket that has ended is always readable. */
        fds[0].fd = zygote->death_us > 0 ? -1 : zygote->engine_end;
        fds[2].fd = zygote->death_us > 0 ? -1 : zygote->log.engine_end;
        if (poll(fds, 3, left_ms(zygote)) > 0 && fds[1].revents && !fds[0].revents)
            return TIDE_BUSY;
    }
}

bool tide_zygote_is_unchanged(const struct tide_zygote *zygote)
{
    return zygote->unchanged;
}
