/* SPDX-License-Identifier: MIT
 * An outage while the engine runs. librdkafka reconnects by itself and keeps what it has to send, so nothing is to
 * be done about it; but an operator has to be told, and its events do not say it well: connections that are idle are
 * closed all the time, and an event that all brokers are down comes for a moment's interruption too. So an outage
 * counts only when a question to the brokers stays without an answer. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/outage.h"

enum { OUTAGE_TRY_MS = 1000, RETRY_US = 100000 };

struct tide_kafka_outage {
    struct tide_blocking_job job;
    rd_kafka_t *client;
    struct tide_blocking *blocking;
    bool asking; /* the job is under way */
    bool logged; /* the outage was; read and written atomically */
    bool back;   /* the last answer */
    bool freed;  /* by its owner; the memory goes with the job that is under way */
};

/* Runs in the blocking thread until a broker answers, or another job waits. */
static void ask_until_back(struct tide_blocking_job *job)
{
    struct tide_kafka_outage *outage = (struct tide_kafka_outage *)job;
    const struct rd_kafka_metadata *metadata;
    /* The first question decides whether there is an outage: a broker that answers it ends the job without a line in
     * the log. */
    for (;;) {
        if (!rd_kafka_metadata(outage->client, 0, NULL, &metadata, OUTAGE_TRY_MS)) {
            rd_kafka_metadata_destroy(metadata);
            outage->back = true;
            break;
        }
        if (!outage->logged)
            tide_log(TIDE_LOG_WARN, "%s: no broker can be reached; waiting",
                     rd_kafka_name(outage->client));
        __atomic_store_n(&outage->logged, true, __ATOMIC_RELAXED);
        if (!tide_blocking_pause(outage->blocking, RETRY_US) ||
            tide_blocking_wanted(outage->blocking))
            return;
    }
    if (outage->logged)
        tide_log(TIDE_LOG_INFO, "%s: brokers are back", rd_kafka_name(outage->client));
    __atomic_store_n(&outage->logged, false, __ATOMIC_RELAXED);
}

static void asked(struct tide_blocking_job *job)
{
    struct tide_kafka_outage *outage = (struct tide_kafka_outage *)job;
    outage->asking = false;
    if (outage->freed)
        free(outage);
    else if (!outage->back)
        tide_kafka_outage_begin(outage); /* another job wanted the thread: goes on after it */
}

struct tide_kafka_outage *tide_kafka_outage_new(struct rd_kafka_s *client,
                                                struct tide_blocking *blocking)
{
    struct tide_kafka_outage *outage = tide_alloc(sizeof(*outage));
    outage->job.run = ask_until_back;
    outage->job.done = asked;
    outage->client = client;
    outage->blocking = blocking;
    return outage;
}

/* librdkafka's event leads here, and a source that has heard nothing for some seconds (source/fetch.c): one
 * question under way is enough. */
void tide_kafka_outage_begin(struct tide_kafka_outage *outage)
{
    if (outage->asking)
        return;
    outage->asking = true;
    outage->back = false;
    if (tide_blocking_submit(outage->blocking, &outage->job) < 0)
        outage->asking = false;
}

bool tide_kafka_outage_lasts(const struct tide_kafka_outage *outage)
{
    return __atomic_load_n(&outage->logged, __ATOMIC_RELAXED);
}

/* The job uses the client, so it must be over when the client is destroyed: that is a job of the same thread, and is
 * submitted after this. */
void tide_kafka_outage_free(struct tide_kafka_outage *outage)
{
    if (!outage)
        return;
    outage->freed = true;
    if (!outage->asking)
        free(outage);
}
