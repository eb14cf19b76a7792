/* SPDX-License-Identifier: MIT
 * engine/proc/zygote.h - the engine's side of the zygote: the process that has the user's code loaded and
 * forks the workers. Made while the engine has one thread; if it is lost the engine stops. */
#ifndef TIDE_PROC_ZYGOTE_H
#define TIDE_PROC_ZYGOTE_H

#include <stdint.h>

#include "proc/protocol.h"

struct tide_zygote;
struct tide_loop;
struct tide_block;

/** Sockets for `workers` places in all (over all pools). */
struct tide_zygote *tide_zygote_new(struct tide_loop *loop, uint32_t workers);
/** The two kinds of blocks as workers must see them: `inputs` read-only. Lent until the fork. */
void tide_zygote_blocks(struct tide_zygote *zygote, struct tide_block **inputs,
                        uint32_t input_count, struct tide_block **outputs, uint32_t output_count);
/** What a worker may take beyond what is loaded before it is forked, in bytes; 0 = no limit. */
void tide_zygote_memory(struct tide_zygote *zygote, uint64_t bytes);
/** How long the zygote may take for each piece of the user's code that it loads; 0 = for ever. */
void tide_zygote_limit(struct tide_zygote *zygote, int64_t limit_us);
/** As fork(): 0 in the zygote, which goes on with proc/worker.h. Refused with TIDE_EINTERNAL once this
 * process has a second thread (a forked librdkafka or a held lock would hang there). */
int tide_zygote_fork(struct tide_zygote *zygote);
/** Blocks until the user's code is loaded: TIDE_OK, TIDE_ECONFIG with its text, or when it died, or with what it was at
 * when the limit was over. TIDE_BUSY when the
 * descriptor `wake` (-1 = none) has something to read before that. */
int tide_zygote_wait_loaded(struct tide_zygote *zygote, int wake);
/** The socket of a worker's place, to send jobs and read reports. */
int tide_zygote_socket(const struct tide_zygote *zygote, uint32_t worker);
/** TIDE_BUSY: it has a queue full of them; later. */
int tide_zygote_send(struct tide_zygote *zygote, enum tide_zygote_command_kind kind,
                     uint32_t worker, uint32_t generation);
/** 1 = a notice was read, 0 = none now, TIDE_ETEMPORARY = the zygote is lost. */
int tide_zygote_receive(struct tide_zygote *zygote, struct tide_zygote_event *notice);
/** How many notices were read: as long as there are more, it lives. */
uint64_t tide_zygote_events_received(const struct tide_zygote *zygote);
int32_t tide_zygote_pid(const struct tide_zygote *zygote);
/** Ends the zygote and with it the workers, waits for it. NULL is fine. */
/** Takes the dead that were left to this process because their parents are gone: what scripts have forked, where the
 * engine is the first process of a container, or a subreaper. Elsewhere it does nothing. */
void tide_zygote_reap_orphans(const struct tide_zygote *zygote);
void tide_zygote_free(struct tide_zygote *zygote);

#endif
