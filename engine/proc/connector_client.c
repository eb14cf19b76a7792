/* SPDX-License-Identifier: MIT
 * connect() in a process of the sandbox, where the filter answers it with SIGSYS: the handler does what the kernel would, by
 * way of the connector (connector.h). Only what may be called in a signal handler is called here, and nothing that the filter
 * stops.
 *
 * The socket that the caller has is replaced under its number, so what it has of its own is copied: whether it waits, and
 * the options that clients set before they connect. What they lose is size of buffers and its own port, which the filter
 * refuses anyway. Start with on_stopped_call(). */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "proc/connector_inside.h"

enum { BY_FILTER = 1 }; /* SYS_SECCOMP, whose header cannot be included beside the C library's */

static const char name_cache[] = "/var/run/nscd/socket"; /* as the C library has it */

static struct {
    int fd;          /* -1 = there is no connector */
    int locked;      /* by a thread that waits for its answer */
    uint64_t number; /* of the last request */
} client = {.fd = -1};

/* ---- what the call is about ---- */

/* Reads the address: 0, or the error that the kernel would give. */
static int read_address(const void *address, size_t size, struct tide_connect_request *request)
{
    struct sockaddr_storage copy = {0};
    if (size > sizeof(copy) || size < sizeof(copy.ss_family))
        return EINVAL;
    memcpy(&copy, address, size);
    const struct sockaddr_in *four = (const struct sockaddr_in *)&copy;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&copy;
    const struct sockaddr_un *local = (const struct sockaddr_un *)&copy;
    if (copy.ss_family == AF_INET && size >= sizeof(*four)) {
        request->port = ntohs(four->sin_port);
        request->address[10] = request->address[11] = 0xff;
        memcpy(request->address + 12, &four->sin_addr, 4);
        return 0;
    }
    if (copy.ss_family == AF_INET6 && size >= sizeof(*six)) {
        request->port = ntohs(six->sin6_port);
        memcpy(request->address, &six->sin6_addr, 16);
        return 0;
    }
    request->kind = TIDE_CONNECT_NAMES;
    bool names = copy.ss_family == AF_UNIX &&
                 size >= offsetof(struct sockaddr_un, sun_path) + sizeof(name_cache) &&
                 memcmp(local->sun_path, name_cache, sizeof(name_cache)) == 0;
    return names ? 0 : EACCES;
}

/* 0 = it is no connection yet, or may be one to another address (UDP). */
static int error_of_state(int fd, uint32_t type)
{
    int error = 0;
    uint8_t state = TCP_CLOSE; /* the first byte of struct tcp_info */
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    size = sizeof(state);
    if (error != 0 || type != SOCK_STREAM ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) < 0)
        return error;
    return state == TCP_CLOSE ? 0 : state == TCP_SYN_SENT ? EALREADY : EISCONN;
}

/* ---- the connector ---- */

static int await_answer(uint64_t number, int *fd)
{
    for (;;) {
        struct tide_connect_answer answer = {0};
        int fds[TIDE_DESCRIPTORS];
        uint32_t count;
        ssize_t size = tide_descriptors_receive(client.fd, &answer, sizeof(answer), 0, fds, &count);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return ENETDOWN;
        *fd = count > 0 ? fds[0] : -1;
        if (answer.number == number) /* else it is for a worker that had this slot before */
            return answer.error;
        if (*fd >= 0)
            close(*fd);
    }
}

