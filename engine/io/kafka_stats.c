/* SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <string.h>

#include "io/kafka_sink.h"
#include "shm/counters.h"

/* Of a window of librdkafka's ({"avg":, "cnt":, ...} in microseconds), in seconds. */
static void observe_window(struct tide_kafka_sink *sink, enum tide_metric metric,
                           const json_t *window)
{
    json_int_t count = json_integer_value(json_object_get(window, "cnt"));
    json_int_t average_us = json_integer_value(json_object_get(window, "avg"));
    if (count > 0)
        tide_observe_many(sink->counters, 0, metric, (double)average_us / 1e6, (uint64_t)count);
}

void tide_kafka_sink_stats(struct tide_kafka_sink *sink, const char *json)
{
    json_t *root = json_loads(json, 0, NULL);
    const char *name;
    json_t *broker;
    uint64_t retries = 0;
    if (!root)
        return;
    tide_observe(sink->counters, 0, TIDE_M_PRODUCER_QUEUE_MESSAGES,
                 json_number_value(json_object_get(root, "msg_cnt")));
    tide_observe(sink->counters, 0, TIDE_M_PRODUCER_QUEUE_BYTES,
                 json_number_value(json_object_get(root, "msg_size")));
    json_object_foreach(json_object_get(root, "brokers"), name, broker)
    {
        retries += (uint64_t)json_integer_value(json_object_get(broker, "txretries"));
        observe_window(sink, TIDE_M_PRODUCER_RTT, json_object_get(broker, "rtt"));
        observe_window(sink, TIDE_M_PRODUCER_OUTBUF_LATENCY,
                       json_object_get(broker, "outbuf_latency"));
    }
    if (retries > sink->retries)
        tide_count(sink->counters, 0, TIDE_M_PRODUCER_RETRIES, retries - sink->retries);
    sink->retries = retries;
    json_decref(root);
}
