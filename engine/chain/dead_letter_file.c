/* SPDX-License-Identifier: MIT
 * Appends lines with write(2), one call a line, without a buffer: a dead letter counts as written when the kernel has
 * it, and several pipelines may append to one file. Start reading at tide_dead_letter_file_write. */
#include "chain/dead_letter_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/output.h"
#include "base/status.h"

static bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* A file whose last run was killed within a line gets a newline first. The last byte is read through a descriptor of
 * its own: we may have the permission to write and not to read, and a named pipe that we could read ourselves would
 * take dead letters that nobody else reads, and lose them at the end. */
static bool ends_within_line(const char *path, int written)
{
    struct stat about;
    char last = '\n';
    if (fstat(written, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size == 0)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool within = fd >= 0 && pread(fd, &last, 1, about.st_size - 1) == 1 && last != '\n';
    if (fd >= 0)
        close(fd);
    return within;
}

/* Returns the descriptor; negative = failed, with the path in the error. O_NONBLOCK, so that a pipe without room does
 * not stop the engine; standard error is duplicated for the same reason (base/output.h). */
static int open_path(const char *path, bool *half_line)
{
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
    int fd = is_standard(path) ? tide_output_duplicate(STDERR_FILENO) : open(path, flags, 0644);
    if (fd < 0) {
        int status = tide_output_failed(path, errno);
        return tide_fail(status, "dlq file: %s", tide_error());
    }
    *half_line = !is_standard(path) && ends_within_line(path, fd);
    return fd;
}

int tide_dead_letter_file_open(struct tide_dead_letter_file *file, const char *path)
{
    file->path = tide_copy(path);
    file->fd = open_path(path, &file->half_line);
    return file->fd < 0 ? file->fd : TIDE_OK;
}

/* A line that was begun is given up, since its rest would be a broken line of the new file; the dead letter is still
 * with its queue or its step, and comes again as a whole. */
int tide_dead_letter_file_reopen(struct tide_dead_letter_file *file)
{
    bool half_line = false;
    if (file->fd < 0 || is_standard(file->path))
        return TIDE_OK;
    int fd = open_path(file->path, &half_line);
    if (fd < 0)
        return fd;
    close(file->fd);
    file->fd = fd;
    file->half_line = half_line;
    file->begun.line.length = 0;
    return TIDE_OK;
}

/* Says what errno means. `begun`: the file has a part of the line. Then the next one is written after a newline, so
 * that a full disk spoils one line only. */
static int write_failed(struct tide_dead_letter_file *file, bool begun)
{
    if (errno == EAGAIN)
        return TIDE_BUSY;
    file->reader_gone = errno == EPIPE;
    file->half_line |= begun;
    file->begun.line.length = 0;
    if (file->reader_gone)
        return tide_fail(TIDE_ETEMPORARY,
                         "dlq file \"%s\": nobody reads it any more (%s); the pipeline stops here",
                         file->path, strerror(EPIPE));
    return tide_fail(TIDE_ETEMPORARY, "dlq file \"%s\": %s", file->path, strerror(errno));
}

/* Goes on with the line that was begun. */
static int continue_line(struct tide_dead_letter_file *file)
{
    size_t left = file->begun.line.length - file->begun.sent;
    ssize_t count = tide_output_write(file->fd, file->begun.line.data + file->begun.sent, left);
    if (count < 0)
        return write_failed(file, true);
    file->begun.sent += (size_t)count;
    if (file->begun.sent < file->begun.line.length)
        return TIDE_BUSY;
    file->begun.line.length = 0;
    return TIDE_OK;
}

/* The dead letter that comes back is a copy, so it is known by its origin. */
static bool same_origin(struct tide_origin a, struct tide_origin b)
{
    return a.sequence == b.sequence && a.partition == b.partition && a.epoch == b.epoch;
}

int tide_dead_letter_file_write(struct tide_dead_letter_file *file,
                                const struct tide_message *dead_letter)
{
    /* A full pipe took the beginning of a line. It has to be completed first, be it of this dead letter or of
     * another. */
    if (file->begun.line.length > 0) {
        int status = continue_line(file);
        if (status != TIDE_OK || same_origin(file->begun.origin, dead_letter->origin))
            return status;
    }
    if (file->half_line && tide_output_write(file->fd, "\n", 1) < 0)
        return write_failed(file, true);
    file->half_line = false;
    ssize_t count = tide_output_write(file->fd, dead_letter->value, dead_letter->value_length);
    if (count < 0)
        return write_failed(file, false);
    if ((size_t)count == dead_letter->value_length)
        return TIDE_OK;
    tide_text_append(&file->begun.line, dead_letter->value, dead_letter->value_length);
    file->begun.sent = (size_t)count;
    file->begun.origin = dead_letter->origin;
    return continue_line(file); /* a second write tells why the first one stopped */
}

void tide_dead_letter_file_close(struct tide_dead_letter_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    tide_text_free(&file->begun.line);
    free(file->path);
}
