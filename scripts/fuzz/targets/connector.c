/* SPDX-License-Identifier: MIT
 * What zygote and workers send the connector (engine/proc/connector.h): requests by their sockets, and questions after names.
 * connect() and getaddrinfo() are those of this file, so nothing leaves the process, and each connection is seen.
 *
 * An independent table says which addresses and ports the list names. No other is ever connected; each request that is one
 * has one answer, in order, and no other message has any; a name is answered with its own addresses and in the words of the
 * question alone; at the end nothing stays open. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz.h"
#include "proc/connector_inside.h"

enum {
    CHANNELS = 3,
    OPERATIONS = 40,
    MOST = 4,
    QUESTION = 12 + 256,
    ALL = 14,
    BY_NAME = 4,
    BY_NAME6 = 5
};

static const char *const hosts_of_list[] = {
    "192.0.2.1:5432",     "[2001:db8::5]:443",    "db.example.com:80",   "DB.example.com:8443",
    "six.example.com:53", "absent.example.com:9", "[::ffff:192.0.2.9]:7"};

/* By which lookup an address is known; that of NEVER is no host's. */
enum when { WRITTEN, FIRST, SECOND, NEVER };
static struct known {
    const char *name, *address;
    enum when when;
    uint16_t ports[2];
    uint8_t bytes[16];
} table[] = {{"", "::ffff:192.0.2.1", WRITTEN, {5432}, {0}},
             {"", "2001:db8::5", WRITTEN, {443}, {0}},
             {"", "::ffff:192.0.2.9", WRITTEN, {7}, {0}},
             {"db.example.com", "::ffff:192.0.2.10", FIRST, {80, 8443}, {0}},
             {"db.example.com", "::ffff:192.0.2.11", SECOND, {80, 8443}, {0}},
             {"db.example.com", "2001:db8::11", SECOND, {80, 8443}, {0}},
             {"six.example.com", "2001:db8::6", SECOND, {53}, {0}},
             {"absent.example.com", "::ffff:127.0.0.1", NEVER, {9}, {0}}};
enum { KNOWN = sizeof(table) / sizeof(*table) };

static struct tide_connector_server *server;
static int ends[CHANNELS], life[2];
static enum when lookup = FIRST;
static bool begun,
    may_go_on; /* the second lookup, which waits, so that no third one can be asked for meanwhile */
static struct {
    int count, error;
    uint32_t type;
} connections;

