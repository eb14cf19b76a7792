/* SPDX-License-Identifier: MIT
 * How much memory a worker may take. C code that is refused memory dies of it in its own way, mostly by a null pointer,
 * abort() or exit(). Whether memory was the cause can be seen only while the process is still there, so the worker looks at
 * itself in the signal handler (crash.c) and at exit, and leaves with an exit code that says so. cgroups were not taken: they need
 * rights that a pipeline does not have, and kill without a word. Start with tide_guard_memory(). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/inside.h"
#include "proc/protocol.h"

enum { OOM_SCORE = 500 }; /* of 1000, above the engine's own */

static uint64_t limit;  /* bytes of data that this process may have */
static uint64_t scarce; /* with fewer bytes than this left, a death is put down to memory */

/* Heap and private mappings in bytes, as RLIMIT_DATA counts them; 0 = unknown. Safe in a signal handler: that is why it
 * reads the number by hand. */
static uint64_t data_bytes(void)
{
    char text[160];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *at = text;
    uint64_t pages = 0;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = 0;
    for (int field = 0; field < 5 && at; field++) /* size resident shared text lib data */
        at = (at = strchr(at, ' ')) ? at + 1 : NULL;
    for (; at && *at >= '0' && *at <= '9'; at++)
        pages = pages * 10 + (uint64_t)(*at - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void tide_guard_leave_if_scarce(void)
{
    if (limit > 0 && data_bytes() + scarce > limit)
        _exit(TIDE_EXIT_MEMORY);
}

/* Raising the score needs no rights, lowering it would. Where /proc is missing the kernel chooses as it likes. */
static void set_oom_score(void)
{
    int own = 0;
    FILE *file = fopen("/proc/self/oom_score_adj", "r+e");
    if (!file)
        return;
    if (fscanf(file, "%d", &own) == 1) {
        rewind(file);
        fprintf(file, "%d", own + OOM_SCORE < 1000 ? own + OOM_SCORE : 1000);
    }
    fclose(file);
}

void tide_guard_memory(uint64_t bytes)
{
    uint64_t loaded = data_bytes();
    set_oom_score();
    tide_alloc_exit(TIDE_EXIT_MEMORY);
    if (bytes == 0 || loaded == 0)
        return;
    limit = loaded + bytes;
    scarce = bytes / 16;
    setrlimit(RLIMIT_DATA, &(struct rlimit){limit, limit});
    atexit(tide_guard_leave_if_scarce);
}
