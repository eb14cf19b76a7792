/* SPDX-License-Identifier: MIT
 * The forker (forker.h): its fork, what it does, and its end. Start with tide_forker_serve(). */
#include "proc/forker.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/fault.h"
#include "base/status.h"
#include "proc/inside.h"
#include "proc/sandbox_inside.h"
#include "proc/zygote.h"
#include "shm/block.h"

enum { SENT = 2 }; /* descriptors of a request */

struct tide_forker {
    int engine_end; /* -1 = closed */
    int own_end;
    int32_t pid;
    int32_t engine; /* the process id of the engine */
};

/* ---- in the forker ---- */

/* What the engine has open besides (its input, output, a channel to a supervisor) is nobody else's. */
static void close_others(const struct tide_zygote *zygote)
{
    uint32_t count = 0;
    int *keep = tide_alloc(sizeof(int) * (zygote->block_count + 3));
    for (uint32_t i = 0; i < zygote->block_count; i++)
        keep[count++] = zygote->blocks[i]->fd;
    if (zygote->connector)
        keep[count++] = tide_connector_of_zygote(zygote->connector);
    keep[count++] = zygote->forker->own_end;
    tide_sandbox_descriptors(keep, count);
    free(keep);
}

static void forget(struct tide_zygote *zygote)
{
    tide_zygote_close_slots(zygote);
    zygote->engine_end = zygote->zygote_end = -1;
    zygote->log.engine_end = zygote->log.worker_end = -1;
    tide_lookups_free(zygote->lookups); /* of the first zygote */
    zygote->lookups = NULL;
}

/* False: the engine is gone. */
static bool receive(int socket, struct tide_forker_request *request, int fds[TIDE_DESCRIPTORS])
{
    uint32_t count;
    ssize_t size;
    do
        size = tide_descriptors_receive(socket, request, sizeof(*request), 0, fds, &count);
    while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof(*request) && count == SENT;
}

/* The C library has no name for this flag of fork(). It would only note the thread's number anew, by which nothing of this
 * process, with its one thread, is found. */
static int32_t fork_for_engine(void)
{
    return (int32_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

void tide_forker_serve(struct tide_zygote *zygote)
{
    struct tide_forker *forker = zygote->forker;
    struct tide_forker_request request;
    int fds[TIDE_DESCRIPTORS];
    char name[16] = ""; /* as the kernel has it */
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, "tidemill-forker");
    tide_child_dies_with(forker->engine);
    tide_child_signals(false);
    forget(zygote);
    close_others(zygote);
    while (receive(forker->own_end, &request, fds)) {
        struct tide_forker_answer answer = {tide_fault("forker.fork") ? -1 : fork_for_engine(),
                                            errno};
        if (answer.pid == 0) {
            prctl(PR_SET_NAME, name);
            close(forker->own_end);
            zygote->zygote_end = fds[0];
            zygote->log.worker_end = fds[1];
            zygote->revision = request.revision;
            memcpy(zygote->known, request.known, sizeof(zygote->known));
            tide_zygote_begin(zygote, forker->engine);
            return;
        }
        tide_descriptors_close(fds, SENT);
        (void)send(forker->own_end, &answer, sizeof(answer), MSG_NOSIGNAL);
    }
    _exit(0);
}

/* ---- in the engine ---- */

bool tide_zygote_is_forker(const struct tide_zygote *zygote)
{
    return zygote->forker && zygote->forker->pid == 0;
}

int tide_forker_fork(struct tide_zygote *zygote)
{
    struct tide_forker *forker = zygote->forker = tide_alloc(sizeof(*forker));
    *forker = (struct tide_forker){.engine_end = -1, .own_end = -1, .engine = getpid()};
    if (tide_zygote_make_pair(&forker->engine_end, &forker->own_end) < 0)
        return tide_failure();
    forker->pid = fork();
    if (forker->pid < 0)
        return tide_fail(TIDE_ETEMPORARY, "fork: %s", strerror(errno));
    if (forker->pid > 0) {
        close(forker->own_end);
        forker->own_end = -1;
    }
    return forker->pid;
}

static int tell_loss(void)
{
    return tide_fail(TIDE_ETEMPORARY,
                     "the process that forks zygotes for a reload is gone; start the "
                     "pipeline again to load other transforms");
}

int tide_forker_ask(struct tide_forker *forker, const struct tide_forker_request *request,
                    int zygote_end, int log_end)
{
    const int fds[SENT] = {zygote_end, log_end};
    int failed = tide_descriptors_send(forker->engine_end, request, sizeof(*request), fds, SENT);
    return failed ? tell_loss() : TIDE_OK;
}

int tide_forker_answer(struct tide_forker *forker, int32_t *pid)
{
    struct tide_forker_answer answer;
    ssize_t size = recv(forker->engine_end, &answer, sizeof(answer), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return TIDE_BUSY;
    if (size != (ssize_t)sizeof(answer))
        return tell_loss();
    if (answer.pid < 0)
        return tide_fail(TIDE_ETEMPORARY, "fork: %s", strerror(answer.problem));
    *pid = answer.pid;
    return TIDE_OK;
}

int32_t tide_forker_pid(const struct tide_forker *forker)
{
    return forker->pid;
}

void tide_forker_free(struct tide_forker *forker)
{
    if (!forker)
        return;
    if (forker->engine_end >= 0)
        close(forker->engine_end);
    if (forker->own_end >= 0)
        close(forker->own_end);
    if (forker->pid > 0) {
        kill(forker->pid, SIGKILL);
        while (waitpid(forker->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    free(forker);
}
