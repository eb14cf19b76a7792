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

#include "base/fault.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/client.h"
#include "kafka/pattern.h"
#include "kafka/source/assignment.h"
#include "kafka/source/inside.h"

/* The call cannot be interrupted, and other jobs wait for the thread: so several short ones, a second apart, since an
 * error may come at once. */
enum { TIMEOUT_MS = 1000, ATTEMPTS = 5, PAUSES = 10, PAUSE_US = 100000 };

struct look {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    struct tide_blocking *blocking;
    rd_kafka_t *client;
    const char *group;
    const struct tide_known_topics *known;
    int attempts;
    bool again; /* it was asked before */
    /* the answer */
    bool answered;
    uint32_t count; /* of partitions without an owner */
    char text[512]; /* their names, or why there is no answer */
};

/* Topics that no pattern may find are known, and still not read by this group. */
static void find_unowned(struct look *look, const rd_kafka_topic_partition_list_t *owned)
{
    size_t length = 0;
    for (uint32_t i = 0; i < look->known->count; i++) {
        const char *topic = look->known->items[i].name;
        if (tide_kafka_pattern_hides(look->client, topic))
            continue;
        for (uint32_t p = 0; p < look->known->items[i].partitions; p++) {
            if (rd_kafka_topic_partition_list_find(owned, topic, (int32_t)p))
                continue;
            look->count++;
            if (length < sizeof(look->text))
                length += (size_t)snprintf(look->text + length, sizeof(look->text) - length,
                                           "%s%s/%u", length > 0 ? ", " : "", topic, p);
        }
    }
}

/* Of a group that is not stable, nothing can be said: for a moment, all of its partitions have no owner. */
static int look_at(struct look *look, const struct rd_kafka_group_info *group)
{
    if (group->err)
        return tide_fail(TIDE_ETEMPORARY, "%s", rd_kafka_err2str(group->err));
    if (strcmp(group->state, "Stable") != 0)
        return TIDE_OK;
    rd_kafka_topic_partition_list_t *owned = rd_kafka_topic_partition_list_new(0);
    int status = TIDE_OK;
    for (int i = 0; status == TIDE_OK && i < group->member_cnt; i++)
        status = tide_kafka_assignment_read(group->members[i].member_assignment,
                                            (size_t)group->members[i].member_assignment_size,
                                            owned);
    if (status == TIDE_OK)
        find_unowned(look, owned);
    rd_kafka_topic_partition_list_destroy(owned);
    return status;
}

/* False: another job waits, and this one comes behind it. */
static bool pause_before_next(const struct look *look)
{
    for (int i = 0; i < PAUSES; i++)
        if (!tide_blocking_pause(look->blocking, PAUSE_US) || tide_blocking_wanted(look->blocking))
            return false;
    return true;
}

/* In the blocking thread. The newer call, rd_kafka_DescribeConsumerGroups, must not be used: when the coordinator does
 * not take the request (it goes away, or does not know it), librdkafka reads memory that it freed, and often aborts the
 * process (its pull request 5397; so does 2.0.2). This one asks all brokers, and only one answers with the group. */
static void describe_group(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    const struct rd_kafka_group_list *list = NULL;
    if (look->again && !pause_before_next(look))
        return;
    look->again = true;
    rd_kafka_resp_err_t error = tide_fault("unowned.ask")
                                    ? RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
                                    : rd_kafka_list_groups(look->client, look->group, &list,
                                                           TIMEOUT_MS);
    bool found = list && list->group_cnt > 0;
    int status;
    if (found)
        status = look_at(look, &list->groups[0]);
    else
        status = tide_fail(TIDE_ETEMPORARY, "%s",
                           error ? rd_kafka_err2str(error) : "no broker knows the group");
    if (!tide_kafka_coordinator_is_away(found ? list->groups[0].err : error))
        look->attempts++;
    look->answered = status == TIDE_OK;
    if (!look->answered)
        snprintf(look->text, sizeof(look->text), "%s", tide_error());
    if (list)
        rd_kafka_group_list_destroy(list);
}

/* The job is this thread's until it is submitted. */
static bool ask_again(struct look *look)
{
    struct tide_kafka_source *source = look->source;
    if (look->attempts >= ATTEMPTS || source->state != TIDE_KAFKA_RUNNING || source->failed)
        return false;
    tide_log(TIDE_LOG_DEBUG, "group \"%s\": whether each partition is read is asked again: %s",
             look->group, look->text);
    return tide_blocking_submit(look->blocking, &look->job) == TIDE_OK;
}

/* The client may have begun to end meanwhile; then nothing is asked or joined any more. */
static void asked(struct tide_blocking_job *job)
{
    struct look *look = (struct look *)job;
    struct tide_kafka_source *source = look->source;
    if (!look->answered && ask_again(look))
        return;
    if (!look->answered)
        tide_log(TIDE_LOG_INFO, "group \"%s\": whether each partition is read is not known: %s",
                 look->group, look->text);
    else if (look->count > 0 && source->state == TIDE_KAFKA_RUNNING && !source->failed) {
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
    struct look *look = tide_alloc(sizeof(*look));
    look->job.run = describe_group;
    look->job.done = asked;
    look->source = source;
    look->blocking = source->blocking;
    look->client = source->client;
    look->group = source->plan.group;
    look->known = &source->known_topics;
    if (tide_blocking_submit(source->blocking, &look->job) < 0)
        free(look);
}
