/* SPDX-License-Identifier: MIT */
#include "chain/letter_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "base/status.h"

static bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Negative: what cannot be opened is told. */
static int open_path(const char *path, bool *torn)
{
    const int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
    char last = '\n';
    int fd = is_standard(path) ? tide_output_duplicate(STDERR_FILENO)
                               : open(path, O_RDWR | flags, 0644);
    if (fd < 0 && !is_standard(path)) /* it may be ours to write only */
        fd = open(path, O_WRONLY | flags, 0644);
    if (fd < 0) {
        int status = tide_output_failed(path, errno);
        return tide_fail(status, "dlq file: %s", tide_error());
    }
    off_t end = is_standard(path) ? 0 : lseek(fd, 0, SEEK_END);
    *torn = end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
    return fd;
}

int tide_letter_file_open(struct tide_letter_file *file, const char *path)
{
    file->path = tide_copy(path);
    file->fd = open_path(path, &file->torn);
    return file->fd < 0 ? file->fd : TIDE_OK;
}

int tide_letter_file_reopen(struct tide_letter_file *file)
{
    bool torn;
    if (file->fd < 0 || is_standard(file->path))
        return TIDE_OK;
    int fd = open_path(file->path, &torn);
    if (fd < 0)
        return fd;
    close(file->fd);
    file->fd = fd;
    file->torn = torn;
    file->part.length = 0;
    return TIDE_OK;
}

/* `begun`: a part of the line is there. */
static int not_written(struct tide_letter_file *file, bool begun)
{
    if (errno == EAGAIN)
        return TIDE_BUSY;
    file->gone = errno == EPIPE;
    file->torn |= begun;
    file->part.length = 0;
    if (file->gone)
        return tide_fail(TIDE_ETEMPORARY,
                         "dlq file \"%s\": nobody reads it any more (%s); the pipeline stops here",
                         file->path, strerror(EPIPE));
    return tide_fail(TIDE_ETEMPORARY, "dlq file \"%s\": %s", file->path, strerror(errno));
}

static int push_part(struct tide_letter_file *file)
{
    size_t left = file->part.length - file->part_sent;
    ssize_t count = tide_output_write(file->fd, file->part.data + file->part_sent, left);
    if (count < 0)
        return not_written(file, true);
    file->part_sent += (size_t)count;
    if (file->part_sent < file->part.length)
        return TIDE_BUSY;
    file->part.length = 0;
    return TIDE_OK;
}

static bool same(struct tide_origin a, struct tide_origin b)
{
    return a.sequence == b.sequence && a.partition == b.partition && a.epoch == b.epoch;
}

int tide_letter_file_write(struct tide_letter_file *file, const struct tide_message *letter)
{
    if (file->part.length > 0) {
        int status = push_part(file);
        if (status != TIDE_OK || same(file->part_of, letter->origin))
            return status;
    }
    if (file->torn && tide_output_write(file->fd, "\n", 1) < 0)
        return not_written(file, true);
    file->torn = false;
    ssize_t count = tide_output_write(file->fd, letter->value, letter->value_length);
    if (count < 0)
        return not_written(file, false);
    if ((size_t)count == letter->value_length)
        return TIDE_OK;
    tide_text_append(&file->part, letter->value, letter->value_length);
    file->part_sent = (size_t)count;
    file->part_of = letter->origin;
    return push_part(file); /* why it took no more */
}

void tide_letter_file_close(struct tide_letter_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    tide_text_free(&file->part);
    free(file->path);
}
