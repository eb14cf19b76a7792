/* SPDX-License-Identifier: MIT
 * The start, after the fork: signals, workers, connections. The source begins once the sinks are ready. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "engine.h"
#include "kafka/kafka.h"
#include "shm/topics.h"

/* HUP is left alone where it is ignored already: nohup did that. */
static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int tide_engine_open_signals(struct tide_engine *engine)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of write(2), as a full disk is */
    if (!engine->plan.handle_signals || engine->signals >= 0)
        return TIDE_OK;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (numbers[i] != SIGHUP || !is_ignored(SIGHUP))
            sigaddset(&set, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL); /* librdkafka's threads take this over */
    engine->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (engine->signals < 0)
        return tide_fail_system("signalfd");
    return tide_loop_watch(engine->loop, engine->signals, NULL, NULL);
}

/* The sink that writes to Kafka, of output or dead letters; NULL = none. */
static struct tide_sink *kafka_sink(const struct tide_engine *engine)
{
    if (engine->plan.sink.medium == TIDE_MEDIUM_KAFKA)
        return engine->sink;
    return engine->dlq_sink != engine->sink ? engine->dlq_sink : NULL;
}

static void set_properties(struct tide_engine *engine, const struct tide_connection *connection)
{
    if (engine->plan.source.medium == TIDE_MEDIUM_KAFKA)
        tide_kafka_source_connect(engine->source, connection->source, connection->source_count);
    if (kafka_sink(engine))
        tide_kafka_sink_connect(kafka_sink(engine), connection->sink, connection->sink_count);
}

int tide_engine_try(struct tide_engine *engine, const struct tide_connection *connection)
{
    int status = TIDE_OK;
    set_properties(engine, connection);
    if (engine->plan.source.medium == TIDE_MEDIUM_KAFKA)
        status = tide_kafka_source_try(engine->source);
    return status == TIDE_OK && kafka_sink(engine) ? tide_kafka_sink_try(kafka_sink(engine))
                                                   : status;
}

int tide_engine_start(struct tide_engine *engine, const struct tide_connection *connection)
{
    int status = tide_engine_open_signals(engine);
    for (uint32_t i = 0; i < engine->pool_count && status == TIDE_OK; i++)
        status = tide_pool_start(engine->pools[i]);
    if (status < 0)
        return status;
    set_properties(engine, connection);
    if (engine->sink)
        status = engine->sink->ops->start(engine->sink);
    if (status == TIDE_OK && engine->dlq_sink != engine->sink)
        status = engine->dlq_sink->ops->start(engine->dlq_sink);
    engine->second_us = tide_clock_us();
    tide_engine_enter_state(engine, TIDE_ENGINE_CONNECTING, INT64_MAX);
    return status;
}

static int ready(struct tide_sink *sink)
{
    return sink && sink->ops->ready ? sink->ops->ready(sink) : 1;
}

/* What the source must know of the output: its cluster, and for partition = "same" how many partitions it has. */
static void tell_source(struct tide_engine *engine)
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

int tide_engine_connect_poll(struct tide_engine *engine)
{
    int output = ready(engine->sink);
    int dlq = engine->dlq_sink != engine->sink ? ready(engine->dlq_sink) : 1;
    if (output < 0 || dlq < 0)
        return output < 0 ? output : dlq;
    if (output == 0 || dlq == 0)
        return TIDE_OK;
    tell_source(engine);
    engine->source_started = true;
    tide_engine_enter_state(engine, TIDE_ENGINE_READING, INT64_MAX);
    return engine->source->ops->start(engine->source);
}
