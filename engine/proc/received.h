/* SPDX-License-Identifier: MIT
 * engine/proc/received.h - what workers and the zygote send, checked before anything else is done with it. The functions
 * look at the bytes alone: that a message comes out of turn is for the pool to see (pool_work.c, worker_slot.c). The bytes
 * are the engine's own: recv() has copied them.
 *
 *   message   checked here                                          checked by
 *   hello     size, generation, kind; its text gets an end          pool_work.c: only while STARTING;
 *                                                                   worker_slot.c: how many `start` hooks there are
 *   report    size, generation, status, whole_batch                 pool_work.c: it is of the oldest job that the worker has;
 *                                                                   its times are no longer than the engine has seen
 *   piece     size, generation, size of its bytes, not empty        pool_profile.c: it was asked for, and is not too much
 *             unless it is the last
 *   crash     size, generation                                      pool_crash.c: once; its text is cleaned
 *   report
 *   event     size, kind, slot; its text gets an end                zygote.c: kinds after loading; pool.c: generation, process
 *                                                                   id, and that a command for it is outstanding
 *   LOOKUP    of its report: the table, the state; texts get an end   zygote_lookups.c: there are not too many
 * Anything of another size is no message of the protocol. recv() is called with MSG_TRUNC, so that a longer message is not
 * taken for a shorter one. */
#ifndef TIDE_PROC_RECEIVED_H
#define TIDE_PROC_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/protocol.h"

enum tide_received_kind {
    TIDE_RECEIVED_FALSE, /* it breaks the protocol */
    TIDE_RECEIVED_HELLO,
    TIDE_RECEIVED_REPORT,
    TIDE_RECEIVED_PIECE,
    TIDE_RECEIVED_CRASH
};

/** Room for any message of a worker. */
union tide_received {
    struct tide_hello hello;
    struct tide_job_report report;
    struct tide_profile_piece piece;
    struct tide_crash_report crash;
};

/** What the `size` bytes are that the worker of this generation has sent; `size` as the sender had it, which may be more
 * than there is room for. */
enum tide_received_kind tide_received_from_worker(union tide_received *message, size_t size,
                                                  uint32_t generation);
/** True when the `size` bytes are an event, for one of `workers` slots. */
bool tide_received_from_zygote(struct tide_zygote_event *event, size_t size, uint32_t workers);

#endif
