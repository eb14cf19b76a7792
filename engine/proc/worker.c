/* SPDX-License-Identifier: MIT
 * The zygote and the workers, after the fork. Neither may trust that the engine lives: each is killed by the kernel when
 * its parent dies (PDEATHSIG), and sees the end of its socket. Neither takes part in decisions: the zygote forks as
 * commanded and reports each death, a worker runs one job after the other. Errors that would need a decision end the
 * process, since the engine copes with a death in any case.
 *
 * Start with tide_zygote_become() and tide_zygote_serve(), which returns in each new worker; then tide_worker_next(). */
#include "proc/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/fault.h"
#include "base/status.h"
#include "proc/inside.h"
#include "shm/layout.h"

enum { LONG_JOB_NS = 200000 }; /* of which the scheduler is asked */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Of the whole process, since a transform may have threads that compute for it. */
static uint64_t cpu_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void send_event(struct tide_zygote *zygote, const struct tide_zygote_event *event)
{
    /* Blocking: the engine reads all the time, and with a lost event a worker would be lost for ever. */
    if (send(zygote->zygote_end, event, sizeof(*event), MSG_NOSIGNAL) < 0)
        _exit(0);
}

struct tide_lookups *tide_zygote_lookups(struct tide_zygote *zygote)
{
    return zygote->lookups;
}

void tide_zygote_tell_lookups(struct tide_zygote *zygote)
{
    struct tide_zygote_event event = {.kind = TIDE_ZYGOTE_LOOKUP};
    struct tide_lookup_report report;
    while (tide_lookups_report(zygote->lookups, &report)) {
        memcpy(event.text, &report, sizeof(report));
        send_event(zygote, &event);
    }
}

void tide_zygote_loading(struct tide_zygote *zygote, const char *what)
{
    struct tide_zygote_event event = {.kind = TIDE_ZYGOTE_LOADING};
    strncpy(event.text, what, sizeof(event.text) - 1);
    send_event(zygote, &event);
}

void tide_zygote_loaded(struct tide_zygote *zygote, const char *error, bool again)
{
    tide_fault("z.load");
    char left[160];
    const char *kind = error ? NULL : tide_family_left();
    if (kind) {
        snprintf(left, sizeof(left),
                 "a transform has left a %s running after it was loaded: workers, which are forked "
                 "now, would not have it%s",
                 kind, *kind == 't' ? "; start it in `start`, which runs in each worker" : "");
        error = left;
    }
    struct tide_zygote_event event = {.kind = error ? TIDE_ZYGOTE_REJECTED : TIDE_ZYGOTE_LOADED};
    if (error)
        event.status = again ? TIDE_ETEMPORARY : TIDE_ECONFIG;
    strncpy(event.text, error ? error : zygote->mark, sizeof(event.text) - 1);
    tide_guard_loaded();
    send_event(zygote, &event);
    if (error)
        tide_family_await_end(zygote->zygote_end);
}

uint32_t tide_zygote_revision(const struct tide_zygote *zygote)
{
    return zygote->revision;
}

void tide_zygote_set_mark(struct tide_zygote *zygote, const char *mark)
{
    snprintf(zygote->mark, sizeof(zygote->mark), "%s", mark);
}

void tide_zygote_leave_unchanged(struct tide_zygote *zygote, const char *mark)
{
    struct tide_zygote_event event = {.kind = TIDE_ZYGOTE_REJECTED, .status = TIDE_OK};
    if (strcmp(zygote->known, mark) != 0)
        return;
    send_event(zygote, &event);
    _exit(0);
}

/* The zygote's socket is closed, since one that stayed open here would hide the zygote's end from the engine. */
static void become_worker(struct tide_zygote *zygote, const struct tide_zygote_command *command,
                          const int *fds, int32_t parent)
{
    uint32_t worker = command->worker;
    tide_child_dies_with(parent);
    tide_child_signals(false);
    close(zygote->signals);
    close(zygote->zygote_end);
    int status = tide_spawn_take(zygote, worker, fds);
    if (status == TIDE_OK)
        status = tide_lookups_enter_worker(zygote->lookups);
    tide_fault("w.fork");
    zygote->generation = command->generation;
    tide_guard_close();
    tide_guard_memory(zygote->memory);
    tide_crash_watch_worker(zygote);
    zygote->schedstat = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
    tide_limit_worker(&zygote->limits[worker]);
    if (zygote->sandbox.trust == TIDE_TRUST_FULL)
        setpgid(0, 0); /* what it forks dies with it (family.c); in the sandbox it cannot fork */
    if (status < 0 || tide_sandbox_enter_worker(&zygote->sandbox, &zygote->support) < 0)
        tide_worker_started(zygote, tide_error(), false);
}

