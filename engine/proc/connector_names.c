/* SPDX-License-Identifier: MIT
 * The list of hosts in the connector. Names are looked up by the connector itself and not by user code: a query to a name
 * server can carry whatever its sender likes to wherever he likes. A thread does it, since a lookup waits for seconds where
 * a name server does not answer, and connections to addresses that are known should not wait with it.
 *
 * A name is looked up again when somebody connects or asks for it and the last time is a while ago: so a host that moves is
 * followed, and a pipeline that keeps its connections asks nothing. Start with keep_looking_up(). */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "proc/connector_inside.h"

enum { REFRESH_US = 15000000, AGAIN_US = 1000000 }; /* after a lookup that found all, or did not */

struct addresses {
    int count;
    uint8_t items[TIDE_HOST_ADDRESSES][16];
};

struct host {
    char *name;
    uint32_t port;
    bool numeric;            /* an address, which `now` has from the beginning */
    bool failed;             /* the last lookup; of the thread */
    struct addresses now;    /* under the lock */
    struct addresses before; /* under the lock: who has looked it up then may connect to it now */
};

struct tide_hosts {
    struct host *items;
    uint32_t count;
    int done; /* written to after the first lookup */
    pthread_mutex_t lock;
    pthread_cond_t wanted_again;
    bool wanted;         /* under the lock, as are those below */
    bool complete;       /* each name has addresses */
    int64_t finished_us; /* 0 = never */
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool tide_address_is_mapped(const uint8_t address[16])
{
    return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static bool add(struct addresses *addresses, int family, const void *bytes)
{
    if (addresses->count == TIDE_HOST_ADDRESSES || (family != AF_INET && family != AF_INET6))
        return false;
    uint8_t *address = addresses->items[addresses->count++];
    if (family == AF_INET6) {
        memcpy(address, bytes, 16);
    } else {
        memcpy(address, mapped, 12);
        memcpy(address + 12, bytes, 4);
    }
    return true;
}

/* "HOST:PORT" or "[IPV6]:PORT"; Lua has checked it. */
static void parse(struct host *host, const char *text)
{
    const char *colon = strrchr(text, ':');
    uint8_t bytes[16];
    tide_require(colon);
    host->port = (uint32_t)atoi(colon + 1);
    bool brackets = *text == '[';
    host->name = tide_copy(text + brackets);
    host->name[colon - text - (brackets ? 2 : 0)] = 0;
    int family = strchr(host->name, ':') ? AF_INET6 : AF_INET;
    host->numeric = inet_pton(family, host->name, bytes) == 1 && add(&host->now, family, bytes);
}

struct tide_hosts *tide_hosts_new(const char *const *list, uint32_t count)
{
    struct tide_hosts *hosts = tide_alloc(sizeof(*hosts));
    hosts->items = tide_alloc(sizeof(*hosts->items) * (count + 1));
    hosts->count = count;
    pthread_mutex_init(&hosts->lock, NULL);
    pthread_cond_init(&hosts->wanted_again, NULL);
    for (uint32_t i = 0; i < count; i++)
        parse(&hosts->items[i], list[i]);
    return hosts;
}

/* The first host of that name, whose addresses all of them have: an answer must not name what another may not reach. */
static struct host *find(struct tide_hosts *hosts, const char *name)
{
    for (uint32_t i = 0; i < hosts->count; i++) {
        if (!hosts->items[i].numeric && strcasecmp(hosts->items[i].name, name) == 0)
            return &hosts->items[i];
    }
    return NULL;
}

/* ---- the thread ---- */

static bool look_up(struct host *host, struct addresses *found)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int problem = getaddrinfo(host->name, NULL, &hints, &list);
    for (struct addrinfo *one = list; one && problem == 0; one = one->ai_next)
        add(found, one->ai_family,
            one->ai_family == AF_INET
                ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
                : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr);
    if (problem == 0)
        freeaddrinfo(list);
    if (found->count == 0 && !host->failed)
        tide_log(TIDE_LOG_WARN,
                 "option \"network\": %s: %s; it is looked up again when it is wanted", host->name,
                 problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem));
    host->failed = found->count == 0;
    return !host->failed;
}

/* What was known stays where a lookup finds nothing. */
static bool look_up_all(struct tide_hosts *hosts)
{
    bool complete = true;
    for (uint32_t i = 0; i < hosts->count; i++) {
        struct host *host = &hosts->items[i];
        struct addresses found = {0};
        if (host->numeric || find(hosts, host->name) != host)
            continue;
        if (!look_up(host, &found)) {
            complete = false;
            continue;
        }
        pthread_mutex_lock(&hosts->lock);
        host->before = host->now;
        host->now = found;
        pthread_mutex_unlock(&hosts->lock);
    }
    return complete;
}

static void *keep_looking_up(void *context)
{
    struct tide_hosts *hosts = context;
    for (bool first = true;; first = false) {
        bool complete = look_up_all(hosts);
        if (first)
            (void)!write(hosts->done, "x", 1);
        pthread_mutex_lock(&hosts->lock);
        hosts->complete = complete;
        hosts->finished_us = tide_clock_us();
        hosts->wanted = false;
        while (!hosts->wanted)
            pthread_cond_wait(&hosts->wanted_again, &hosts->lock);
        pthread_mutex_unlock(&hosts->lock);
    }
    return NULL;
}

int tide_hosts_look_up(struct tide_hosts *hosts)
{
    int ends[2];
    pthread_t thread;
    bool names = false;
    for (uint32_t i = 0; i < hosts->count; i++)
        names |= !hosts->items[i].numeric;
    if (!names)
        return -1;
    tide_require(pipe(ends) == 0);
    hosts->done = ends[1];
    tide_require(pthread_create(&thread, NULL, keep_looking_up, hosts) == 0);
    return ends[0];
}

/* ---- the thread that serves ---- */

void tide_hosts_refresh(struct tide_hosts *hosts)
{
    pthread_mutex_lock(&hosts->lock);
    int64_t patience_us = hosts->complete ? REFRESH_US : AGAIN_US;
    if (hosts->finished_us > 0 && !hosts->wanted &&
        tide_clock_us() - hosts->finished_us > patience_us) {
        hosts->wanted = true;
        pthread_cond_signal(&hosts->wanted_again);
    }
    pthread_mutex_unlock(&hosts->lock);
}

static bool is_among(const struct addresses *addresses, const uint8_t address[16])
{
    for (int i = 0; i < addresses->count; i++) {
        if (memcmp(addresses->items[i], address, 16) == 0)
            return true;
    }
    return false;
}

bool tide_hosts_have(struct tide_hosts *hosts, const uint8_t address[16], uint32_t port)
{
    bool has = false;
    pthread_mutex_lock(&hosts->lock);
    for (uint32_t i = 0; i < hosts->count && !has; i++) {
        const struct host *host = &hosts->items[i];
        const struct host *owner = host->numeric ? host : find(hosts, host->name);
        has = (host->port == port || tide_fault("bug.connect_port")) &&
              (is_among(&owner->now, address) || is_among(&owner->before, address));
    }
    pthread_mutex_unlock(&hosts->lock);
    return has;
}

int tide_hosts_find(struct tide_hosts *hosts, const char *name,
                    uint8_t addresses[TIDE_HOST_ADDRESSES][16])
{
    const struct host *host = find(hosts, name);
    if (!host)
        return -1;
    pthread_mutex_lock(&hosts->lock);
    int count = host->now.count;
    memcpy(addresses, host->now.items, (size_t)count * 16);
    pthread_mutex_unlock(&hosts->lock);
    return count;
}
