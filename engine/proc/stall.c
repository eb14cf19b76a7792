/* SPDX-License-Identifier: MIT */
#include "proc/stall.h"

#include "proc/pool.h"
#include "shm/layout.h"

static const int64_t LONGEST_LOOK_US = 1000000;

bool tide_stall_check(struct tide_stall *stall, const struct tide_work *work, int64_t limit_us,
                      int64_t now_us)
{
    int64_t since_us = now_us - stall->looked_us;
    if (stall->stalled)
        return false; /* what was watched is what it dies of */
    stall->looked_us = now_us;
    uint32_t running = work ? __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE) : 0;
    if (!work) {
        stall->stuck_us = 0;
        return false;
    }
    uint64_t progress = __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE);
    if (work->job.number != stall->number || progress != stall->progress ||
        running != stall->running) {
        stall->number = work->job.number;
        stall->progress = progress;
        stall->running = running;
        stall->stuck_us = 0;
        return false;
    }
    int64_t most_us = limit_us / 4 < LONGEST_LOOK_US ? limit_us / 4 : LONGEST_LOOK_US;
    stall->stuck_us += since_us < most_us ? since_us : most_us;
    stall->stalled = stall->stuck_us > limit_us;
    return stall->stalled;
}

bool tide_stall_killed(const struct tide_stall *stall, const struct tide_work *work)
{
    return stall->stalled && work->job.number == stall->number &&
           __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE) == stall->running &&
           __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE) == stall->progress;
}
