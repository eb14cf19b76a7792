/* SPDX-License-Identifier: MIT
 * A run: builds the engine with its surroundings, lets things happen in random order, and at last without faults until
 * everything is complete. Between any two actions the clock moves a little. Start reading at sim_run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "keyed.h"

enum {
    MAX_IDLE_TURNS = 20000, /* 200 s and more without progress */
    MAX_TURNS = 200000      /* or with progress that is lost again and again */
};
static const int64_t START_US = 1000000000;

struct sim sim;

static void build_engine(void)
{
    static const char *const topics[] = {"in"};
    static const char *const outputs[] = {"out"};
    const struct settings *set = &sim.set;
    int status;
    struct tide_plan plan = {
        .name = "simulation",
        .source = {.medium = TIDE_MEDIUM_MEMORY,
                   .topics = topics,
                   .topic_count = 1,
                   .partitions = set->partitions},
        .sink = {.medium = TIDE_MEDIUM_MEMORY, .topics = outputs, .topic_count = 1},
        .dlq = set->dlq,
        .commit = set->commit,
        .steps = set->steps,
        .step_count = set->step_count,
        .pools = set->pools,
        .pools_begin = set->pools_begin,
        .limits = set->limits,
        .pool_count = set->pool_count,
        .join_timeout_us = 60000000,
        .message_timeout_us = set->message_timeout_us,
        .exactly_once = set->exactly_once,
        .state_dir = set->rates.restart > 0 ? sim_folder() : NULL,
        .changelog = set->has_changelog ? sim_changelog_reader() : NULL,
        .changelog_sink = set->has_changelog && !set->exactly_once ? sim_changelog_sink() : NULL,
    };
    sim.engine = tide_engine_new(&plan, &status);
    if (!sim.engine)
        sim_fail("no engine: %s", tide_error());
}

static void fill_partitions(void)
{
    uint64_t max = sim.set.steps[0].max_input_block_size;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        int64_t offset = sim_roll(3);
        for (uint32_t j = 0; j < sim.set.messages; j++) {
            struct message *message = &sim.partitions[i].messages[j];
            offset += 1 + (sim_roll(5)
                               ? 0
                               : sim_roll(4)); /* gaps, as of transaction markers and compaction */
            message->offset = offset;
            message->size = sim_roll(8) ? 0 : sim_roll(300);
            if (sim_chance(sim.set.rates.large))
                message->size = (uint32_t)(max - 64 + sim_roll(128)) % 60000;
        }
        sim.partitions[i].committed = -1;
        sim.partitions[i].available = sim_roll(sim.set.messages);
    }
}

/* The engine has a source and a sink in memory, whose verbs are then replaced: it cannot tell the difference. */
static void start_engine(void)
{
    build_engine();
    sim_source_open();
    sim_sink_open();
    sim_workers_open();
    if (tide_engine_start(sim.engine, &(struct tide_connection){0}) < 0)
        sim_fail("the engine does not start: %s", tide_error());
}

/* The engine ends as by kill -9, since nothing is stored when it is freed, and another one starts on its store. */
static void restart(void)
{
    sim_transaction_orphaned();
    tide_engine_free(sim.engine);
    sim.taken = sim.completed = sim.dropped = 0;
    sim.tap = 0;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        sim.partitions[i].state = AWAY;
        sim.partitions[i].held = false;
    }
    start_engine();
}

static void begin_run(uint64_t seed, bool verbose)
{
    uint64_t steps = sim.steps;
    memset(&sim, 0, sizeof(sim));
    sim.steps = steps;
    sim_draw(seed);
    if (verbose)
        sim_print(stdout);
    sim.now_us = START_US;
    tide_clock_hold(START_US);
    sim.may_fail = sim.set.dlq.kind == TIDE_DLQ_NONE || sim.set.dlq.max_invalid_ratio >= 0 ||
                   sim.set.dlq.max_consecutive_count >= 0;
    if (sim.set.has_changelog)
        sim_changelog_open();
    if (sim.set.rates.restart > 0)
        sim_folder_empty();
    fill_partitions();
    start_engine();
}

