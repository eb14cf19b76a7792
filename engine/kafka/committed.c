/* SPDX-License-Identifier: MIT
 * The committed offsets of a group that never has members, with the metadata that Kafka keeps beside each. `tidemill
 * dlq` uses them as a small database next to the topic that they are about: no other storage is needed, and every
 * machine that reaches the brokers sees the same. All of them are read when it is opened, and kept in librdkafka's
 * own list. */
#include "kafka/committed.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kafka/client.h"
#include "kafka/reach.h"

struct tide_kafka_committed {
    rd_kafka_t *client;
    rd_kafka_topic_partition_list_t *list; /* by partition; metadata ends with a NUL here */
    bool *set;
    uint32_t partitions;
    int timeout_ms;
};

/* The client never joins the group. Kafka takes commits from outside of a group only while it has no members, which is
 * why this group never has any. */
static int make_client(struct tide_kafka_committed *committed,
                       const struct tide_properties *properties, const char *group)
{
    const struct tide_property none[] = {{NULL, NULL}};
    const struct tide_property fixed[] = {
        {"group.id", group}, {"enable.auto.commit", "false"}, {NULL, NULL}};
    rd_kafka_conf_t *conf = tide_kafka_conf_new(none, properties, fixed);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    committed->client = tide_kafka_client_new(TIDE_KAFKA_CONSUMER, conf, "librdkafka");
    return committed->client ? TIDE_OK : TIDE_ECONFIG;
}

/* Without it a broker or a topic that is missing would be a time-out of rd_kafka_committed(), which names neither. */
static int reach(struct tide_kafka_committed *committed, const struct tide_properties *properties,
                 const char *topic, int64_t timeout_us)
{
    struct tide_kafka_reach reach = {.client = committed->client,
                                     .events = rd_kafka_queue_get_main(committed->client),
                                     .brokers = tide_properties_brokers(properties),
                                     .topics = &topic,
                                     .topic_count = 1,
                                     .timeout_us = timeout_us,
                                     .partitions = &committed->partitions};
    tide_kafka_reach_run(&reach.job);
    rd_kafka_queue_destroy(reach.events);
    return reach.status < 0 ? tide_fail(reach.status, "%s", reach.text) : TIDE_OK;
}

/* The list owns the metadata and frees it by free(), so it comes from malloc(). Kafka keeps it as bytes with a length;
 * the NUL is added since callers take a string. */
static void set_entry(rd_kafka_topic_partition_t *entry, int64_t offset, const char *metadata,
                      size_t length)
{
    char *copy = malloc(length + 1); /* librdkafka frees it */
    tide_require(copy);
    memcpy(copy, metadata, length);
    copy[length] = 0;
    if (entry->metadata)
        free(entry->metadata);
    entry->metadata = copy;
    entry->metadata_size = length;
    entry->offset = offset;
}

/* The list is made in the order of the numbers, so the number of a partition is its index. One answer with an error
 * fails all: a partition without an answer would look like one of which nothing is committed, and what was done with
 * its messages would be done again. */
static int read_committed(struct tide_kafka_committed *committed, const char *topic)
{
    committed->list = rd_kafka_topic_partition_list_new((int)committed->partitions);
    committed->set = tide_alloc(sizeof(*committed->set) * (committed->partitions + 1));
    for (uint32_t i = 0; i < committed->partitions; i++)
        rd_kafka_topic_partition_list_add(committed->list, topic, (int32_t)i);
    rd_kafka_resp_err_t error = rd_kafka_committed(committed->client, committed->list,
                                                   committed->timeout_ms);
    for (int i = 0; !error && i < committed->list->cnt; i++) {
        rd_kafka_topic_partition_t *entry = &committed->list->elems[i];
        error = entry->err;
        set_entry(entry, entry->offset < 0 ? -1 : entry->offset,
                  entry->metadata ? entry->metadata : "",
                  entry->metadata ? entry->metadata_size : 0);
    }
    if (error)
        return tide_fail(TIDE_EUNREACHED, "topic \"%s\": cannot ask for what is committed: %s",
                         topic, rd_kafka_err2str(error));
    return TIDE_OK;
}

/* The properties have secrets, so the copy is wiped as soon as the client is made and its questions are answered. */
struct tide_kafka_committed *tide_kafka_committed_new(const struct tide_property *properties,
                                                      uint32_t count, const char *group,
                                                      const char *topic, int64_t timeout_us,
                                                      int *status)
{
    struct tide_kafka_committed *committed = tide_alloc(sizeof(*committed));
    struct tide_properties copy = {0};
    tide_properties_set(&copy, properties, count);
    committed->timeout_ms = (int)(timeout_us / 1000);
    *status = make_client(committed, &copy, group);
    if (*status == TIDE_OK)
        *status = reach(committed, &copy, topic, timeout_us);
    if (*status == TIDE_OK)
        *status = read_committed(committed, topic);
    tide_properties_wipe(&copy);
    if (*status == TIDE_OK)
        return committed;
    tide_kafka_committed_free(committed);
    return NULL;
}

uint32_t tide_kafka_committed_partitions(const struct tide_kafka_committed *committed)
{
    return committed->partitions;
}

/* From memory: the caller asks for every partition, and a request for each would take its time. */
void tide_kafka_committed_get(const struct tide_kafka_committed *committed, uint32_t partition,
                              struct tide_committed_offset *item)
{
    const rd_kafka_topic_partition_t *entry = &committed->list->elems[partition];
    *item = (struct tide_committed_offset){(int32_t)partition, entry->offset, entry->metadata};
}

void tide_kafka_committed_set(struct tide_kafka_committed *committed, uint32_t partition,
                              int64_t offset, const char *metadata)
{
    set_entry(&committed->list->elems[partition], offset, metadata, strlen(metadata));
    committed->set[partition] = true;
}

/* Only what was set is sent: another process may have committed for the other partitions since they were read. What
 * could not be committed stays marked for the next try. */
int tide_kafka_committed_commit(struct tide_kafka_committed *committed)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < committed->partitions; i++) {
        const rd_kafka_topic_partition_t *entry = &committed->list->elems[i];
        if (committed->set[i])
            set_entry(rd_kafka_topic_partition_list_add(list, entry->topic, (int32_t)i),
                      entry->offset, entry->metadata, entry->metadata_size);
    }
    rd_kafka_resp_err_t error = list->cnt > 0 ? rd_kafka_commit(committed->client, list, 0)
                                              : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; !error && i < list->cnt; i++)
        error = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    if (error)
        return tide_fail(TIDE_ETEMPORARY, "cannot commit: %s", rd_kafka_err2str(error));
    memset(committed->set, 0, sizeof(*committed->set) * committed->partitions);
    return TIDE_OK;
}

void tide_kafka_committed_free(struct tide_kafka_committed *committed)
{
    if (!committed)
        return;
    if (committed->list)
        rd_kafka_topic_partition_list_destroy(committed->list);
    if (committed->client)
        rd_kafka_destroy(committed->client);
    free(committed->set);
    free(committed);
}
