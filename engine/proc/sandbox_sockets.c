/* SPDX-License-Identifier: MIT
 * Sockets in the filter of system calls. It sees numbers and not what a pointer points to, so it cannot tell addresses apart.
 * Where the plan names hosts, connect() raises SIGSYS, whose handler asks the connector (connector.h), and whatever else takes
 * an address is refused: sendto() with one, sendmsg(), sendmmsg(), bind(), and all options of a socket but those that do not
 * change where its bytes go (IP_OPTIONS and IPV6_RTHDR do). Start with tide_filter_add_sockets(). */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "proc/sandbox_inside.h"

enum { SOCKET_TYPE = 0xf }; /* the rest are flags */

/* Allowed whatever the arguments are, unless the plan names hosts. */
static const char of_sockets[] = "sendto sendmsg sendmmsg setsockopt";

static const char of_network[] = "connect bind listen";

/* A name that this processor or this libseccomp does not have stands for nothing that could be called. */
int tide_filter_add(void *filter, uint32_t action, const char *call, uint32_t count,
                    const struct scmp_arg_cmp *arguments)
{
    int number = seccomp_syscall_resolve_name(call);
    int status = number == __NR_SCMP_ERROR
                     ? 0
                     : seccomp_rule_add_array(filter, action, number, count, arguments);
    return status == -EDOM ? 0 : status;
}

int tide_filter_add_names(void *filter, uint32_t action, const char *names)
{
    char call[40];
    int length, status = 0;
    for (; status >= 0 && sscanf(names, " %39s%n", call, &length) == 1; names += length)
        status = tide_filter_add(filter, action, call, 0, NULL);
    return status;
}

/* UNIX sockets are no network: at their other end are programs of this machine that act for whoever may open them (a
 * container engine, the system's manager). */
static int add_sockets(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
    int status = tide_filter_add_names(filter, SCMP_ACT_ALLOW, of_network);
    for (int i = 0; i < 4 && status >= 0; i++) {
        const struct scmp_arg_cmp both[] = {
            {0, SCMP_CMP_MASKED_EQ, TIDE_FILTER_WHOLE, (uint64_t)families[i / 2]},
            {1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE, (uint64_t)types[i % 2]}};
        status = tide_filter_add(filter, SCMP_ACT_ALLOW, "socket", 2, both);
    }
    return status;
}

/* Options of level and name. What a client of TCP or UDP sets, and what the C library and LuaSocket set themselves. */
static const int options[][2] = {
    {SOL_SOCKET, SO_REUSEADDR},  {SOL_SOCKET, SO_KEEPALIVE},      {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_LINGER},     {SOL_SOCKET, SO_SNDBUF},         {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_RCVLOWAT},   {SOL_SOCKET, SO_RCVTIMEO},       {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_PRIORITY},   {IPPROTO_TCP, TCP_NODELAY},      {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL},    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_IP, IP_TOS},
    {IPPROTO_IPV6, IPV6_TCLASS}, {IPPROTO_IPV6, IPV6_V6ONLY}};

static struct scmp_arg_cmp is(uint32_t argument, int value)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, TIDE_FILTER_WHOLE, (uint32_t)value};
}

/* A socket of its own never reaches anybody: it is replaced by one of the connector. Its protocol is TCP or UDP, since others
 * take addresses in options (SCTP). A UNIX socket is what the C library looks names up by. */
static int add_placeholders(scmp_filter_ctx filter)
{
    static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0},  {AF_INET, SOCK_STREAM, IPPROTO_TCP},
                                   {AF_INET, SOCK_DGRAM, 0},   {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
                                   {AF_INET6, SOCK_STREAM, 0}, {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
                                   {AF_INET6, SOCK_DGRAM, 0},  {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
                                   {AF_UNIX, SOCK_STREAM, 0}};
    int status = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && status >= 0; i++) {
        const struct scmp_arg_cmp all[] = {
            is(0, kinds[i][0]),
            {1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE, (uint64_t)kinds[i][1]},
            is(2, kinds[i][2])};
        status = tide_filter_add(filter, SCMP_ACT_ALLOW, "socket", 3, all);
    }
    return status;
}

static int add_listed(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_address = {4, SCMP_CMP_EQ, 0, 0};
    int status = add_placeholders(filter);
    if (status >= 0)
        status = tide_filter_add(filter, SCMP_ACT_TRAP, "connect", 0, NULL);
    if (status >= 0)
        status = tide_filter_add(filter, SCMP_ACT_ALLOW, "sendto", 1, &no_address);
    for (size_t i = 0; i < sizeof(options) / sizeof(*options) && status >= 0; i++) {
        const struct scmp_arg_cmp both[] = {is(1, options[i][0]), is(2, options[i][1])};
        status = tide_filter_add(filter, SCMP_ACT_ALLOW, "setsockopt", 2, both);
    }
    return status;
}

int tide_filter_add_sockets(void *filter, const struct tide_plan_sandbox *plan)
{
    if (!plan->network && plan->host_count > 0)
        return add_listed(filter);
    int status = tide_filter_add_names(filter, SCMP_ACT_ALLOW, of_sockets);
    return status >= 0 && plan->network ? add_sockets(filter) : status;
}
