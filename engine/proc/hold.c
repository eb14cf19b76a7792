/* SPDX-License-Identifier: MIT
 * How the engine kills what the zygote has forked. The zygote cannot: it has run user code, and so it may signal nobody. Nor
 * is it believed: it may name any process, so a process is held by a descriptor, and only when the kernel says that it is a
 * child of the zygote. Start with tide_zygote_hold(). */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/inside.h"
#include "proc/zygote.h"

enum { MOST_ROUNDS = 100 };

bool tide_hold_look(int32_t pid, char *state, int32_t *parent)
{
    char path[40], text[300] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = 0;
    /* The name of the program stands in parentheses and may have any characters in it. */
    const char *name_end = strrchr(text, ')');
    return name_end && sscanf(name_end + 1, " %c %d", state, parent) == 2;
}

/* The descriptor comes first: if the process still has it after its parent was seen, this was its parent. */
int tide_zygote_hold(const struct tide_zygote *zygote, int32_t pid)
{
    if (zygote->kill)
        return TIDE_HOLD_PLAYED;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH ? TIDE_HOLD_NONE : TIDE_HOLD_FOREIGN;
    char state;
    int32_t parent;
    bool child = tide_hold_look(pid, &state, &parent) && parent == zygote->pid;
    bool alive = syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0;
    if (child && alive)
        return fd;
    close(fd);
    return alive ? TIDE_HOLD_FOREIGN : TIDE_HOLD_NONE;
}

bool tide_zygote_ask(const struct tide_zygote *zygote, int hold)
{
    return !zygote->kill && hold >= 0 &&
           syscall(SYS_pidfd_send_signal, hold, SIGXCPU, NULL, 0) == 0;
}

void tide_zygote_kill(const struct tide_zygote *zygote, int hold, uint32_t worker,
                      uint32_t generation)
{
    if (hold == TIDE_HOLD_PLAYED)
        zygote->kill(worker, generation);
    else if (hold >= 0)
        syscall(SYS_pidfd_send_signal, hold, SIGKILL, NULL, 0);
}

/* A process that is dead, and not reaped yet, is none. */
static bool is_dead(int32_t pid)
{
    char state;
    int32_t parent;
    return !tide_hold_look(pid, &state, &parent) || state == 'Z';
}

/* What a thread of the zygote has forked. Returns whether there was something to kill. */
static bool kill_children_of(const struct tide_zygote *zygote, const char *thread)
{
    char path[64];
    int32_t pid;
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/task/%.10s/children", zygote->pid, thread);
    FILE *list = fopen(path, "re");
    while (list && fscanf(list, "%d", &pid) == 1) {
        int hold = is_dead(pid) ? TIDE_HOLD_NONE : tide_zygote_hold(zygote, pid);
        tide_zygote_kill(zygote, hold, 0, 0);
        found |= hold >= 0;
        if (hold >= 0)
            close(hold);
    }
    if (list)
        fclose(list);
    return found;
}

static bool kill_children(const struct tide_zygote *zygote)
{
    char path[32];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/task", zygote->pid);
    DIR *threads = opendir(path);
    const struct dirent *thread;
    while (threads && (thread = readdir(threads)))
        found |= thread->d_name[0] != '.' && kill_children_of(zygote, thread->d_name);
    if (threads)
        closedir(threads);
    return found;
}

/* What user code has left running, which has no other parent than the zygote: who loses his own is given to it. The zygote
 * is stopped, and stays so, so that it forks no more; what it has forked may fork while it is looked for, so there is a limit to that. */
void tide_hold_kill_children(const struct tide_zygote *zygote)
{
    char state = 0;
    int32_t parent;
    kill(zygote->pid, SIGSTOP);
    for (int round = 0; round < MOST_ROUNDS; round++) {
        bool stopped = !tide_hold_look(zygote->pid, &state, &parent) || strchr("TtZX", state);
        if (!kill_children(zygote) && stopped)
            return;
        poll(NULL, 0, 1);
    }
}