static void run_turn(void)
{
    struct tide_event event;
    if (tide_engine_run(sim.engine, 0, &event) < 0)
        sim_fail("the loop failed: %s", tide_error());
    if (event.kind == TIDE_EVENT_FAILED && !(sim.may_fail && event.status == TIDE_EDATA))
        sim_fail("the engine failed (%d): %s", event.status, event.text);
    sim.over = event.kind == TIDE_EVENT_FAILED || event.kind == TIDE_EVENT_DONE;
    sim.status = event.status;
    sim_check_turn();
    if (!sim.over)
        sim_state_check();
    sim_look_on();
}

/* Two clocks: the engine's, and the one by which the simulation tells a timeout. */
static void pass_time(int64_t by_us)
{
    sim.now_us += by_us;
    tide_clock_advance(by_us);
}

/* Sizes change at any moment, as drawn by sim_mix, so that seeds which were kept before draw what they drew. */
static void resize(void)
{
    uint64_t mix = sim_mix(sim.set.seed, 12, ++sim.resizes, 0);
    uint32_t row = 1 + (uint32_t)(mix >> 32) % sim.set.step_count;
    const struct tide_step_plan *step = &sim.set.steps[row - 1];
    struct tide_sizes sizes;
    if (mix % RATE_ALWAYS >= sim.set.rates.resize)
        return;
    if (!tide_engine_get_sizes(sim.engine, row, &sizes))
        sim_fail("step %u has no sizes", row);
    mix = sim_mix(sim.set.seed, 13, sim.resizes, 0);
    sizes.processes = 1 + (uint32_t)(mix % sim.set.pools[step->pool]);
    sizes.max_batch_size = 1 + (uint32_t)((mix >> 16) % step->max_batch_size);
    sizes.max_batch_time_us = 1 + (int64_t)((mix >> 24) % 1000000);
    sizes.input_block_size = 1 + (mix >> 32) % step->max_input_block_size;
    sizes.output_block_size = 1 + (mix >> 48) % step->max_output_block_size;
    if (tide_engine_set_sizes(sim.engine, row, &sizes) < 0)
        sim_fail("the sizes of step %u are refused: %s", row, tide_error());
    sizes.processes = sim.set.pools[step->pool] + 1;
    if (tide_engine_set_sizes(sim.engine, row, &sizes) == TIDE_OK)
        sim_fail("step %u takes more processes than there are slots", row);
}

static void run_action(void)
{
    sim.steps++;
    resize();
    if (sim_fault(sim.set.rates.restart))
        restart();
    switch (sim_roll(8)) {
    case 0:
    case 1:
        run_turn();
        break;
    case 2:
        sim_source_act();
        break;
    case 3:
        sim_sink_act();
        break;
    default:
        sim_workers_act();
        break;
    }
    pass_time(sim_fault(sim.set.rates.jump) ? sim_roll(1200000) : sim_roll(300));
}

/* A number that falls with all progress: reading a message, and completing one. */
static uint64_t remaining(void)
{
    struct tide_totals totals;
    tide_engine_totals(sim.engine, &totals);
    return totals.in_flight * MAX_PARTITIONS * MAX_MESSAGES - totals.read;
}

/* Without faults everything must become complete, in bounded time. */
static void finish_run(void)
{
    bool ending = false;
    uint64_t left = UINT64_MAX;
    sim.calm = true;
    for (uint32_t idle = 0, all = 0; !sim.over && idle < MAX_IDLE_TURNS && all < MAX_TURNS;
         idle++, all++) {
        sim.steps++;
        sim_workers_act();
        sim_source_act();
        sim_sink_act();
        ending = sim_source_end();
        run_turn();
        pass_time(ending ? 20000 : sim_roll(20000));
        if (remaining() != left) {
            left = remaining();
            idle = 0;
        }
    }
    if (!sim.over)
        sim_fail("it does not come to an end although nothing is wrong any more");
}

void sim_run(uint64_t seed, bool verbose)
{
    begin_run(seed, verbose);
    for (uint32_t i = 0; i < sim.set.actions && !sim.over; i++)
        run_action();
    finish_run();
    if (sim.status == 0) {
        sim_check_end();
        sim_state_check_end();
    }
    tide_engine_free(sim.engine);
}
