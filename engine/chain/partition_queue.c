/* SPDX-License-Identifier: MIT
 * Queues by partition. What is kept is copied, since the messages are borrowed from an input block or from the sink
 * that refused them. The two users have states of their own; only what both need is here. Start reading at
 * tide_partition_queue_keep. */
#include "chain/partition_queue.h"

#include <stdlib.h>

#include "base/grow.h"

/* Partitions are few and numbered from 0, so an array by number is enough, and a queue that is empty costs only its
 * struct. */
struct tide_partition_queue *tide_partition_queues_at(struct tide_partition_queues *queues,
                                                      uint32_t partition)
{
    tide_grow(&queues->items, &queues->count, partition + 1, sizeof(*queues->items));
    return &queues->items[partition];
}

/* Counted anew each time rather than kept beside the queues, where every change of a queue would have to adjust
 * them. */
struct tide_queue_totals tide_partition_queues_totals(const struct tide_partition_queues *queues)
{
    struct tide_queue_totals totals = {0};
    for (uint32_t i = 0; i < queues->count; i++) {
        const struct tide_partition_queue *queue = &queues->items[i];
        totals.kept += queue->kept.count;
        totals.kept_bytes += queue->kept.bytes;
        totals.sent += queue->sent;
        totals.used += queue->kept.count > 0 || queue->sent > 0;
    }
    return totals;
}

void tide_partition_queues_free(struct tide_partition_queues *queues)
{
    for (uint32_t i = 0; i < queues->count; i++)
        tide_message_list_free(&queues->items[i].kept);
    free(queues->items);
}

/* A success sets pause_us to 0, so the next failure begins with a short pause again. */
void tide_partition_queue_pause(struct tide_partition_queue *queue, int64_t now_us,
                                int64_t first_us, int64_t max_us)
{
    queue->pause_us = queue->pause_us == 0 ? first_us : queue->pause_us * 2;
    if (queue->pause_us > max_us)
        queue->pause_us = max_us;
    queue->next_us = now_us + queue->pause_us;
}

const struct tide_message *tide_partition_queue_oldest(const struct tide_partition_queue *queue)
{
    const struct tide_message_item *item = STAILQ_FIRST(&queue->kept.items);
    return item ? &item->message : NULL;
}

/* What was sent and came back goes in front, since everything that is kept is newer. */
void tide_partition_queue_keep(struct tide_partition_queue *queue,
                               const struct tide_message *message, bool in_front)
{
    struct tide_message_item *item = tide_message_item_new(message, sizeof(*item));
    if (in_front)
        tide_message_list_prepend(&queue->kept, item);
    else
        tide_message_list_append(&queue->kept, item);
}

void tide_partition_queue_drop(struct tide_partition_queue *queue)
{
    free(tide_message_list_take(&queue->kept));
}
