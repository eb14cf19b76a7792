/* SPDX-License-Identifier: MIT
 * Threads and children of a process that forks others: a thread would be lost by the fork and leave its locks behind, and a
 * child that nobody has counted would live on when a run is over. Start with tide_family_reap().
 *
 * In the sandbox workers fork nothing. Under full trust what they fork is killed when they die. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "proc/inside.h"

enum {
    PATIENCE_MS = 1000, /* for what is about to end */
    LOOK_MS = 20,       /* at workers that leave */
    MOST_TIMES = 5 /* their patience by the clock alone; the engine waits longer (zygote_end.c) */
};

/* ThreadSanitizer starts a thread of its own in each process that is forked. */
#ifdef __SANITIZE_THREAD__
enum { OF_SANITIZER = 1 };
#else
enum { OF_SANITIZER = 0 };
#endif

/* Only the kernel's list has the threads that libraries have started. Without /proc the answer is one: then a run is
 * not refused for what cannot be known. */
static int count_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return 1;
    for (struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count > 1 ? count - OF_SANITIZER : count;
}

/* pthread_join returns when the thread has given its memory back, which is before the kernel takes it off the list (after a
 * Kafka client was destroyed, say). So only a thread that stays for a while counts. */
int tide_family_threads(void)
{
    int count = count_threads();
    for (int waited_ms = 0; count > 1 && waited_ms < PATIENCE_MS; waited_ms++) {
        poll(NULL, 0, 1);
        count = count_threads();
    }
    return count;
}

static bool has_children(void)
{
    int32_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
        continue;
    return pid == 0;
}

/* A child is seen to be gone, by who waits for its output, before the kernel has it for dead. So it has the same time. */
const char *tide_family_left(void)
{
    bool children = has_children();
    for (int waited_ms = 0; children && waited_ms < PATIENCE_MS; waited_ms++) {
        poll(NULL, 0, 1);
        children = has_children();
    }
    return children ? "process" : tide_family_threads() > 1 ? "thread" : NULL;
}

void tide_family_await_end(int socket)
{
    char ignored;
    while (has_children() && recv(socket, &ignored, sizeof(ignored), 0) > 0)
        continue;
    _exit(-TIDE_ECONFIG);
}

static bool is_among(int32_t pid, const struct tide_child *children, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (children[i].pid == pid)
            return true;
    }
    return false;
}

/* Kills the process group of a worker that is dead and not reaped yet (0 = none), and the children of this process that are
 * neither workers nor in the group of one: what workers had forked comes here when its own parent dies
 * (PR_SET_CHILD_SUBREAPER). When it dies in turn, its children come here, and this is called again. */
static void end_family(int32_t dead, const struct tide_child *children, uint32_t count)
{
    char path[48];
    int32_t pid;
    if (dead > 0 && is_among(dead, children, count))
        kill(-dead, SIGKILL);
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    FILE *list = fopen(path, "re");
    if (!list)
        return;
    while (fscanf(list, "%d", &pid) == 1) {
        int32_t group = getpgid(pid);
        bool spared = group > 0 && group != dead && is_among(group, children, count);
        if (pid != dead && !spared && !is_among(pid, children, count))
            kill(pid, SIGKILL);
    }
    fclose(list);
}

/* Signals merge: one may stand for several deaths. A worker is reaped only when its process group, which has its number, was
 * killed. From waitpid() on the number may be another process's. */
bool tide_family_reap(struct tide_zygote *zygote, struct tide_zygote_event *event)
{
    struct signalfd_siginfo ignored;
    siginfo_t dead = {0};
    int status;
    while (read(zygote->signals, &ignored, sizeof(ignored)) > 0)
        continue;
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0)
        return false;
    if (zygote->sandbox.trust == TIDE_TRUST_FULL)
        end_family(dead.si_pid, zygote->children, zygote->workers + 1);
    if (waitpid(dead.si_pid, &status, 0) < 0)
        return false;
    *event = (struct tide_zygote_event){0};
    for (uint32_t i = 0; i < zygote->workers; i++) {
        struct tide_child *child = &zygote->children[i];
        if (child->pid != dead.si_pid)
            continue;
        *event = (struct tide_zygote_event){TIDE_ZYGOTE_EXITED, i,      child->generation,
                                            dead.si_pid,        status, ""};
        child->pid = 0;
    }
    return true;
}

/* PDEATHSIG ends the workers that are still there when this process leaves, but not what they have forked. */
static _Noreturn void leave(struct tide_zygote *zygote)
{
    siginfo_t dead;
    struct tide_zygote_event ignored;
    if (zygote->sandbox.trust != TIDE_TRUST_FULL)
        _exit(0);
    for (uint32_t i = 0; i < zygote->workers; i++) {
        if (zygote->children[i].pid > 0)
            kill(-zygote->children[i].pid, SIGKILL);
        zygote->children[i].pid = 0;
    }
    do
        end_family(0, zygote->children, zygote->workers);
    while (waitid(P_ALL, 0, &dead, WEXITED | WNOWAIT) == 0 && tide_family_reap(zygote, &ignored));
    _exit(0);
}

/* Whether a worker is there that has time left for its `close` hooks. leavers: of the workers. */
static bool awaits_worker(const struct tide_zygote *zygote, struct tide_stall *leavers,
                          int64_t from_us, int64_t patience_us)
{
    int64_t now_us = tide_clock_us();
    bool awaits = false;
    for (uint32_t i = 0; i < zygote->workers; i++) {
        int32_t pid = zygote->children[i].pid;
        if (pid <= 0)
            continue;
        struct tide_stall_processor now = tide_stall_processor(pid);
        if (leavers[i].asked_us == 0) {
            leavers[i].asked_us = from_us;
            leavers[i].asked = now;
        }
        tide_stall_await(&leavers[i], &now, now_us, INT64_MAX);
        awaits |= leavers[i].awaited_us < patience_us;
    }
    return awaits && now_us - from_us < MOST_TIMES * patience_us;
}

/* What is printed here the engine takes into its log. */
static void tell_cut_off(const struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < zygote->workers; i++) {
        if (zygote->children[i].pid > 0)
            dprintf(STDERR_FILENO,
                    "tidemill: close: worker %u (pid %d) has not ended in time and is killed\n", i,
                    zygote->children[i].pid);
    }
}

void tide_family_leave(struct tide_zygote *zygote, int64_t patience_us)
{
    int64_t from_us = tide_clock_us();
    struct tide_stall *leavers = tide_alloc(sizeof(*leavers) * zygote->workers);
    struct pollfd fd = {zygote->signals, POLLIN, 0};
    struct tide_zygote_event ignored;
    for (;;) {
        while (tide_family_reap(zygote, &ignored))
            continue;
        if (patience_us == 0 || !awaits_worker(zygote, leavers, from_us, patience_us))
            break;
        poll(&fd, 1, LOOK_MS);
    }
    if (patience_us > 0)
        tell_cut_off(zygote);
    leave(zygote);
}
