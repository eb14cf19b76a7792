/* SPDX-License-Identifier: MIT
 * engine/proc/connector.h - connections for the sandbox where `network` is a list of hosts. A process of the sandbox cannot
 * connect by itself; the connector, a process that runs no user code, does it for those addresses that the list names.
 *
 *   who             does                                                          why
 *   zygote, worker  calls connect(), which the filter stops (sandbox_calls.c);    C libraries need not know of it
 *                   the signal's handler sends the address to the connector
 *   connector       compares it with the list; makes a socket and connects it,    what it compares is its own copy, which
 *                   without waiting; answers with that socket                     nobody else can change any more
 *   zygote, worker  puts that socket in the place of its own, and waits for the   as connect() would
 *                   connection if its own was one that waits
 *
 * Names: the C library asks the name cache of the system (nscd) before anything else, by a UNIX socket. A connect() to that
 * one gets a pair of sockets whose other end is the connector, which answers for the names of the list and says of all
 * others that there is no such host.
 *
 * Neither zygote nor workers are believed: what they send is a struct of one size, copied once. Each has a socket of its own
 * to the connector, so that no answer reaches another process. */
#ifndef TIDE_PROC_CONNECTOR_H
#define TIDE_PROC_CONNECTOR_H

#include <stdbool.h>
#include <stdint.h>

struct tide_connector;
struct tide_loop;
struct tide_plan_sandbox;
struct tide_sandbox_support;

enum tide_connect_kind { TIDE_CONNECT_ADDRESS, TIDE_CONNECT_NAMES };
struct tide_connect_request {
    uint64_t number; /* its answer has the same */
    uint32_t kind;   /* enum tide_connect_kind; of NAMES nothing else counts */
    uint32_t type;   /* SOCK_STREAM or SOCK_DGRAM */
    uint32_t port;
    uint8_t address[16]; /* of IPv6; one of IPv4 is mapped into it (::ffff:a.b.c.d) */
};

/** A socket comes with it where `error` is 0 or EINPROGRESS. */
struct tide_connect_answer {
    uint64_t number;
    int32_t error; /* errno of connect(), or EACCES: the list does not name it */
};

/* ---- in the engine ---- */

/** Forks the connector, before the zygote and while this process has one thread. The hosts of the plan are copied. NULL with
 * tide_error(). `workers` slots, and the zygote, can be served. */
struct tide_connector *tide_connector_new(struct tide_loop *loop,
                                          const struct tide_plan_sandbox *plan,
                                          const struct tide_sandbox_support *support,
                                          uint32_t workers);
/** Closes the socket of the zygote, once that is forked. */
void tide_connector_detach(struct tide_connector *connector);
/** The socket of a worker slot, which its workers are given. */
int tide_connector_of_worker(const struct tide_connector *connector, uint32_t worker);
/** Whether the connector has ended, which it never does by itself. */
bool tide_connector_lost(const struct tide_connector *connector);
int32_t tide_connector_pid(const struct tide_connector *connector);
/** Ends the connector. NULL is fine. */
void tide_connector_free(struct tide_connector *connector);

/* ---- in the zygote and in workers ---- */

/** Closes the sockets of the slots: no zygote has any. */
void tide_connector_close_slots(struct tide_connector *connector);
/** The socket that stays open in the zygote. */
int tide_connector_of_zygote(const struct tide_connector *connector);
/** From now on connect() is carried out by the connector. Before any user code. */
void tide_connector_enter_zygote(const struct tide_connector *connector);
/** The same in a worker, with the socket of its slot, which is its own from now on. The zygote's is closed. */
void tide_connector_enter_worker(struct tide_connector *connector, int socket);

#endif
