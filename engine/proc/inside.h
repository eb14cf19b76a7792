/* SPDX-License-Identifier: MIT
 * engine/proc/inside.h - what zygote.c (the engine's side) and worker.c (the side of zygote and workers) share. After the
 * forks each process has a struct of its own, and uses the part of it that is its own. */
#ifndef TIDE_PROC_INSIDE_H
#define TIDE_PROC_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "proc/protocol.h"
#include "proc/worker_log.h"

struct tide_child {
    int32_t pid; /* 0 = none */
    uint32_t generation;
};

struct tide_zygote {
    /* set before the fork; each process closes the ends that are not its own */
    uint32_t workers; /* slots, over all pools */
    int engine_end;   /* the zygote's socket pair, -1 = closed */
    int zygote_end;
    int *engine_ends; /* one socket pair for each slot */
    int *worker_ends;
    struct tide_block **inputs;
    struct tide_block **outputs;
    uint32_t input_count;
    uint32_t output_count;
    uint64_t memory; /* bytes that a worker may take, 0 = no limit */
    bool core_dumps;
    struct tide_worker_limits *limits; /* of each slot */
    struct tide_worker_log *logs;      /* of each slot */

    /* in the engine: owned by zygote.c */
    struct tide_loop *loop;
    int32_t pid;
    bool loaded; /* the zygote said so, or that it could not load */
    char loading[sizeof(((struct tide_zygote_event *)0)->text)]; /* what it loads until then */
    int64_t loading_us;                                          /* since when */
    int64_t start_limit_us;                                      /* for each of these; 0 = none */
    uint64_t events;                                             /* received */

    /* in the zygote: owned by worker.c */
    int signals; /* signalfd for SIGCHLD */
    struct tide_child *children;

    /* in a worker: owned by worker.c */
    int own; /* its socket */
    uint32_t generation;
    struct tide_order order; /* the last one */
    uint64_t job_began_ns;
    uint64_t job_began_cpu_ns; /* processor time of this process by then */
    int schedstat;             /* what the kernel's scheduler tells of it; -1 = not open */
    uint64_t delay_ns;         /* how long it had no core, as of the last look */
};

/** Makes this process the zygote, right after the fork: signals, descriptors, block mappings. */
int tide_zygote_become(struct tide_zygote *zygote, int32_t parent);

/** Limits the memory of this worker to `bytes` more than it has now, right after the fork, and has the kernel take it
 * before the engine when the machine is out of memory (guard.c). */
void tide_guard_memory(uint64_t bytes);
/** Ends this worker with TIDE_EXIT_MEMORY when it has next to nothing left of what it may take. May be called in a signal
 * handler. */
void tide_guard_leave_if_scarce(void);

/** The limits that the kernel keeps for this worker, right after its fork (limits.c). */
void tide_limit_worker(const struct tide_worker_limits *limits);
/** Whether this process and its children leave core files. */
void tide_limit_core(bool core_dumps);

/** From now on a crash of this process, the zygote or a worker, is told to the engine (proc/crash.h). */
void tide_crash_watch_zygote(const struct tide_zygote *zygote);
void tide_crash_watch_worker(const struct tide_zygote *zygote);
/** In the engine: copies last words (`size` bytes, foreign input), as text without control bytes (pool_crash.c). */
void tide_crash_clean(char clean[TIDE_CRASH_TEXT], const char *from, size_t size);

#endif
