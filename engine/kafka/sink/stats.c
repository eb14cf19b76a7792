/* SPDX-License-Identifier: MIT
 * librdkafka describes itself once a second by a JSON text of some kilobytes. Few of its numbers can be asked for
 * otherwise, so those that are metrics of ours are taken out of it; what librdkafka counts from its start becomes the
 * difference since the last text. A text that is no JSON is passed over: it costs a second of metrics. */
#include <math.h>
#include <string.h>

#include "kafka/sink/inside.h"
#include "shm/counters.h"
#include "json/json.h"

static const double MOST = 9007199254740992; /* 2^53: what is beyond counts as this */

/* The number that is called `name` in the object; 0 if there is none. Within +-MOST, so that products and sums stay
 * numbers that an exporter can show. */
static double number_of(struct tide_json_doc *doc, int32_t node, const char *name)
{
    switch (tide_json_get(doc, node, name, (int32_t)strlen(name))) {
    case TIDE_JSON_DOUBLE:
        return fmax(-MOST, fmin(MOST, doc->json->number));
    case TIDE_JSON_INT64:
        return doc->json->integer < 0 ? -MOST : MOST;
    case TIDE_JSON_UINT64:
        return MOST;
    default:
        return 0;
    }
}

/* A cast of what uint64_t cannot hold is undefined. */
static uint64_t whole(double number)
{
    return number > 0 ? (uint64_t)fmin(MOST, number) : 0;
}

/* Observes one of librdkafka's windows ({"avg":, "cnt":, ...}, in microseconds) in seconds. The average stands for
 * all of its samples, since the samples themselves are not there. */
static void observe_window(struct tide_kafka_sink *sink, enum tide_metric metric,
                           struct tide_json_doc *doc, int32_t broker, const char *name)
{
    if (tide_json_get(doc, broker, name, (int32_t)strlen(name)) != TIDE_JSON_OBJECT)
        return;
    int32_t window = doc->json->node;
    double count = number_of(doc, window, "cnt");
    double average_us = number_of(doc, window, "avg");
    tide_observe_many(sink->counters, 0, metric, average_us / 1e6, whole(count));
}

/* The windows whose 99th percentile is a gauge, of the broker that is worst off: the names are those of Arroyo. */
static const struct {
    enum tide_metric metric;
    const char *window;
} P99[] = {{TIDE_M_PRODUCER_P99_INT_LATENCY, "int_latency"},
           {TIDE_M_PRODUCER_P99_OUTBUF_LATENCY, "outbuf_latency"},
           {TIDE_M_PRODUCER_P99_RTT, "rtt"}};
enum { P99_COUNT = sizeof(P99) / sizeof(P99[0]) };

/* librdkafka takes int_latency from the time at which a message times out. Where messages have no timeout (at_least_once)
 * it is negative, and the percentiles of its window are 0, which says nothing. */
static void find_largest_p99(struct tide_json_doc *doc, int32_t broker, double *largest_us)
{
    for (int i = 0; i < P99_COUNT; i++) {
        const char *window = P99[i].window;
        if (tide_json_get(doc, broker, window, (int32_t)strlen(window)) != TIDE_JSON_OBJECT)
            continue;
        int32_t node = doc->json->node;
        double us = number_of(doc, node, "p99");
        if (us > largest_us[i] && number_of(doc, node, "min") >= 0)
            largest_us[i] = us;
    }
}

/* Returns how many requests librdkafka has sent again so far, to all brokers together, and observes their windows. */
static uint64_t observe_brokers(struct tide_kafka_sink *sink, struct tide_json_doc *doc)
{
    struct tide_json *json = doc->json;
    double retries = 0, p99_us[P99_COUNT] = {-1, -1, -1};
    if (tide_json_get(doc, 0, "brokers", 7) != TIDE_JSON_OBJECT)
        return 0;
    int32_t brokers = json->node, kind;
    for (int32_t at = 0; (kind = tide_json_next(doc, brokers, at)) > TIDE_JSON_NONE;) {
        int32_t broker = json->node;
        at = json->position;
        if (kind != TIDE_JSON_OBJECT)
            continue;
        retries += number_of(doc, broker, "txretries");
        observe_window(sink, TIDE_M_PRODUCER_RTT, doc, broker, "rtt");
        observe_window(sink, TIDE_M_PRODUCER_OUTBUF_LATENCY, doc, broker, "outbuf_latency");
        find_largest_p99(doc, broker, p99_us);
    }
    for (int i = 0; i < P99_COUNT; i++) {
        if (p99_us[i] >= 0)
            tide_observe(sink->counters, 0, P99[i].metric, p99_us[i] / 1e6);
    }
    return whole(retries);
}

void tide_kafka_sink_stats(struct tide_kafka_sink *sink, const char *text)
{
    struct tide_json *json = tide_json_new();
    if (tide_json_open(json, text, (int32_t)strlen(text)) == TIDE_JSON_OBJECT) {
        struct tide_json_doc *doc = json->root;
        tide_observe(sink->counters, 0, TIDE_M_PRODUCER_QUEUE_MESSAGES,
                     number_of(doc, 0, "msg_cnt"));
        tide_observe(sink->counters, 0, TIDE_M_PRODUCER_QUEUE_BYTES, number_of(doc, 0, "msg_size"));
        tide_observe(sink->counters, 0, TIDE_M_PRODUCER_MAX_MESSAGES, number_of(doc, 0, "msg_max"));
        tide_observe(sink->counters, 0, TIDE_M_PRODUCER_MAX_BYTES,
                     number_of(doc, 0, "msg_size_max"));
        uint64_t retries = observe_brokers(sink, doc);
        if (retries > sink->retries)
            tide_count(sink->counters, 0, TIDE_M_PRODUCER_RETRIES, retries - sink->retries);
        sink->retries = retries;
    }
    tide_json_free(json);
}