union control { /* room for a descriptor */
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool is_allowed(const uint8_t address[16], uint32_t port)
{
    for (int i = 0; i < KNOWN; i++) {
        if (table[i].when != NEVER && memcmp(table[i].bytes, address, 16) == 0 && port != 0 &&
            (table[i].ports[0] == port || table[i].ports[1] == port))
            return true;
    }
    return false;
}

/* ---- in the place of the C library's ---- */

int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size)
{
    struct tide_connect_request request = {.address = {[10] = 0xff, [11] = 0xff}};
    const struct sockaddr_in *four = to.__sockaddr_in__;
    const struct sockaddr_in6 *six = to.__sockaddr_in6__;
    socklen_t room = sizeof(request.type);
    bool is_four = to.__sockaddr__->sa_family == AF_INET;
    fuzz_require(size == (is_four ? sizeof(*four) : sizeof(*six)));
    fuzz_require(getsockopt(fd, SOL_SOCKET, SO_TYPE, &request.type, &room) == 0);
    if (is_four)
        memcpy(request.address + 12, &four->sin_addr, 4);
    else
        memcpy(request.address, &six->sin6_addr, 16);
    fuzz_require(is_allowed(request.address, ntohs(is_four ? four->sin_port : six->sin6_port)));
    fuzz_require(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
    connections.count++;
    connections.type = request.type;
    errno = connections.error;
    return errno ? -1 : 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    static struct addrinfo items[KNOWN];
    static struct sockaddr_in6 addresses[KNOWN];
    struct addrinfo **next = list;
    fuzz_require(!service && hints);
    while (lookup == SECOND && !__atomic_load_n(&may_go_on, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&begun, true, __ATOMIC_RELEASE);
        usleep(1000);
    }
    for (int i = 0; i < KNOWN; i++) {
        bool four = tide_address_is_mapped(table[i].bytes);
        if (table[i].when != lookup || strcasecmp(table[i].name, name) != 0)
            continue;
        items[i] = (struct addrinfo){.ai_family = four ? AF_INET : AF_INET6,
                                     .ai_addr = (struct sockaddr *)&addresses[i]};
        memcpy(four ? (void *)&((struct sockaddr_in *)&addresses[i])->sin_addr
                    : (void *)&addresses[i].sin6_addr,
               table[i].bytes + (four ? 12 : 0), four ? 4 : 16);
        *next = &items[i];
        next = &items[i].ai_next;
    }
    return next == list ? EAI_NONAME : 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct tide_connect_request request = {.kind = TIDE_CONNECT_ADDRESS};
    struct tide_connect_answer answer;
    int channels[CHANNELS];
    (void)count, (void)arguments;
    for (int i = 0; i < KNOWN; i++)
        fuzz_require(inet_pton(AF_INET6, table[i].address, table[i].bytes) == 1);
    for (int i = 0; i < CHANNELS; i++) {
        int pair[2];
        fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        ends[i] = pair[0], channels[i] = pair[1];
    }
    fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life) == 0);
    tide_clock_hold(1000000);
    struct tide_hosts *hosts = tide_hosts_new(hosts_of_list,
                                              sizeof(hosts_of_list) / sizeof(*hosts_of_list));
    server = tide_connector_server_new(hosts, channels, CHANNELS, life[1]);
    /* The names are looked up once, and once more on the first request after a while. */
    fuzz_require(send(ends[0], &request, sizeof(request), 0) == sizeof(request));
    while (recv(ends[0], &answer, sizeof(answer), MSG_DONTWAIT) < 0)
        fuzz_require(tide_connector_server_turn(server, 10));
    lookup = SECOND;
    for (int64_t at_us = 100000000; !__atomic_load_n(&begun, __ATOMIC_ACQUIRE);
         at_us += 100000000) {
        tide_clock_hold(at_us);
        tide_hosts_refresh(hosts);
        usleep(1000);
    }
    __atomic_store_n(&may_go_on, true, __ATOMIC_RELEASE);
    while (!tide_hosts_have(hosts, table[5].bytes, 80) ||
           !tide_hosts_have(hosts, table[6].bytes, 53))
        usleep(1000);
    return 0;
}

struct sent {
    bool is_request; /* else no answer is expected */
    struct tide_connect_request request;
};

