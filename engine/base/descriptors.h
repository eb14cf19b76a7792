/* SPDX-License-Identifier: MIT
 * engine/base/descriptors.h - messages that carry open descriptors to another process, over a UNIX socket (SCM_RIGHTS,
 * unix(7)). */
#ifndef TIDE_BASE_DESCRIPTORS_H
#define TIDE_BASE_DESCRIPTORS_H

#include <stdint.h>
#include <sys/types.h>

enum { TIDE_DESCRIPTORS = 253 }; /* in one message: the kernel's SCM_MAX_FD */

/** Sends `size` bytes and copies of `count` descriptors as one message, never waiting. 0, or errno: EAGAIN when the queue
 * of the receiver is full, ETOOMANYREFS when more descriptors are on their way than the kernel allows a user. */
int tide_descriptors_send(int socket, const void *bytes, size_t size, const int *fds,
                          uint32_t count);
/** Receives one message. As recv(2) with `flags`; the descriptors that came with it, close-on-exec, are the caller's: how
 * many there are goes to `count`. Fewer than were sent when this process may not open more. None is a standard one, which
 * may be closed in this process. */
ssize_t tide_descriptors_receive(int socket, void *bytes, size_t size, int flags,
                                 int fds[TIDE_DESCRIPTORS], uint32_t *count);
void tide_descriptors_close(const int *fds, uint32_t count);

#endif
