/* SPDX-License-Identifier: MIT
 * engine/chain/partition_queue.h - messages of one partition that wait, oldest first, with what is in flight of them and
 * the pause until the next try. The dead letter queue keeps dead letters here that are to be sent again (chain/dlq.h has
 * its states), and chain/task_retry.c keeps messages that are to be run again, with those after them. */
#ifndef TIDE_CHAIN_PARTITION_QUEUE_H
#define TIDE_CHAIN_PARTITION_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message_list.h"

enum tide_dlq_state { TIDE_DLQ_GOOD, TIDE_DLQ_FAILING, TIDE_DLQ_PROBING };

/** Zero it to begin with. */
struct tide_partition_queue {
    struct tide_message_list kept; /* oldest first */
    uint32_t sent;                 /* in flight: with the sink, or in a batch */
    int64_t next_us;               /* end of the pause */
    int64_t pause_us;              /* length of the last pause; 0 = none since the last success */
    struct {                       /* owned by dlq_writer.c and dlq_failure.c */
        enum tide_dlq_state state;
        bool full; /* it was full when it was asked last */
    } dlq;
    /* owned by task_retry.c: of the oldest message */
    int64_t since_us; /* time of its first try; 0 = not tried yet */
    uint32_t tries;
};

/** The queues of all partitions. Zero it to begin with. */
struct tide_partition_queues {
    struct tide_partition_queue *items; /* by partition */
    uint32_t count;
};

/** Sums over all queues. */
struct tide_queue_totals {
    uint64_t kept;
    uint64_t kept_bytes;
    uint64_t sent;
    uint32_t used; /* queues that keep or have sent something */
};

/** The partition's queue, valid until the next call for a partition that was not asked for before. */
struct tide_partition_queue *tide_partition_queues_at(struct tide_partition_queues *queues,
                                                      uint32_t partition);
struct tide_queue_totals tide_partition_queues_totals(const struct tide_partition_queues *queues);
void tide_partition_queues_free(struct tide_partition_queues *queues);

/** Begins a pause of twice the last one, `first_us` if there was none, and `max_us` at most. */
void tide_partition_queue_pause(struct tide_partition_queue *queue, int64_t now_us,
                                int64_t first_us, int64_t max_us);
/** The oldest message that is kept; NULL = none is. */
const struct tide_message *tide_partition_queue_oldest(const struct tide_partition_queue *queue);
/** Copies the message to the end of the queue, or to its front. */
void tide_partition_queue_keep(struct tide_partition_queue *queue,
                               const struct tide_message *message, bool in_front);
/** Frees the oldest message; there must be one. */
void tide_partition_queue_drop(struct tide_partition_queue *queue);

#endif
