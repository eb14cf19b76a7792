/* SPDX-License-Identifier: MIT
 * engine/proc/stall.h - the stall detector of one worker: has it made no progress for longer than message_timeout, or used
 * more processor time than max_cpu_time meanwhile? It
 * finds a worker that is too long at one record, and one that does not take up its job (stopped between two blocks; that
 * is attributed to no record). It looks from outside, at shared memory, so it holds for C functions and compiled loops
 * too.
 *
 * A worker that changes what is looked at without getting on would never be found. So it also checks that what it sees
 * gets on as a run over a block does: `next` stays within the job and never goes back (where a step begins again: once for
 * each record at most), and the worker is at no record, then at several, at one, and at none again (enum tide_running), of
 * which any may be missing. */
#ifndef TIDE_PROC_STALL_H
#define TIDE_PROC_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct tide_work;

/** What the kernel says of the first thread of a process. */
struct tide_stall_processor {
    int64_t
        delay_us; /* how long it was ready to run and had no processor, as far as such waits are over; -1 = it is gone, or
                       * this kernel does not tell */
    int64_t ran_ns;
    bool ready; /* it runs, or waits for a processor */
};

/** Zero it when the worker is replaced. */
struct tide_stall {
    uint64_t
        number; /* number of the job, its progress and its state, as the last check found them */
    uint32_t next;
    uint32_t running;
    bool ran;             /* in this job it was found at a record */
    uint32_t begun_again; /* how often `next` went back in this job */
    int64_t checked_us;   /* time of the last check */
    int64_t stalled_us;   /* time without progress, as far as it counts */
    struct tide_stall_processor
        before;        /* what tide_stall_processor said when it had stood still for a while ... */
    bool before_known; /* ... which it was asked ... */
    int64_t before_us; /* ... and what stalled_us was then */
    int64_t cpu_from_us; /* processor time of the worker when it was first seen here ... */
    int64_t cpu_us;      /* ... and since then */
    bool stalled;        /* reported: the worker is to be killed */
    bool over_cpu;       /* ... since it used too much processor time */
    /* of its last words, which pool_crash.c asks for, or of its end (family.c) */
    int64_t asked_us;                  /* when it was asked, or looked at since; 0 = not yet */
    struct tide_stall_processor asked; /* what tide_stall_processor said by then */
    int64_t awaited_us;                /* how long they have been awaited, as far as it counts */
};

enum tide_stall_finding {
    TIDE_STALL_NONE,
    TIDE_STALL_FOUND, /* once: the worker has made no progress for longer than `limit_us` */
    TIDE_STALL_FALSE  /* what the worker has published cannot be true */
};

/** `work` is the one that the worker runs, NULL = none. At most a second, and at most a quarter of the limit, counts
 * between two checks: an engine that was stopped, alone or together with its workers, finds no worker stalled. */
enum tide_stall_finding tide_stall_check(struct tide_stall *stall, const struct tide_work *work,
                                         int64_t limit_us, int64_t now_us);
/** To be called behind tide_stall_check, with the processor time of the worker (tide_stall_cpu_us) by now. True once: since it
 * was first seen at the record where it is, it has used more than `limit_us`. */
bool tide_stall_check_cpu(struct tide_stall *stall, int64_t cpu_us, int64_t limit_us);
/** True once, while it stands still: it is time to ask tide_stall_processor, for `before` of the stall. */
bool tide_stall_wants_processor(struct tide_stall *stall, int64_t limit_us);
/** To be called when it was FOUND, with what tide_stall_processor says by now: a worker that was ready to run and had no
 * processor has not stood still meanwhile. True: so it is not stalled yet, and it is looked at further. */
bool tide_stall_excuse(struct tide_stall *stall, const struct tide_stall_processor *now,
                       int64_t limit_us);
/** One that was asked for something (asked_us, asked) has had time for that since it was looked at last: adds it to awaited_us,
 * but `most_us` at most. Time in which it had no processor does not count. */
void tide_stall_await(struct tide_stall *stall, const struct tide_stall_processor *now,
                      int64_t now_us, int64_t most_us);
/** One that is to be killed was asked for its last words (asked_us, asked): whether they are awaited further, by what
 * tide_stall_processor says now. While it has no processor it cannot say them, and that time does not count. */
bool tide_stall_awaits(struct tide_stall *stall, const struct tide_stall_processor *now,
                       int64_t now_us);
/** Of the first thread of a process (proc(5), schedstat and stat). */
struct tide_stall_processor tide_stall_processor(int32_t pid);
/** Processor time of all threads of a process in microseconds; -1 = it is gone. */
int64_t tide_stall_cpu_us(int32_t pid);
/** True when the worker was killed at the record that it had stalled at, not at one that it has begun since. */
bool tide_stall_killed(const struct tide_stall *stall, const struct tide_work *work);

#endif
