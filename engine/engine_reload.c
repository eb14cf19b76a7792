/* SPDX-License-Identifier: MIT
 * A reload: the transforms are loaded anew while messages flow (the states are in engine_reload.h). The pipeline file is read
 * by the zygote of the next revision, not here: reading it runs code of the user's, which must neither stop this loop nor meet
 * secrets. All pools change in one turn, so that no batch is run by one revision in the first step and waits for the other in
 * the second any longer than it takes. What is in flight stays where it is. Start with tide_engine_reload_poll(). */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "engine_inside.h"
#include "proc/worker.h"
#include "shm/counters.h"

static bool is_running(const struct tide_engine *engine)
{
    return engine->run.state == TIDE_ENGINE_CONNECTING || engine->run.state == TIDE_ENGINE_READING;
}

/* The process of `other` has no workers any more, or never had. */
static void end(struct tide_engine *engine)
{
    tide_zygote_free(engine->reload.other);
    engine->reload.other = NULL;
    engine->reload.state = TIDE_RELOAD_NONE;
}

static void tell_failure(struct tide_engine *engine, int status)
{
    tide_count(engine->chain.counters, 0, TIDE_M_RELOAD_ERROR, 1);
    tide_engine_emit(engine, TIDE_EVENT_RELOAD_FAILED, status, 0, tide_error());
}

static void begin(struct tide_engine *engine)
{
    struct tide_reload *reload = &engine->reload;
    reload->again = false;
    reload->canary = reload->asked;
    reload->other = tide_zygote_next(engine->zygote, reload->known);
    reload->state = reload->other ? TIDE_RELOAD_LOADING : TIDE_RELOAD_NONE;
    if (!reload->other)
        tell_failure(engine, tide_failure());
}

int tide_engine_reload(struct tide_engine *engine, const char *known,
                       const struct tide_canary_plan *canary)
{
    struct tide_reload *reload = &engine->reload;
    if (!engine->zygote)
        return tide_fail(TIDE_ECONFIG, "the pipeline has no transforms to load anew");
    if (!engine->plan.reloads)
        return tide_fail(TIDE_ECONFIG, "this run loads its transforms once");
    if (!is_running(engine))
        return tide_fail(TIDE_ECONFIG, "the run is about to end");
    if (reload->state ==
        TIDE_RELOAD_WATCHING) /* the revision that runs is what the next one is gone back from to */
        end(engine);
    snprintf(reload->known, sizeof(reload->known), "%s", known);
    reload->asked = canary ? *canary : engine->plan.reload.canary;
    reload->again = reload->state != TIDE_RELOAD_NONE;
    if (reload->again)
        return TIDE_BUSY;
    begin(engine);
    return TIDE_OK;
}

/* ---- what each state does ---- */

static void withdraw(struct tide_engine *engine)
{
    tide_engine_canary_end(engine);
    for (uint32_t i = 0; i < engine->pool_count; i++)
        tide_pool_next_withdraw(engine->pools[i]);
    engine->reload.state = TIDE_RELOAD_WITHDRAWN;
}

static void load(struct tide_engine *engine)
{
    struct tide_reload *reload = &engine->reload;
    int status = is_running(engine) ? tide_zygote_look_loaded(reload->other)
                                    : tide_fail(TIDE_ETEMPORARY, "the run ends");
    if (status == TIDE_BUSY)
        return;
    if (status == TIDE_OK && !tide_zygote_is_unchanged(reload->other)) {
        for (uint32_t i = 0; i < engine->pool_count; i++)
            tide_pool_next_begin(engine->pools[i], reload->other);
        reload->state = TIDE_RELOAD_STARTING;
        return;
    }
    if (status < 0)
        tell_failure(engine, status);
    else
        tide_engine_emit(engine, TIDE_EVENT_RELOAD_UNCHANGED, 0, 0, NULL);
    end(engine);
}

/* The two revisions change their parts: what is given out from now on is run by the other one. */
static void change_places(struct tide_engine *engine)
{
    struct tide_zygote *next = engine->reload.other;
    for (uint32_t i = 0; i < engine->pool_count; i++)
        tide_pool_next_take_over(engine->pools[i]);
    tide_zygote_hand_over(engine->zygote, next);
    engine->reload.other = engine->zygote;
    engine->zygote = next;
    tide_observe(engine->chain.counters, 0, TIDE_M_REVISION, tide_engine_revision(engine));
    tide_engine_watch_begin(engine);
}

static void take_over(struct tide_engine *engine)
{
    change_places(engine);
    engine->reload.state = TIDE_RELOAD_LEAVING;
    tide_count(engine->chain.counters, 0, TIDE_M_RELOAD, 1);
    tide_engine_emit(engine, TIDE_EVENT_RELOADED, 0, (int)tide_engine_revision(engine),
                     tide_zygote_mark(engine->zygote));
}

/* TIDE_OK: all workers of the other revision are ready. */
static int look_ready(struct tide_engine *engine)
{
    int status = is_running(engine) ? TIDE_OK : tide_fail(TIDE_ETEMPORARY, "the run ends");
    for (uint32_t i = 0; i < engine->pool_count && status >= 0; i++) {
        int ready = tide_pool_next_ready(engine->pools[i]);
        status = ready == TIDE_OK ? status : ready;
    }
    return status;
}

static void refuse(struct tide_engine *engine, int status)
{
    tell_failure(engine, status);
    withdraw(engine);
}

