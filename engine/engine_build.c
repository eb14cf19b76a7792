/* SPDX-License-Identifier: MIT
 * From a plan to a chain, and its end. Everything is built before the zygote is forked: workers inherit the blocks,
 * and know topics by numbers that were given out here. Nothing connects and no thread starts yet (engine_start.c). A
 * new kind of source, sink or step gets its branch here. Start reading at `build`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "chain/bad_records.h"
#include "chain/states.h"
#include "chain/tap.h"
#include "chain/task.h"
#include "engine_inside.h"
#include "io/file.h"
#include "io/memory.h"
#include "kafka/changelog.h"
#include "kafka/kafka.h"
#include "shm/counters.h"
#include "shm/script_metrics.h"
#include "shm/topics.h"

/* Topics are passed on, since a source numbers those that it reads when it is made (workers know the same numbers). */
static int build_source(struct tide_engine *engine, const struct tide_source_plan *plan)
{
    struct tide_chain *chain = &engine->chain;
    if (plan->medium == TIDE_MEDIUM_KAFKA)
        engine->source = tide_kafka_source_new(plan, chain->topics, chain->loop, chain->counters);
    else if (plan->medium == TIDE_MEDIUM_FILE)
        engine->source = tide_file_source_new(plan, chain->topics, chain->loop);
    else
        engine->source = tide_memory_source_new(plan, chain->topics);
    chain->source = engine->source;
    chain->topic_count = plan->together ? plan->topic_count : 1;
    return engine->source ? TIDE_OK : tide_failure();
}

/* With an instance name the transactional id is the same after a restart, which ends the transaction of the process
 * before at once. Without one the group's generation does the fencing, and the id must be unique. */
static void begin_transactions(struct tide_engine *engine, const struct tide_plan *plan,
                               struct tide_sink *sink, int64_t interval_us)
{
    const char *instance = plan->source.instance;
    char own[24];
    char id[512];
    uint64_t random;
    tide_require(getrandom(&random, sizeof(random), 0) == sizeof(random));
    snprintf(own, sizeof(own), "%016llx", (unsigned long long)random);
    snprintf(id, sizeof(id), "%.160s.%.160s.%.160s", plan->name, plan->source.group,
             instance ? instance : own);
    tide_kafka_sink_transactions(sink, engine->source, &tide_kafka_source_group, id,
                                 instance != NULL, interval_us);
}

/* Numbers of the output's topics must be there before the fork, since workers name topics by number. */
static int number_topics(struct tide_engine *engine, const struct tide_plan *plan)
{
    for (uint32_t i = 0; i < plan->sink.topic_count; i++) {
        int number = tide_topics_number(engine->chain.topics, plan->sink.topics[i]);
        if (number < 0)
            return number;
        if (i == 0)
            engine->output_topic = (uint16_t)number;
    }
    return TIDE_OK;
}

static bool plan_keeps_state(const struct tide_plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].state_count > 0)
            return true;
    return false;
}

/* What reads and writes the changelogs. A trial has no state_dir, and must not write to them. In exactly_once they are in the
 * transaction of the results; else there is another one, of another producer, which holds little at once. */
static int build_changelog(struct tide_engine *engine, const struct tide_plan *plan)
{
    struct tide_chain *chain = &engine->chain;
    struct tide_sink_plan apart = {.medium = TIDE_MEDIUM_KAFKA,
                                   .max_messages = 20000,
                                   .max_bytes = 16 << 20,
                                   .timeout_us = plan->source.timeout_us};
    if (plan->changelog) {
        engine->changelog = plan->changelog;
        chain->changelog = plan->exactly_once ? engine->sink : plan->changelog_sink;
        return TIDE_OK;
    }
    if (plan->source.medium != TIDE_MEDIUM_KAFKA || !plan->state_dir)
        return TIDE_OK;
    engine->changelog = tide_kafka_changelog_new(
        plan->source.topics[0], plan->source.timeout_us,
        chain->loop); /* the others have as many partitions */
    if (!engine->changelog)
        return tide_failure();
    chain->changelog = plan->exactly_once ? engine->sink
                                          : tide_kafka_sink_new(&apart, NULL, chain->topics,
                                                                chain->loop, chain->counters);
    if (!chain->changelog)
        return tide_failure();
    if (!plan->exactly_once)
        begin_transactions(engine, plan, chain->changelog, 0);
    tide_kafka_source_hold(engine->source);
    return TIDE_OK;
}

