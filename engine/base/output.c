/* SPDX-License-Identifier: MIT
 * Writing to files, pipes and terminals that others share, without ever waiting. The difficulty is that O_NONBLOCK belongs
 * to the open file description: set on an inherited standard output it would be set for the shell and for every other
 * process too. So a pipe or terminal is opened once more, which gives a description of our own; where that is not allowed,
 * each write is preceded by a poll. Start with tide_output_duplicate() and write_some(). */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

enum { MOST_LINKS = 40 }; /* as many as the kernel follows */

/* What the exit code decides is whether a supervisor starts the program again. A full disk or a reader that is gone may
 * be mended by then; a folder that is not there, or may not be written to, waits for somebody to change the
 * configuration. */
int tide_output_failed(const char *path, int number)
{
    bool later = number == ENOSPC || number == EDQUOT || number == EIO || number == EFBIG ||
                 number == EPIPE || number == EMFILE || number == ENFILE || number == ESTALE;
    const char *why = number == ENXIO ? "nobody reads the pipe" : strerror(number);
    return tide_fail(later ? TIDE_ETEMPORARY : TIDE_ECONFIG, "cannot write %s: %s", path, why);
}

/* O_NONBLOCK matters at the opening already: of a FIFO that nobody reads, open() would wait for a reader; so it fails
 * with ENXIO. */
int tide_output_open(const char *path, bool anew)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
    int fd = open(path, flags | (anew ? O_TRUNC : 0), 0666);
    return fd < 0 ? tide_output_failed(path, errno) : fd;
}

/* Opening it by its number in /proc gives a description of our own. That is needed for pipes and terminals only: a regular
 * file never blocks, and a socket takes MSG_DONTWAIT with each call. */
int tide_output_duplicate(int fd)
{
    struct stat about;
    char path[32];
    int own = -1;
    if (fstat(fd, &about) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode))
        own = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static ssize_t write_some(int fd, const char *bytes, size_t length)
{
    struct stat about;
    if (fstat(fd, &about) < 0)
        return -1;
    if (S_ISSOCK(about.st_mode))
        return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (!S_ISREG(about.st_mode) && !(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        /* A pipe that polls as writable takes PIPE_BUF bytes without blocking (pipe(7)). */
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (poll(&room, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        length = length < PIPE_BUF ? length : PIPE_BUF;
    }
    return write(fd, bytes, length);
}

ssize_t tide_output_write(int fd, const char *bytes, size_t length)
{
    size_t written = 0;
    while (written < length) {
        ssize_t count = write_some(fd, bytes + written, length - written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return written > 0 ? (ssize_t)written : -1;
        written += (size_t)count;
    }
    return (ssize_t)written;
}

/* ---- one file under two names ---- */

static bool exists(const char *path, struct stat *about)
{
    return stat(path, about) == 0;
}

/* Resolves where a file that does not exist yet will be made: links that lead nowhere yet are followed. */
static bool resolve(const char *path, char *resolved, int links)
{
    char target[PATH_MAX], folder[PATH_MAX], name[PATH_MAX], whole[2 * PATH_MAX];
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    snprintf(folder, sizeof(folder), "%s", path);
    snprintf(name, sizeof(name), "%s", path);
    if (length >= 0) {
        target[length] = 0;
        snprintf(whole, sizeof(whole), "%s/%s", dirname(folder), target);
        return links > 0 && resolve(*target == '/' ? target : whole, resolved, links - 1);
    }
    char *real = realpath(dirname(folder), NULL);
    if (real)
        snprintf(resolved, PATH_MAX, "%.*s/%s", PATH_MAX / 2, real, basename(name));
    free(real);
    return real != NULL;
}

bool tide_output_same(const char *a, const char *b)
{
    struct stat one, other;
    char first[PATH_MAX], second[PATH_MAX];
    bool there = exists(a, &one);
    if (exists(b, &other) != there)
        return false;
    if (there)
        return S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    return resolve(a, first, MOST_LINKS) && resolve(b, second, MOST_LINKS) &&
           strcmp(first, second) == 0;
}
