/* SPDX-License-Identifier: MIT
 * engine/proc/inside.h - what zygote.c (engine's side) and worker.c (child's side) both know. */
#ifndef TIDE_PROC_INSIDE_H
#define TIDE_PROC_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/protocol.h"

struct tide_child {
    int32_t pid; /* 0 = none; known in the zygote */
    uint32_t generation;
};

struct tide_zygote {
    struct tide_loop *loop;
    uint32_t workers;
    int engine_end;   /* control socket, -1 in the child */
    int zygote_end;   /* -1 in the engine */
    int *engine_ends; /* one for each worker's place */
    int *worker_ends;
    struct tide_block **inputs;
    struct tide_block **outputs;
    uint32_t input_count;
    uint32_t output_count;
    int32_t pid;
    uint64_t memory; /* bytes a worker may take, 0 = no limit */
    bool loaded;     /* the zygote said so, or that it could not */
    char loading[sizeof(((struct tide_zygote_event *)0)->text)]; /* what it is at until then */
    int64_t loading_us;                                          /* since when */
    int64_t start_limit_us;                                      /* for each of these; 0 = none */
    uint64_t heard;                                              /* notices */
    /* in the zygote */
    int signals; /* signalfd for SIGCHLD */
    struct tide_child *children;
    /* in a worker */
    int own; /* its socket */
    uint32_t generation;
    uint64_t job_began_ns;
};

/** In the zygote, right after the fork. */
int tide_zygote_become(struct tide_zygote *zygote, int32_t parent);

/** In a worker, right after the fork (guard.c): what it may take, and whom the kernel takes when the machine
 * has no memory left. */
void tide_guard_memory(uint64_t bytes);

#endif
