/* SPDX-License-Identifier: MIT
 * How much memory a worker may take, and the zygote while it loads the user's code. C code that is refused memory dies of
 * it in its own way, mostly by a null pointer, abort() or exit(). Whether memory was the cause can be seen only while the
 * process is still there, so it looks at itself in the signal handler (crash.c) and at exit, and leaves with an exit code
 * that says so. cgroups were not taken: they need rights that a pipeline does not have, and kill without a word. Start with
 * tide_guard_memory().
 *
 * A process is given its score of the kernel's out-of-memory killer by the zygote, which raises its own for the moment in
 * which it forks: so workers go before the engine and the zygote. */
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

static int score_file = -1; /* of the zygote */
static int own_score;

static uint64_t limit;  /* bytes of data that this process may have */
static uint64_t scarce; /* with fewer bytes than this left, a death is put down to memory */
static struct rlimit before_loading; /* of the zygote */

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

/* Opened before the sandbox, in which a worker could not open its own any more. Where /proc is missing the kernel chooses
 * as it likes. */
int tide_guard_open(void)
{
    char text[16] = "";
    score_file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (score_file >= 0 && pread(score_file, text, sizeof(text) - 1, 0) > 0)
        own_score = atoi(text);
    return score_file;
}

/* Raising the score needs no rights, nor does taking back what was raised. */
void tide_guard_score(bool raised)
{
    char text[16];
    int score = own_score + (raised ? OOM_SCORE : 0);
    int length = snprintf(text, sizeof(text), "%d", score < 1000 ? score : 1000);
    if (score_file >= 0)
        (void)!pwrite(score_file, text, (size_t)length, 0);
}

void tide_guard_close(void)
{
    if (score_file >= 0)
        close(score_file);
    score_file = -1;
}

/* Returns the limit for the kernel; 0 = none. */
static uint64_t begin_limit(uint64_t bytes)
{
    uint64_t present = data_bytes();
    tide_alloc_exit(TIDE_EXIT_MEMORY);
    limit = bytes > 0 && present > 0 ? present + bytes : 0;
    scarce = bytes / 16;
    return limit;
}

void tide_guard_memory(uint64_t bytes)
{
    if (begin_limit(bytes) == 0)
        return;
    setrlimit(RLIMIT_DATA, &(struct rlimit){limit, limit});
    atexit(tide_guard_leave_if_scarce);
}

/* The limit is taken back later, since workers may be given more. */
void tide_guard_loading(uint64_t bytes)
{
    getrlimit(RLIMIT_DATA, &before_loading);
    if (begin_limit(bytes) == 0)
        return;
    if (limit > before_loading.rlim_cur)
        limit = before_loading.rlim_cur;
    setrlimit(RLIMIT_DATA, &(struct rlimit){limit, before_loading.rlim_max});
    atexit(tide_guard_leave_if_scarce);
}

void tide_guard_loaded(void)
{
    if (limit > 0)
        setrlimit(RLIMIT_DATA, &before_loading);
    limit = 0;
    tide_alloc_exit(-TIDE_EINTERNAL);
}
