/* SPDX-License-Identifier: MIT
 * Draws the settings of a seed: what may go wrong, and how large everything is. A rate is 0 in two of three runs, so that
 * most runs have a few kinds of faults only; with all of them at once little would get through. A new setting is drawn by
 * sim_mix at the end of sim_draw: that leaves unchanged what the seeds of spec/sim/seeds.lua draw. */
#include <stdio.h>

#include "sim.h"

static uint32_t draw_rate(uint32_t max)
{
    return sim_roll(3) ? 0 : 1 + sim_roll(max);
}

static void draw_rates(struct rates *rates)
{
    *rates = (struct rates){
        .filter = draw_rate(500),
        .many = draw_rate(400),
        .reject = draw_rate(100),
        .poison = draw_rate(20),
        .hang = sim_roll(6) ? 0 : 1 + sim_roll(10),
        .large = draw_rate(20),
        .crash = draw_rate(60),
        .idle_crash = draw_rate(60),
        .lie = draw_rate(100),
        .fork_fails = draw_rate(100),
        .block = draw_rate(200),
        .partial = draw_rate(300),
        .refuse = draw_rate(40),
        .refuse_dead_letter = draw_rate(200),
        .revoke = draw_rate(8),
        .lose = draw_rate(8),
        .commit_fails = draw_rate(500),
        .jump = draw_rate(20),
    };
}

static uint64_t draw_size(void)
{
    return 256ULL << sim_roll(6);
}

static void draw_step(struct tide_step_plan *step, uint32_t number)
{
    static const char *const stages[MAX_STEPS] = {"s0", "s1", "s2"};
    static const int64_t times_us[] = {1000, 20000, 300000, 2000000};
    *step = (struct tide_step_plan){
        .kind = sim_roll(4) ? TIDE_STEP_TASK : TIDE_STEP_REDUCE,
        .stage = stages[number],
        .pool = sim_roll(sim.set.pool_count),
        .max_batch_size = 1 + sim_roll(sim_roll(3) ? 8 : 48),
        .max_batch_time_us = times_us[sim_roll(4)],
        .input_block_size = draw_size(),
        .output_block_size = draw_size(),
        .auto_input = sim_roll(2),
        .auto_output = sim_roll(2),
        .eager = sim_roll(4),
        .prefetch_batches = sim_roll(3),
        .crash_retries = sim_roll(3),
    };
    step->max_input_block_size = step->input_block_size << sim_roll(4);
    step->max_output_block_size = step->output_block_size << sim_roll(4);
}

static void draw_policies(void)
{
    struct settings *set = &sim.set;
    set->commit.enabled = true;
    if (sim_roll(3))
        set->commit.min_time_us = 1000 << sim_roll(10);
    if (sim_roll(3) == 0)
        set->commit.min_messages = 1 + sim_roll(50);
    set->dlq = (struct tide_dlq_plan){.kind = sim_roll(20) ? TIDE_DLQ_TOPIC : TIDE_DLQ_NONE,
                                      .target = "letters",
                                      .max_invalid_ratio = sim_roll(20) ? -1 : 0.3,
                                      .max_consecutive_count = sim_roll(20) ? -1 : 5,
                                      .max_buffered = sim_roll(3) ? sim_roll(20) : 0};
    set->message_timeout_us = 500000 + sim_roll(5000000);
}

/* Targets of latency, automatic batches, and how often sizes are changed at run time. */
static void draw_sizes(uint64_t seed)
{
    struct settings *set = &sim.set;
    if (sim_mix(seed, 6, 0, 0) % 2)
        set->rates.resize = 1 + (uint32_t)(sim_mix(seed, 7, 0, 0) % 100);
    for (uint32_t i = 0; i < set->step_count; i++) {
        set->steps[i].auto_batch = sim_mix(seed, 8, i, 0) % 2;
        if (sim_mix(seed, 9, i, 0) % 2)
            set->steps[i].latency_us = 1 + (int64_t)(sim_mix(seed, 10, i, 0) % 2000000);
    }
    for (uint32_t i = 0; i < set->pool_count; i++)
        set->pools_begin[i] = 1 + (uint32_t)(sim_mix(seed, 11, i, 0) % set->pools[i]);
    for (uint32_t i = 0; i < set->pool_count && sim_mix(seed, 14, 0, 0) % 3 == 0; i++)
        set->limits[i].max_messages = 1 + sim_mix(seed, 15, i, 0) % 200;
}

