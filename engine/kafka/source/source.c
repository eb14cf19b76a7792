/* SPDX-License-Identifier: MIT */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "kafka/source/inside.h"
#include "shm/counters.h"
#include "shm/topics.h"

enum { SECOND_US = 1000000, QUIET_US = 5000000 };

static struct tide_kafka_source *self(struct tide_source *source)
{
    return (struct tide_kafka_source *)source;
}

/* ---- events ---- */

void tide_kafka_source_emit(struct tide_kafka_source *source, enum tide_source_event_kind kind,
                            int status, const uint32_t *indexes, uint32_t count, const char *text)
{
    struct tide_kafka_source_event *queued = tide_alloc(sizeof(*queued));
    queued->partitions = tide_alloc((count + 1) * sizeof(*indexes));
    if (count > 0)
        memcpy(queued->partitions, indexes, count * sizeof(*indexes));
    queued->text = tide_copy(text);
    queued->event = (struct tide_source_event){kind, status, queued->partitions, count,
                                               queued->text};
    *source->events_end = queued;
    source->events_end = &queued->next;
}

void tide_kafka_source_fail(struct tide_kafka_source *source, int status)
{
    if (!source->failed)
        tide_kafka_source_emit(source, TIDE_SOURCE_FAILED, status, NULL, 0, tide_error());
    source->failed = true;
}

static void free_event(struct tide_kafka_source_event *queued)
{
    if (!queued)
        return;
    free(queued->partitions);
    free(queued->text);
    free(queued);
}

/* ---- partitions ---- */

static struct tide_kafka_topic *find_topic(struct tide_kafka_source *source, uint16_t number)
{
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (source->by_topic[i].topic == number)
            return &source->by_topic[i];
    source->by_topic = tide_realloc(source->by_topic,
                                    (source->topic_count + 1) * sizeof(*source->by_topic));
    struct tide_kafka_topic *topic = &source->by_topic[source->topic_count++];
    *topic = (struct tide_kafka_topic){.topic = number};
    return topic;
}

int tide_kafka_source_find(struct tide_kafka_source *source, const char *name, int32_t number)
{
    int topic_number = tide_topics_number(source->topics, name);
    if (topic_number < 0)
        return topic_number;
    struct tide_kafka_topic *topic = find_topic(source, (uint16_t)topic_number);
    if ((uint32_t)number >= topic->capacity) {
        uint32_t capacity = ((uint32_t)number + 16) / 16 * 16;
        topic->index = tide_realloc(topic->index, capacity * sizeof(*topic->index));
        memset(topic->index + topic->capacity, 0,
               (capacity - topic->capacity) * sizeof(*topic->index));
        topic->capacity = capacity;
    }
    if (topic->index[number])
        return (int)topic->index[number] - 1;
    if (source->partition_count > UINT16_MAX)
        return tide_fail(TIDE_ECONFIG, "more than %d partitions", UINT16_MAX + 1);
    source->partitions = tide_realloc(source->partitions,
                                      (source->partition_count + 1) * sizeof(*source->partitions));
    source->partitions[source->partition_count++] = (struct tide_kafka_partition){
        .topic = (uint16_t)topic_number, .number = number, .target = -1};
    topic->index[number] = source->partition_count;
    return (int)source->partition_count - 1;
}

const char *tide_kafka_source_topic(const struct tide_kafka_source *source, uint32_t index)
{
    return tide_topics_name(source->topics, source->partitions[index].topic);
}

/* The engine has the event: what it says holds for it from now on. */
static void show(struct tide_kafka_source *source, const struct tide_source_event *event)
{
    bool owned = event->kind == TIDE_SOURCE_ASSIGNED;
    if (!owned && event->kind != TIDE_SOURCE_REVOKED && event->kind != TIDE_SOURCE_LOST)
        return;
    source->assigned_waiting -= owned;
    source->shown = tide_realloc(source->shown,
                                 (source->partition_count + 1) * sizeof(*source->shown));
    for (uint32_t i = source->shown_count; i < source->partition_count; i++)
        source->shown[i] = (struct tide_partition){.topic = source->partitions[i].topic,
                                                   .number = source->partitions[i].number,
                                                   .end = -1};
    source->shown_count = source->partition_count;
    source->source.partitions = source->shown;
    source->source.partition_count = source->shown_count;
    for (size_t i = 0; i < event->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[event->partitions[i]];
        source->shown[event->partitions[i]].owned = owned;
        source->shown[event->partitions[i]].begin = partition->epoch_start;
        if (owned && partition->assignment == TIDE_KAFKA_PENDING)
            partition->assignment = TIDE_KAFKA_OWNED;
    }
}

/* ---- what the engine calls ---- */

