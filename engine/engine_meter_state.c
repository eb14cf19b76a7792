/* SPDX-License-Identifier: MIT
 * What is measured of keyed state (chain/states.h): counters take what was added since the last turn, and gauges are
 * observed once a second. */
#include "chain/states.h"
#include "engine_inside.h"
#include "shm/counters.h"

static void observe(struct tide_engine *engine, enum tide_metric metric, uint64_t value)
{
    tide_observe(engine->chain.counters, 0, metric, (double)value);
}

void tide_meter_states(struct tide_engine *engine, bool second)
{
    struct tide_counters *counters = engine->chain.counters;
    struct tide_states_totals *last = &engine->meter.last_states, now;
    if (!engine->chain.states)
        return;
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
