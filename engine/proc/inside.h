/* SPDX-License-Identifier: MIT
 * engine/proc/inside.h - what zygote.c (the engine's side) and worker.c (the side of zygote and workers) share. After the
 * forks each process has a struct of its own, and uses the part of it that is its own. */
#ifndef TIDE_PROC_INSIDE_H
#define TIDE_PROC_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "lookup/lookup.h"
#include "proc/connector.h"
#include "proc/forker.h"
#include "proc/lookup_view.h"
#include "proc/protocol.h"
#include "proc/sandbox.h"
#include "proc/stall.h"
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
    int *worker_ends; /* the engine has these too, and gives each worker its own (spawn.c) */
    struct tide_block **blocks; /* all shared memory of the engine */
    uint32_t block_count;
    uint64_t load_memory; /* bytes that loading the user's code may take, 0 = no limit */
    uint64_t memory;      /* bytes that a worker may take, 0 = no limit */
    bool core_dumps;
    struct tide_worker_limits *limits; /* of each slot */
    struct tide_worker_log *logs;      /* of each slot */
    struct tide_worker_log log;        /* of the zygote itself */
    struct tide_plan_sandbox sandbox;
    struct tide_sandbox_support support;
    struct tide_connector *connector; /* NULL = `network` is no list of hosts */
    bool reloads;                     /* there may be later revisions: there is a forker */
    struct tide_forker *forker;       /* NULL = none */
    uint32_t revision;                /* of the transforms, from 1 */
    char known[TIDE_KNOWN_BYTES];     /* in the zygote of a later one: the mark of the one before */

    struct tide_lookups *lookups; /* NULL in the engine after the fork */

    /* in the engine: owned by zygote_lookups.c */
    struct tide_lookup_view views[TIDE_LOOKUP_TABLES];
    struct tide_lookup_totals lookup_totals;
    struct {
        int64_t since_us; /* when the engine heard of it; 0 = none. Cleared by zygote.c */
        uint32_t version;
    } replaced
        [TIDE_LOOKUP_TABLES]; /* versions that have taken another's place, which workers may read still */
    int64_t forked_us;

    /* in the engine: owned by zygote_next.c */
    struct tide_zygote *other; /* of another revision, which is there as well; NULL = none */
    uint32_t newest;           /* the highest revision that has run; 0 = this one */
    bool
        slots_elsewhere; /* sockets, limits and logs of the slots, and what is above, are the other's */

    /* in the engine: owned by zygote_load.c */
    char mark[TIDE_KNOWN_BYTES]; /* of the files that it has loaded; "" = none was told */
    int64_t death_us;            /* since when its death is waited for; 0 = its socket is open */
    uint32_t pieces;             /* of the user's code, that it has named */
    struct tide_stall_processor
        processor; /* of it, when the time of the last one began to count, or was looked at since ... */
    int64_t processor_us; /* ... and when that was */
    bool unchanged;       /* it found that what it was to load is what is loaded */

    /* in the engine: owned by zygote.c */
    struct tide_loop *loop;
    int32_t pid; /* 0 = none yet */
    bool loaded; /* the zygote said so, or that it could not load */
    char loading[sizeof(((struct tide_zygote_event *)0)->text)]; /* what it loads until then */
    int64_t loading_us;     /* since when, by the time that counts */
    int64_t start_limit_us; /* for each of these; 0 = none */
    uint64_t events;        /* received */
    /* set by the simulation, whose workers are no processes; NULL = they are killed as processes are */
    void (*kill)(uint32_t worker, uint32_t generation);
    uint32_t false_events; /* of them: they broke the protocol, and were ignored */

    /* in the zygote: owned by worker.c */
    int signals;                 /* signalfd for SIGCHLD */
    struct tide_child *children; /* of each slot, and one more: the builder of a lookup table */

    /* in a worker: owned by worker.c */
    int own; /* its socket */
    uint32_t generation;
    struct tide_order order; /* the last one */
    uint64_t job_began_ns;
    uint64_t job_began_cpu_ns; /* processor time of this process by then */
    int schedstat;             /* what the kernel's scheduler tells of it; -1 = not open */
    uint64_t delay_ns;         /* how long it had no core, as of the last look */
};

