/* SPDX-License-Identifier: MIT
 * engine/base/loop.h - the one place where the engine waits: epoll over sockets and eventfds. */
#ifndef TIDE_BASE_LOOP_H
#define TIDE_BASE_LOOP_H

#include <stdint.h>

struct tide_loop;
/** Called by tide_loop_wait when the fd has something; must not block. */
typedef void (*tide_ready)(void *context);

struct tide_loop *tide_loop_new(void); /* NULL with tide_error() */
/** Level-triggered reading. The fd stays the caller's; unwatch before closing it. */
int tide_loop_watch(struct tide_loop *loop, int fd, tide_ready ready, void *context);
void tide_loop_unwatch(struct tide_loop *loop, int fd);
/** An eventfd that is watched and emptied by the loop itself: write 8 bytes to wake it, from any thread
 * (librdkafka's rd_kafka_queue_io_event_enable does). `ready` may be NULL. Closed with the loop. */
int tide_loop_waker(struct tide_loop *loop, tide_ready ready, void *context);
/** Waits at most `timeout_us` (0 looks only) and calls what is ready. Returns how many, or negative. */
int tide_loop_wait(struct tide_loop *loop, int64_t timeout_us);
void tide_loop_free(struct tide_loop *loop); /* NULL is fine */

#endif
