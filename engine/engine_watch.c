/* SPDX-License-Identifier: MIT
 * Watches a revision that has taken over: whether it fails more than the one before did. Both are judged by what they have run
 * themselves, step by step (chain/tally.h), so what is rejected whatever the revision does not count against the newer one, and
 * a batch that the older one had still in work does not either. Start with tide_engine_watch_fails(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "chain/dlq_recent.h"
#include "chain/tally.h"
#include "engine_inside.h"
#include "proc/worker.h"

static struct tide_tally *tally_of(const struct tide_engine *engine, uint32_t step)
{
    struct tide_step *one = engine->steps[step];
    return one->ops->tally ? one->ops->tally(one) : NULL;
}

void tide_engine_watch_begin(struct tide_engine *engine)
{
    struct tide_watch *watch = &engine->reload.watch;
    if (!watch->before)
        watch->before = tide_alloc(sizeof(*watch->before) * engine->step_count);
    for (uint32_t i = 0; i < engine->step_count; i++) {
        struct tide_tally *tally = tally_of(engine, i);
        if (!tally)
            continue;
        watch->before[i] = *tally;
        *tally = (struct tide_tally){.revision = tide_zygote_revision(engine->zygote)};
    }
    watch->until_us = tide_clock_us() + engine->plan.reload.watch_us;
}

bool tide_engine_watch_is_over(const struct tide_engine *engine)
{
    return tide_clock_us() >= engine->reload.watch.until_us;
}

static double share_of(const struct tide_tally *tally)
{
    uint64_t messages = tally->messages > tally->failed ? tally->messages : tally->failed;
    return messages > 0 ? (double)tally->failed / (double)messages : 0;
}

/* The last of all dead letters; an older revision may have left it, or produce. */
static void describe_last(const struct tide_engine *engine, char *text, size_t size)
{
    const struct tide_dlq_recent *recent = tide_dlq_get_recent(engine->chain.dlq);
    text[0] = 0;
    if (recent->total == 0)
        return;
    const struct tide_dlq_recent_letter *last =
        &recent->letters[(recent->total - 1) % TIDE_DLQ_RECENT];
    snprintf(text, size, "; the last dead letter: %s/%d/%lld: %s: %s: %s", last->topic,
             last->partition, (long long)last->offset, last->stage, last->reason, last->error);
}

static void describe(const struct tide_engine *engine, uint32_t step, char *text, size_t size)
{
    const struct tide_tally *tally = tally_of(engine, step);
    const struct tide_tally *before = &engine->reload.watch.before[step];
    char last[900];
    tide_require(tally);
    describe_last(engine, last, sizeof(last));
    snprintf(
        text, size,
        "revision %u failed in %llu of %llu messages, and revision %u in %llu of %llu%s",
        tally->revision, (unsigned long long)tally->failed,
        (unsigned long long)(tally->messages > tally->failed ? tally->messages : tally->failed),
        before->revision, (unsigned long long)before->failed, (unsigned long long)before->messages,
        last);
}

bool tide_engine_watch_fails(const struct tide_engine *engine, char *text, size_t size)
{
    const struct tide_reload_plan *plan = &engine->plan.reload;
    for (uint32_t i = 0; i < engine->step_count; i++) {
        const struct tide_tally *tally = tally_of(engine, i);
        if (!tally || tally->failed <= plan->max_rejected)
            continue;
        double allowed = share_of(&engine->reload.watch.before[i]) + plan->max_rejected_ratio;
        if (share_of(tally) > allowed) {
            describe(engine, i, text, size);
            return true;
        }
    }
    return false;
}
