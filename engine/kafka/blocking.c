/* SPDX-License-Identifier: MIT
 * A thread for the librdkafka calls that wait for a broker. librdkafka has no asynchronous form of them (metadata,
 * offsets, init_transactions, destroy), and one that takes ten seconds in the engine's thread would stop everything
 * for so long. There is one thread for each client rather than one for all, so that a destroy that hangs holds up
 * nothing else. Blocking jobs run in the order in which they were submitted, and what comes of them is served in the
 * engine's thread, woken by an eventfd: only the queues are shared, under one lock. Waits use the monotonic clock. Start
 * reading at run_jobs. */
#include "kafka/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/status.h"

STAILQ_HEAD(job_queue, tide_blocking_job);

struct tide_blocking {
    struct tide_loop *loop;
    int waker;
    bool started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t change;
    struct job_queue waiting;
    struct job_queue finished;
    bool ending;
    bool ended;
    bool abandoned; /* the engine waits no longer: no waker may be written, no `done` be called */
};

static struct tide_blocking_job *take_first(struct job_queue *queue)
{
    struct tide_blocking_job *first = STAILQ_FIRST(queue);
    if (first)
        STAILQ_REMOVE_HEAD(queue, next);
    return first;
}

/* Called by the loop when the waker rings, and once more by tide_blocking_free() for the jobs that ended last. The
 * lock is not held while `done` runs, which often submits the next job and takes the lock for that. */
static void call_done(void *context)
{
    struct tide_blocking *blocking = context;
    for (;;) {
        pthread_mutex_lock(&blocking->lock);
        struct tide_blocking_job *job = take_first(&blocking->finished);
        pthread_mutex_unlock(&blocking->lock);
        if (!job)
            return;
        job->done(job);
    }
}

struct tide_blocking *tide_blocking_new(struct tide_loop *loop)
{
    struct tide_blocking *blocking = tide_alloc(sizeof(*blocking));
    pthread_condattr_t monotonic;
    blocking->loop = loop;
    blocking->waker = tide_loop_waker(loop, call_done, blocking);
    if (blocking->waker < 0) {
        free(blocking);
        return NULL;
    }
    STAILQ_INIT(&blocking->waiting);
    STAILQ_INIT(&blocking->finished);
    pthread_mutex_init(&blocking->lock, NULL);
    pthread_condattr_init(&monotonic);
    /* A step of the system's time must neither lengthen a wait nor end it. */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&blocking->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return blocking;
}

/* From here on the job belongs to the engine's thread, whose `done` may free it: this thread does not touch it
 * again. */
static void finish_job(struct tide_blocking *blocking, struct tide_blocking_job *job)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&blocking->lock);
    STAILQ_INSERT_TAIL(&blocking->finished, job, next);
    /* Under the lock, since tide_blocking_free may close the waker once `abandoned` is set. */
    if (!blocking->abandoned && write(blocking->waker, &one, sizeof(one)) < 0)
        (void)0; /* it can only be full, and then it wakes the loop anyway */
    pthread_cond_broadcast(&blocking->change);
    pthread_mutex_unlock(&blocking->lock);
}

/* Jobs that wait when the thread has to end are run all the same, since the last one destroys the client. Those before
 * it see by tide_blocking_wanted() that they are to give up. */
static void *run_jobs(void *context)
{
    struct tide_blocking *blocking = context;
    pthread_mutex_lock(&blocking->lock);
    for (;;) {
        struct tide_blocking_job *job = take_first(&blocking->waiting);
        if (job) {
            pthread_mutex_unlock(&blocking->lock);
            job->run(job);
            finish_job(blocking, job);
            pthread_mutex_lock(&blocking->lock);
        } else if (blocking->ending) {
            break;
        } else {
            pthread_cond_wait(&blocking->change, &blocking->lock);
        }
    }
    blocking->ended = true;
    pthread_cond_broadcast(&blocking->change);
    pthread_mutex_unlock(&blocking->lock);
    return NULL;
}

/* The thread is started by the first job, not by tide_blocking_new(): the engine builds its source and its sink before
 * it forks the zygote, and a process with threads must not fork. */
static int start_thread(struct tide_blocking *blocking)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* A new thread inherits the mask: signals are for the engine's thread. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&blocking->thread, NULL, run_jobs, blocking);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return tide_fail(TIDE_EINTERNAL, "cannot start a thread: %s", strerror(error));
    blocking->started = true;
    return TIDE_OK;
}

int tide_blocking_submit(struct tide_blocking *blocking, struct tide_blocking_job *job)
{
    if (!blocking->started) {
        int status = start_thread(blocking);
        if (status < 0)
            return status;
    }
    pthread_mutex_lock(&blocking->lock);
    STAILQ_INSERT_TAIL(&blocking->waiting, job, next);
    pthread_cond_broadcast(&blocking->change);
    pthread_mutex_unlock(&blocking->lock);
    return TIDE_OK;
}

/* pthread_cond_timedwait() takes a moment of the condition's clock, not a duration. */
static struct timespec moment_after(int64_t time_us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += time_us % 1000000 * 1000;
    at.tv_sec += time_us / 1000000 + at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

bool tide_blocking_pause(struct tide_blocking *blocking, int64_t time_us)
{
    struct timespec until = moment_after(time_us);
    int error = 0;
    pthread_mutex_lock(&blocking->lock);
    while (!blocking->ending && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&blocking->change, &blocking->lock, &until);
    bool go_on = !blocking->ending;
    pthread_mutex_unlock(&blocking->lock);
    return go_on;
}

/* Jobs that may last as long as an outage ask this between two waits: they end in favour of the job that waits, and
 * their `done` submits them again. */
bool tide_blocking_wanted(struct tide_blocking *blocking)
{
    pthread_mutex_lock(&blocking->lock);
    bool wanted = blocking->ending || !STAILQ_EMPTY(&blocking->waiting);
    pthread_mutex_unlock(&blocking->lock);
    return wanted;
}

/* `abandoned` is written under the lock under which finish_job() reads it, so no waker is written after it is
 * closed. */
static bool wait_for_end(struct tide_blocking *blocking, int64_t time_us)
{
    struct timespec until = moment_after(time_us);
    int error = 0;
    pthread_mutex_lock(&blocking->lock);
    blocking->ending = true;
    pthread_cond_broadcast(&blocking->change);
    while (!blocking->ended && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&blocking->change, &blocking->lock, &until);
    bool ended = blocking->ended;
    blocking->abandoned = !ended;
    pthread_mutex_unlock(&blocking->lock);
    return ended;
}

/* There is no safe way to stop a thread inside of librdkafka. One that does not end in time is left behind, with
 * everything that it may use, and the process can end without it. */
bool tide_blocking_free(struct tide_blocking *blocking, int64_t time_us)
{
    if (!blocking)
        return true;
    bool ended = !blocking->started || wait_for_end(blocking, time_us);
    if (ended && blocking->started) {
        pthread_join(blocking->thread, NULL);
        call_done(blocking);
    }
    tide_loop_unwatch(blocking->loop, blocking->waker);
    if (!ended) { /* the thread still uses `blocking` */
        pthread_detach(blocking->thread);
        return false;
    }
    pthread_mutex_destroy(&blocking->lock);
    pthread_cond_destroy(&blocking->change);
    free(blocking);
    return true;
}
