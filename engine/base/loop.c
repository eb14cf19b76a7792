/* SPDX-License-Identifier: MIT
 * epoll, with a callback for each descriptor. A callback may unwatch any descriptor, also one whose event was found by the
 * same epoll_wait() and is still to be handled, so a watch that is removed is only marked, and freed when all events are
 * handled. No library (libev, libuv): sockets and eventfds are all there is, and time-outs are the callers' affair. */
#include "base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/status.h"

struct watch {
    SLIST_ENTRY(watch) next;
    int fd;
    bool waker; /* the loop's own: it empties it and closes it */
    bool gone;  /* unwatched; freed when no event of this wait can point to it any more */
    tide_ready ready;
    void *context;
};

struct tide_loop {
    int epoll;
    SLIST_HEAD(, watch) watches;
};

struct tide_loop *tide_loop_new(void)
{
    struct tide_loop *loop = tide_alloc(sizeof(*loop));
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        tide_fail_system("epoll");
        tide_loop_free(loop);
        return NULL;
    }
    return loop;
}

/* `ready` may be missing: zygote.c and engine_signals.c watch a descriptor only to end the wait, and read it in the
 * turn that follows. */
static int add_watch(struct tide_loop *loop, int fd, bool waker, tide_ready ready, void *context)
{
    struct watch *watch = tide_alloc(sizeof(*watch));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    *watch = (struct watch){.fd = fd, .waker = waker, .ready = ready, .context = context};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(watch);
        return tide_fail_system("epoll");
    }
    SLIST_INSERT_HEAD(&loop->watches, watch, next);
    return TIDE_OK;
}

int tide_loop_watch(struct tide_loop *loop, int fd, tide_ready ready, void *context)
{
    return add_watch(loop, fd, false, ready, context);
}

/* An eventfd adds up what is written to it, so a thread that wakes the loop again and again never fills it and never
 * waits, as it might with a pipe. */
int tide_loop_waker(struct tide_loop *loop, tide_ready ready, void *context)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return tide_fail_system("eventfd");
    int status = add_watch(loop, fd, true, ready, context);
    if (status < 0)
        close(fd);
    return status < 0 ? status : fd;
}

/* It leaves epoll at once, since its number may be another file's as soon as the caller has closed it. The struct stays
 * until free_gone(). A descriptor that is not watched is no mistake: io/file_source.c unwatches its file at the end,
 * and again when it is freed. */
void tide_loop_unwatch(struct tide_loop *loop, int fd)
{
    struct watch *watch;
    SLIST_FOREACH(watch, &loop->watches, next)
    {
        if (watch->fd == fd && !watch->gone) {
            epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
            watch->gone = true;
            if (watch->waker)
                close(fd);
        }
    }
}

/* Only at the end of a wait, and when the loop is freed: no event that epoll has returned points to a watch by then. */
static void free_gone(struct tide_loop *loop)
{
    struct watch *next;
    for (struct watch *watch = SLIST_FIRST(&loop->watches); watch; watch = next) {
        next = SLIST_NEXT(watch, next);
        if (watch->gone) {
            SLIST_REMOVE(&loop->watches, watch, watch, next);
            free(watch);
        }
    }
}

int tide_loop_wait(struct tide_loop *loop, int64_t timeout_us)
{
    struct epoll_event events[64];
    /* Rounded up: to wake a little late is better than to spin for the last millisecond. */
    int timeout_ms = timeout_us <= 0 ? 0 : (int)((timeout_us + 999) / 1000);
    /* When more than 64 are ready, the next wait finds the rest, as epoll is level-triggered here. EINTR is no failure:
     * on Linux a process that was stopped and continued returns with it too. */
    int count = epoll_wait(loop->epoll, events, 64, timeout_ms);
    if (count < 0)
        return errno == EINTR ? 0 : tide_fail_system("epoll");
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        uint64_t wakes;
        if (watch->gone)
            continue;
        if (watch->waker && read(watch->fd, &wakes, sizeof(wakes)) < 0)
            continue;
        if (watch->ready)
            watch->ready(watch->context);
    }
    free_gone(loop);
    return count;
}

/* Only wakers are closed: every other descriptor is its owner's. */
void tide_loop_free(struct tide_loop *loop)
{
    struct watch *watch;
    if (!loop)
        return;
    SLIST_FOREACH(watch, &loop->watches, next)
    {
        if (watch->waker && !watch->gone)
            close(watch->fd);
        watch->gone = true;
    }
    free_gone(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop);
}
