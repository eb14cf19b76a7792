/* SPDX-License-Identifier: MIT
 * A producer that cannot go on is replaced (librdkafka's fatal errors: its idempotent sequence is broken, or it was
 * fenced after a time-out), and so is one whose transaction may still be touched by a late request.
 *
 *   state of the sink   who                                next
 *   ready               tide_kafka_replace                 replacing: what is in flight is purged
 *   replacing           its last delivery report           opening, with another client
 *   opening             the blocking thread (exactly       ready; what was purged is sent first, in the order it was
 *                       once: init_transactions), or at    given up in (at least once: it may be there twice), or is
 *                       once                               aborted with its transaction (exactly once) */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"

enum { MOST = 5, WITHIN_US = 60000000, INIT_TIMEOUT_US = 30000000 };

struct opening {
    struct tide_blocking_job job;
    struct tide_kafka_sink *sink;
    rd_kafka_t *client;
    bool first; /* the engine is starting */
    int status;
    char text[512];
};

void tide_kafka_replace(struct tide_kafka_sink *sink, const char *why)
{
    int64_t now_us = tide_clock_us();
    if (sink->state != TIDE_KAFKA_SINK_READY)
        return;
    if (now_us - sink->replaced_us > WITHIN_US) {
        sink->replaced = 0;
        sink->replaced_us = now_us;
    }
    if (++sink->replaced > MOST) {
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, why);
        return;
    }
    tide_log(TIDE_LOG_WARN, "produce: the producer is replaced: %s", why);
    tide_count(sink->counters, 0, TIDE_M_PRODUCER_REPLACED, 1);
    sink->state = TIDE_KAFKA_SINK_REPLACING;
    rd_kafka_purge(sink->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                     RD_KAFKA_PURGE_F_NON_BLOCKING);
}

struct place {
    struct tide_kafka_record *kept;
    size_t index;
};

static int by_origin(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    const struct tide_origin x = left->kept->message.origin, y = right->kept->message.origin;
    if (x.partition != y.partition)
        return x.partition < y.partition ? -1 : 1;
    int32_t behind = (int32_t)(x.sequence - y.sequence);
    return behind != 0 ? behind : (left->index > right->index) - (left->index < right->index);
}

/* What is purged is reported in no order: what waited in a queue comes before what was in flight. */
static void sort(struct tide_kafka_sink *sink)
{
    struct tide_kafka_records *resend = &sink->resend;
    struct place *places = tide_alloc((resend->count + 1) * sizeof(*places));
    size_t count = 0;
    for (struct tide_kafka_record *kept = resend->first; kept; kept = kept->next, count++)
        places[count] = (struct place){kept, count};
    qsort(places, count, sizeof(*places), by_origin);
    for (size_t i = 0; i < count; i++)
        places[i].kept->next = i + 1 < count ? places[i + 1].kept : NULL;
    resend->first = count > 0 ? places[0].kept : NULL;
    resend->last = count > 0 ? places[count - 1].kept : NULL;
    free(places);
}

static void opened(struct tide_kafka_sink *sink)
{
    sink->state = TIDE_KAFKA_SINK_READY;
    sort(sink);
    tide_kafka_sink_handles(sink);
    if (sink->txn)
        tide_kafka_txn_replaced(sink->txn);
}

static void run(struct tide_blocking_job *job)
{
    struct opening *opening = (struct opening *)job;
    opening->status = tide_kafka_txn_init(
        opening->sink->txn, opening->client, opening->sink->blocking,
        opening->first ? opening->sink->timeout_us : INIT_TIMEOUT_US);
    snprintf(opening->text, sizeof(opening->text), "%s", tide_error());
}

static void done(struct tide_blocking_job *job)
{
    struct opening *opening = (struct opening *)job;
    struct tide_kafka_sink *sink = opening->sink;
    if (sink->state == TIDE_KAFKA_SINK_OPENING) {
        if (opening->status == TIDE_OK) {
            opened(sink);
        } else if (opening->status == TIDE_EUNREACHED && !opening->first) {
            tide_log(TIDE_LOG_WARN, "produce: %s; trying on", opening->text);
            tide_blocking_submit(sink->blocking, job);
            return;
        } else {
            tide_kafka_sink_fail(sink, opening->status, opening->text);
        }
    }
    free(opening);
}

/* The old client's configuration has the secrets that were wiped here. */
static void open_another(struct tide_kafka_sink *sink, bool first)
{
    char error[512];
    char bytes[24];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(sink->client));
    if (sink->txn)
        tide_kafka_txn_watch(sink->txn, conf);
    snprintf(bytes, sizeof(bytes), "%lld", (long long)sink->batch_bytes);
    if (sink->batch_bytes > 0)
        rd_kafka_conf_set(conf, "batch.size", bytes, NULL, 0);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        tide_kafka_sink_fail(sink, TIDE_ETEMPORARY, error);
        return;
    }
    tide_kafka_sink_drop(sink);
    tide_kafka_sink_adopt(sink, client);
    if (!sink->txn) {
        opened(sink);
        return;
    }
    struct opening *opening = tide_alloc(sizeof(*opening));
    opening->job.run = run;
    opening->job.done = done;
    opening->sink = sink;
    opening->client = client;
    opening->first = first;
    sink->state = TIDE_KAFKA_SINK_OPENING;
    tide_blocking_submit(sink->blocking, &opening->job);
}

void tide_kafka_replace_poll(struct tide_kafka_sink *sink)
{
    if (sink->state == TIDE_KAFKA_SINK_REPLACING && sink->failure == TIDE_OK &&
        sink->in_flight == 0 && !sink->event)
        open_another(sink, false);
    while (sink->state == TIDE_KAFKA_SINK_READY && sink->resend.first && sink->failure == TIDE_OK &&
           tide_kafka_sink_produce(sink, &sink->resend.first->message) == TIDE_OK)
        tide_kafka_records_move(&sink->resend, NULL);
}

void tide_kafka_replace_first(struct tide_kafka_sink *sink)
{
    tide_log(TIDE_LOG_INFO,
             "produce: batches have %lld bytes at the most: a topic's max.message.bytes",
             (long long)sink->batch_bytes);
    open_another(sink, true);
}