/* Which states there are is known when the steps are built. */
static int name_changelogs(struct tide_engine *engine, const struct tide_plan *plan)
{
    struct tide_states *states = engine->chain.states;
    int status = tide_states_changelog(states, plan->source.topics, plan->source.topic_count,
                                       engine->chain.topics);
    for (uint32_t i = 0; i < tide_states_count(states) && status == TIDE_OK && !plan->changelog;
         i++) {
        tide_kafka_changelog_topic(engine->changelog, tide_states_topic(states, i));
        status = tide_kafka_sink_changelog(engine->chain.changelog, tide_states_topic(states, i));
    }
    return status;
}

/* One producer writes both the output and the dead letters where both go to Kafka (or stay in memory): in exactly_once
 * they must be in one transaction. */
static int build_sinks(struct tide_engine *engine, const struct tide_plan *plan)
{
    struct tide_chain *chain = &engine->chain;
    const char *dlq_topic = plan->dlq.kind == TIDE_DLQ_TOPIC ? plan->dlq.target : NULL;
    int status = number_topics(engine, plan);
    if (status < 0)
        return status;
    if (plan->sink.medium == TIDE_MEDIUM_KAFKA)
        engine->sink = tide_kafka_sink_new(&plan->sink, dlq_topic, chain->topics, chain->loop,
                                           chain->counters);
    else if (plan->sink.medium == TIDE_MEDIUM_FILE)
        engine->sink = tide_file_sink_new(&plan->sink, chain->topics, chain->loop);
    else if (plan->sink.medium == TIDE_MEDIUM_MEMORY)
        engine->sink = tide_memory_sink_new(&plan->sink);
    /* NULL is a failure only where a sink was asked for: without an output, produce drops what it gets. */
    if (plan->sink.medium != TIDE_MEDIUM_NONE && !engine->sink)
        return tide_failure();
    if (plan->exactly_once && plan->sink.medium == TIDE_MEDIUM_KAFKA)
        begin_transactions(engine, plan, engine->sink, plan->commit.min_time_us);
    engine->dlq_sink = engine->sink;
    if (dlq_topic && plan->sink.medium != TIDE_MEDIUM_KAFKA &&
        plan->sink.medium != TIDE_MEDIUM_MEMORY) {
        /* a file or nothing is the output, so dead letters get a producer of their own */
        struct tide_sink_plan apart = {.medium = TIDE_MEDIUM_KAFKA,
                                       .max_messages = 10000,
                                       .max_bytes = 64 << 20,
                                       .timeout_us = plan->source.timeout_us};
        engine->dlq_sink = tide_kafka_sink_new(&apart, dlq_topic, chain->topics, chain->loop,
                                               chain->counters);
        if (!engine->dlq_sink)
            return tide_failure();
    }
    tide_dlq_sink(chain->dlq, engine->dlq_sink);
    return plan_keeps_state(plan) ? build_changelog(engine, plan) : (int)TIDE_OK;
}

/* Where workers are replaced, one slot is a spare one; where a later revision may come, there is one for each of its workers. */
static uint32_t slots_of(const struct tide_plan *plan, uint32_t pool)
{
    bool spare = plan->limits && tide_worker_limits_replace(&plan->limits[pool]);
    return plan->pools[pool] * (plan->reloads ? 2 : 1) + (spare ? 1 : 0);
}

/* Workers of all pools are forked by one zygote and numbered through, so that each has its own row of script
 * metrics. */
