/* SPDX-License-Identifier: MIT */
#include "io/kafka_limits.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "io/blocking.h"
#include "io/kafka_writable.h"

enum { TIMEOUT_MS = 5000, POLL_MS = 100 };

/* 0 = the answer does not tell. */
static int64_t limit_of(const rd_kafka_ConfigResource_t *topic)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(topic, &count);
    if (rd_kafka_ConfigResource_error(topic))
        tide_log(TIDE_LOG_INFO,
                 "topic \"%s\": its max.message.bytes is not known, so a batch may be refused and "
                 "sent again one by one: %s",
                 rd_kafka_ConfigResource_name(topic),
                 rd_kafka_err2str(rd_kafka_ConfigResource_error(topic)));
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (value && strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") == 0)
            return strtoll(value, NULL, 10);
    }
    return 0;
}

static int64_t least(rd_kafka_event_t *event)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    size_t count = 0;
    int64_t least = 0;
    const rd_kafka_ConfigResource_t **topics =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    if (!result || rd_kafka_event_error(event))
        tide_log(TIDE_LOG_INFO, "the topics' max.message.bytes are not known: %s",
                 rd_kafka_event_error_string(event));
    for (size_t i = 0; i < count; i++) {
        int64_t limit = limit_of(topics[i]);
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
    }
    return least;
}

int64_t tide_kafka_batch_limit(struct rd_kafka_s *client, const char *const *topics, uint32_t count,
                               struct tide_blocking *blocking)
{
    char text[256];
    rd_kafka_event_t *event = NULL;
    if (count == 0 || tide_kafka_is_mock(client))
        return 0;
    rd_kafka_ConfigResource_t **asked = tide_alloc(sizeof(*asked) * count);
    for (uint32_t i = 0; i < count; i++)
        asked[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client,
                                                                 RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof(text));
    rd_kafka_DescribeConfigs(client, asked, count, options, queue);
    while (!event && !(blocking && tide_blocking_wanted(blocking)))
        event = rd_kafka_queue_poll(queue, POLL_MS);
    int64_t limit = event ? least(event) : 0;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy_array(asked, count);
    free(asked);
    return limit;
}
