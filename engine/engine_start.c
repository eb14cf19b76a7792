/* SPDX-License-Identifier: MIT
 * The start of a run. The fork comes first, while the process has one thread and no connection: librdkafka's threads
 * would not survive it, and workers must not have the engine's sockets and secrets. Then come signals, workers and
 * connections; the source starts once the sinks are ready (engine.c), so that no message is read that could not be
 * written. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "base/status.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "io/file.h"
#include "kafka/changelog.h"
#include "kafka/kafka.h"
#include "proc/forker.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/script_metrics.h"
#include "shm/topics.h"
#include "table/table.h"

struct block_list {
    struct tide_block **items;
    uint32_t count, capacity;
};

static void add_block(struct block_list *list, struct tide_block *block)
{
    if (list->count == list->capacity)
        tide_grow(&list->items, &list->capacity, list->capacity ? list->capacity * 2 : 64,
                  sizeof(struct tide_block *));
    list->items[list->count++] = block;
}

/* All shared memory that workers may see: whose it is, each block says. */
static struct block_list collect_blocks(const struct tide_engine *engine)
{
    struct block_list list = {0};
    struct tide_block *block;
    add_block(&list, tide_topics_memory(engine->chain.topics));
    for (uint32_t i = 0; i < tide_script_metrics_rows(engine->script_metrics); i++)
        add_block(&list, tide_script_metrics_memory(engine->script_metrics, i));
    for (uint32_t i = 0;
         engine->tables && (block = tide_tables_block(tide_engine_tables(engine), i)); i++)
        add_block(&list, block);
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_step *step = engine->steps[i];
        for (uint32_t j = 0; step->ops->block && (block = step->ops->block(step, j)); j++)
            add_block(&list, block);
    }
    return list;
}

/* The zygote does not return from its part of the program, so what it must not keep is freed here: a transform can
 * reach all of its process. */
static void become_other(struct tide_engine *engine)
{
    tide_counters_free(engine->chain.counters);
    tide_dlq_free(engine->chain.dlq);
    tide_loop_free(engine->loop);
    tide_engine_close_signals(engine);
    if (!tide_zygote_is_forker(engine->zygote))
        return;
    /* The zygotes of later revisions must not have secrets either. It returns in each of these. */
    tide_environment_forget(engine->plan.secret_variables, engine->plan.secret_variable_count);
    tide_forker_serve(engine->zygote);
}

int tide_engine_fork(struct tide_engine *engine, struct tide_zygote **zygote)
{
    int status = tide_engine_open_signals(engine);
    if (status < 0)
        return status;
    *zygote = engine->zygote;
    tide_require(engine->zygote);
    struct block_list blocks = collect_blocks(engine);
    tide_zygote_blocks(engine->zygote, blocks.items, blocks.count);
    free(blocks.items);
    if (engine->plan.reloads)
        tide_zygote_reloads(engine->zygote);
    int pid = tide_zygote_fork(engine->zygote);
    if (pid == 0)
        become_other(engine);
    else if (pid > 0)
        tide_block_end_on_loss();
    return pid;
}

/* A transform's file may loop for ever while it is loaded, and ^C has to end that too: so this wait watches signals,
 * which are otherwise the loop's business. A signal that came before counts as well. */
int tide_engine_ready(struct tide_engine *engine)
{
    int status = TIDE_OK, stopped = 0;
    do {
        if (engine->zygote)
            status = tide_zygote_wait_loaded(engine->zygote, engine->signals);
        stopped = tide_engine_stop_signal(engine);
    } while (status == TIDE_BUSY && stopped == 0);
    tide_observe(engine->chain.counters, 0, TIDE_M_RUN_CREATE_STRATEGY,
                 (double)(tide_clock_us() - engine->meter.created_us) / 1e6);
    if (engine->zygote)
        tide_observe(engine->chain.counters, 0, TIDE_M_REVISION, tide_engine_revision(engine));
    return status < 0 || stopped == 0 ? status : stopped;
}

/* The sink that writes to Kafka, be it the output or dead letters; NULL = none does. */
static struct tide_sink *kafka_sink(const struct tide_engine *engine)
{
    if (engine->plan.sink.medium == TIDE_MEDIUM_KAFKA)
        return engine->sink;
    return engine->dlq_sink != engine->sink ? engine->dlq_sink : NULL;
}

/* Secrets come this late so that the zygote, which is a copy of this process, has never seen them. */
static void set_properties(struct tide_engine *engine, const struct tide_connection *connection)
{
    if (engine->plan.source.medium == TIDE_MEDIUM_KAFKA)
        tide_kafka_source_connect(engine->source, connection->source, connection->source_count);
    if (kafka_sink(engine))
        tide_kafka_sink_connect(kafka_sink(engine), connection->sink, connection->sink_count);
    tide_engine_tables_connect(engine, connection);
    if (!engine->changelog || engine->plan.changelog)
        return;
    tide_kafka_changelog_connect(engine->changelog, connection->changelog,
                                 connection->changelog_count);
    if (engine->chain.changelog != engine->sink)
        tide_kafka_sink_connect(engine->chain.changelog, connection->changelog,
                                connection->changelog_count);
}