static void send_message(int channel, const void *bytes, size_t size, bool descriptor)
{
    union control control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memcpy(CMSG_DATA(&control.head), &life[0], sizeof(int));
    if (descriptor) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    fuzz_require(sendmsg(ends[channel], &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
}

static void make_request(struct fuzz_input *input, struct tide_connect_request *request)
{
    const struct known *known = &table[fuzz_below(input, KNOWN)];
    uint8_t how = fuzz_byte(input);
    request->number = (uint64_t)fuzz_byte(input) << 57 | fuzz_byte(input);
    request->kind = how & 1 ? TIDE_CONNECT_ADDRESS : fuzz_below(input, 4);
    request->type = how & 2 ? SOCK_STREAM : how & 4 ? SOCK_DGRAM : fuzz_word(input);
    request->port = how & 8 ? known->ports[how >> 7] : fuzz_word(input);
    memcpy(request->address, known->bytes, 16);
    if (!(how & 16))
        request->address[fuzz_below(input, 16)] ^= fuzz_byte(input);
}

static void send_one(struct fuzz_input *input, int channel, struct sent *sent)
{
    uint8_t how = fuzz_byte(input);
    char raw[sizeof(sent->request) + 64] = {0};
    size_t size = sizeof(sent->request), given = sizeof(raw);
    make_request(input, &sent->request);
    memcpy(raw, &sent->request, size);
    if (how % 8 == 0) {
        size = fuzz_below(input, sizeof(raw));
        const char *from = fuzz_bytes(input, &given);
        memcpy(raw, from, given);
        memcpy(&sent->request, raw, sizeof(sent->request));
    }
    sent->is_request = size == sizeof(sent->request);
    send_message(channel, raw, size, how & 128);
}

/* Takes the answer to a request; returns the socket that came with it, or -1. */
static int take_answer(int channel, const struct tide_connect_request *request, bool allowed)
{
    struct tide_connect_answer answer = {0};
    union control control;
    struct iovec part = {&answer, sizeof(answer)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int fd = -1;
    fuzz_require(recvmsg(ends[channel], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) ==
                 sizeof(answer));
    fuzz_require(!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head)
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    bool names = request->kind == TIDE_CONNECT_NAMES;
    fuzz_require(answer.number == request->number);
    fuzz_require(answer.error == (names ? 0 : allowed ? connections.error : EACCES));
    fuzz_require((fd >= 0) == (answer.error == 0 || answer.error == EINPROGRESS));
    return fd;
}

static bool may_connect(const struct tide_connect_request *request)
{
    return request->kind != TIDE_CONNECT_NAMES && is_allowed(request->address, request->port) &&
           (request->type == SOCK_STREAM || request->type == SOCK_DGRAM);
}

static void make_requests(struct fuzz_input *input)
{
    static const int errors[] = {0, EINPROGRESS, ECONNREFUSED, ENETUNREACH};
    struct sent sent[MOST] = {0};
    int channel = (int)fuzz_below(input, CHANNELS), count = 1 + (int)fuzz_below(input, MOST);
    int allowed = 0;
    connections.count = 0;
    connections.error = errors[fuzz_below(input, 4)];
    for (int i = 0; i < count; i++) {
        send_one(input, channel, &sent[i]);
        allowed += sent[i].is_request && may_connect(&sent[i].request);
    }
    for (int i = 0; i <= count; i++)
        fuzz_require(tide_connector_server_turn(server, 0));
    fuzz_require(connections.count == allowed);
    for (int i = 0; i < count; i++) {
        int fd = sent[i].is_request
                     ? take_answer(channel, &sent[i].request, may_connect(&sent[i].request))
                     : -1;
        if (fd >= 0)
            close(fd);
    }
    char more;
    for (int i = 0; i < CHANNELS; i++)
        fuzz_require(recv(ends[i], &more, 1, MSG_DONTWAIT) < 0);
}

/* ---- questions ---- */

static int32_t word(const char *bytes)
{
    int32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Whether a host of that name has an address of that family among those that the last lookup found. */
static bool has_address(const char *name, const char *bytes, bool four)
{
    for (int i = 0; i < KNOWN; i++) {
        if (table[i].when == SECOND && strcasecmp(table[i].name, name) == 0 &&
            tide_address_is_mapped(table[i].bytes) == four &&
            memcmp(table[i].bytes + (four ? 12 : 0), bytes, four ? 4 : 16) == 0)
            return true;
    }
    return false;
}

static int addresses_of(const char *name, int32_t kind)
{
    int count = 0;
    for (int i = 0; i < KNOWN; i++)
        count += table[i].when == SECOND && strcasecmp(table[i].name, name) == 0 &&
                 (kind == ALL || tide_address_is_mapped(table[i].bytes) == (kind == BY_NAME));
    return count;
}

static void check_all(const char *answer, size_t size, const char *name, int count)
{
    const char *at = answer + 24, *families = at + word(answer + 12);
    fuzz_require(word(answer + 8) == count && (word(answer + 20) == 0) == (count > 0));
    fuzz_require(word(answer + 16) == (count > 0 ? (int32_t)strlen(name) + 1 : 0));
    fuzz_require(size == 24 + (size_t)(word(answer + 12) + count + word(answer + 16)));
    for (int i = 0; i < count; i++) {
        bool four = families[i] == AF_INET;
        fuzz_require(has_address(name, at, four));
        at += four ? 4 : 16;
    }
    fuzz_require(at == families && (count == 0 || strcmp(families + count, name) == 0));
}

static void check_by_name(const char *answer, size_t size, const char *name, int count, bool four)
{
    size_t length = strlen(name) + 1, each = four ? 4 : 16;
    fuzz_require(word(answer + 8) == (int32_t)length && word(answer + 20) == (int32_t)each);
    fuzz_require(word(answer + 24) == count && (word(answer + 28) == 0) == (count > 0));
    fuzz_require(size == 32 + (count > 0 ? length + each * (size_t)count : 0));
    fuzz_require(count == 0 || strcmp(answer + 32, name) == 0);
    for (int i = 0; i < count; i++)
        fuzz_require(has_address(name, answer + 32 + length + each * (size_t)i, four));
}

/* Writes a question; returns its size. */
static size_t make_question(struct fuzz_input *input, char *question)
{
    uint8_t how = fuzz_byte(input);
    const char *name = table[3 + fuzz_below(input, KNOWN - 3)].name;
    size_t length = strlen(name) + 1, given = fuzz_byte(input) * 2U;
    if (how & 1) {
        name = fuzz_bytes(input, &given);
        length = given;
    }
    static const int32_t kinds[] = {ALL, BY_NAME, BY_NAME6, 15};
    int32_t head[3] = {2, kinds[how >> 1 & 3], (int32_t)length};
    if (how >= 192)
        head[how & 8 ? 0 : 2] = (int32_t)fuzz_word(input);
    memcpy(question, head, sizeof(head));
    memcpy(question + sizeof(head), name, length);
    return sizeof(head) + length;
}

static void check_answer(const char *question, size_t asked, const char *answer, ssize_t size)
{
    size_t length = (asked < QUESTION ? asked : QUESTION) - 12;
    const char *name = question + 12;
    int32_t kind = word(question + 4);
    bool right = length > 0 && word(question) == 2 && word(question + 8) == (int32_t)length &&
                 strnlen(name, length) == length - 1 &&
                 (kind == ALL || kind == BY_NAME || kind == BY_NAME6);
    if (!right) {
        fuzz_require(size == 0);
        return;
    }
    int count = addresses_of(name, kind);
    fuzz_require(size >= 24 && word(answer) == 2 && word(answer + 4) == (count > 0));
    if (kind == ALL)
        check_all(answer, (size_t)size, name, count);
    else
        check_by_name(answer, (size_t)size, name, count, kind == BY_NAME);
}

static void ask(struct fuzz_input *input)
{
    struct tide_connect_request request = {.kind = TIDE_CONNECT_NAMES, .number = 1};
    char question[1024], answer[4096];
    size_t size = make_question(input, question);
    send_message(0, &request, sizeof(request), false);
    fuzz_require(tide_connector_server_turn(server, 0));
    int fd = take_answer(0, &request, true);
    fuzz_require(send(fd, question, size, MSG_NOSIGNAL) == (ssize_t)size);
    fuzz_require(tide_connector_server_turn(server, 0));
    ssize_t got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    /* A question of which not all was read ends in a reset. */
    check_answer(question, size, answer, got < 0 && errno == ECONNRESET ? 0 : got);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    int before = dup(life[0]);
    close(before);
    for (int i = 0; i < OPERATIONS && input.left > 0; i++) {
        if (fuzz_byte(&input) & 1)
            ask(&input);
        else
            make_requests(&input);
    }
    fuzz_require(
        tide_connector_server_turn(server, 0)); /* sees that the questions' sockets are closed */
    int after = dup(life[0]);
    close(after);
    fuzz_require(before == after);
    return 0;
}