/* Lanes by key behind a step that reduces: of a result of several messages only the newest one's key counts. */
static void draw_orders(uint64_t seed)
{
    struct settings *set = &sim.set;
    bool reduced = false;
    set->keys = 1 + (uint32_t)(sim_mix(seed, 17, 0, 0) % MAX_KEYS);
    set->null_keys = sim_mix(seed, 18, 0, 0) % 3 == 0;
    for (uint32_t i = 0; i < set->step_count && seed % 4 == 2; i++) {
        struct tide_step_plan *step = &set->steps[i];
        bool reduces = step->kind == TIDE_STEP_REDUCE;
        step->order = reduces ? TIDE_ORDER_PARTITION
                              : (enum tide_step_order)(sim_mix(seed, 19, i, 0) % 3);
        set->unordered |= step->order != TIDE_ORDER_PARTITION;
        step->by = sim_mix(seed, 20, i, 0) % 4 ? TIDE_BY_KEY : TIDE_BY_PARTITION;
        if (step->order == TIDE_ORDER_NONE || (step->order == TIDE_ORDER_KEY && reduced))
            set->keeps = TIDE_ORDER_NONE;
        else if (step->order == TIDE_ORDER_KEY && step->by == TIDE_BY_KEY &&
                 set->keeps == TIDE_ORDER_PARTITION)
            set->keeps = TIDE_ORDER_KEY;
        reduced |= reduces;
    }
}

/* The first step has state: each message has a key. Without a changelog a position is committed when it is stored
 * (states.c); in exactly once there is always one. */
static void draw_state(uint64_t seed)
{
    static const char *const names[MAX_STATES] = {"s", "t"};
    struct settings *set = &sim.set;
    struct tide_step_plan *step = &set->steps[0];
    if (set->exactly_once ? sim_mix(seed, 29, 0, 0) % 3 : sim_mix(seed, 23, 0, 0) % 4)
        return;
    set->has_state = set->unordered = true;
    set->has_changelog = set->exactly_once || sim_mix(seed, 30, 0, 0) % 2;
    set->transactions = set->has_changelog;
    set->batch[0] = set->null_keys = false;
    step->kind = TIDE_STEP_TASK;
    step->order = TIDE_ORDER_KEY;
    step->by = TIDE_BY_KEY;
    step->states = names;
    step->state_count = 1 + (uint32_t)(sim_mix(seed, 32, 0, 0) % MAX_STATES);
    step->state_by = "key";
    if (step->max_input_block_size <
        4096) /* then each message fits, and none is rejected for its size */
        step->max_input_block_size = 4096;
    if (set->keeps == TIDE_ORDER_PARTITION)
        set->keeps = TIDE_ORDER_KEY;
    set->rates.large = set->rates.lie = set->rates.commit_fails = 0;
    if (!set->exactly_once && set->has_changelog && sim_mix(seed, 33, 0, 0) % 2)
        set->rates.abort = (uint32_t)(sim_mix(seed, 34, 0, 0) % 30);
}

/* A timer has no dead letter here: its record is run again until its worker survives it. */
static void draw_timers(uint64_t seed)
{
    struct settings *set = &sim.set;
    if (!set->has_state || sim_mix(seed, 35, 0, 0) % 2)
        return;
    set->has_timers = true;
    set->steps[0].time = TIDE_TIME_OF_MESSAGE;
    set->steps[0].grace_ms = (int64_t)(sim_mix(seed, 36, 0, 0) % 3000);
    set->steps[0].max_ahead_ms = 3600000;
    set->steps[0].crash_retries = 1000000;
    set->rates.jump = set->rates.poison = 0;
}

/* What is stored outlives an engine; what is not is in the changelogs or read again. */
static void draw_restarts(uint64_t seed)
{
    if (sim.set.has_state && sim_mix(seed, 40, 0, 0) % 2)
        sim.set.rates.restart = 1 + (uint32_t)(sim_mix(seed, 41, 0, 0) % 4);
}