/* A broker that is stopped, or whose host is missing, keeps its connections: librdkafka misses it after a minute. */
static void ask_when_quiet(struct tide_kafka_source *source, int64_t now_us)
{
    if (source->paused || now_us - source->heard_us < QUIET_US)
        return;
    source->heard_us = now_us;
    tide_kafka_outage_begin(source->outage);
}

static void second(struct tide_kafka_source *source)
{
    int64_t now = tide_clock_us();
    if (source->state != TIDE_KAFKA_RUNNING || now < source->next_second_us)
        return;
    source->next_second_us = now + SECOND_US;
    tide_observe(source->counters, 0, TIDE_M_CONSUMER_QUEUE_SIZE,
                 (double)rd_kafka_queue_length(source->data));
    ask_when_quiet(source, now);
    tide_kafka_recreated_look(source);
    bool out = tide_kafka_outage_lasts(source->outage);
    for (uint32_t i = 0; i < source->shown_count; i++) {
        int64_t low;
        int64_t high;
        if (out)
            source->shown[i].end = -1; /* it may have moved since */
        else if (source->shown[i].owned &&
                 !rd_kafka_get_watermark_offsets(source->client, tide_kafka_source_topic(source, i),
                                                 source->shown[i].number, &low, &high) &&
                 high >= 0) {
            source->shown[i].end = high;
            tide_kafka_fetch_still(source, i, now);
        }
    }
}

static int start(struct tide_source *source)
{
    return tide_kafka_connect_start(self(source));
}

static ssize_t poll_messages(struct tide_source *base, struct tide_message *messages, size_t max)
{
    struct tide_kafka_source *source = self(base);
    tide_kafka_control_drain(source);
    if (source->state != TIDE_KAFKA_RUNNING || source->failed || source->paused ||
        source->assigned_waiting)
        return 0;
    return tide_kafka_fetch_poll(source, messages, max);
}

static void take(struct tide_source *source, size_t count)
{
    tide_kafka_fetch_take(self(source), count);
}

static void next_event(struct tide_source *base, struct tide_source_event *event)
{
    struct tide_kafka_source *source = self(base);
    free_event(source->fetched);
    source->fetched = NULL;
    tide_kafka_control_drain(source);
    second(source);
    tide_kafka_fetch_end(source);
    struct tide_kafka_source_event *queued = source->events;
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (!queued)
        return;
    if (!(source->events = queued->next))
        source->events_end = &source->events;
    source->fetched = queued;
    show(source, &queued->event);
    *event = queued->event;
}

static void revoke_done(struct tide_source *source)
{
    tide_kafka_rebalance_done(self(source));
}

/* Of partitions that are the group's again nothing is committed: another member may be further. Nor of those that are missing:
 * with a topic its committed offsets are deleted, and where it began would be taken for one of the next of its name. */
static int commit(struct tide_source *base, const struct tide_position *positions, size_t count)
{
    struct tide_kafka_source *source = self(base);
    if (source->committing)
        return TIDE_BUSY;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        const struct tide_kafka_partition *partition = &source->partitions[positions[i].partition];
        if (!partition->missing && (partition->assignment == TIDE_KAFKA_OWNED ||
                                    partition->assignment == TIDE_KAFKA_LEAVING))
            rd_kafka_topic_partition_list_add(
                list, tide_kafka_source_topic(source, positions[i].partition), partition->number)
                ->offset = positions[i].offset;
    }
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (source->state != TIDE_KAFKA_RUNNING && source->state != TIDE_KAFKA_CLOSING)
        error = RD_KAFKA_RESP_ERR__STATE;
    else if (list->cnt > 0)
        error = rd_kafka_commit_queue(source->client, list, source->control, NULL, source);
    source->committing = list->cnt > 0 && !error;
    source->outlived = false;
    if (!source->committing)
        tide_kafka_source_emit(source, TIDE_SOURCE_COMMITTED, error ? TIDE_ETEMPORARY : TIDE_OK,
                               NULL, 0, error ? rd_kafka_err2str(error) : NULL);
    rd_kafka_topic_partition_list_destroy(list);
    return TIDE_OK;
}

static void set_paused(struct tide_source *base, bool paused)
{
    struct tide_kafka_source *source = self(base);
    if (source->paused == paused || source->state != TIDE_KAFKA_RUNNING)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (paused ? partition->assignment != TIDE_KAFKA_OWNED : !partition->paused)
            continue;
        partition->paused = paused;
        rd_kafka_topic_partition_list_add(list, tide_kafka_source_topic(source, i),
                                          partition->number);
    }
    if (list->cnt > 0 && !(paused && tide_fault("bug.resume_unpaused")))
        (paused ? rd_kafka_pause_partitions : rd_kafka_resume_partitions)(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    source->paused = paused;
}