/* The handles are made and freed again without a connection: librdkafka only checks how properties go together (a
 * mechanism without a password) when it makes a handle. */
int tide_engine_try(struct tide_engine *engine, const struct tide_connection *connection)
{
    int status = TIDE_OK;
    set_properties(engine, connection);
    if (engine->plan.source.medium == TIDE_MEDIUM_KAFKA)
        status = tide_kafka_source_try(engine->source);
    if (status == TIDE_OK)
        status = tide_engine_tables_try(engine);
    return status == TIDE_OK && kafka_sink(engine) ? tide_kafka_sink_try(kafka_sink(engine))
                                                   : status;
}

/* A file that was read before is gone on with; then its output is, too. A pipe has no position: who starts the program
 * again decides what comes through it. */
static int open_states(struct tide_engine *engine)
{
    struct tide_store_position position, again;
    char input[PATH_MAX];
    int status = tide_states_open(engine->chain.states);
    if (status < 0 || engine->plan.source.medium != TIDE_MEDIUM_FILE)
        return status;
    const char *path = tide_file_source_path(engine->source);
    if (strcmp(path, "-") == 0 || !realpath(path, input) || !tide_file_mark(input, -1, &position))
        return TIDE_OK;
    int found = tide_states_input(engine->chain.states, 0, input, &position);
    if (found <= 0 || !tide_file_mark(input, position.bytes, &again) ||
        again.mark != position.mark || again.bytes != position.bytes)
        return found < 0 ? found : TIDE_OK;
    tide_log(TIDE_LOG_INFO, "%s was read up to line %lld: state and output go on after it", path,
             (long long)position.offset);
    tide_file_source_begin(engine->source, position.offset);
    if (engine->plan.sink.medium == TIDE_MEDIUM_FILE)
        tide_file_sink_append(engine->sink);
    return TIDE_OK;
}

/* A sink looks for its topics, so those of changelogs have to be made before. */
static int start_sinks(struct tide_engine *engine)
{
    struct tide_sink *changelog = engine->chain.changelog;
    int status = TIDE_OK;
    engine->sinks_started = true;
    if (engine->sink)
        status = engine->sink->ops->start(engine->sink);
    if (status == TIDE_OK && engine->dlq_sink != engine->sink)
        status = engine->dlq_sink->ops->start(engine->dlq_sink);
    if (status == TIDE_OK && changelog && changelog != engine->sink)
        status = changelog->ops->start(changelog);
    return status;
}

int tide_engine_start(struct tide_engine *engine, const struct tide_connection *connection)
{
    int status = tide_engine_open_signals(engine);
    for (uint32_t i = 0; i < engine->pool_count && status == TIDE_OK; i++)
        status = tide_pool_start(engine->pools[i]);
    if (status < 0)
        return status;
    if (engine->chain.states && (status = open_states(engine)) < 0)
        return status;
    set_properties(engine, connection);
    status = engine->changelog ? engine->changelog->ops->start(engine->changelog)
                               : start_sinks(engine);
    if (status == TIDE_OK)
        status = tide_engine_tables_start(engine);
    tide_engine_enter_state(engine, TIDE_ENGINE_CONNECTING, tide_clock_us());
    return status;
}

static int is_ready(struct tide_sink *sink)
{
    return sink && sink->ops->ready ? sink->ops->ready(sink) : 1;
}

/* What the source has to know of the output: its cluster, to see that it is the same one in exactly_once, and with
 * partition = "same" how many partitions there are. */
static void describe_output(struct tide_engine *engine)
{
    struct tide_kafka_output output = {0};
    if (engine->plan.source.medium != TIDE_MEDIUM_KAFKA || !kafka_sink(engine))
        return;
    output.cluster = tide_kafka_sink_cluster(kafka_sink(engine));
    if (engine->plan.sink.medium == TIDE_MEDIUM_KAFKA &&
        engine->plan.sink.partitioner == TIDE_PARTITION_SAME) {
        output.limit_topic = tide_topics_name(engine->chain.topics, engine->output_topic);
        output.limit = tide_kafka_sink_partitions(engine->sink);
    }
    tide_kafka_source_output(engine->source, &output);
}

/* Both are asked in each turn, so that the failure of one ends the run at once and not when the other has
 * connected. */
int tide_engine_sinks_ready(struct tide_engine *engine)
{
    int status = engine->changelog ? engine->changelog->ops->ready(engine->changelog) : 1;
    if (status == 1 && !engine->sinks_started && (status = start_sinks(engine)) == TIDE_OK)
        return 0;
    if (status != 1)
        return status;
    int output = is_ready(engine->sink);
    int dlq = engine->dlq_sink != engine->sink ? is_ready(engine->dlq_sink) : 1;
    int changelog = is_ready(engine->chain.changelog);
    if (output < 0 || dlq < 0 || changelog < 0)
        return output < 0 ? output : dlq < 0 ? dlq : changelog;
    if (output == 0 || dlq == 0 || changelog == 0)
        return 0;
    describe_output(engine);
    return 1;
}