/* 0 or EINPROGRESS with a socket, or another error. One thread at a time: the answers come by one socket. */
static int ask(struct tide_connect_request *request, int *fd)
{
    while (__atomic_exchange_n(&client.locked, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    request->number = ++client.number;
    int error = ENETDOWN;
    if (send(client.fd, request, sizeof(*request), MSG_NOSIGNAL) == (ssize_t)sizeof(*request))
        error = await_answer(request->number, fd);
    __atomic_store_n(&client.locked, 0, __ATOMIC_RELEASE);
    if ((error == 0 || error == EINPROGRESS) && *fd < 0)
        error = EMFILE; /* there was no room for it */
    return error;
}

/* ---- the new socket in the place of the old one ---- */

/* Until it is connected, as long as the caller's own socket may wait: 0, EINPROGRESS when that is over, or the error. */
static int await_connection(int fd, int own)
{
    struct timeval limit = {0};
    struct pollfd writable = {fd, POLLOUT, 0};
    int error = 0, ready;
    socklen_t size = sizeof(limit);
    getsockopt(own, SOL_SOCKET, SO_SNDTIMEO, &limit, &size);
    int64_t limit_ms = (int64_t)limit.tv_sec * 1000 + limit.tv_usec / 1000;
    do
        ready = poll(&writable, 1, limit_ms > 0 && limit_ms < INT32_MAX ? (int)limit_ms : -1);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return EINPROGRESS;
    size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static void copy_options(int from, int to)
{
    static const int options[][2] = {
        {SOL_SOCKET, SO_KEEPALIVE},   {SOL_SOCKET, SO_LINGER},    {SOL_SOCKET, SO_RCVTIMEO},
        {SOL_SOCKET, SO_SNDTIMEO},    {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT}, {IPPROTO_TCP, TCP_USER_TIMEOUT}};
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        char value[16];
        socklen_t size = sizeof(value);
        if (getsockopt(from, options[i][0], options[i][1], value, &size) == 0)
            setsockopt(to, options[i][0], options[i][1], value, size);
    }
}

static int put_in_place(int fd, int own, int flags)
{
    int closes = fcntl(own, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
    copy_options(own, fd);
    if (!(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    int error = dup3(fd, own, closes) < 0 ? errno : 0;
    close(fd);
    return error;
}

/* What connect() would return: 0, or an error with a minus sign. */
static long connect_by_connector(int own, const void *address, size_t size)
{
    struct tide_connect_request request = {.kind = TIDE_CONNECT_ADDRESS};
    int type = 0, fd = -1, flags = fcntl(own, F_GETFL);
    socklen_t type_size = sizeof(type);
    if (getsockopt(own, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0)
        return -errno;
    request.type = (uint32_t)type;
    int error = read_address(address, size, &request);
    if (error == 0)
        error = error_of_state(own, request.type);
    if (error == 0)
        error = ask(&request, &fd);
    if (fd < 0)
        return -error;
    if (error == EINPROGRESS && !(flags & O_NONBLOCK))
        error = await_connection(fd, own);
    if (error != 0 && error != EINPROGRESS) {
        close(fd);
        return -error;
    }
    int problem = put_in_place(fd, own, flags);
    return problem != 0 ? -problem : -error;
}

/* ---- the signal ---- */

static void on_stopped_call(int number, siginfo_t *info, void *context)
{
    ucontext_t *registers = context;
    int before = errno;
    (void)number;
    if (info->si_code != BY_FILTER)
        return; /* somebody has sent it */
#if defined(__x86_64__)
    greg_t *all = registers->uc_mcontext.gregs;
    all[REG_RAX] = connect_by_connector((int)all[REG_RDI], (const void *)all[REG_RSI],
                                        (uint32_t)all[REG_RDX]);
#elif defined(__aarch64__)
    unsigned long long *all = registers->uc_mcontext.regs;
    all[0] = (unsigned long long)connect_by_connector((int)all[0], (const void *)all[1],
                                                      (uint32_t)all[2]);
#else
    (void)registers; /* sandbox.c refuses the list there */
#endif
    errno = before;
}

/* A worker has the number of its process in those of its requests, so that no answer to another one fits. */
void tide_client_enter(int fd)
{
    struct sigaction action = {.sa_sigaction = on_stopped_call, .sa_flags = SA_SIGINFO};
    client.fd = fd;
    client.locked = 0;
    client.number = (uint64_t)getpid() << 32;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}
