/* SPDX-License-Identifier: MIT
 * librdkafka's statistics (kafka/sink/stats.c): whatever the text is, what is counted of it are numbers, which dashboards
 * and exporters can show, and the counter of retries only rises. Input: two texts, separated by a zero byte. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "kafka/sink/inside.h"
#include "shm/counters.h"

enum { TEXTS = 2 };

/* A metric that was not observed is 0 and costs a look at its count: there are a hundred, each of some kilobytes. */
static void check_counters(const struct tide_counter *metrics)
{
    for (int metric = 0; metric < TIDE_M_COUNT; metric++) {
        const struct tide_counter *counter = &metrics[metric];
        if (counter->count == 0)
            continue;
        fuzz_require(isfinite(counter->last) && isfinite(counter->sum));
        fuzz_require(isfinite(counter->min) && isfinite(counter->max));
        fuzz_require(counter->min <= counter->max);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tide_counters *counters;
    struct fuzz_input input = {data, size};
    struct tide_kafka_sink sink = {0};
    if (!counters)
        counters = tide_counters_new(1);
    if (size > 65536)
        return 0;
    struct tide_counter *metrics = (void *)(uintptr_t)tide_counters_get(counters, 0, 0);
    for (int i = 0; i < TIDE_M_COUNT; i++) {
        if (metrics[i].count > 0)
            memset(&metrics[i], 0, sizeof(metrics[i]));
    }
    sink.counters = counters;
    for (int i = 0; i < TEXTS && input.left > 0; i++) {
        size_t length = strnlen((const char *)input.at, input.left);
        char *text = fuzz_guarded(0, length + 1);
        memcpy(text, input.at, length);
        text[length] = 0;
        size_t taken = length + 1;
        (void)fuzz_bytes(&input, &taken);
        tide_kafka_sink_stats(&sink, text);
        check_counters(metrics);
    }
    return 0;
}
