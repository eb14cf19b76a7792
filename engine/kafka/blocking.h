/* SPDX-License-Identifier: MIT
 * engine/kafka/blocking.h - a thread for the librdkafka calls that wait for a broker, so that the
 * engine's thread never does. Each client has its own: a destroy that hangs holds up nobody else.
 *
 * A job        who            next
 *   submitted  engine         run, in the thread, in order
 *   run        the thread     finished; wakes the loop
 *   finished   the loop       done, on the engine's thread; the job is its owner's again */
#ifndef TIDE_KAFKA_BLOCKING_H
#define TIDE_KAFKA_BLOCKING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct tide_loop;
struct tide_blocking;

/** First member of every job. */
struct tide_blocking_job {
    STAILQ_ENTRY(tide_blocking_job) next;
    void (*run)(struct tide_blocking_job *job);
    void (*done)(struct tide_blocking_job
                     *job); /* once for each job that was submitted, see tide_blocking_free */
};

/** The thread starts with the first job, so this may be called before the fork. NULL with
 * tide_error(). */
struct tide_blocking *tide_blocking_new(struct tide_loop *loop);
int tide_blocking_submit(struct tide_blocking *blocking, struct tide_blocking_job *job);
/** In a job: waits; false, at once, when the thread is to end. */
bool tide_blocking_pause(struct tide_blocking *blocking, int64_t time_us);
/** In a job: another one waits, or the thread is to end. */
bool tide_blocking_wanted(struct tide_blocking *blocking);
/** Asks for the end and waits for it at most `time_us`; `done` of what was run is called here.
 * False: a call does not come back: the thread is left to the end of the process, and so is all
 * that the job uses. */
bool tide_blocking_free(struct tide_blocking *blocking, int64_t time_us);

#endif
