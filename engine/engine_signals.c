/* SPDX-License-Identifier: MIT
 * Signals are read from a signalfd like any other input, in the loop: no code of ours runs in a signal handler, and
 * none has to be safe there. They are blocked before the fork and before librdkafka starts its threads, which inherit
 * that. */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/status.h"
#include "engine_inside.h"

/* nohup ignores HUP before it starts a program; that is respected. */
static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* It is called by tide_engine_fork and again by tide_engine_start, since a pipeline without transforms is not forked.
 * A second signalfd would take signals that the first is to read. The watch has no callback: waking the loop is
 * enough, as each turn reads the signals. */
int tide_engine_open_signals(struct tide_engine *engine)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ,
           SIG_IGN); /* write(2) then fails at a file's limit, as it does when the disk is full */
    if (!engine->plan.handle_signals || engine->signals >= 0)
        return TIDE_OK;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (numbers[i] != SIGHUP || !is_ignored(SIGHUP))
            sigaddset(&set, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    engine->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (engine->signals < 0)
        return tide_fail_system("signalfd");
    return tide_loop_watch(engine->loop, engine->signals, NULL, NULL);
}

/* 0 = no signal came. */
static int next_signal(struct tide_engine *engine, int *value)
{
    struct signalfd_siginfo info;
    if (engine->signals < 0 || read(engine->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    *value = info.ssi_code == SI_QUEUE ? info.ssi_int : 0;
    return (int)info.ssi_signo;
}

void tide_engine_read_signals(struct tide_engine *engine)
{
    int number, value;
    while ((number = next_signal(engine, &value)) != 0)
        tide_engine_emit(engine, TIDE_EVENT_SIGNAL, value, number, NULL);
}

/* HUP (reopen the files) and the two USR do not end a run, and before it has begun there is no file to reopen. */
int tide_engine_stop_signal(struct tide_engine *engine)
{
    int number, value;
    do
        number = next_signal(engine, &value);
    while (number == SIGHUP || number == SIGUSR1 || number == SIGUSR2);
    return number;
}

void tide_engine_close_signals(struct tide_engine *engine)
{
    if (engine->signals >= 0)
        close(engine->signals);
}
