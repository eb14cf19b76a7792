/* SPDX-License-Identifier: MIT
 * engine/proc/protocol.h - what engine, zygote and workers send each other: datagrams over SOCK_SEQPACKET pairs that are
 * made before the fork, one pair for the zygote and one for each worker slot. A slot keeps its sockets when its worker is
 * replaced; `generation` tells the messages of the old worker from those of the new one. The worker's end, its log and the
 * memory that it may write come to it with the command SPAWN, as descriptors (SCM_RIGHTS): see proc/spawn.c.
 *
 *   from     to       what                    answered by
 *   engine   zygote   command SPAWN           event SPAWNED (the process id, or -1 when fork failed)
 *   (engine kills a worker)                   event EXITED. It kills by itself (zygote.h), since the zygote may signal nobody
 *   zygote   engine   event LOADING           before each file and each `init` hook: which one
 *   zygote   engine   event LOADED/REJECTED   once, after the user's code was loaded
 *   zygote   engine   event LOOKUP            after a file of a lookup table was read, or could not be
 *   engine   zygote   command UNUSED          once each job that workers are in began after that event
 *   zygote   engine   event CRASHED           before it dies of a crash in the user's code: where (proc/crash.h)
 *   zygote   engine   event EXITED            the engine takes the worker's last reports from its socket first, then
 *                                             commands SPAWN with the next generation
 *   worker   engine   hello HOOK              before each `start` hook: which one
 *   worker   engine   hello READY             once, when all `start` hooks have run: jobs from then on
 *   worker   engine   hello FAILED            a `start` hook failed; the worker leaves
 *   worker   engine   hello FAILED_FOR_NOW    the same, but it asked by tide.retry to be tried again
 *   engine   worker   job                     report, once all records are done or the output block is full;
 *                                             a worker drops jobs of another generation than its own
 *   worker   engine   crash report            before it dies of a crash: where (proc/crash.h)
 *   engine   worker   order PROFILE           sampling begins, between two jobs; a second one begins anew
 *   engine   worker   order PROFILE_END       pieces of the profile, the last one marked (proc/profile.h)
 *   (closed) any      end of file             the engine is gone: zygote and workers leave. PDEATHSIG ends a worker that
 *                                             hangs in the user's code
 *
 * Neither zygote nor workers are trusted: what they send is checked (proc/received.h says where). A worker that sends
 * anything else, or out of turn, is killed; an event that breaks the protocol is ignored and counted. */
#ifndef TIDE_PROC_PROTOCOL_H
#define TIDE_PROC_PROTOCOL_H

#include <stdint.h>

/** Run records [first, end) of a block. Addresses hold in the worker too: all was mapped before the fork, or is mapped
 * at the address that it had. */
struct tide_job {
    uint64_t number; /* its report has the same; 0 = no job at all: the worker is to leave */
    uint32_t step;   /* whose functions run */
    uint32_t worker; /* the slot */
    uint32_t generation;
    uint32_t first;
    uint32_t end;
    uint32_t
        one_by_one; /* 1: a function for several records is called with one at a time, to find the one that
                            crashes it */
    const char *record; /* record `first` */
    const struct tide_state_place
        *states;                /* of record `first` (shm/layout.h); NULL = the step has no state */
    struct tide_output *output; /* of the worker's slot; set by the pool */
    uint64_t output_size;       /* bytes for results after struct tide_output */
    uint64_t output_max;        /* bytes that a single result may take in an empty block */
};

enum tide_job_status {
    TIDE_JOB_DONE, /* all records of the job */
    TIDE_JOB_FULL  /* the next result does not fit after those that are there */
};

/** The exit code of a worker that was refused more memory. Nothing of its heap can be trusted then, so it sends no
 * report. */
enum { TIDE_EXIT_MEMORY = 71 };

enum tide_hello_kind {
    TIDE_HELLO_HOOK,          /* the `start` hook in `text` begins now */
    TIDE_HELLO_READY,         /* all of them have run */
    TIDE_HELLO_FAILED,        /* one failed; `text` says why */
    TIDE_HELLO_FAILED_FOR_NOW /* one failed and asks to be tried again later (tide.retry) */
};
struct tide_hello {
    uint32_t generation;
    uint32_t kind;
    char text[2040];
};

struct tide_job_report {
    uint64_t number;
    uint32_t generation;
    uint32_t status;  /* enum tide_job_status */
    uint64_t busy_ns; /* from taking the job to this report */
    uint64_t
        whole_batch; /* 1: one of the functions takes the whole batch, so the time is not the sum of messages */
    uint64_t cpu_ns; /* processor time of the worker within busy_ns ... */
    uint64_t
        delay_ns; /* ... and time that it was ready to run and had no core; the rest of busy_ns it waited */
};

enum tide_order_kind { TIDE_ORDER_PROFILE, TIDE_ORDER_PROFILE_END };
/** What a worker does between two jobs; like jobs it is dropped by another generation. */
struct tide_order {
    uint32_t generation;
    uint32_t kind;
    int64_t limit_us; /* PROFILE: sampling ends after this time, whether an order says so or not */
};

/** A piece of a profile: text, as lua/tidemill/run/profile.lua writes it. */
struct tide_profile_piece {
    uint32_t generation;
    uint32_t last; /* 1: the profile is complete */
    uint32_t size; /* of `bytes` */
    char bytes[4084];
};
/** A profile is cut to this size by its worker; one that sends more breaks the protocol. */
enum { TIDE_PROFILE_BYTES = 1 << 20 };

/** As many bytes of the last words of a process are kept, with the NUL: they go into a header of a dead letter. */
enum { TIDE_CRASH_TEXT = 1024 };
/** The last words of a worker. */
struct tide_crash_report {
    uint32_t generation;
    char text[1532];
};

enum tide_zygote_command_kind { TIDE_COMMAND_SPAWN, TIDE_COMMAND_UNUSED };
struct tide_zygote_command {
    uint32_t kind;
    uint32_t worker;     /* UNUSED: the number of the lookup table */
    uint32_t generation; /* UNUSED: the version that it has; what was there before nobody reads */
};

enum tide_zygote_event_kind {
    TIDE_ZYGOTE_LOADING,
    TIDE_ZYGOTE_LOADED,
    TIDE_ZYGOTE_REJECTED,
    TIDE_ZYGOTE_SPAWNED,
    TIDE_ZYGOTE_EXITED,
    TIDE_ZYGOTE_CRASHED,
    TIDE_ZYGOTE_LOOKUP
};
struct tide_zygote_event {
    uint32_t kind;
    uint32_t worker;
    uint32_t generation;
    int32_t pid;
    int32_t
        status; /* EXITED: as waitpid gives it; SPAWNED: errno when fork failed; REJECTED: TIDE_ECONFIG or
                        TIDE_ETEMPORARY */
    char text[2036]; /* LOADING: what; REJECTED: why the user's code cannot be loaded;
                        CRASHED: where; LOOKUP: struct tide_lookup_report (lookup/lookup.h) */
};

#endif
