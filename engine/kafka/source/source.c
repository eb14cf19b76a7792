/* SPDX-License-Identifier: MIT
 * What the engine calls: the operations of io/source.h, and the functions of kafka/kafka.h that concern a source.
 * Each is handed to the file that does the work; inside.h lists them. Nothing here waits for a broker. Start reading
 * at poll_messages and next_event, which every turn of the engine calls. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "kafka/source/inside.h"
#include "shm/counters.h"

/* What is looked at this often is either a metric or something that goes on for long before it matters. */
enum { SECOND_US = 1000000 };

static struct tide_kafka_source *self(struct tide_source *source)
{
    return (struct tide_kafka_source *)source;
}

static int start_source(struct tide_source *source)
{
    return tide_kafka_connect_start(self(source));
}

/* The control queue goes first, so that a revocation is known before a message of its partition could be given. While
 * an ASSIGNED event waits nothing is given at all: a message would come before the epoch of its partition. */
static ssize_t poll_messages(struct tide_source *base, struct tide_message *messages, size_t max)
{
    struct tide_kafka_source *source = self(base);
    tide_kafka_control_drain(source);
    if (source->state != TIDE_KAFKA_RUNNING || source->failed || source->paused ||
        source->events.assigned > 0)
        return 0;
    return tide_kafka_fetch_poll(source, messages, max);
}

static void take_messages(struct tide_source *source, size_t count)
{
    tide_kafka_fetch_take(self(source), count);
}

/* It is done with the events, which the engine fetches in every turn, and not with the messages, for which it does not
 * always ask. */
static void do_once_a_second(struct tide_kafka_source *source)
{
    int64_t now_us = tide_clock_us();
    if (source->state != TIDE_KAFKA_RUNNING || now_us < source->next_second_us)
        return;
    source->next_second_us = now_us + SECOND_US;
    tide_observe(source->counters, 0, TIDE_M_CONSUMER_QUEUE_SIZE,
                 (double)rd_kafka_queue_length(source->data));
    tide_kafka_fetch_ask_when_quiet(source, now_us);
    tide_kafka_recreated_look(source);
    tide_kafka_unheard_look(source, now_us);
    tide_kafka_ends_watch(source, now_us);
}

/* PASSED and END depend on what the engine has taken, so they are emitted when it asks, right before the fetch: it
 * hears of them in the same turn. */
static void next_event(struct tide_source *base, struct tide_source_event *event)
{
    struct tide_kafka_source *source = self(base);
    tide_kafka_control_drain(source);
    do_once_a_second(source);
    tide_kafka_fetch_emit_passed(source);
    tide_kafka_ends_emit(source);
    tide_kafka_events_next(source, event);
}

static void revoke_done(struct tide_source *source)
{
    tide_kafka_rebalance_done(self(source));
}

static int commit_positions(struct tide_source *source, const struct tide_position *positions,
                            size_t count)
{
    return tide_kafka_commit(self(source), positions, count);
}

static void pause_source(struct tide_source *source, bool paused)
{
    tide_kafka_assign_pause(self(source), paused);
}

static void release_partition(struct tide_source *source, uint32_t partition)
{
    tide_kafka_assign_release(self(source), partition);
}

static void rewind_source(struct tide_source *source)
{
    tide_kafka_rebalance_rewind(self(source));
}

/* For planted mistakes only (kafka/txn_calls.h): what the sink needs of the group is the membership below. */
static struct rd_kafka_s *client_of(const struct tide_source *source)
{
    return ((const struct tide_kafka_source *)source)->client;
}

/* librdkafka has no call that copies it: it is written into bytes and read from them. */
static struct rd_kafka_consumer_group_metadata_s *membership_of(const struct tide_source *base)
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

const struct tide_kafka_group_ops tide_kafka_source_group = {
    .membership = membership_of,
    .client = client_of,
};

static void begin_close(struct tide_source *source)
{
    tide_kafka_connect_close(self(source));
}

/* Leaving a group takes events that have to be answered (a revocation first), so it goes on only if they are
 * served. */
static bool is_closed(struct tide_source *base)
{
    tide_kafka_control_drain(self(base));
    return self(base)->state == TIDE_KAFKA_CLOSED;
}

/* The strings of a plan belong to Lua (engine_build.c), so the source keeps copies of all of them. */
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

/* The strings are copies, as are those of the plan. */
static void free_output(struct tide_kafka_source *source)
{
    free((char *)source->output.cluster);
    free((char *)source->output.limit_topic);
}

/* The client goes first: as long as the blocking thread runs, one of its jobs may read any of the rest. */
static void free_source(struct tide_source *base)
{
    struct tide_kafka_source *source = self(base);
    if (!tide_kafka_connect_free(source))
        return; /* a call that uses it hangs */
    tide_kafka_events_free(source);
    tide_kafka_fetch_free(source);
    tide_kafka_assign_free(source);
    tide_kafka_partitions_free(source);
    tide_known_topics_free(&source->known_topics);
    free_names(source->plan.topics, source->plan.topic_count);
    free_names(source->plan.own_topics, source->plan.own_topic_count);
    free_names(source->plan.apart_topics, source->plan.apart_topic_count);
    free((char *)source->plan.group);
    free((char *)source->plan.instance);
    free_output(source);
    free(source);
}

static const struct tide_source_ops ops = {
    .start = start_source,
    .poll = poll_messages,
    .take = take_messages,
    .event = next_event,
    .revoke_done = revoke_done,
    .commit = commit_positions,
    .pause = pause_source,
    .rewind = rewind_source,
    .release = release_partition,
    .close = begin_close,
    .closed = is_closed,
    .free = free_source,
};

/* It starts no thread, since the zygote is forked after the chain is built: the client is made by start(), the
 * blocking thread by its first job. */
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
    STAILQ_INIT(&source->events.queue);
    STAILQ_INIT(&source->rebalance.queue);
    source->waker = tide_loop_waker(loop, NULL, NULL);
    source->blocking = tide_blocking_new(loop);
    if (source->waker < 0 || !source->blocking) {
        free_source(&source->source);
        return NULL;
    }
    return &source->source;
}

/* The properties do not come with the plan: secrets are fetched only after the fork, so that no worker has them. */
void tide_kafka_source_connect(struct tide_source *source, const struct tide_property *properties,
                               uint32_t count)
{
    tide_properties_set(&self(source)->properties, properties, count);
}

void tide_kafka_source_hold(struct tide_source *source)
{
    self(source)->holds = true;
}

/* Called when the sink is ready, since only then the numbers of the output are known. */
void tide_kafka_source_output(struct tide_source *source, const struct tide_kafka_output *output)
{
    free_output(self(source));
    self(source)->output = (struct tide_kafka_output){
        tide_copy(output->cluster), tide_copy(output->limit_topic), output->limit};
}
