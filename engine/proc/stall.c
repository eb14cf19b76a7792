/* SPDX-License-Identifier: MIT
 * Whether a worker stands still is measured by what the engine saw of it from turn to turn, not by the clock alone:
 * after a pause of the engine itself (SIGSTOP, a machine that sleeps) every worker would be too late. Start with
 * tide_stall_check(). */
#include "proc/stall.h"

#include <time.h>

#include "proc/pool.h"
#include "shm/layout.h"

static const int64_t LONGEST_COUNTED_US = 1000000;

/* Takes over where the worker is now. True when that is where it was at the last check. */
static bool is_unchanged(struct tide_stall *stall, const struct tide_work *work)
{
    uint32_t running = __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
    uint64_t progress = __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE);
    bool same = work->job.number == stall->number && progress == stall->progress &&
                running == stall->running;
    stall->number = work->job.number;
    stall->progress = progress;
    stall->running = running;
    return same;
}

bool tide_stall_check(struct tide_stall *stall, const struct tide_work *work, int64_t limit_us,
                      int64_t now_us)
{
    int64_t since_us = now_us - stall->checked_us;
    int64_t most_us = limit_us / 4 < LONGEST_COUNTED_US ? limit_us / 4 : LONGEST_COUNTED_US;
    if (stall->stalled)
        return false; /* what was found stays as it is: tide_stall_killed() compares with it */
    stall->checked_us = now_us;
    if (!work || !is_unchanged(stall, work)) {
        stall->stalled_us = 0;
        return false;
    }
    stall->stalled_us += since_us < most_us ? since_us : most_us;
    stall->stalled = stall->stalled_us > limit_us;
    return stall->stalled;
}

/* What a record used before it was first seen is not counted: never too much, and less by one turn at most. */
bool tide_stall_check_cpu(struct tide_stall *stall, int64_t cpu_us, int64_t limit_us)
{
    if (stall->stalled || cpu_us < 0)
        return false;
    if (stall->stalled_us == 0)
        stall->cpu_from_us = cpu_us;
    stall->cpu_us = cpu_us - stall->cpu_from_us;
    stall->stalled = stall->over_cpu = stall->cpu_us > limit_us;
    return stall->stalled;
}

int64_t tide_stall_cpu_us(int32_t pid)
{
    struct timespec used;
    clockid_t clock;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

bool tide_stall_killed(const struct tide_stall *stall, const struct tide_work *work)
{
    return stall->stalled && work->job.number == stall->number &&
           __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE) == stall->running &&
           __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE) == stall->progress;
}
