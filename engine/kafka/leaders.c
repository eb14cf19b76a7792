/* SPDX-License-Identifier: MIT
 * The brokers that lead the partitions of some topics. A broker that answers at the address of the pipeline file may
 * advertise another one that cannot be reached from here, the most frequent mistake of a new set-up. So each leader
 * is asked for one of its partitions, which only the address that it advertises can answer. */
#include "kafka/leaders.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/grow.h"
#include "base/status.h"

static bool is_known(const struct tide_kafka_leaders *leaders, int32_t broker)
{
    for (uint32_t i = 0; i < leaders->count; i++)
        if (leaders->items[i].broker == broker)
            return true;
    return false;
}

static char *address_of(const struct rd_kafka_metadata *metadata, int32_t broker)
{
    char text[300] = "";
    for (int i = 0; i < metadata->broker_cnt; i++)
        if (metadata->brokers[i].id == broker)
            snprintf(text, sizeof(text), "%s:%d", metadata->brokers[i].host,
                     metadata->brokers[i].port);
    return tide_copy(text);
}

/* A broker is asked once, however many partitions it leads. A partition without a leader gets an entry of its own,
 * since no broker stands for it and it has to be waited for. */
void tide_kafka_leaders_add(struct tide_kafka_leaders *leaders,
                            const struct rd_kafka_metadata *metadata, int topic)
{
    const struct rd_kafka_metadata_topic *from = &metadata->topics[topic];
    for (int i = 0; i < from->partition_cnt; i++) {
        int32_t broker = from->partitions[i].leader;
        if (broker >= 0 && is_known(leaders, broker))
            continue;
        uint32_t index = leaders->count;
        tide_grow(&leaders->items, &leaders->count, index + 1, sizeof(*leaders->items));
        leaders->items[index] = (struct tide_kafka_leader){
            .broker = broker,
            .address = address_of(metadata, broker),
            .topic = tide_copy(from->topic),
            .partition = from->partitions[i].id,
        };
    }
}

/* librdkafka's own errors, a time-out among them, are negative; they and a change of leaders pass, so the caller asks
 * again. Any other error came from the broker, which was reached then. */
int tide_kafka_leader_ask(struct rd_kafka_s *client, const struct tide_kafka_leader *leader,
                          int timeout_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, leader->topic, leader->partition)->offset =
        RD_KAFKA_OFFSET_END;
    /* The call does not report a time-out: it then leaves the list as it is. */
    list->elems[0].err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(client, list, timeout_ms);
    if (!error)
        error = list->elems[0].err;
    rd_kafka_topic_partition_list_destroy(list);
    bool later = error < 0 || error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
                 error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                 error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return later ? error : 0;
}

void tide_kafka_leaders_free(struct tide_kafka_leaders *leaders)
{
    for (uint32_t i = 0; i < leaders->count; i++) {
        free(leaders->items[i].address);
        free(leaders->items[i].topic);
    }
    free(leaders->items);
    *leaders = (struct tide_kafka_leaders){0};
}
