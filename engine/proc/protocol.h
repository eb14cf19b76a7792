/* SPDX-License-Identifier: MIT
 * engine/proc/protocol.h - what travels between engine, zygote and workers: datagrams over SOCK_SEQPACKET
 * pairs that are made before the fork, one for the zygote and one for each worker's place. A worker's
 * place keeps its socket when the worker is replaced; `generation` tells the old one's jobs from the new one's.
 *
 *   from     to       what                   answered by
 *   engine   zygote   order SPAWN            notice SPAWNED (pid, or -1 when fork failed)
 *   engine   zygote   order KILL             notice EXITED; only if that generation is still alive
 *   zygote   engine   notice LOADING         before each file and each `init` hook: which one
 *   zygote   engine   notice LOADED/REJECTED once, after the user's code was loaded
 *   zygote   engine   notice EXITED          engine: takes the worker's last reports from its socket first,
 *                                            then orders SPAWN with the next generation
 *   worker   engine   hello, starting        before each `start` hook: which one
 *   worker   engine   hello                  once, when its `start` hooks are through: jobs from then on. A hook
 *                                            that failed is told in it, and the worker leaves
 *   engine   worker   job                    report, once the job is through or the output block is full;
 *                                            a worker drops jobs of another generation than its own
 *   (closed) any      end of file            engine gone: zygote and workers leave. PDEATHSIG says the same
 *                                            to one that is stuck in user code. */
#ifndef TIDE_PROC_PROTOCOL_H
#define TIDE_PROC_PROTOCOL_H

#include <stdint.h>

/** Run records [first, end) of a block. Addresses hold in every process: all was mapped before the fork. */
struct tide_job {
    uint64_t number; /* of the job, for its report */
    uint32_t step;   /* which functions */
    uint32_t worker;
    uint32_t generation;
    uint32_t first;
    uint32_t end;
    uint32_t
        one_by_one; /* 1: a function for several records gets one at a time: one of them is bad */
    const char *record; /* record `first` */
    struct tide_output *output;
    uint64_t output_size; /* bytes for results behind struct tide_output */
    uint64_t output_max;  /* as much may be used for one result in an empty block */
};

enum tide_job_status {
    TIDE_JOB_DONE, /* all records of the job */
    TIDE_JOB_FULL  /* the next result does not fit behind those that are there */
};

/** What a worker leaves with when it may not have more memory: nothing of its heap is trusted then. */
enum { TIDE_EXIT_MEMORY = 71 };

struct tide_hello {
    uint32_t generation;
    uint32_t failed;   /* 1: a `start` hook failed, 2: it wants to be tried again; why is in text */
    uint32_t starting; /* 1: the hook in text begins now */
    char text[2036];
};

struct tide_job_report {
    uint64_t number;
    uint32_t generation;
    uint32_t status;
    uint64_t busy_ns; /* from taking the job to this report */
    uint64_t
        whole_batch; /* 1: its function takes a whole batch, so the time is not that of so many messages */
};

enum tide_zygote_command_kind { TIDE_COMMAND_SPAWN, TIDE_COMMAND_KILL };
struct tide_zygote_command {
    uint32_t kind;
    uint32_t worker;
    uint32_t generation;
};

enum tide_zygote_event_kind {
    TIDE_ZYGOTE_LOADING,
    TIDE_ZYGOTE_LOADED,
    TIDE_ZYGOTE_REJECTED,
    TIDE_ZYGOTE_SPAWNED,
    TIDE_ZYGOTE_EXITED
};
struct tide_zygote_event {
    uint32_t kind;
    uint32_t worker;
    uint32_t generation;
    int32_t pid;
    int32_t status;  /* EXITED: as waitpid gives it; REJECTED: TIDE_ECONFIG or TIDE_ETEMPORARY */
    char text[2036]; /* LOADING: what; REJECTED: why the user's code cannot be loaded */
};

#endif
