/* SPDX-License-Identifier: MIT
 * The memory of lookup tables, and their versions. A table has two halves: one is current, into the other one the next version
 * is written. A worker looks which one is current when a job begins, and stays with it to its end. Start with
 * tide_lookups_swap(). */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "lookup/inside.h"

/* Whole pages; the tables come behind. */
static uint64_t control_size(void)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (sizeof(struct tide_lookups_control) + page - 1) / page * page;
}

static uint64_t place_of(uint32_t table)
{
    return control_size() + (uint64_t)table * 2 * TIDE_LOOKUP_ROOM;
}

struct tide_lookups *tide_lookups_new(void)
{
    char path[32];
    struct tide_lookups *lookups = tide_alloc(sizeof(*lookups));
    lookups->read_only = -1;
    lookups->fd = memfd_create("tidemill-lookup", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", lookups->fd);
    if (lookups->fd >= 0)
        lookups->read_only = open(path, O_RDONLY | O_CLOEXEC);
    if (lookups->read_only >= 0)
        return lookups;
    tide_fail_system("shared memory for lookup tables");
    tide_lookups_free(lookups);
    return NULL;
}

static void close_descriptors(struct tide_lookups *lookups)
{
    if (lookups->fd >= 0)
        close(lookups->fd);
    if (lookups->read_only >= 0)
        close(lookups->read_only);
    lookups->fd = lookups->read_only = -1;
}

static void free_source(struct tide_lookup_source *source)
{
    free((char *)source->name);
    free((char *)source->path);
    for (uint32_t i = 0; i < source->key_count; i++)
        free((char *)source->keys[i]);
}

void tide_lookups_free(struct tide_lookups *lookups)
{
    if (!lookups)
        return;
    close_descriptors(lookups);
    if (lookups->control)
        munmap(lookups->control, control_size());
    for (uint32_t i = 0; i < lookups->count; i++) {
        munmap(lookups->tables[i].halves, 2 * TIDE_LOOKUP_ROOM);
        free_source(&lookups->tables[i].source);
    }
    free(lookups);
}

uint32_t tide_lookups_descriptors(const struct tide_lookups *lookups, int *fds)
{
    fds[0] = lookups->fd;
    fds[1] = lookups->read_only;
    return 2;
}

/* It is left out of core files, which would have each page of it, whether there is something in it or not. */
static void *map(uint64_t size, uint64_t from, int fd, int rights, void *at)
{
    void *memory = mmap(at, size, rights, MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd,
                        (off_t)from);
    if (memory != MAP_FAILED)
        madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

static int open_control(struct tide_lookups *lookups)
{
    if (lookups->control)
        return TIDE_OK;
    if (ftruncate(lookups->fd, (off_t)control_size()) < 0)
        return tide_fail_system("shared memory for lookup tables");
    void *memory = map(control_size(), 0, lookups->fd, PROT_READ | PROT_WRITE, NULL);
    if (memory == MAP_FAILED)
        return tide_fail_system("shared memory for lookup tables");
    lookups->control = memory;
    lookups->control->epoch = 1;
    return TIDE_OK;
}

/* Beyond the limit of this process ftruncate() ends it by SIGXFSZ. */
static bool is_size_limited(uint64_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur < size;
}

int tide_lookups_add(struct tide_lookups *lookups, const struct tide_lookup_source *source)
{
    uint32_t number = lookups->count;
    struct tide_lookup_entry *entry = &lookups->tables[number];
    if (number == TIDE_LOOKUP_TABLES)
        return tide_fail(TIDE_ECONFIG, "%s: there are more than %d lookup tables", source->name,
                         TIDE_LOOKUP_TABLES);
    if (is_size_limited(place_of(number + 1)))
        return tide_fail(TIDE_ECONFIG,
                         "%s: the size of files is limited (ulimit -f, LimitFSIZE=), and with it "
                         "that of the memory for lookup tables; it has to be unlimited",
                         source->name);
    if (open_control(lookups) < 0)
        return tide_failure();
    if (ftruncate(lookups->fd, (off_t)place_of(number + 1)) < 0)
        return tide_fail_system("shared memory for lookup tables");
    entry->halves = map(2 * TIDE_LOOKUP_ROOM, place_of(number), lookups->fd, PROT_READ | PROT_WRITE,
                        NULL);
    if (entry->halves == MAP_FAILED)
        return tide_fail(TIDE_ECONFIG,
                         "%s: no address space for a lookup table; is it limited (ulimit -v)?",
                         source->name);
    entry->source = *source;
    entry->source.name = tide_copy(source->name);
    entry->source.path = tide_copy(source->path);
    for (uint32_t i = 0; i < source->key_count; i++)
        entry->source.keys[i] = tide_copy(source->keys[i]);
    lookups->count++;
    return (int)number;
}

static char *half(const struct tide_lookups *lookups, uint32_t table, uint64_t version)
{
    return lookups->tables[table].halves + (version & 1) * TIDE_LOOKUP_ROOM;
}

static uint64_t version_of(const struct tide_lookups *lookups, uint32_t table)
{
    return __atomic_load_n(&lookups->control->version[table], __ATOMIC_SEQ_CST);
}

const struct tide_lookup_table *tide_lookups_table(const struct tide_lookups *lookups,
                                                   uint32_t table)
{
    return (const void *)half(lookups, table, version_of(lookups, table));
}

struct tide_lookup_table *tide_lookups_other(const struct tide_lookups *lookups, uint32_t table)
{
    return (void *)half(lookups, table, version_of(lookups, table) + 1);
}

void tide_lookups_empty_other(struct tide_lookups *lookups, uint32_t table)
{
    uint64_t other = (version_of(lookups, table) + 1) & 1;
    /* When it fails, the pages stay and the next version must not find them. */
    if (fallocate(lookups->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(place_of(table) + other * TIDE_LOOKUP_ROOM), (off_t)TIDE_LOOKUP_ROOM) < 0)
        memset(tide_lookups_other(lookups, table), 0, sizeof(struct tide_lookup_table));
}

uint32_t tide_lookups_swap(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookups_control *control = lookups->control;
    uint64_t version = version_of(lookups, table);
    __atomic_store_n(&control->version[table], version + 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&control->epoch, 1, __ATOMIC_SEQ_CST);
    lookups->tables[table].kept = version > 0;
    return (uint32_t)version + 1;
}

void tide_lookups_unused(struct tide_lookups *lookups, uint32_t table, uint32_t version)
{
    if (table >= lookups->count || (uint32_t)version_of(lookups, table) != version ||
        !lookups->tables[table].kept)
        return;
    tide_lookups_empty_other(lookups, table);
    lookups->tables[table].kept = false;
}

uint64_t tide_lookups_memory(const struct tide_lookups *lookups)
{
    struct stat status;
    return fstat(lookups->fd, &status) < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

/* ---- in a worker ---- */

int tide_lookups_enter_worker(struct tide_lookups *lookups)
{
    bool mapped = !lookups->control || map(control_size(), 0, lookups->read_only, PROT_READ,
                                           lookups->control) != MAP_FAILED;
    for (uint32_t i = 0; i < lookups->count && mapped; i++)
        mapped = map(2 * TIDE_LOOKUP_ROOM, place_of(i), lookups->read_only, PROT_READ,
                     lookups->tables[i].halves) != MAP_FAILED;
    int status = mapped ? TIDE_OK : tide_fail_system("lookup tables of a worker");
    close_descriptors(lookups);
    return status;
}

/* A version is stored before the epoch is raised: who finds the one finds the other. */
double tide_lookups_epoch(const struct tide_lookups *lookups)
{
    return lookups->control ? (double)__atomic_load_n(&lookups->control->epoch, __ATOMIC_SEQ_CST)
                            : 0;
}
