/* SPDX-License-Identifier: MIT
 * engine/kafka/blocking.h - a thread for the librdkafka calls that wait for a broker, so that the engine's thread
 * never does. Each client has one of its own: a destroy that hangs holds up nothing else. A blocking job is such a call, or
 * several, and what is done with the answer; it has nothing to do with the jobs of workers (proc/protocol.h).
 *
 *   a blocking job is  moved on by    to
 *   submitted          the thread     running; they run in order
 *   running            the thread     finished; the loop is woken
 *   finished           the loop       `done` is called, in the engine's thread; the blocking job is its owner's again */
#ifndef TIDE_KAFKA_BLOCKING_H
#define TIDE_KAFKA_BLOCKING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct tide_loop;
struct tide_blocking;

/** First member of every blocking job. */
struct tide_blocking_job {
    STAILQ_ENTRY(tide_blocking_job) next;
    void (*run)(struct tide_blocking_job *job);
    void (*done)(struct tide_blocking_job
                     *job); /* once for each that was submitted, see tide_blocking_free */
};

/** The thread starts with the first blocking job, so this may be called before the fork. NULL with
 * tide_error(). */
struct tide_blocking *tide_blocking_new(struct tide_loop *loop);
int tide_blocking_submit(struct tide_blocking *blocking, struct tide_blocking_job *job);
/** In a blocking job: waits. False, at once, when the thread has to end. */
bool tide_blocking_pause(struct tide_blocking *blocking, int64_t time_us);
/** In a blocking job: another one waits, or the thread has to end. */
bool tide_blocking_wanted(struct tide_blocking *blocking);
/** Ends the thread and waits for that, at most `time_us`; calls `done` of those that were run. False: a call does not return,
 * so the thread goes on until the process ends, and everything that its blocking job uses must stay. */
bool tide_blocking_free(struct tide_blocking *blocking, int64_t time_us);

#endif
