/* SPDX-License-Identifier: MIT
 * Descriptors from one process to another (descriptors.h). */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr head; /* for its alignment */
    char bytes[CMSG_SPACE(TIDE_DESCRIPTORS * sizeof(int))];
};

int tide_descriptors_send(int socket, const void *bytes, size_t size, const int *fds,
                          uint32_t count)
{
    union control control = {0};
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > TIDE_DESCRIPTORS)
        return EINVAL;
    if (count > 0) {
        control.head = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* Negative when this process may not open more. */
static int above_standard(int fd)
{
    if (fd > STDERR_FILENO)
        return fd;
    int other = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return other;
}

/* Returns how many there are. */
static uint32_t take(const struct cmsghdr *head, int *fds)
{
    uint32_t sent = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int)), count = 0;
    for (uint32_t i = 0; i < sent; i++) {
        memcpy(&fds[count], CMSG_DATA(head) + i * sizeof(int), sizeof(int));
        fds[count] = above_standard(fds[count]);
        count += fds[count] >= 0;
    }
    return count;
}

ssize_t tide_descriptors_receive(int socket, void *bytes, size_t size, int flags,
                                 int fds[TIDE_DESCRIPTORS], uint32_t *count)
{
    union control control;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = received < 0 ? NULL : CMSG_FIRSTHDR(&message);
    bool some = head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS;
    *count = some ? take(head, fds) : 0;
    return received;
}

void tide_descriptors_close(const int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
}
