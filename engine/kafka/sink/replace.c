/* SPDX-License-Identifier: MIT
 * A producer that cannot go on is replaced: after a fatal error of librdkafka (its idempotent sequence is broken, or it
 * was fenced after a time-out), or when a late request may still touch its next transaction (txn.h). Restarting the
 * whole pipeline instead would read everything again that is not committed, and lose what the workers have.
 *
 * The states are those of the sink (inside.h). What the old producer had is purged, and its delivery reports put the
 * records on the list records.purged. At least once, the new producer sends them first (some may then be in the topic
 * twice); exactly once, they are gone with their transaction, which is reported as aborted. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"

enum { INIT_TIMEOUT_US = 30000000 };

/* init_transactions of a new producer, in the blocking thread. */
struct opening {
    struct tide_blocking_job job;
    struct tide_kafka_sink *sink;
    rd_kafka_t *client;
    bool first; /* the engine is starting */
    int status;
    char text[512];
};

struct purged {
    struct tide_message_item *item;
    size_t index;
};

/* By partition, and by the order of reading within it. The sequence wraps, so it is compared by its difference. Records
 * of one message (it may have several outputs) stay in the order in which they were reported: qsort() is not stable. */
static int by_origin(const void *a, const void *b)
{
    const struct purged *left = a, *right = b;
    const struct tide_origin x = left->item->message.origin, y = right->item->message.origin;
    if (x.partition != y.partition)
        return x.partition < y.partition ? -1 : 1;
    int32_t order = (int32_t)(x.sequence - y.sequence);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* Purged records are reported in no order (those that waited in a queue come before those that were in flight), but are
 * sent again in the order in which their messages were read. */
static void sort_purged(struct tide_message_list *list)
{
    struct purged *purged = tide_alloc((list->count + 1) * sizeof(*purged));
    struct tide_message_item *item;
    size_t count = 0;
    for (; (item = tide_message_list_take(list)); count++)
        purged[count] = (struct purged){item, count};
    qsort(purged, count, sizeof(*purged), by_origin);
    for (size_t i = 0; i < count; i++)
        tide_message_list_append(list, purged[i].item);
    free(purged);
}

static void become_ready(struct tide_kafka_sink *sink)
{
    sink->state = TIDE_KAFKA_SINK_READY;
    sort_purged(&sink->records.purged);
    tide_kafka_producer_open_topics(sink);
    if (sink->txn)
        tide_kafka_txn_replaced(sink->txn);
}

/* In the blocking thread: fences the old producer, and ends the transaction that it may have left open. */
static void run_opening(struct tide_blocking_job *job)
{
    struct opening *opening = (struct opening *)job;
    opening->status = tide_kafka_txn_init(
        opening->sink->txn, opening->client, opening->sink->blocking,
        opening->first ? opening->sink->plan.timeout_us : INIT_TIMEOUT_US);
    snprintf(opening->text, sizeof(opening->text), "%s", tide_error());
}

static void opening_done(struct tide_blocking_job *job)
{
    struct opening *opening = (struct opening *)job;
    struct tide_kafka_sink *sink = opening->sink;
    if (sink->state == TIDE_KAFKA_SINK_OPENING) {
        if (opening->status == TIDE_OK) {
            become_ready(sink);
        } else if (opening->status == TIDE_EUNREACHED && !opening->first) {
            /* An outage while the engine runs is waited for; at the start it ends the program with a clear reason. */
            tide_log(TIDE_LOG_WARN, "produce: %s; it is tried again", opening->text);
            tide_blocking_submit(sink->blocking, job);
            return;
        } else {
            tide_kafka_sink_fail(sink, opening->status, opening->text);
        }
    }
    free(opening);
}

static void open_another(struct tide_kafka_sink *sink, bool first)
{
    rd_kafka_t *client = tide_kafka_producer_new_again(sink);
    if (!client) {
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, tide_error());
        return;
    }
    tide_kafka_producer_drop(sink); /* after the new one was made from its configuration */
    tide_kafka_producer_adopt(sink, client);
    if (!sink->txn) {
        become_ready(sink);
        return;
    }
    struct opening *opening = tide_alloc(sizeof(*opening));
    opening->job.run = run_opening;
    opening->job.done = opening_done;
    opening->sink = sink;
    opening->client = client;
    opening->first = first;
    sink->state = TIDE_KAFKA_SINK_OPENING;
    tide_blocking_submit(sink->blocking, &opening->job);
}

/* Before anything else is sent: has_room() in sink.c waits for it. */
static void send_purged(struct tide_kafka_sink *sink)
{
    const struct tide_message_item *item;
    while (sink->failure.status == TIDE_OK && (item = STAILQ_FIRST(&sink->records.purged.items)) &&
           tide_kafka_sink_produce(sink, &item->message) == TIDE_OK)
        free(tide_message_list_take(&sink->records.purged));
}

void tide_kafka_replace_poll(struct tide_kafka_sink *sink)
{
    /* Only when every purged record is on the list: one that is reported later would be lost. */
    if (sink->state == TIDE_KAFKA_SINK_REPLACING && sink->failure.status == TIDE_OK &&
        sink->sent.count == 0 && !sink->event)
        open_another(sink, false);
    if (sink->state == TIDE_KAFKA_SINK_READY)
        send_purged(sink);
}

void tide_kafka_replace_first(struct tide_kafka_sink *sink)
{
    tide_log(TIDE_LOG_INFO,
             "produce: batches have %lld bytes at the most: a topic's max.message.bytes",
             (long long)sink->output.batch_bytes);
    open_another(sink, true);
}
