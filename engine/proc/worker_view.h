/* SPDX-License-Identifier: MIT
 * engine/proc/worker_view.h - what is to be seen of one worker slot, for /status and for those who show it. */
#ifndef TIDE_PROC_WORKER_VIEW_H
#define TIDE_PROC_WORKER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

enum tide_worker_seen {
    TIDE_WORKER_SEEN_STARTING, /* there is no worker, or it runs its `start` hooks */
    TIDE_WORKER_SEEN_IDLE,     /* it has no batch */
    TIDE_WORKER_SEEN_RUNNING,  /* it has one */
    TIDE_WORKER_SEEN_ENDING    /* it is killed, and another one takes its place */
};

/** Totals are those of all workers that the slot ever had. */
struct tide_worker_view {
    int32_t pid; /* 0 = none */
    enum tide_worker_seen state;
    bool in_use;       /* else it has no work of a batch that begins now */
    int64_t busy_us;   /* time with a batch */
    uint64_t messages; /* run by them */
    uint64_t lost;     /* workers that died */
};

#endif