/* Returns true in the new worker. Descriptors are missing when this process has too many open. */
static bool spawn_worker(struct tide_zygote *zygote, const struct tide_zygote_command *command,
                         const int *fds, uint32_t count)
{
    int32_t parent = getpid(), pid = -1;
    int problem = EMFILE;
    tide_guard_score(true);
    if (count == tide_spawn_count(zygote, command->worker)) {
        pid = tide_fault("z.fork") ? -1 : fork();
        problem = errno;
    }
    if (pid == 0) {
        become_worker(zygote, command, fds, parent);
        return true;
    }
    tide_guard_score(false);
    struct tide_zygote_event event = {
        TIDE_ZYGOTE_SPAWNED, command->worker, command->generation, pid, problem, ""};
    zygote->children[command->worker] = (struct tide_child){pid < 0 ? 0 : pid, command->generation};
    send_event(zygote, &event);
    return false;
}

/* A builder is a child like a worker, which the kernel is to take first when memory is scarce. */
static void turn_lookups(struct tide_zygote *zygote)
{
    if (tide_lookups_wait_ms(zygote->lookups) < 0)
        return;
    tide_guard_score(true);
    tide_lookups_turn(zygote->lookups, tide_clock_us());
    tide_guard_score(false);
    zygote->children[zygote->workers].pid = tide_lookups_builder(zygote->lookups);
    tide_zygote_tell_lookups(zygote);
}

static void reap_children(struct tide_zygote *zygote)
{
    struct tide_zygote_event event;
    while (tide_family_reap(zygote, &event)) {
        if (event.pid > 0) {
            tide_fault("z.reap");
            send_event(zygote, &event);
        }
    }
}

int tide_zygote_serve(struct tide_zygote *zygote, int64_t patience_us)
{
    struct pollfd fds[2] = {{zygote->zygote_end, POLLIN, 0}, {zygote->signals, POLLIN, 0}};
    /* What workers have forked is killed by this process, so it must not be killed before it has seen the engine's end. A
     * signal that lets it go on where it was stopped is enough: from here on it is never in user code. */
    if (zygote->sandbox.trust == TIDE_TRUST_FULL)
        prctl(PR_SET_PDEATHSIG, SIGCONT);
    for (;;) {
        struct tide_zygote_command command;
        int given[TIDE_DESCRIPTORS];
        uint32_t count;
        if (poll(fds, 2, tide_lookups_wait_ms(zygote->lookups)) < 0 && errno != EINTR)
            _exit(-TIDE_EINTERNAL);
        /* Deaths come before commands, so that a command does not meet a child that is gone. */
        if (fds[1].revents)
            reap_children(zygote);
        turn_lookups(zygote);
        if (!fds[0].revents)
            continue;
        ssize_t size = tide_descriptors_receive(zygote->zygote_end, &command, sizeof(command),
                                                MSG_DONTWAIT, given, &count);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        /* A size of 0 is the end of file. Anything else that is no command is treated alike, as only an engine that is
         * out of its mind sends it. */
        if (size != (ssize_t)sizeof(command) ||
            (command.kind == TIDE_COMMAND_SPAWN && command.worker >= zygote->workers))
            tide_family_leave(zygote, patience_us);
        if (command.kind == TIDE_COMMAND_UNUSED)
            tide_lookups_unused(zygote->lookups, command.worker, command.generation);
        else if (spawn_worker(zygote, &command, given, count))
            return (int)command.worker;
        tide_descriptors_close(given, count);
    }
}

void tide_worker_starting(struct tide_zygote *zygote, const char *what)
{
    struct tide_hello hello = {.generation = zygote->generation, .kind = TIDE_HELLO_HOOK};
    strncpy(hello.text, what, sizeof(hello.text) - 1);
    (void)send(zygote->own, &hello, sizeof(hello), MSG_NOSIGNAL); /* see tide_worker_report() */
}

void tide_worker_started(struct tide_zygote *zygote, const char *error, bool again)
{
    struct tide_hello hello = {.generation = zygote->generation,
                               .kind = !error  ? TIDE_HELLO_READY
                                       : again ? TIDE_HELLO_FAILED_FOR_NOW
                                               : TIDE_HELLO_FAILED};
    if (error)
        strncpy(hello.text, error, sizeof(hello.text) - 1);
    (void)send(zygote->own, &hello, sizeof(hello), MSG_NOSIGNAL); /* see tide_worker_report() */
    if (error)
        _exit(-TIDE_ECONFIG);
}

