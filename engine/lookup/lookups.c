/* SPDX-License-Identifier: MIT
 * The memory of lookup tables, their versions, and what workers say of what they read. A table has two halves: one is current,
 * into the other one the next version is written.
 *
 * When may a half be emptied? The zygote raises the epoch with each swap. A worker that begins a job writes the epoch that it
 * sees to its word, and looks again: so either the zygote finds the word, or the worker finds the new epoch. A half that was
 * current before epoch E is unused when each word is 0 (in no job) or at least E. Start with tide_lookups_begin(). */
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

static uint64_t page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t control_size(void)
{
    return (sizeof(struct tide_lookups_control) + page() - 1) / page() * page();
}

/* Behind the control words of the zygote there is a page for each worker, then come the tables. */
static uint64_t tables_at(const struct tide_lookups *lookups)
{
    return control_size() + lookups->workers * page();
}

static uint64_t place_of(const struct tide_lookups *lookups, uint32_t table)
{
    return tables_at(lookups) + (uint64_t)table * 2 * TIDE_LOOKUP_ROOM;
}

struct tide_lookups *tide_lookups_new(uint32_t workers)
{
    char path[32];
    struct tide_lookups *lookups = tide_alloc(sizeof(*lookups));
    lookups->workers = workers;
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
        munmap(lookups->control, tables_at(lookups));
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
    if (ftruncate(lookups->fd, (off_t)tables_at(lookups)) < 0)
        return tide_fail_system("shared memory for lookup tables");
    void *memory = map(tables_at(lookups), 0, lookups->fd, PROT_READ | PROT_WRITE, NULL);
    if (memory == MAP_FAILED)
        return tide_fail_system("shared memory for lookup tables");
    lookups->control = memory;
    lookups->control->epoch = 1;
    lookups->words = (char *)memory + control_size();
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
    if (is_size_limited(place_of(lookups, number + 1)))
        return tide_fail(TIDE_ECONFIG,
                         "%s: the size of files is limited (ulimit -f, LimitFSIZE=), and with it "
                         "that of the memory for lookup tables; it has to be unlimited",
                         source->name);
    if (open_control(lookups) < 0)
        return tide_failure();
    if (ftruncate(lookups->fd, (off_t)place_of(lookups, number + 1)) < 0)
        return tide_fail_system("shared memory for lookup tables");
    entry->halves = map(2 * TIDE_LOOKUP_ROOM, place_of(lookups, number), lookups->fd,
                        PROT_READ | PROT_WRITE, NULL);
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
                  (off_t)(place_of(lookups, table) + other * TIDE_LOOKUP_ROOM),
                  (off_t)TIDE_LOOKUP_ROOM) < 0)
        memset(tide_lookups_other(lookups, table), 0, sizeof(struct tide_lookup_table));
}

void tide_lookups_swap(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookups_control *control = lookups->control;
    uint64_t version = version_of(lookups, table);
    __atomic_store_n(&control->version[table], version + 1, __ATOMIC_SEQ_CST);
    uint64_t epoch = __atomic_add_fetch(&control->epoch, 1, __ATOMIC_SEQ_CST);
    lookups->tables[table].retired = version > 0 ? epoch : 0;
}

uint64_t *tide_lookups_word(const struct tide_lookups *lookups, uint32_t worker)
{
    return (void *)(lookups->words + worker * page());
}

int32_t tide_lookups_holder(const struct tide_lookups *lookups, uint64_t epoch)
{
    for (uint32_t i = 0; i < lookups->workers; i++) {
        uint64_t word = __atomic_load_n(tide_lookups_word(lookups, i), __ATOMIC_SEQ_CST);
        if (word != 0 && word < epoch)
            return (int32_t)i;
    }
    return -1;
}

void tide_lookups_worker_ended(struct tide_lookups *lookups, uint32_t worker)
{
    if (lookups->control)
        __atomic_store_n(tide_lookups_word(lookups, worker), 0, __ATOMIC_SEQ_CST);
}

uint64_t tide_lookups_memory(const struct tide_lookups *lookups)
{
    struct stat status;
    return fstat(lookups->fd, &status) < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

/* ---- in a worker ---- */

int tide_lookups_enter_worker(struct tide_lookups *lookups, uint32_t worker)
{
    bool mapped = true;
    if (lookups->control) {
        void *word = tide_lookups_word(lookups, worker);
        mapped = map(tables_at(lookups), 0, lookups->read_only, PROT_READ, lookups->control) !=
                     MAP_FAILED &&
                 map(page(), control_size() + worker * page(), lookups->fd, PROT_READ | PROT_WRITE,
                     word) != MAP_FAILED;
        lookups->own = word;
    }
    for (uint32_t i = 0; i < lookups->count && mapped; i++)
        mapped = map(2 * TIDE_LOOKUP_ROOM, place_of(lookups, i), lookups->read_only, PROT_READ,
                     lookups->tables[i].halves) != MAP_FAILED;
    int status = mapped ? TIDE_OK : tide_fail_system("lookup tables of a worker");
    close_descriptors(lookups);
    return status;
}

double tide_lookups_begin(struct tide_lookups *lookups)
{
    if (!lookups->control)
        return 0;
    uint64_t epoch = __atomic_load_n(&lookups->control->epoch, __ATOMIC_SEQ_CST), now;
    while (lookups->own) {
        __atomic_store_n(lookups->own, epoch, __ATOMIC_SEQ_CST);
        now = __atomic_load_n(&lookups->control->epoch, __ATOMIC_SEQ_CST);
        if (now == epoch)
            break;
        epoch = now;
    }
    return (double)epoch;
}

void tide_lookups_end(struct tide_lookups *lookups)
{
    if (lookups->own)
        __atomic_store_n(lookups->own, 0, __ATOMIC_SEQ_CST);
}
