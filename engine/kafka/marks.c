/* SPDX-License-Identifier: MIT */
#include "kafka/marks.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kafka/client.h"
#include "kafka/reach.h"

struct tide_kafka_marks {
    rd_kafka_t *client;
    rd_kafka_topic_partition_list_t *list; /* by partition; metadata ends with a NUL here */
    bool *set;
    uint32_t partitions;
    int timeout_ms;
};

static int make_client(struct tide_kafka_marks *marks, const struct tide_properties *properties,
                       const char *group)
{
    const struct tide_property none[] = {{NULL, NULL}};
    const struct tide_property fixed[] = {
        {"group.id", group}, {"enable.auto.commit", "false"}, {NULL, NULL}};
    char error[512];
    rd_kafka_conf_t *conf = tide_kafka_conf_new(none, properties, fixed);
    if (!conf)
        return TIDE_ECONFIG;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    marks->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    if (marks->client)
        return TIDE_OK;
    rd_kafka_conf_destroy(conf);
    return tide_fail(TIDE_ECONFIG, "librdkafka: %s", error);
}

static int reach(struct tide_kafka_marks *marks, const struct tide_properties *properties,
                 const char *topic, int64_t timeout_us)
{
    struct tide_kafka_reach reach = {.client = marks->client,
                                     .events = rd_kafka_queue_get_main(marks->client),
                                     .brokers = tide_properties_brokers(properties),
                                     .topics = &topic,
                                     .topic_count = 1,
                                     .timeout_us = timeout_us,
                                     .partitions = &marks->partitions};
    tide_kafka_reach_run(&reach.job);
    rd_kafka_queue_destroy(reach.events);
    return reach.status < 0 ? tide_fail(reach.status, "%s", reach.text) : TIDE_OK;
}

static void put(rd_kafka_topic_partition_t *place, int64_t offset, const char *metadata,
                size_t length)
{
    char *copy = malloc(length + 1); /* librdkafka frees it */
    tide_require(copy);
    memcpy(copy, metadata, length);
    copy[length] = 0;
    if (place->metadata)
        free(place->metadata);
    place->metadata = copy;
    place->metadata_size = length;
    place->offset = offset;
}

static int read_committed(struct tide_kafka_marks *marks, const char *topic)
{
    marks->list = rd_kafka_topic_partition_list_new((int)marks->partitions);
    marks->set = tide_alloc(sizeof(*marks->set) * (marks->partitions + 1));
    for (uint32_t i = 0; i < marks->partitions; i++)
        rd_kafka_topic_partition_list_add(marks->list, topic, (int32_t)i);
    rd_kafka_resp_err_t error = rd_kafka_committed(marks->client, marks->list, marks->timeout_ms);
    for (int i = 0; !error && i < marks->list->cnt; i++) {
        rd_kafka_topic_partition_t *place = &marks->list->elems[i];
        error = place->err;
        put(place, place->offset < 0 ? -1 : place->offset, place->metadata ? place->metadata : "",
            place->metadata ? place->metadata_size : 0);
    }
    if (error)
        return tide_fail(TIDE_EUNREACHED, "topic \"%s\": cannot ask for what is committed: %s",
                         topic, rd_kafka_err2str(error));
    return TIDE_OK;
}

struct tide_kafka_marks *tide_kafka_marks_new(const struct tide_property *properties,
                                              uint32_t count, const char *group, const char *topic,
                                              int64_t timeout_us, int *status)
{
    struct tide_kafka_marks *marks = tide_alloc(sizeof(*marks));
    struct tide_properties copy = {0};
    tide_properties_set(&copy, properties, count);
    marks->timeout_ms = (int)(timeout_us / 1000);
    *status = make_client(marks, &copy, group);
    if (*status == TIDE_OK)
        *status = reach(marks, &copy, topic, timeout_us);
    if (*status == TIDE_OK)
        *status = read_committed(marks, topic);
    tide_properties_wipe(&copy);
    if (*status == TIDE_OK)
        return marks;
    tide_kafka_marks_free(marks);
    return NULL;
}

uint32_t tide_kafka_marks_partitions(const struct tide_kafka_marks *marks)
{
    return marks->partitions;
}

void tide_kafka_marks_get(const struct tide_kafka_marks *marks, uint32_t partition,
                          struct tide_mark *mark)
{
    const rd_kafka_topic_partition_t *place = &marks->list->elems[partition];
    *mark = (struct tide_mark){(int32_t)partition, place->offset, place->metadata};
}

void tide_kafka_marks_set(struct tide_kafka_marks *marks, uint32_t partition, int64_t offset,
                          const char *metadata)
{
    put(&marks->list->elems[partition], offset, metadata, strlen(metadata));
    marks->set[partition] = true;
}

int tide_kafka_marks_commit(struct tide_kafka_marks *marks)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < marks->partitions; i++) {
        const rd_kafka_topic_partition_t *place = &marks->list->elems[i];
        if (marks->set[i])
            put(rd_kafka_topic_partition_list_add(list, place->topic, (int32_t)i), place->offset,
                place->metadata, place->metadata_size);
    }
    rd_kafka_resp_err_t error = list->cnt > 0 ? rd_kafka_commit(marks->client, list, 0)
                                              : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; !error && i < list->cnt; i++)
        error = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    if (error)
        return tide_fail(TIDE_ETEMPORARY, "cannot commit: %s", rd_kafka_err2str(error));
    memset(marks->set, 0, sizeof(*marks->set) * marks->partitions);
    return TIDE_OK;
}

void tide_kafka_marks_free(struct tide_kafka_marks *marks)
{
    if (!marks)
        return;
    if (marks->list)
        rd_kafka_topic_partition_list_destroy(marks->list);
    if (marks->client)
        rd_kafka_destroy(marks->client);
    free(marks->set);
    free(marks);
}
