/* SPDX-License-Identifier: MIT
 * engine/base/loop.h - the only wait of the engine: epoll over sockets and eventfds. */
#ifndef TIDE_BASE_LOOP_H
#define TIDE_BASE_LOOP_H

#include <stdint.h>

struct tide_loop;
/** Called by tide_loop_wait when the fd is readable; it must not block. */
typedef void (*tide_ready)(void *context);

struct tide_loop *tide_loop_new(void); /* NULL with tide_error() */
/** Calls `ready` as long as the fd is readable (level-triggered). The fd stays the caller's, who must unwatch it before
 * closing it. */
int tide_loop_watch(struct tide_loop *loop, int fd, tide_ready ready, void *context);
void tide_loop_unwatch(struct tide_loop *loop, int fd);
/** Returns an eventfd that the loop watches and empties itself: 8 bytes written to it wake the loop, from any thread
 * (librdkafka's rd_kafka_queue_io_event_enable does that). `ready` may be NULL. It is closed with the loop. */
int tide_loop_waker(struct tide_loop *loop, tide_ready ready, void *context);
/** Waits at most `timeout_us` (0 = not at all) and calls what is ready. Returns how many were, or a negative status. */
int tide_loop_wait(struct tide_loop *loop, int64_t timeout_us);
void tide_loop_free(struct tide_loop *loop); /* NULL is fine */

#endif
