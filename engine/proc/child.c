/* SPDX-License-Identifier: MIT
 * How each process begins that the engine or the zygote forks: zygote, workers, connector. */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "proc/inside.h"

/* fork() clears PDEATHSIG, and the parent may be gone already by the time it is set: then no signal would come. */
void tide_child_dies_with(int32_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

/* Signals to the whole process group are meant for the engine. The mask is emptied, since fork() has copied the
 * engine's, which blocks what it reads from its signalfd; SIGCHLD is set to its default, since a parent that ignores it
 * leaves that behind, and then waitpid() would find no deaths. */
void tide_child_signals(bool block_child)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGQUIT, SIGHUP,
                                  SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &(sigset_t){{0}}, NULL);
    if (block_child) /* they come through the signalfd */
        sigprocmask(SIG_BLOCK, &set, NULL);
}
