/* SPDX-License-Identifier: MIT
 * engine/proc/connector_inside.h - what the files of the connector share. connector.c forks it; connector_server.c is what it
 * does then, with connector_names.c (the list, and the addresses of its names) and connector_lookup.c (answers to who looks
 * up a name). connector_client.c is the other side, in zygote and workers. */
#ifndef TIDE_PROC_CONNECTOR_INSIDE_H
#define TIDE_PROC_CONNECTOR_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/connector.h"

/** The hosts of a list, each with its port and the addresses that are known of it. Addresses are those of
 * struct tide_connect_request. */
struct tide_hosts;

enum { TIDE_HOST_ADDRESSES = 32 }; /* of one name; more are left out */

/* ---- connector_server.c ---- */

struct tide_connector_server;

/** Starts to look up the names of `hosts`, which it keeps. Requests come by `channels`; `life` can be read once the engine has
 * ended. */
struct tide_connector_server *tide_connector_server_new(struct tide_hosts *hosts,
                                                        const int *channels, uint32_t count,
                                                        int life);
/** Waits until there is something to do, at most `timeout_ms` (-1 = for ever), and takes one request of each channel. False =
 * the engine has ended. */
bool tide_connector_server_turn(struct tide_connector_server *server, int timeout_ms);

/* ---- connector_names.c ---- */

/** `list` as struct tide_plan_sandbox has its hosts. */
struct tide_hosts *tide_hosts_new(const char *const *list, uint32_t count);
/** Starts to look up the names among them, in a thread. Returns a descriptor that can be read once each was looked up; -1
 * when there is none. */
int tide_hosts_look_up(struct tide_hosts *hosts);
/** Has the names looked up again, in the background, if that was not done of late. */
void tide_hosts_refresh(struct tide_hosts *hosts);
/** Whether the list names an address: it is written there, or a name had it by the last lookup or the one before. */
bool tide_hosts_have(struct tide_hosts *hosts, const uint8_t address[16], uint32_t port);
/** Copies the addresses of a name. Returns how many, 0 = none is known, -1 = the list does not name it. */
int tide_hosts_find(struct tide_hosts *hosts, const char *name,
                    uint8_t addresses[TIDE_HOST_ADDRESSES][16]);

/** Whether it is one of IPv4. */
bool tide_address_is_mapped(const uint8_t address[16]);

/* ---- connector_lookup.c ---- */

/** Reads what the C library asks (nscd's protocol) from a stream socket that has something to read, and answers. */
void tide_lookup_answer(int fd, struct tide_hosts *hosts);

/* ---- connector_client.c ---- */

/** In the zygote or a worker: has connect() go by this socket. */
void tide_client_enter(int fd);

#endif