int tide_worker_next(struct tide_zygote *zygote, struct tide_job *job, bool wait)
{
    tide_fault("w.idle");
    for (;;) {
        ssize_t size = recv(zygote->own, job, sizeof(*job), wait ? 0 : MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return 0;
        if (size == (ssize_t)sizeof(zygote->order)) {
            memcpy(&zygote->order, job, sizeof(zygote->order));
            if (zygote->order.generation == zygote->generation)
                return 2;
            continue;
        }
        if (size != (ssize_t)sizeof(*job))
            return -1;
        /* Others were sent to the worker before this one, whose socket it has taken over. The engine has put them back
         * into its queue (pool_work.c), so running them here would run them twice. */
        if (job->generation == zygote->generation) {
            if (job->number == 0)
                return -1;
            zygote->job_began_ns = (uint64_t)now_ns();
            zygote->job_began_cpu_ns = cpu_ns();
            tide_fault("w.after_recv");
            return 1;
        }
    }
}

const struct tide_order *tide_worker_order(const struct tide_zygote *zygote)
{
    return &zygote->order;
}

/* It may wait until the engine has read: this worker is the only one that stands still then. */
void tide_worker_answer(struct tide_zygote *zygote, const char *bytes, size_t size)
{
    size_t left = size < TIDE_PROFILE_BYTES ? size : TIDE_PROFILE_BYTES;
    do {
        struct tide_profile_piece piece = {.generation = zygote->generation};
        piece.size = (uint32_t)(left < sizeof(piece.bytes) ? left : sizeof(piece.bytes));
        memcpy(piece.bytes, bytes, piece.size);
        bytes += piece.size;
        left -= piece.size;
        piece.last = left == 0;
        (void)send(zygote->own, &piece, sizeof(piece), MSG_NOSIGNAL); /* see tide_worker_report() */
    } while (left > 0);
}

void tide_worker_running(struct tide_output *output, uint32_t running)
{
    __atomic_store_n(&output->running, running, __ATOMIC_SEQ_CST);
    if (running != TIDE_RUNNING_NOT)
        tide_fault("w.before_call");
    else
        tide_fault("w.before_done");
}

/* One word has both numbers, so the engine sees results and their bytes in step wherever the worker dies. The store
 * releases what was written to the block before. */
void tide_worker_publish(struct tide_output *output, uint32_t next, uint32_t bytes)
{
    tide_fault("w.after_write");
    __atomic_store_n(&output->progress, (uint64_t)bytes << 32 | next, __ATOMIC_RELEASE);
    tide_fault("w.after_publish");
}

/* The second number of the kernel's file: time on the run queue. Reading it is a system call, so short jobs leave it to the
 * next long one. */
static uint64_t look_at_delay(struct tide_zygote *zygote, uint64_t busy_ns, uint64_t used_ns)
{
    char text[96] = "";
    uint64_t before_ns = zygote->delay_ns;
    if (zygote->schedstat < 0 || busy_ns < LONG_JOB_NS ||
        pread(zygote->schedstat, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    const char *second = strchr(text, ' ');
    zygote->delay_ns = second ? strtoull(second, NULL, 10) : before_ns;
    uint64_t delay_ns = zygote->delay_ns > before_ns ? zygote->delay_ns - before_ns : 0;
    uint64_t most_ns = busy_ns > used_ns ? busy_ns - used_ns : 0;
    return delay_ns < most_ns ? delay_ns : most_ns; /* some was before the job, while it had none */
}

void tide_worker_report(struct tide_zygote *zygote, const struct tide_job *job,
                        enum tide_job_status status, bool whole_batch)
{
    uint64_t busy_ns = (uint64_t)now_ns() - zygote->job_began_ns;
    uint64_t used_ns = cpu_ns() - zygote->job_began_cpu_ns;
    struct tide_job_report report = {.number = job->number,
                                     .generation = job->generation,
                                     .status = status,
                                     .busy_ns = busy_ns,
                                     .whole_batch = whole_batch,
                                     .cpu_ns = used_ns,
                                     .delay_ns = look_at_delay(zygote, busy_ns, used_ns)};
    /* Fails only when the engine is gone, which the next tide_worker_next() finds out. */
    (void)send(zygote->own, &report, sizeof(report), MSG_NOSIGNAL);
}

/* It must not wait: early after the boot of a machine getrandom() would. */
uint32_t tide_worker_seed(void)
{
    uint32_t seed = (uint32_t)now_ns();
    ssize_t got = getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    (void)got; /* the clock is used where the kernel has no randomness yet */
    return seed;
}

/* No exit(): its handlers are the zygote's, and those of libraries that were loaded there, copied by fork(). */
void tide_worker_exit(int code)
{
    _exit(code);
}
