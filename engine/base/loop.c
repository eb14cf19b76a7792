/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/status.h"

struct watch {
    struct watch *next;
    int fd;
    bool waker; /* ours: emptied here, closed with the loop */
    bool gone;  /* unwatched; freed when no event of this wait can point to it any more */
    tide_ready ready;
    void *context;
};

struct tide_loop {
    int epoll;
    struct watch *watches;
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

static int add(struct tide_loop *loop, int fd, bool waker, tide_ready ready, void *context)
{
    struct watch *watch = tide_alloc(sizeof(*watch));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    *watch = (struct watch){loop->watches, fd, waker, false, ready, context};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(watch);
        return tide_fail_system("epoll");
    }
    loop->watches = watch;
    return TIDE_OK;
}

int tide_loop_watch(struct tide_loop *loop, int fd, tide_ready ready, void *context)
{
    return add(loop, fd, false, ready, context);
}

int tide_loop_waker(struct tide_loop *loop, tide_ready ready, void *context)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return tide_fail_system("eventfd");
    int status = add(loop, fd, true, ready, context);
    if (status < 0)
        close(fd);
    return status < 0 ? status : fd;
}

void tide_loop_unwatch(struct tide_loop *loop, int fd)
{
    for (struct watch *watch = loop->watches; watch; watch = watch->next) {
        if (watch->fd == fd && !watch->gone) {
            epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
            watch->gone = true;
            if (watch->waker)
                close(fd);
        }
    }
}

static void sweep(struct tide_loop *loop)
{
    for (struct watch **at = &loop->watches; *at;) {
        struct watch *watch = *at;
        if (watch->gone) {
            *at = watch->next;
            free(watch);
        } else {
            at = &watch->next;
        }
    }
}

int tide_loop_wait(struct tide_loop *loop, int64_t timeout_us)
{
    struct epoll_event events[64];
    /* Rounded up: waking a little late is better than spinning for the last millisecond. */
    int timeout_ms = timeout_us <= 0 ? 0 : (int)((timeout_us + 999) / 1000);
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
    sweep(loop);
    return count;
}

void tide_loop_free(struct tide_loop *loop)
{
    if (!loop)
        return;
    for (struct watch *watch = loop->watches; watch; watch = watch->next) {
        if (watch->waker && !watch->gone)
            close(watch->fd);
        watch->gone = true;
    }
    sweep(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop);
}
