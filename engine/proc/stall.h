/* SPDX-License-Identifier: MIT
 * engine/proc/stall.h - whether a worker stands still: at one record for longer than message_timeout, or with a
 * job that it does not take up (stopped between two blocks; nobody is blamed for that). Looked at from
 * outside, so it holds for C functions and compiled loops too. */
#ifndef TIDE_PROC_STALL_H
#define TIDE_PROC_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct tide_work;

/** Of one worker; zero it when the worker is another. */
struct tide_stall {
    uint64_t number; /* job, progress and state at the last look, */
    uint64_t progress;
    uint32_t running;
    int64_t looked_us; /* when that was, */
    int64_t stuck_us;  /* and for how long it has been the same */
    bool stalled;      /* told once that it stands still */
};

/** `work` is the first in the worker's mailbox, NULL = none. True once: it has stood still for longer than
 * `limit_us`. At most a second, and a quarter of the limit, is counted between two looks: an engine that was
 * stopped, alone or together with its workers, finds nobody late. */
bool tide_stall_check(struct tide_stall *stall, const struct tide_work *work, int64_t limit_us,
                      int64_t now_us);
/** The worker was killed for the record that it was at, not for one that it has begun since. */
bool tide_stall_killed(const struct tide_stall *stall, const struct tide_work *work);

#endif
