/* SPDX-License-Identifier: MIT
 * The values of keyed state as they are written: the time of a timer, if there is one, a number, and in a run with timers
 * the message that has set the last one; and what a worker finds of them in its job. */
#include <string.h>

#include "keyed.h"

static const struct tide_state_place *place_of(const struct worker *worker, uint32_t state)
{
    uint32_t record = worker->at - worker->job.first;
    return &worker->job.states[record * sim.set.steps[0].state_count + state];
}

static const struct tide_state *state_of(const struct worker *worker, uint32_t state)
{
    const char *block = (const char *)worker->job.states;
    return (const struct tide_state *)(const void *)(block +
                                                     (size_t)place_of(worker, state)->at * 8);
}

int64_t sim_state_watermark(const struct worker *worker)
{
    return place_of(worker, 0)->watermark;
}

uint32_t sim_state_text(uint32_t state, const struct sim_value *value, char *bytes, uint32_t *kind)
{
    uint64_t by = value->by;
    char *at = bytes;
    *kind = TIDE_STATE_STRING | (value->timer ? TIDE_STATE_TIMED : 0);
    if (value->timer) {
        memcpy(at, &value->timer, sizeof(value->timer));
        at += sizeof(value->timer);
    }
    memcpy(at, &value->number, sizeof(value->number));
    at += sizeof(value->number);
    if (state == 0 && sim.set.has_timers) {
        memcpy(at, &by, sizeof(by));
        at += sizeof(by);
    }
    return (uint32_t)(at - bytes);
}

struct sim_value sim_state_parse(uint32_t state, uint32_t kind, const char *bytes, uint32_t length)
{
    struct sim_value value = {0};
    bool timers = state == 0 && sim.set.has_timers;
    uint64_t by = 0;
    uint32_t head = timers && kind & TIDE_STATE_TIMED ? sizeof(value.timer) : 0;
    uint32_t all = (uint32_t)(head + sizeof(value.number) + (timers ? sizeof(by) : 0));
    if (kind == TIDE_STATE_NONE)
        return value;
    if ((head ? kind & ~(uint32_t)TIDE_STATE_TIMED : kind) != TIDE_STATE_STRING || length != all)
        sim_fail("a state is not what was written: kind %u, %u bytes", kind, length);
    memcpy(&value.timer, bytes, head);
    memcpy(&value.number, bytes + head, sizeof(value.number));
    if (timers)
        memcpy(&by, bytes + head + sizeof(value.number), sizeof(by));
    value.by = (uint32_t)by;
    return value;
}

struct sim_value sim_state_seen(const struct worker *worker, uint32_t number)
{
    const struct tide_state *state = state_of(worker, number);
    for (uint32_t i = worker->newer_count; i-- > 0;) {
        if (worker->newer[i].number == state->number)
            return worker->newer[i].value;
    }
    return sim_state_parse(number, state->kind, (const char *)(state + 1), state->length);
}

void sim_state_newer(struct worker *worker, uint32_t state, const struct sim_value *value)
{
    uint32_t i = 0, number = state_of(worker, state)->number;
    while (i < worker->newer_count && worker->newer[i].number != number)
        i++;
    if (i == MAX_NEWER)
        sim_fail("a job has more states than there are keys");
    worker->newer_count += i == worker->newer_count;
    worker->newer[i].number = number;
    worker->newer[i].value = *value;
}
