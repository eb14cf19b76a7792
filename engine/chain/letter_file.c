/* SPDX-License-Identifier: MIT */
#include "chain/letter_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"

int tide_letter_file_open(struct tide_letter_file *file, const char *path)
{
    const int flags = O_CREAT | O_APPEND | O_CLOEXEC;
    char last = '\n';
    file->path = tide_copy(path);
    if (strcmp(path, "-") == 0) {
        file->fd = dup(STDERR_FILENO);
        return TIDE_OK;
    }
    file->fd = open(path, O_RDWR | flags, 0644);
    if (file->fd < 0) /* it may be ours to write only */
        file->fd = open(path, O_WRONLY | flags, 0644);
    if (file->fd < 0)
        return tide_fail(TIDE_ENOINPUT, "dlq file \"%s\": %s", path, strerror(errno));
    off_t end = lseek(file->fd, 0, SEEK_END);
    if (end > 0 && pread(file->fd, &last, 1, end - 1) == 1)
        file->torn = last != '\n';
    return TIDE_OK;
}

static int write_all(struct tide_letter_file *file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file->fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return tide_fail(TIDE_ETEMPORARY, "dlq file \"%s\": %s", file->path, strerror(errno));
        file->torn = bytes[written - 1] != '\n';
        bytes += written;
        length -= (size_t)written;
    }
    return TIDE_OK;
}

int tide_letter_file_write(struct tide_letter_file *file, const char *line, size_t length)
{
    int status = file->torn ? write_all(file, "\n", 1) : TIDE_OK;
    return status < 0 ? status : write_all(file, line, length);
}

void tide_letter_file_close(struct tide_letter_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
}