static void rewind_source(struct tide_source *source)
{
    tide_kafka_rebalance_rewind(self(source));
}

struct rd_kafka_s *tide_kafka_source_client(const struct tide_source *source)
{
    return ((const struct tide_kafka_source *)source)->client;
}

struct rd_kafka_consumer_group_metadata_s *tide_kafka_source_membership(
    const struct tide_source *base)
{
    const struct tide_kafka_source *source = (const struct tide_kafka_source *)base;
    const void *bytes;
    size_t size;
    rd_kafka_consumer_group_metadata_t *copy = NULL;
    if (!source->membership ||
        rd_kafka_consumer_group_metadata_write(source->membership, (void **)&bytes, &size))
        return NULL;
    rd_kafka_error_destroy(rd_kafka_consumer_group_metadata_read(&copy, bytes, size));
    rd_kafka_mem_free(NULL, (void *)bytes);
    return copy;
}

static void begin_close(struct tide_source *source)
{
    tide_kafka_connect_close(self(source));
}

static bool closed(struct tide_source *base)
{
    tide_kafka_control_drain(self(base));
    return self(base)->state == TIDE_KAFKA_CLOSED;
}

static const char *const *copy_names(const char *const *names, uint32_t count)
{
    const char **copies = tide_alloc((count + 1) * sizeof(*copies));
    for (uint32_t i = 0; i < count; i++)
        copies[i] = tide_copy(names[i]);
    return copies;
}

static void free_names(const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free((char *)names[i]);
    free((void *)names);
}

static void free_output(struct tide_kafka_source *source)
{
    free((char *)source->output.cluster);
    free((char *)source->output.limit_topic);
}

static void free_source(struct tide_source *base)
{
    struct tide_kafka_source *source = self(base);
    if (!tide_kafka_connect_free(source))
        return; /* a call hangs that uses it */
    free_event(source->fetched);
    while (source->events) {
        struct tide_kafka_source_event *queued = source->events;
        source->events = queued->next;
        free_event(queued);
    }
    for (uint32_t i = 0; i < source->topic_count; i++)
        free(source->by_topic[i].index);
    for (uint32_t i = 0; i < TIDE_KAFKA_BORROWED; i++)
        tide_text_free(&source->borrowed[i].headers);
    free_names(source->plan.topics, source->plan.topic_count);
    free_names(source->plan.own_topics, source->plan.own_topic_count);
    free_names(source->plan.apart_topics, source->plan.apart_topic_count);
    free((char *)source->plan.group);
    free((char *)source->plan.instance);
    if (source->membership)
        rd_kafka_consumer_group_metadata_destroy(source->membership);
    free_output(source);
    tide_known_topics_free(&source->known_topics);
    free(source->by_topic);
    free(source->partitions);
    free(source->shown);
    free(source);
}

static const struct tide_source_ops ops = {
    .start = start,
    .poll = poll_messages,
    .take = take,
    .event = next_event,
    .revoke_done = revoke_done,
    .commit = commit,
    .pause = set_paused,
    .rewind = rewind_source,
    .close = begin_close,
    .closed = closed,
    .free = free_source,
};

struct tide_source *tide_kafka_source_new(const struct tide_source_plan *plan,
                                          struct tide_topics *topics, struct tide_loop *loop,
                                          struct tide_counters *counters)
{
    struct tide_kafka_source *source = tide_alloc(sizeof(*source));
    source->source.ops = &ops;
    source->plan = *plan;
    source->plan.topics = copy_names(plan->topics, plan->topic_count);
    source->plan.own_topics = copy_names(plan->own_topics, plan->own_topic_count);
    source->plan.apart_topics = copy_names(plan->apart_topics, plan->apart_topic_count);
    source->plan.group = tide_copy(plan->group);
    source->plan.instance = tide_copy(plan->instance);
    source->topics = topics;
    source->loop = loop;
    source->counters = counters;
    source->events_end = &source->events;
    source->waker = tide_loop_waker(loop, NULL, NULL);
    source->blocking = tide_blocking_new(loop);
    if (source->waker < 0 || !source->blocking) {
        free_source(&source->source);
        return NULL;
    }
    return &source->source;
}

void tide_kafka_source_connect(struct tide_source *source, const struct tide_property *properties,
                               uint32_t count)
{
    tide_properties_set(&self(source)->properties, properties, count);
}

void tide_kafka_source_output(struct tide_source *source, const struct tide_kafka_output *output)
{
    free_output(self(source));
    self(source)->output = (struct tide_kafka_output){
        tide_copy(output->cluster), tide_copy(output->limit_topic), output->limit};
}