static int build_pools(struct tide_engine *engine, const struct tide_plan *plan)
{
    uint32_t workers = 0;
    for (uint32_t i = 0; i < plan->pool_count; i++)
        workers += slots_of(plan, i);
    engine->script_metrics = tide_script_metrics_new(workers);
    if (!engine->script_metrics)
        return tide_failure();
    int status = tide_engine_tables_build(engine, plan);
    if (status < 0)
        return status;
    /* A pipeline without transforms has no zygote, so nothing of it is forked; its script metrics exist, with no
     * row. */
    if (workers == 0)
        return TIDE_OK;
    engine->zygote = tide_zygote_new(engine->loop, workers);
    if (!engine->zygote)
        return tide_failure();
    tide_zygote_load_memory(engine->zygote, plan->load_memory);
    tide_zygote_memory(engine->zygote, plan->worker_memory);
    tide_zygote_core_dumps(engine->zygote, plan->core_dumps);
    tide_zygote_sandbox(engine->zygote, &plan->sandbox);
    tide_zygote_limit(engine->zygote, plan->start_timeout_us);
    engine->pools = tide_alloc(sizeof(*engine->pools) * plan->pool_count);
    workers = 0;
    for (; engine->pool_count < plan->pool_count; engine->pool_count++) {
        uint32_t slots = slots_of(plan, engine->pool_count);
        struct tide_pool *pool = engine->pools[engine->pool_count] = tide_pool_new(
            engine->zygote, engine->loop, workers, slots, engine->chain.counters);
        if (plan->limits &&
            (status = tide_pool_limit_workers(pool, &plan->limits[engine->pool_count])) < 0) {
            engine->pool_count++; /* it is there, and is freed */
            return status;
        }
        if (plan->reloads)
            tide_pool_spare(pool, plan->pools[engine->pool_count]);
        if (plan->pools_begin)
            tide_pool_resize(pool, plan->pools_begin[engine->pool_count]);
        tide_pool_limit(pool, plan->message_timeout_us);
        tide_pool_limit_start(pool, plan->start_timeout_us);
        workers += slots;
    }
    return TIDE_OK;
}

/* The engine keeps row 0 of the counters for itself; a step that runs in workers has the row after its number. */
static struct tide_step *build_step(struct tide_engine *engine, const struct tide_plan *plan,
                                    uint32_t number)
{
    const struct tide_step_plan *step = &plan->steps[number];
    if (step->kind == TIDE_STEP_NOOP)
        return tide_step_noop_new(&engine->chain);
    if (step->kind == TIDE_STEP_HEALTHCHECK)
        return tide_step_healthcheck_new(&engine->chain, step->path);
    /* The pool is told of the step, as it counts by the step's row and gives each worker as many batches as the step
     * prefetches. */
    engine->chain.unordered |= step->order != TIDE_ORDER_PARTITION;
    struct tide_pool *pool = engine->pools[step->pool];
    struct tide_task *task = tide_task_new(&engine->chain, step, pool, plan->pools[step->pool],
                                           number, number + 1);
    if (!task)
        return NULL;
    tide_pool_join(pool, number + 1, step->prefetch_batches, tide_task_outputs(task));
    return &task->step;
}

/* produce is always there, as the last step: without an output it drops the messages. */
static int build_steps(struct tide_engine *engine, const struct tide_plan *plan)
{
    engine->steps = tide_alloc(sizeof(*engine->steps) * (plan->step_count + 1));
    for (uint32_t i = 0; i <= plan->step_count; i++) {
        struct tide_step *step = i < plan->step_count
                                     ? build_step(engine, plan, i)
                                     : tide_step_produce_new(&engine->chain, engine->sink,
                                                             engine->dlq_sink);
        if (!step)
            return tide_failure();
        engine->steps[engine->step_count++] = step;
        if (i > 0)
            engine->steps[i - 1]->next = step;
    }
    return TIDE_OK;
}

/* Descriptors for everything but workers and blocks: streams, librdkafka's connections, and what transforms open. */
enum { OTHER_FILES = 512 };

/* The soft limit is only so low for programs that use select(), so it is raised where the plan needs more. A batch takes
 * one descriptor (its input block) in this process alone, and so does each worker slot for its script metrics, and for the
 * output blocks of each step. A hard limit that is too low is no failure here: the call that runs into it names the limit. */
