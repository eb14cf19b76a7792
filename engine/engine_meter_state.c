/* SPDX-License-Identifier: MIT
 * What is measured of keyed state (chain/states.h): counters take what was added since the last turn, and gauges are
 * observed once a second. What state does by the time of day is told, too, when the clock has jumped. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "chain/states.h"
#include "engine_inside.h"
#include "shm/counters.h"

static void observe(struct tide_engine *engine, enum tide_metric metric, uint64_t value)
{
    tide_observe(engine->chain.counters, 0, metric, (double)value);
}

static void watch_clock(struct tide_meter *meter)
{
    tide_clock_day_ms();
    int64_t off_ms = tide_clock_disbelief_ms();
    if (off_ms != 0 && meter->disbelief_ms == 0)
        tide_log(
            TIDE_LOG_WARN,
            "the clock of this machine has jumped %s by %lld s: ttl, clock_after and max_ahead "
            "go by the time before that for 5 minutes, in which it may be put right",
            off_ms > 0 ? "ahead" : "back", (long long)llabs(off_ms) / 1000);
    else if (off_ms == 0 && meter->disbelief_ms != 0)
        tide_log(TIDE_LOG_INFO, "ttl, clock_after and max_ahead go by the clock again");
    meter->disbelief_ms = off_ms;
}

void tide_meter_states(struct tide_engine *engine, bool second)
{
    struct tide_counters *counters = engine->chain.counters;
    struct tide_states_totals *last = &engine->meter.last_states, now;
    if (!engine->chain.states)
        return;
    if (second)
        watch_clock(&engine->meter);
    tide_states_totals(engine->chain.states, &now);
    tide_count(counters, 0, TIDE_M_STATE_HIT, now.hits - last->hits);
    tide_count(counters, 0, TIDE_M_STATE_MISS, now.misses - last->misses);
    tide_count(counters, 0, TIDE_M_STATE_CHANGES, now.changes - last->changes);
    tide_count(counters, 0, TIDE_M_STATE_EXPIRED, now.expired - last->expired);
    bool stored = now.stores != last->stores;
    if (stored) {
        tide_observe(counters, 0, TIDE_M_STATE_STORE_TIME,
                     (double)(now.store_us - last->store_us) / 1e6);
        observe(engine, TIDE_M_STATE_STORE_BYTES, now.store_bytes);
    }
    if (second ||
        stored) { /* what waited was most just before it was stored, and nothing is left at the end */
        observe(engine, TIDE_M_STATE_KEYS, now.keys);
        observe(engine, TIDE_M_STATE_BYTES, now.bytes);
        observe(engine, TIDE_M_STATE_WAITING, stored ? last->waiting : now.waiting);
    }
    *last = now;
}
