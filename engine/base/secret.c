/* SPDX-License-Identifier: MIT
 * Secrets reach the engine after the zygote was forked. What the zygote has from before the fork is the environment: the
 * kernel put it on the stack of the program, from where fork() copies it, and clearenv would only drop the pointers to
 * it. So the bytes themselves are overwritten. */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

static int access_of(const struct stat *about, uint32_t *mode)
{
    *mode = about->st_mode & 07777;
    if (!S_ISREG(about->st_mode)) /* a pipe of the shell, say: nobody finds it by a name */
        return 0;
    return (about->st_mode & (S_IRGRP | S_IROTH) ? TIDE_SECRET_READABLE : 0) |
           (about->st_mode & S_IWOTH ? TIDE_SECRET_WRITABLE : 0);
}

/* One byte more than there may be, so that a longer file is noticed. The newline that an editor leaves is no part of it. */
static ssize_t read_all(int fd, char *bytes)
{
    char more;
    ssize_t size = 0, got;
    while ((got = size < TIDE_SECRET_MOST
                      ? read(fd, bytes + size, (size_t)(TIDE_SECRET_MOST - size))
                      : read(fd, &more, 1)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tide_fail(TIDE_ECONFIG, "%s", strerror(errno));
        if (size == TIDE_SECRET_MOST)
            return tide_fail(TIDE_ECONFIG, "longer than %d bytes", TIDE_SECRET_MOST);
        size += got;
    }
    if (size > 0 && bytes[size - 1] == '\n')
        size--;
    if (size > 0 && bytes[size - 1] == '\r')
        size--;
    if (size == 0)
        return tide_fail(TIDE_ECONFIG, "it is empty");
    if (memchr(bytes, 0, (size_t)size))
        return tide_fail(TIDE_ECONFIG, "it has a zero byte");
    return size;
}

ssize_t tide_secret_read(const char *path, char *bytes, int *access, uint32_t *mode)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    *access = 0;
    if (fd < 0)
        return tide_fail(TIDE_ECONFIG, "%s", strerror(errno));
    ssize_t size = read_all(fd, bytes);
    if (fstat(fd, &about) == 0)
        *access = access_of(&about, mode);
    close(fd);
    return size;
}

int tide_secret_access(const char *path, uint32_t *mode)
{
    struct stat about;
    return stat(path, &about) == 0 ? access_of(&about, mode) : 0;
}

void tide_secret_hold(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

/* A name may stand in the environment several times, of which getenv() finds the first. */
void tide_environment_forget(const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        for (char **at = environ; at && *at; at++)
            if (strncmp(*at, names[i], length) == 0 && (*at)[length] == '=')
                explicit_bzero(*at + length + 1, strlen(*at + length + 1));
        unsetenv(names[i]);
    }
}
