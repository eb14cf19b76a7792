/* SPDX-License-Identifier: MIT
 * The file `unsynced` in the folder of a copy (table in store.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "store/inside.h"

enum { PATH = 4200, BOOT = 64 };

static void path_in(const char *dir, char *path)
{
    snprintf(path, PATH, "%s/unsynced", dir);
}

/* The length of its text; -1 = it cannot be read. */
static ssize_t read_text(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, BOOT);
    if (fd >= 0)
        close(fd);
    return length;
}

/* Where the kernel does not tell it, no start is this one. */
static ssize_t read_boot(char *text)
{
    return read_text("/proc/sys/kernel/random/boot_id", text);
}

bool tide_store_is_of_other_boot(const char *dir)
{
    char path[PATH], noted[BOOT], present[BOOT];
    path_in(dir, path);
    ssize_t length = read_text(path, noted);
    if (length < 0 && errno == ENOENT)
        return false;
    return length <= 0 || read_boot(present) != length ||
           memcmp(noted, present, (size_t)length) != 0;
}

/* The folder is synced too: without its entry the file would not be there after the end of the machine. */
int tide_store_mark_unsynced(const char *dir)
{
    char path[PATH], present[BOOT];
    ssize_t length = read_boot(present);
    path_in(dir, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && (length <= 0 || write(fd, present, (size_t)length) == length) &&
                   fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    int folder = written ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    written = written && folder >= 0 && fsync(folder) == 0;
    if (folder >= 0)
        close(folder);
    if (!written)
        return tide_fail(error == ENOSPC ? TIDE_ETEMPORARY : TIDE_ECONFIG,
                         "state_dir %s: cannot write %s: %s", dir, path, strerror(error));
    return TIDE_OK;
}

void tide_store_mark_synced(const char *dir)
{
    char path[PATH];
    path_in(dir, path);
    unlink(path);
}