static void start(struct tide_engine *engine)
{
    int status = look_ready(engine);
    if (status == TIDE_OK && engine->reload.canary.share > 0) {
        tide_engine_canary_begin(engine);
        engine->reload.state = TIDE_RELOAD_CANARY;
    } else if (status == TIDE_OK) {
        take_over(engine);
    } else if (status < 0) {
        refuse(engine, status);
    }
}

/* The canary is looked at first: when one of its workers has died, that it cannot start is not the news. */
static void try_canary(struct tide_engine *engine)
{
    int seen = tide_engine_canary_look(engine);
    int status = seen < 0 ? seen : look_ready(engine);
    if (status < 0) {
        refuse(engine, status);
    } else if (status == TIDE_OK && seen == TIDE_OK) {
        tide_engine_canary_tell(engine);
        tide_engine_canary_end(engine);
        take_over(engine);
    }
}

static bool are_gone(const struct tide_engine *engine)
{
    for (uint32_t i = 0; i < engine->pool_count; i++) {
        if (tide_pool_has_worker_of(engine->pools[i], engine->reload.other))
            return false;
    }
    return true;
}

/* ---- the way back ---- */

/* True when the newer revision fails: the older one begins to come back. */
static bool goes_back(struct tide_engine *engine)
{
    struct tide_reload *reload = &engine->reload;
    if (engine->plan.reload.watch_us == 0 || !is_running(engine) ||
        !tide_engine_watch_fails(engine, reload->reason, sizeof(reload->reason)))
        return false;
    for (uint32_t i = 0; i < engine->pool_count; i++)
        tide_pool_next_begin(engine->pools[i], reload->other);
    reload->state = TIDE_RELOAD_RETURNING;
    return true;
}

static void leave(struct tide_engine *engine)
{
    struct tide_reload *reload = &engine->reload;
    if (goes_back(engine) || !are_gone(engine))
        return;
    if (engine->plan.reload.watch_us == 0 || reload->again)
        end(engine);
    else
        reload->state = TIDE_RELOAD_WATCHING;
}

static void watch(struct tide_engine *engine)
{
    if (goes_back(engine) || !tide_engine_watch_is_over(engine))
        return;
    tide_engine_emit(engine, TIDE_EVENT_RELOAD_KEPT, 0, (int)tide_engine_revision(engine), NULL);
    end(engine);
}

/* Its workers had left, and may find that what they need is gone: then those that fail are better than none. */
static void come_back(struct tide_engine *engine)
{
    int status = look_ready(engine);
    if (status == TIDE_OK) {
        change_places(engine);
        tide_count(engine->chain.counters, 0, TIDE_M_RELOAD_ROLLED_BACK, 1);
        tide_engine_emit(engine, TIDE_EVENT_RELOAD_ROLLED_BACK, 0,
                         (int)tide_engine_revision(engine), engine->reload.reason);
        engine->reload.state = TIDE_RELOAD_WITHDRAWN;
    } else if (status < 0) {
        char why[512];
        snprintf(why, sizeof(why), "%s", tide_error());
        tide_fail(status, "%s; and revision %u cannot come back: %s", engine->reload.reason,
                  tide_zygote_revision(engine->reload.other), why);
        refuse(engine, status);
    }
}

bool tide_engine_reload_does_without(struct tide_engine *engine)
{
    if (engine->reload.state != TIDE_RELOAD_WATCHING)
        return false;
    tide_log(TIDE_LOG_WARN, "reload: the older revision is lost, so it cannot come back");
    end(engine);
    return true;
}

/* ---- what the engine calls ---- */

struct tide_zygote *tide_engine_reload_zygote(const struct tide_engine *engine)
{
    return engine->reload.state > TIDE_RELOAD_LOADING ? engine->reload.other : NULL;
}

void tide_engine_reload_poll(struct tide_engine *engine)
{
    enum tide_reload_state before = engine->reload.state;
    switch (engine->reload.state) {
    case TIDE_RELOAD_NONE:
        if (engine->reload.again && is_running(engine))
            begin(engine);
        break;
    case TIDE_RELOAD_LOADING:
        load(engine);
        break;
    case TIDE_RELOAD_STARTING:
        start(engine);
        break;
    case TIDE_RELOAD_CANARY:
        try_canary(engine);
        break;
    case TIDE_RELOAD_LEAVING:
        leave(engine);
        break;
    case TIDE_RELOAD_WATCHING:
        watch(engine);
        break;
    case TIDE_RELOAD_RETURNING:
        come_back(engine);
        break;
    case TIDE_RELOAD_WITHDRAWN:
        if (are_gone(engine))
            end(engine);
        break;
    }
    /* What a state begins with, the pools do in the next turn, which is not to wait. */
    engine->chain.progress |= engine->reload.state != before;
}

uint32_t tide_engine_revision(const struct tide_engine *engine)
{
    return engine->zygote ? tide_zygote_revision(engine->zygote) : 1;
}

const char *tide_engine_reload_state_name(const struct tide_engine *engine)
{
    static const char *const names[] = {
        [TIDE_RELOAD_NONE] = "none",           [TIDE_RELOAD_LOADING] = "loading",
        [TIDE_RELOAD_STARTING] = "starting",   [TIDE_RELOAD_CANARY] = "canary",
        [TIDE_RELOAD_LEAVING] = "leaving",     [TIDE_RELOAD_WATCHING] = "watching",
        [TIDE_RELOAD_RETURNING] = "returning", [TIDE_RELOAD_WITHDRAWN] = "withdrawn"};
    return names[engine->reload.state];
}

void tide_engine_reload_free(struct tide_engine *engine)
{
    tide_zygote_free(engine->reload.other);
    free(engine->reload.watch.before);
}
