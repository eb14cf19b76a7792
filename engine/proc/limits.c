/* SPDX-License-Identifier: MIT
 * The limits that the kernel keeps for a worker, set right after its fork and never raised again: open files, and whether
 * a crash writes a core file. Memory is in guard.c. */
#include <fcntl.h>
#include <sys/resource.h>

#include "base/plan.h"
#include "proc/inside.h"

enum { MOST_OPEN = 65536 }; /* of the engine's own there are less */

/* How many descriptors of [from, to) are open. It asks for each number, since /proc may be out of reach in a sandbox. */
static uint64_t count_open(uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (; from < to && from < MOST_OPEN; from++)
        count += fcntl((int)from, F_GETFD) >= 0;
    return count;
}

/* The kernel limits the number of a descriptor, and new ones get the lowest that is free. So the limit is the one below
 * which as many are free as the worker may have. */
static void limit_open_files(uint64_t more)
{
    uint64_t from = 0, limit = more;
    struct rlimit present;
    while (from < limit) {
        uint64_t open = count_open(from, limit);
        from = limit;
        limit += open;
    }
    getrlimit(RLIMIT_NOFILE, &present);
    if (limit < present.rlim_max)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit});
}

/* Where the system hands cores to a program, a limit of 0 does not keep it from that (core(5)); a sandbox does. */
void tide_limit_core(bool core_dumps)
{
    struct rlimit core = {0, 0};
    if (core_dumps) {
        getrlimit(RLIMIT_CORE, &core);
        core.rlim_cur = core.rlim_max;
    }
    setrlimit(RLIMIT_CORE, &core);
}

void tide_limit_worker(const struct tide_worker_limits *limits)
{
    if (limits->max_open_files > 0)
        limit_open_files(limits->max_open_files);
}