void sim_draw(uint64_t seed)
{
    struct settings *set = &sim.set;
    sim.random = sim_mix(seed, 0, 0, 0) | 1;
    *set = (struct settings){.seed = seed};
    set->partitions = 1 + sim_roll(MAX_PARTITIONS);
    set->messages = 20 + sim_roll(MAX_MESSAGES - 20);
    set->actions = 500 + sim_roll(3000);
    set->pool_count = 1 + sim_roll(MAX_POOLS);
    for (uint32_t i = 0; i < set->pool_count; i++)
        set->pools[i] = 1 + sim_roll(MAX_WORKERS / MAX_POOLS);
    set->step_count = 1 + sim_roll(MAX_STEPS);
    for (uint32_t i = 0; i < set->step_count; i++) {
        draw_step(&set->steps[i], i);
        set->batch[i] = set->steps[i].kind == TIDE_STEP_TASK && sim_roll(4) == 0;
    }
    draw_policies();
    draw_rates(&set->rates);
    /* These came later, and must not change what older seeds draw. */
    set->transactions = set->exactly_once = seed % 5 == 4;
    if (set->exactly_once && sim_mix(seed, 1, 0, 0) % 2)
        set->rates.abort = (uint32_t)(sim_mix(seed, 2, 0, 0) % 30);
    if (sim_mix(seed, 3, 0, 0) % 3 == 0)
        set->rates.retry = (uint32_t)(sim_mix(seed, 4, 0, 0) % 200);
    set->drop_groups = sim_mix(seed, 5, 0, 0) % 4 == 0;
    draw_sizes(seed);
    draw_orders(seed);
    draw_state(seed);
    draw_timers(seed);
    draw_restarts(seed);
}

void sim_print(FILE *file)
{
    const struct settings *set = &sim.set;
    const struct rates *rates = &set->rates;
    fprintf(file, "seed %llu%s%s%s%s: %u partitions of %u messages, %u actions, pools",
            (unsigned long long)set->seed, set->exactly_once ? " (exactly once)" : "",
            set->drop_groups ? " (tasks drop groups)" : "",
            set->has_changelog ? " (state, changelog)"
            : set->has_state   ? " (state)"
                               : "",
            set->has_timers ? " (timers)" : "", set->partitions, set->messages, set->actions);
    for (uint32_t i = 0; i < set->pool_count; i++)
        fprintf(file, " %u (replaced after %llu)", set->pools[i],
                (unsigned long long)set->limits[i].max_messages);
    fprintf(file,
            "\n  commit every %lld us or %llu messages; dlq %s, ratio %g, in a row %lld; "
            "message_timeout %lld us\n",
            (long long)set->commit.min_time_us, (unsigned long long)set->commit.min_messages,
            set->dlq.kind == TIDE_DLQ_NONE ? "none" : "topic", set->dlq.max_invalid_ratio,
            (long long)set->dlq.max_consecutive_count, (long long)set->message_timeout_us);
    static const char *const orders[] = {"partition", "key", "none"};
    for (uint32_t i = 0; i < set->step_count; i++) {
        const struct tide_step_plan *step = &set->steps[i];
        fprintf(file,
                "  step %u: %s%s, order %s%s, pool %u, batch %u or %lld us, input %llu to %llu%s, "
                "output %llu "
                "to %llu%s, eager %d, prefetch %u, crash_retries %u\n",
                i, step->kind == TIDE_STEP_REDUCE ? "reduce" : "task",
                set->batch[i] ? " (a batch at once)" : "", orders[step->order],
                step->order == TIDE_ORDER_KEY && step->by == TIDE_BY_PARTITION ? " (by partition)"
                                                                               : "",
                step->pool, step->max_batch_size, (long long)step->max_batch_time_us,
                (unsigned long long)step->input_block_size,
                (unsigned long long)step->max_input_block_size, step->auto_input ? " auto" : "",
                (unsigned long long)step->output_block_size,
                (unsigned long long)step->max_output_block_size, step->auto_output ? " auto" : "",
                step->eager, step->prefetch_batches, step->crash_retries);
    }
    fprintf(file,
            "  of 1024: filter %u, many %u, reject %u, poison %u, hang %u, large %u, crash %u, "
            "idle_crash %u, lie %u, fork_fails %u, block %u, partial %u, refuse %u, "
            "refuse_dead_letter %u, revoke %u, "
            "lose %u, commit_fails %u, jump %u, abort %u, retry %u, resize %u, restart %u\n",
            rates->filter, rates->many, rates->reject, rates->poison, rates->hang, rates->large,
            rates->crash, rates->idle_crash, rates->lie, rates->fork_fails, rates->block,
            rates->partial, rates->refuse, rates->refuse_dead_letter, rates->revoke, rates->lose,
            rates->commit_fails, rates->jump, rates->abort, rates->retry, rates->resize,
            rates->restart);
}
