/* SPDX-License-Identifier: MIT
 * The header has the reasons. Start reading at tide_fetch_again_ask. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "kafka/blocking.h"
#include "kafka/fetch_again.h"

enum { TIMEOUT_MS = 1000 };

struct question {
    struct tide_blocking_job job;
    struct tide_fetch_again *again;
    rd_kafka_t *client;
    char *topics[TIDE_FETCH_AGAIN_MOST];
    int32_t numbers[TIDE_FETCH_AGAIN_MOST];
    uint32_t count;
    bool resumed;
};

/* In the blocking thread. The answers do not matter. Behind a resume the group's protocol is asked first, which
 * librdkafka's main thread answers in its turn: without that 2 of 4 starts with ten million keys were fetched for only
 * a second later (2.0.2), with it none of 8. Why is not known: a resume has been served when its call returns. */
static void ask_watermarks(struct tide_blocking_job *job)
{
    struct question *question = (struct question *)job;
    int64_t low, high;
    if (question->resumed)
        rd_kafka_rebalance_protocol(question->client);
    for (uint32_t i = 0; i < question->count; i++)
        rd_kafka_query_watermark_offsets(question->client, question->topics[i],
                                         question->numbers[i], &low, &high, TIMEOUT_MS);
}

static void asked(struct tide_blocking_job *job)
{
    struct question *question = (struct question *)job;
    question->again->under_way = false;
    for (uint32_t i = 0; i < question->count; i++)
        free(question->topics[i]);
    free(question);
}

bool tide_fetch_again_may_ask(const struct tide_fetch_again *again, int64_t interval_us)
{
    return !again->under_way && tide_clock_us() - again->asked_us >= interval_us;
}

void tide_fetch_again_ask(struct tide_fetch_again *again, struct tide_blocking *blocking,
                          rd_kafka_t *client, const struct tide_fetch_again_of *partitions)
{
    again->asked_us = tide_clock_us();
    if (partitions->count == 0)
        return;
    struct question *question = tide_alloc(sizeof(*question));
    question->job = (struct tide_blocking_job){.run = ask_watermarks, .done = asked};
    question->again = again;
    question->client = client;
    question->resumed = partitions->resumed;
    for (; question->count < partitions->count; question->count++) {
        question->topics[question->count] = tide_copy(partitions->topics[question->count]);
        question->numbers[question->count] = partitions->numbers[question->count];
    }
    again->under_way = true;
    if (tide_blocking_submit(blocking, &question->job) < 0)
        asked(&question->job);
}
