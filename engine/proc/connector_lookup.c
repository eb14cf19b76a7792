/* SPDX-License-Identifier: MIT
 * The connector in the part of nscd, the name cache that the C library asks before it reads /etc/hosts or asks a name
 * server: so getaddrinfo() and gethostbyname() work where neither can be reached, and know the names of the list alone. The
 * protocol has been the same since version 2 of it (glibc 2.2); its structs have fields of 32 bits each, and no room between
 * them. What else may be asked (a database to map, other services) gets no answer, after which
 * the C library goes on without. Start with tide_lookup_answer(). */
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "proc/connector_inside.h"

enum {
    VERSION = 2,
    GET_BY_NAME = 4,  /* gethostbyname(), the addresses of IPv4 ... */
    GET_BY_NAME6 = 5, /* ... and of IPv6 */
    GET_ALL = 14,     /* getaddrinfo() */
    LONGEST_NAME = 255
};

struct question {
    int32_t version;
    int32_t kind;
    int32_t length; /* of the name, with its NUL */
    char name[LONGEST_NAME + 1];
};

/* Answers to GET_BY_NAME and GET_BY_NAME6: the name follows, then the addresses. */
struct by_name {
    int32_t version;
    int32_t found;
    int32_t name_length;
    int32_t alias_count;
    int32_t family;
    int32_t address_length;
    int32_t address_count;
    int32_t error;
};

/* Answer to GET_ALL: the addresses follow, then a byte for the family of each, then the name. */
struct all {
    int32_t version;
    int32_t found;
    int32_t address_count;
    int32_t address_length; /* of all together */
    int32_t name_length;
    int32_t error;
};

struct answer {
    size_t size;
    char bytes[sizeof(struct by_name) + TIDE_HOST_ADDRESSES * 17UL + LONGEST_NAME + 1];
};

static void append(struct answer *answer, const void *bytes, size_t size)
{
    memcpy(answer->bytes + answer->size, bytes, size);
    answer->size += size;
}

/* Of an address as the connector has it, those bytes that its family has. */
static void append_address(struct answer *answer, const uint8_t address[16])
{
    bool four = tide_address_is_mapped(address);
    append(answer, address + (four ? 12 : 0), four ? 4 : 16);
}

/* `count` < 0: there is no such host; 0: none of its addresses is known, for now. */
static int error_of(int count)
{
    return count > 0 ? 0 : count < 0 ? HOST_NOT_FOUND : TRY_AGAIN;
}

static void answer_all(struct answer *answer, const struct question *question, int count,
                       uint8_t addresses[][16])
{
    struct all head = {.version = VERSION, .found = count > 0, .error = error_of(count)};
    answer->size = sizeof(head);
    for (int i = 0; i < count; i++)
        append_address(answer, addresses[i]);
    head.address_count = count > 0 ? count : 0;
    head.address_length = (int32_t)(answer->size - sizeof(head));
    for (int i = 0; i < count; i++)
        append(answer, &(uint8_t){tide_address_is_mapped(addresses[i]) ? AF_INET : AF_INET6}, 1);
    if (count > 0) {
        head.name_length = question->length;
        append(answer, question->name, (size_t)question->length);
    }
    memcpy(answer->bytes, &head, sizeof(head));
}

static void answer_by_name(struct answer *answer, const struct question *question, int count,
                           uint8_t addresses[][16])
{
    bool four = question->kind == GET_BY_NAME;
    struct by_name head = {.version = VERSION,
                           .name_length = question->length,
                           .family = four ? AF_INET : AF_INET6,
                           .address_length = four ? 4 : 16};
    answer->size = sizeof(head);
    append(answer, question->name, (size_t)question->length);
    for (int i = 0; i < count; i++) {
        if (tide_address_is_mapped(addresses[i]) == four) {
            append_address(answer, addresses[i]);
            head.address_count++;
        }
    }
    head.found = head.address_count > 0;
    head.error = head.found ? 0 : count > 0 ? NO_DATA : error_of(count);
    memcpy(answer->bytes, &head, sizeof(head));
    if (!head.found)
        answer->size = sizeof(head);
}

/* The C library sends a question whole. */
static bool read_question(int fd, struct question *question)
{
    ssize_t size = recv(fd, question, sizeof(*question), MSG_DONTWAIT);
    ssize_t length = size - (ssize_t)offsetof(struct question, name);
    return length > 0 && question->version == VERSION &&
           (question->length == length || tide_fault("bug.question_overrun")) &&
           memchr(question->name, 0, (size_t)length) == question->name + length - 1;
}

void tide_lookup_answer(int fd, struct tide_hosts *hosts)
{
    struct question question;
    struct answer answer = {0};
    uint8_t addresses[TIDE_HOST_ADDRESSES][16];
    if (!read_question(fd, &question))
        return;
    if (question.kind == GET_ALL)
        answer_all(&answer, &question, tide_hosts_find(hosts, question.name, addresses), addresses);
    else if (question.kind == GET_BY_NAME || question.kind == GET_BY_NAME6)
        answer_by_name(&answer, &question, tide_hosts_find(hosts, question.name, addresses),
                       addresses);
    if (answer.size > 0)
        (void)send(fd, answer.bytes, answer.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}
