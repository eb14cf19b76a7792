/* SPDX-License-Identifier: MIT */
#include "proc/watch.h"

#include "proc/pool.h"
#include "shm/layout.h"

static const int64_t LONGEST_LOOK_US = 1000000;

bool tide_watch_look(struct tide_watch *watch, const struct tide_work *work, int64_t limit_us,
                     int64_t now_us)
{
    int64_t since_us = now_us - watch->looked_us;
    if (watch->late)
        return false; /* what was watched is what it dies of */
    watch->looked_us = now_us;
    uint32_t running = work ? __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE) : 0;
    if (!work) {
        watch->stuck_us = 0;
        return false;
    }
    uint64_t progress = __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE);
    if (work->job.number != watch->number || progress != watch->progress ||
        running != watch->running) {
        watch->number = work->job.number;
        watch->progress = progress;
        watch->running = running;
        watch->stuck_us = 0;
        return false;
    }
    int64_t most_us = limit_us / 4 < LONGEST_LOOK_US ? limit_us / 4 : LONGEST_LOOK_US;
    watch->stuck_us += since_us < most_us ? since_us : most_us;
    watch->late = watch->stuck_us > limit_us;
    return watch->late;
}

bool tide_watch_died_late(const struct tide_watch *watch, const struct tide_work *work)
{
    return watch->late && work->job.number == watch->number &&
           __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE) == watch->running &&
           __atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE) == watch->progress;
}
