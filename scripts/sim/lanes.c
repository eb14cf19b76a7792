/* SPDX-License-Identifier: MIT
 * Where lanes are by key: all records of a job must be of one lane. The lane of a record is found anew, by the rule of
 * chain/lane_key.h. */
#include "chain/lane_key.h"
#include "sim.h"

/* NO_LANE = any. */
static uint32_t lane_of(const struct tide_step_plan *step, const struct tide_record *record)
{
    const char *value = (const char *)(record + 1), *bytes;
    uint32_t length;
    struct tide_message message = {
        .key = record->key_length < 0
                   ? NULL
                   : value + (record->value_length > 0 ? record->value_length : 0),
        .key_length = (uint32_t)record->key_length,
        .topic = record->topic,
        .partition = record->partition};
    struct tide_lane_key *key = tide_lane_key_new(step->by, NULL);
    bool found = tide_lane_key_read(key, &message, &bytes, &length);
    uint32_t lane = found ? tide_lane_of_key(bytes, length, sim.set.pools[step->pool]) : NO_LANE;
    tide_lane_key_free(key);
    return lane;
}

uint32_t sim_lane_of_job(const struct tide_job *job)
{
    const struct tide_step_plan *step = &sim.set.steps[job->step];
    const struct tide_record *record = sim_first(job);
    uint32_t found = NO_LANE;
    if (step->order != TIDE_ORDER_KEY)
        return NO_LANE;
    for (uint32_t i = job->first; i < job->end; i++, record = sim_next(record)) {
        uint32_t lane = lane_of(step, record);
        if (lane != NO_LANE && found != NO_LANE && lane != found)
            sim_fail("a job of step %u has records of lanes %u and %u", job->step, found, lane);
        found = lane == NO_LANE ? found : lane;
    }
    return found;
}
