/* SPDX-License-Identifier: MIT
 * Tells one file from another by its path and its first bytes, so that a file that took the place of one that was read
 * (a log that is rotated) is not taken for that. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

enum { MARKED = 4096 /* bytes, at most */ };

bool tide_file_mark(const char *path, int64_t most, struct tide_store_position *position)
{
    char bytes[MARKED];
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = -1;
    if (fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        length = pread(fd, bytes, most >= 0 && most < MARKED ? (size_t)most : MARKED, 0);
    if (fd >= 0)
        close(fd);
    if (length < 0)
        return false;
    *position = (struct tide_store_position){.mark = tide_store_hash(0, bytes, (size_t)length),
                                             .bytes = length};
    return true;
}
