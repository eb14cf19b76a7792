/* SPDX-License-Identifier: MIT
 * Finds partitions that no member of the group owns. A static member that comes back gets its old partitions without
 * a rebalance, and takes the topics that are there now for those that the group knew: partitions that were added
 * while it was away would be read by nobody. So after its first assignment it asks which partitions of its topics
 * have no owner. Only if there are some does it join again. That has them assigned when this member leads the group;
 * the leader among the other members finds them by itself (discovery_interval). */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/pattern.h"
#include "kafka/source/inside.h"

enum { TIMEOUT_MS = 5000, POLL_MS = 100, MIN_POLLS = 5 /* even if another job waits */ };

struct look {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    rd_kafka_t *client;
    const char *group;
    const struct tide_known_topics *known;
    /* the answer */
    bool answered;  /* false: another job wanted the thread */
    uint32_t count; /* of partitions without an owner */
    char text[512]; /* their names */
};

static bool is_owned(const rd_kafka_ConsumerGroupDescription_t *group, const char *topic,
                     int32_t partition)
{
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(group); i++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(group,
                                                                                              i);
        const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(
            member);
        const rd_kafka_topic_partition_list_t *list =
            assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        if (list && rd_kafka_topic_partition_list_find(list, topic, partition))
            return true;
    }
    return false;
}

/* Of a group that is not stable, nothing can be said: for a moment, all of its partitions have no owner. Topics that
 * no pattern may find are known, and still not read by this group. */
static void find_unowned(struct look *look, const rd_kafka_ConsumerGroupDescription_t *group)
{
    size_t length = 0;
    if (rd_kafka_ConsumerGroupDescription_error(group) ||
        rd_kafka_ConsumerGroupDescription_state(group) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        return; /* the broker does not say, or the group is between two assignments */
    for (uint32_t i = 0; i < look->known->count; i++) {
        const char *topic = look->known->items[i].name;
        if (tide_kafka_pattern_hides(look->client, topic))
            continue;
        for (uint32_t p = 0; p < look->known->items[i].partitions; p++) {
            if (is_owned(group, topic, (int32_t)p))
                continue;
            look->count++;
            if (length < sizeof(look->text))
                length += (size_t)snprintf(look->text + length, sizeof(look->text) - length,
                                           "%s%s/%u", length > 0 ? ", " : "", topic, p);
        }
    }
}

/* In the blocking thread. There is no blocking call of it, so it is polled for. It gives way to other jobs, but waits
 * for a minimum before: they may come so often (source/wake.c) that no answer would ever be taken. */
static void describe_group(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    char text[256];
    size_t count = 0;
    rd_kafka_event_t *event = NULL;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(look->client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(
        look->client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof(text));
    rd_kafka_DescribeConsumerGroups(look->client, &look->group, 1, options, queue);
    for (int i = 0; !event && (i < MIN_POLLS || !tide_blocking_wanted(look->source->blocking)); i++)
        event = rd_kafka_queue_poll(queue, POLL_MS);
    look->answered = event;
    const rd_kafka_DescribeConsumerGroups_result_t *result =
        event ? rd_kafka_event_DescribeConsumerGroups_result(event) : NULL;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        result ? rd_kafka_DescribeConsumerGroups_result_groups(result, &count) : NULL;
    if (count > 0)
        find_unowned(look, groups[0]);
    else if (event)
        tide_log(TIDE_LOG_INFO, "group \"%s\": whether each partition is read is not known: %s",
                 look->group, rd_kafka_event_error_string(event));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

/* The client may have begun to end meanwhile; then nothing is asked or joined any more. */
static void asked(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    struct tide_kafka_source *source = look->source;
    if (!look->answered && source->state == TIDE_KAFKA_RUNNING && !source->failed &&
        tide_blocking_submit(source->blocking, job) == TIDE_OK)
        return; /* it is asked again after the other job */
    if (look->count > 0 && source->state == TIDE_KAFKA_RUNNING && !source->failed) {
        /* With the cooperative protocol librdkafka ignores a subscription to the topics that it has. */
        bool again = !tide_kafka_is_incremental(source);
        tide_log(TIDE_LOG_WARN,
                 "group \"%s\": no member reads %s (%u in all), added while this instance was "
                 "away: %s so that they are shared out",
                 source->plan.group, look->text, look->count,
                 again ? "it joins again,"
                       : "start a further member, or leave all stopped for session.timeout.ms,");
        if (again && tide_kafka_connect_subscribe(source) < 0)
            tide_log(TIDE_LOG_WARN, "%s", tide_error());
    }
    free(look);
}

/* A dynamic member is never concerned: it joins by a rebalance, in which partitions that were added are shared out. */
void tide_kafka_unowned_look(struct tide_kafka_source *source)
{
    if (!source->plan.instance || source->looked_for_unowned ||
        source->group == TIDE_KAFKA_JOINING || source->state != TIDE_KAFKA_RUNNING)
        return;
    source->looked_for_unowned = true;
    if (tide_kafka_is_mock(source->client))
        return; /* it does not know the request */
    struct look *look = tide_alloc(sizeof(*look));
    look->job.run = describe_group;
    look->job.done = asked;
    look->source = source;
    look->client = source->client;
    look->group = source->plan.group;
    look->known = &source->known_topics;
    if (tide_blocking_submit(source->blocking, &look->job) < 0)
        free(look);
}
