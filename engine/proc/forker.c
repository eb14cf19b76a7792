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
    int *keep = tide_alloc(sizeof(int) * (3 * zygote->workers + zygote->block_count + 4));
    for (uint32_t i = 0; i < zygote->workers; i++) {
        keep[count++] = zygote->worker_ends[i];
        keep[count++] = zygote->logs[i].worker_end;
    }
    for (uint32_t i = 0; i < zygote->block_count; i++)
        keep[count++] = zygote->blocks[i]->fd;
    if (zygote->connector)
        count += tide_connector_descriptors(zygote->connector, keep + count);
    keep[count++] = zygote->forker->own_end;
    tide_sandbox_descriptors(keep, count);
    free(keep);
}

static void forget(struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < zygote->workers; i++)
        zygote->engine_ends[i] = zygote->logs[i].engine_end = -1;
    zygote->engine_end = zygote->zygote_end = -1;
    zygote->log.engine_end = zygote->log.worker_end = -1;
    tide_lookups_free(zygote->lookups); /* of the first zygote */
    zygote->lookups = NULL;
}

/* False: the engine is gone. */
static bool receive(int socket, struct tide_forker_request *request, int fds[SENT])
{
    char control[CMSG_SPACE(SENT * sizeof(int))] = "";
    struct iovec bytes = {request, sizeof(*request)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t size;
    do
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (size != (ssize_t)sizeof(*request) || !head ||
        head->cmsg_len != CMSG_LEN(SENT * sizeof(int)))
        return false;
    memcpy(fds, CMSG_DATA(head), SENT * sizeof(int));
    return true;
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
    int fds[SENT];
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
        close(fds[0]);
        close(fds[1]);
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
    struct tide_forker_request copy = *request;
    int fds[SENT] = {zygote_end, log_end};
    char control[CMSG_SPACE(sizeof(fds))] = "";
    struct iovec bytes = {&copy, sizeof(copy)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(head), fds, sizeof(fds));
    return sendmsg(forker->engine_end, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? tell_loss()
                                                                                  : TIDE_OK;
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
