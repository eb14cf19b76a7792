/* SPDX-License-Identifier: MIT
 * Reads a file into a version of a lookup table. The file is mapped and read where it lies, so a builder needs little memory
 * of its own; when the file is cut meanwhile, the builder ends by SIGBUS, which reload.c reports. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "lookup/inside.h"

static int fail_file(const struct tide_lookup_source *source)
{
    return tide_fail(TIDE_ECONFIG, "%s: %s%s", source->name, strerror(errno),
                     errno == EACCES
                         ? "; transforms read files in the folder of the pipeline and in "
                           "files = { read = { ... } }"
                         : "");
}

static void describe(const struct stat *status, struct tide_lookup_file *file)
{
    file->device = status->st_dev;
    file->inode = status->st_ino;
    file->size = (uint64_t)status->st_size;
    file->modified_ns = status->st_mtim.tv_sec * 1000000000LL + status->st_mtim.tv_nsec;
    file->changed_ns = status->st_ctim.tv_sec * 1000000000LL + status->st_ctim.tv_nsec;
}

int tide_lookup_look(const struct tide_lookup_source *source, struct tide_lookup_file *file)
{
    struct stat status;
    memset(file, 0, sizeof(*file));
    if (stat(source->path, &status) < 0)
        return fail_file(source);
    describe(&status, file);
    return TIDE_OK;
}

int tide_lookup_build(const struct tide_lookup_source *source, const char *bytes, uint64_t size,
                      struct tide_lookup_table *table, uint64_t room)
{
    struct tide_lookup_writer writer;
    tide_lookup_writer_init(&writer, source, table, room);
    int status = source->format == TIDE_LOOKUP_CSV ? tide_lookup_read_csv(&writer, bytes, size)
                 : source->format == TIDE_LOOKUP_JSON
                     ? tide_lookup_read_json(&writer, bytes, size)
                     : tide_lookup_read_msgpack(&writer, bytes, size);
    if (status == TIDE_OK)
        status = tide_lookup_finish(&writer);
    tide_lookup_writer_free(&writer);
    return status;
}

/* An empty file is what is left of one that is about to be written, so it is no table without rows. */
static int build_open(const struct tide_lookup_source *source, int fd,
                      struct tide_lookup_table *table, uint64_t room, struct tide_lookup_file *file)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return fail_file(source);
    describe(&status, file);
    if (!S_ISREG(status.st_mode))
        return tide_fail(TIDE_ECONFIG, "%s: is no regular file", source->name);
    if (file->size == 0)
        return tide_fail(TIDE_ECONFIG, "%s: is empty (0 bytes)", source->name);
    char *bytes = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return fail_file(source);
    madvise(bytes, file->size, MADV_SEQUENTIAL);
    tide_fault("lookup.build");
    int result = tide_lookup_build(source, bytes, file->size, table, room);
    munmap(bytes, file->size);
    return result;
}

void tide_lookup_build_file(const struct tide_lookup_source *source,
                            struct tide_lookup_table *table, uint64_t room,
                            struct tide_lookup_file *file, struct tide_lookup_report *report)
{
    int64_t began_us = tide_clock_us();
    struct tide_lookup_file after;
    /* O_NONBLOCK: opening a FIFO would wait for its writer. */
    int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int status = fd < 0 ? fail_file(source) : build_open(source, fd, table, room, file);
    if (fd >= 0) {
        struct stat now;
        memset(&after, 0, sizeof(after));
        if (fstat(fd, &now) == 0)
            describe(&now, &after);
        close(fd);
    }
    report->rows = table->rows;
    report->bytes = table->size;
    report->time_us = tide_clock_us() - began_us;
    if (status < 0)
        snprintf(report->problem, sizeof(report->problem), "%s", tide_error());
    report->state = status < 0 ? TIDE_LOOKUP_FAILED : TIDE_LOOKUP_READ;
    if (fd >= 0 && (after.size != file->size || after.modified_ns != file->modified_ns))
        report->state = TIDE_LOOKUP_CHANGED;
}