static void raise_file_limit(const struct tide_plan *plan)
{
    struct rlimit limit;
    rlim_t need = OTHER_FILES;
    for (uint32_t i = 0; i < plan->pool_count; i++)
        need += 8 * (rlim_t)slots_of(plan, i); /* both ends of its sockets and pipe, what its
                                                  worker is killed by, script metrics */
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct tide_step_plan *step = &plan->steps[i];
        if (step->pool < plan->pool_count)
            need += (rlim_t)plan->pools[step->pool] * (2 + step->prefetch_batches) *
                        (step->state_count > 0 ? 2 : 1) +
                    1;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Whatever exists after a failure is freed by tide_engine_free, so no step of this has to clean up. */
static int build(struct tide_engine *engine, const struct tide_plan *plan)
{
    struct tide_chain *chain = &engine->chain;
    int status = TIDE_OK;
    raise_file_limit(plan);
    engine->loop = chain->loop = tide_loop_new();
    chain->topics = tide_topics_new();
    chain->counters = tide_counters_new(plan->step_count + 1);
    chain->offsets = tide_offsets_new();
    chain->taps = tide_taps_new(chain->topics);
    if (!chain->loop || !chain->topics || !chain->counters)
        return tide_failure();
    chain->dlq = tide_dlq_new(&plan->dlq, chain, &status);
    if (!chain->dlq)
        return status;
    chain->canaries = plan->reloads;
    if (plan_keeps_state(plan))
        chain->states = tide_states_new(plan->state_dir, plan->name);
    if ((status = build_source(engine, &plan->source)) < 0 ||
        (status = build_sinks(engine, plan)) < 0 || (status = build_pools(engine, plan)) < 0 ||
        (status = build_steps(engine, plan)) < 0 ||
        (engine->changelog && (status = name_changelogs(engine, plan)) < 0))
        return status;
    chain->exactly_once = plan->exactly_once;
    chain->retry_timeout_us = plan->retry_timeout_us;
    /* In at least once `bad_records` stays NULL: there a refusal names its record, so none has to be searched for. */
    if (plan->exactly_once) {
        tide_offsets_transactional(chain->offsets);
        chain->bad_records = tide_bad_records_new();
    }
    engine->transactions = plan->exactly_once ? engine->sink : chain->changelog;
    engine->commit = tide_commit_new(&plan->commit, chain, engine->transactions);
    return TIDE_OK;
}

/* The plan is copied as a struct, for its numbers; its strings belong to Lua, so every module copies those that it
 * keeps. */
struct tide_engine *tide_engine_new(const struct tide_plan *plan, int *status)
{
    struct tide_engine *engine = tide_alloc(sizeof(*engine));
    engine->plan = *plan;
    engine->signals = -1;
    engine->meter.created_us = engine->meter.entered_us = tide_clock_us();
    *status = build(engine, plan);
    if (*status < 0) {
        tide_engine_free(engine);
        return NULL;
    }
    return engine;
}

void tide_engine_free(struct tide_engine *engine)
{
    if (!engine)
        return;
    /* Processes come first, so that no worker runs on for nothing; then connections; then memory, which both use. */
    for (uint32_t i = 0; i < engine->pool_count; i++)
        tide_pool_free(engine->pools[i]);
    tide_zygote_free(engine->zygote);
    tide_engine_tables_free(engine);
    tide_engine_reload_free(engine);
    tide_commit_free(engine->commit);
    if (engine->source)
        engine->source->ops->free(engine->source);
    if (engine->changelog)
        engine->changelog->ops->free(engine->changelog);
    if (engine->chain.changelog && engine->chain.changelog != engine->sink)
        engine->chain.changelog->ops->free(engine->chain.changelog);
    if (engine->dlq_sink && engine->dlq_sink != engine->sink)
        engine->dlq_sink->ops->free(engine->dlq_sink);
    if (engine->sink)
        engine->sink->ops->free(engine->sink);
    for (uint32_t i = 0; i < engine->step_count; i++)
        engine->steps[i]->ops->terminate(engine->steps[i]);
    tide_states_free(engine->chain.states);
    tide_dlq_free(engine->chain.dlq);
    tide_bad_records_free(engine->chain.bad_records);
    tide_offsets_free(engine->chain.offsets);
    tide_taps_free(engine->chain.taps);
    tide_counters_free(engine->chain.counters);
    tide_topics_free(engine->chain.topics);
    tide_script_metrics_free(engine->script_metrics);
    tide_engine_close_signals(engine);
    tide_loop_free(engine->loop);
    free(engine->restore.records);
    free(engine->revocation.partitions);
    free(engine->meter.partitions);
    free(engine->pools);
    free(engine->steps);
    free(engine);
}
