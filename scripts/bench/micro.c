/* SPDX-License-Identifier: MIT
 * micro ROUNDS - what the offset tracker takes for a message, and the Kafka source's look at its rebalances with many
 * partitions, in ns of processor time: one JSON object. A part of scripts/bench/micro.lua that is in C, since LuaJIT
 * compiles no call that returns a struct. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "chain/offsets.h"
#include "kafka/source/inside.h"

enum { PARTITIONS = 16, IN_FLIGHT = 4096, MANY_PARTITIONS = 10000 };

static double cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* As a message fares that has one result: opened, referred to by the result, left by the step, sent, acknowledged. */
static double through(long rounds, bool results)
{
    static struct tide_origin origins[IN_FLIGHT];
    struct tide_offsets *offsets = tide_offsets_new();
    int64_t next[PARTITIONS] = {0};
    for (uint32_t i = 0; i < PARTITIONS; i++)
        tide_offsets_assign(offsets, i);
    double began = cpu_ns();
    for (long round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < IN_FLIGHT; i++) {
            uint32_t partition = i * PARTITIONS / IN_FLIGHT;
            origins[i] = tide_offsets_open(offsets, partition, next[partition]++);
        }
        for (uint32_t i = 0; results && i < IN_FLIGHT; i++) {
            tide_offsets_ref(offsets, origins[i]);
            tide_offsets_unref(offsets, origins[i], TIDE_OUTCOME_FILTERED);
            tide_offsets_mark_sent(offsets, origins[i]);
        }
        for (uint32_t i = 0; i < IN_FLIGHT; i++)
            tide_offsets_unref(offsets, origins[i],
                               results ? TIDE_OUTCOME_PRODUCED : TIDE_OUTCOME_FILTERED);
    }
    double took = cpu_ns() - began;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (tide_offsets_position(offsets, i) != next[i])
            exit(70);
    }
    tide_offsets_free(offsets);
    return took / (double)rounds / IN_FLIGHT;
}

/* Several times in each turn, mostly in vain. */
static double look_at_rebalances(long rounds)
{
    static struct tide_kafka_partition partitions[MANY_PARTITIONS];
    static struct tide_kafka_source source = {
        .state = TIDE_KAFKA_RUNNING, .partitions = partitions, .partition_count = MANY_PARTITIONS};
    STAILQ_INIT(&source.rebalance.queue);
    for (uint32_t i = 0; i < MANY_PARTITIONS; i++)
        partitions[i].assignment = TIDE_KAFKA_OWNED;
    double began = cpu_ns();
    for (long round = 0; round < rounds; round++)
        tide_kafka_rebalance_serve(&source);
    return (cpu_ns() - began) / (double)rounds;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: micro ROUNDS\n");
        return 64;
    }
    through(rounds / 10 + 1, true);
    double produced = through(rounds, true), filtered = through(rounds, false);
    printf("{\"offsets, a message with one result\":%.2f,\"offsets, a filtered message\":%.2f,"
           "\"look at rebalances, 10,000 partitions\":%.2f}\n",
           produced, filtered, look_at_rebalances(rounds * 10));
    return 0;
}