/* ---- zygote_become.c ---- */

/** Makes this process the zygote, right after the fork: tide_zygote_begin and tide_zygote_confine (proc/worker.h). Returns 0. */
int tide_zygote_become(struct tide_zygote *zygote, int32_t parent);
/** Signals, descriptors, block mappings, the limit of memory: all but the sandbox. */
void tide_zygote_begin(struct tide_zygote *zygote, int32_t parent);

/** In the forker and in zygotes: closes what belongs to worker slots. */
void tide_zygote_close_slots(struct tide_zygote *zygote);

/* ---- spawn.c ---- */

/** In the zygote: makes the engine's own blocks read-only, takes those of worker slots away, and keeps no descriptor of any. */
int tide_zygote_map_blocks(struct tide_zygote *zygote);
/** How many descriptors go with the command SPAWN for this slot: at least one. */
uint32_t tide_spawn_count(const struct tide_zygote *zygote, uint32_t worker);
/** In the engine: writes these descriptors, which stay its own. */
void tide_spawn_descriptors(const struct tide_zygote *zygote, uint32_t worker, int *fds);
/** In a worker, right after the fork: makes them its own. */
int tide_spawn_take(struct tide_zygote *zygote, uint32_t worker, const int *fds);

/* ---- child.c ---- */

/** Ends this process with its parent, also when that is gone already. */
void tide_child_dies_with(int32_t parent);
/** Ignores what the engine alone acts upon. `block_child`: SIGCHLD comes through a signalfd. */
void tide_child_signals(bool block_child);

/* ---- guard.c ---- */

/** Limits the memory of this worker to `bytes` more than it has now, right after the fork. */
void tide_guard_memory(uint64_t bytes);
/** The same for the zygote, until the user's code is loaded. Under full trust that can raise the limit. */
void tide_guard_loading(uint64_t bytes);
void tide_guard_loaded(void);
/** Ends this process with TIDE_EXIT_MEMORY when it has next to nothing left of what it may take. May be called in a signal
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
/** In the zygote, before the sandbox: opens what tide_guard_score() writes to. Returns the descriptor; -1 = none. */
int tide_guard_open(void);
/** In the zygote, around a fork: what is forked while it is raised the kernel takes before engine and zygote when the
 * machine is out of memory. */
void tide_guard_score(bool raised);
/** In a worker. */
void tide_guard_close(void);

/* ---- zygote_lookups.c ---- */

/** In the engine: takes an event LOOKUP. False: it is no report of a lookup table, or one too many. */
bool tide_zygote_take_lookup(struct tide_zygote *zygote, const struct tide_zygote_event *event);

/* ---- zygote_settings.c ---- */

/** A pair of SOCK_SEQPACKET sockets. */
int tide_zygote_make_pair(int *mine, int *other);
/** Makes the pipe of what is printed while user code is loaded. */
int tide_zygote_open_log(struct tide_zygote *zygote);

/* ---- hold.c ---- */

/** State (a letter, as proc(5) has it) and parent of a process. False: it is gone. */
bool tide_hold_look(int32_t pid, char *state, int32_t *parent);
/** In the engine: stops the zygote and kills all of its children. */
void tide_hold_kill_children(const struct tide_zygote *zygote);

/* ---- family.c ---- */

/** How many threads this process has, once those that were joined are gone from the kernel's list. */
int tide_family_threads(void);
/** "thread" or "process" when this process has another thread, or a child, that does not end within a second; else NULL.
 * Children that have ended are reaped. */
const char *tide_family_left(void);
/** The user's code is refused: ends the zygote, once the engine has let go of it if there are children, which the engine
 * kills first. */
void tide_family_await_end(int socket) __attribute__((noreturn));
/** In the zygote: reaps a child that has ended, and what it leaves behind. False = there is none. `event` is EXITED for a
 * worker; its pid is 0 for any other process. */
bool tide_family_reap(struct tide_zygote *zygote, struct tide_zygote_event *event);
/** The engine is gone, which workers see as well: they may run their `close` hooks for so long, where they have a processor.
 * Ends the zygote. */
void tide_family_leave(struct tide_zygote *zygote, int64_t patience_us) __attribute__((noreturn));

#endif
