/* SPDX-License-Identifier: MIT
 * The canary of a reload, over all steps: when it has seen enough, and what speaks against the next revision. What a step does
 * with it is in chain/canary.h. Start with tide_engine_canary_look(). */
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/canary.h"
#include "chain/task.h"
#include "engine_inside.h"
#include "shm/counters.h"

static struct tide_canary *canary_of(const struct tide_engine *engine, uint32_t step)
{
    const struct tide_step *one = engine->steps[step];
    return one->ops->canary ? one->ops->canary(one) : NULL;
}

/* A step that has a canary is one of this kind. */
static struct tide_task *task_of(const struct tide_engine *engine, uint32_t step)
{
    return (struct tide_task *)(void *)engine->steps[step];
}

void tide_engine_canary_begin(struct tide_engine *engine)
{
    const struct tide_reload_plan *plan = &engine->plan.reload;
    const struct tide_canary_plan *canary = &engine->reload.canary;
    struct tide_canary_rules rules = {.share = canary->share,
                                      .compare = canary->compare,
                                      .max_rejected = plan->max_rejected,
                                      .max_rejected_ratio = plan->max_rejected_ratio};
    for (uint32_t i = 0; i < engine->step_count; i++) {
        if (canary_of(engine, i))
            tide_canary_begin(task_of(engine, i), &rules);
    }
    tide_observe(engine->chain.counters, 0, TIDE_M_CANARY_SHARE, canary->share);
    engine->reload.canary_until_us = tide_clock_us() + plan->canary_us;
    tide_log(TIDE_LOG_INFO,
             "reload: canary: %g %% of the batches are run by the next revision as well%s",
             canary->share * 100, canary->compare ? ", and its results are compared" : "");
}

void tide_engine_canary_end(struct tide_engine *engine)
{
    tide_observe(engine->chain.counters, 0, TIDE_M_CANARY_SHARE, 0);
    for (uint32_t i = 0; i < engine->step_count; i++) {
        if (canary_of(engine, i))
            tide_canary_end(task_of(engine, i));
    }
}

bool tide_engine_canary(const struct tide_engine *engine, struct tide_canary_seen *seen)
{
    *seen = (struct tide_canary_seen){.share = engine->reload.canary.share};
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_canary *canary = canary_of(engine, i);
        if (!canary)
            continue;
        seen->compared += canary->messages;
        seen->differing += canary->differing;
        seen->rejected += canary->rejected;
    }
    return engine->reload.state == TIDE_RELOAD_CANARY;
}

void tide_engine_canary_tell(const struct tide_engine *engine)
{
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_canary *canary = canary_of(engine, i);
        if (canary)
            tide_log(
                TIDE_LOG_INFO,
                "reload: canary: %llu messages of %s were run by both revisions; the results of "
                "%llu differ, and %llu the next one alone rejects",
                (unsigned long long)canary->messages, task_of(engine, i)->stage,
                (unsigned long long)canary->differing, (unsigned long long)canary->rejected);
    }
}

int tide_engine_canary_look(struct tide_engine *engine)
{
    const struct tide_reload_plan *plan = &engine->plan.reload;
    bool enough = true, busy = false;
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_canary *canary = canary_of(engine, i);
        if (!canary)
            continue;
        if (canary->verdict[0])
            return tide_fail(TIDE_ECONFIG, "canary: %s: %s", task_of(engine, i)->stage,
                             canary->verdict);
        enough &= canary->messages >= plan->canary_messages;
        busy |= tide_canary_is_busy(canary);
    }
    if (busy || (!enough && tide_clock_us() < engine->reload.canary_until_us))
        return TIDE_BUSY;
    return TIDE_OK;
}
