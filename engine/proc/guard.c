/* SPDX-License-Identifier: MIT
 * What a worker may take. C code that is refused memory dies of it in its own way, mostly of a null pointer or
 * by abort() or exit(); whether memory was why is to be seen only while the process is still there. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/inside.h"
#include "proc/protocol.h"

enum { OOM_SCORE = 500 }; /* of 1000, above the engine's own */

static uint64_t limit, scarce; /* bytes; scarce: with less than so many left, memory is why */

/* Heap and private mappings in bytes, as RLIMIT_DATA counts them; 0 = cannot be known. Safe in a signal handler. */
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

static void leave_if_scarce(void)
{
    if (data_bytes() + scarce > limit)
        _exit(TIDE_EXIT_MEMORY);
}

static void died(int number)
{
    leave_if_scarce();
    signal(number, SIG_DFL);
    raise(number);
}

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
    signal(SIGSEGV, died);
    signal(SIGBUS, died);
    signal(SIGABRT, died);
    atexit(leave_if_scarce);
}
