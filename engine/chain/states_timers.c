/* SPDX-License-Identifier: MIT
 * Which timers of a state are due: those that are accepted (chain/timers.h) and those that are stored are gone through side
 * by side, in the order of their times. A timer counts if its key has it still, and no record of it is in flight. Start
 * reading at tide_states_due. */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "chain/states_inside.h"
#include "shm/layout.h"

struct tide_timers *tide_states_timers(const struct tide_states *states)
{
    return states->timers;
}

struct tide_rises *tide_states_rises(struct tide_states *states, uint32_t state, uint32_t index,
                                     const char *topic, int32_t number)
{
    struct tide_rises *rises = tide_timers_rises(tide_states_timers(states), state, index, topic,
                                                 number);
    if (rises->loaded)
        return rises;
    struct tide_state_entry *entry = tide_states_time_entry(states, rises);
    double newest_ms;
    if (!entry)
        return NULL;
    bool known = entry->value->kind == TIDE_STATE_NUMBER &&
                 entry->value->length == sizeof(newest_ms);
    if (known)
        memcpy(&newest_ms, entry->value->bytes, sizeof(newest_ms));
    rises->heard_us = tide_clock_us();
    tide_timers_loaded(rises, known ? (int64_t)newest_ms : INT64_MIN);
    return rises;
}

uint64_t tide_states_waiting_timers(const struct tide_states *states, uint32_t state)
{
    return states->store ? tide_store_timers(states->store, states->states[state].number) : 0;
}

/* ---- due ---- */

static int next_timer(struct tide_states *states, uint32_t state, int32_t partition,
                      struct tide_store_timer *timer)
{
    int found = tide_store_next_timer(states->store, states->states[state].number, partition,
                                      timer);
    if (found < 0)
        tide_states_failed(states, found);
    return found;
}

static bool has_timer(const struct tide_state_entry *entry, int64_t at)
{
    return entry->value && tide_state_timer(entry->value) == at &&
           (!tide_timers_is_taken(entry, at) || tide_fault("bug.timer_taken_again"));
}

/* The first one in the heap that is due, and that its key has still. */
static struct tide_state_entry *first_accepted(struct tide_timeline *line, int64_t until_ms)
{
    while (line->heap_count > 0 && line->heap[0].at <= until_ms &&
           !has_timer(line->heap[0].entry, line->heap[0].at))
        tide_timers_pop(line);
    return line->heap_count > 0 && line->heap[0].at <= until_ms ? line->heap[0].entry : NULL;
}

static void take_stored(struct tide_timeline *line, const struct tide_store_timer *timer)
{
    if (timer->key != line->last_key && timer->key_length > 0)
        memcpy(line->last_key, timer->key, timer->key_length);
    line->last_ms = timer->at;
    line->last_length = timer->key_length;
    line->stored_ms = timer->at;
}

/* The same of the store's list: the timer is behind `last` still. */
static int first_stored(struct tide_states *states, struct tide_timeline *line, int64_t until_ms,
                        struct tide_state_entry **entry, int64_t *at)
{
    *entry = NULL;
    while (line->stored_ms <= until_ms) {
        struct tide_store_timer timer = {line->last_ms, line->last_key, line->last_length};
        int found = next_timer(states, line->state, line->number, &timer);
        if (found < 0)
            return found;
        line->stored_ms = found ? timer.at : INT64_MAX;
        if (line->stored_ms > until_ms)
            break;
        char key[TIDE_STORE_KEY];
        memcpy(key, timer.key, timer.key_length); /* finding it reads the store */
        timer.key = key;
        *entry = tide_states_find(states, line->state, line->number, key, timer.key_length);
        if (!*entry)
            return tide_states_status(states);
        *at = timer.at;
        if (has_timer(*entry, timer.at))
            return 1;
        take_stored(line, &timer);
    }
    *entry = NULL;
    return 0;
}

int tide_states_due(struct tide_states *states, struct tide_timeline *line, int64_t until_ms,
                    struct tide_due *due)
{
    int64_t at = 0;
    struct tide_state_entry *accepted = first_accepted(line, until_ms), *stored;
    int status = first_stored(states, line, until_ms, &stored, &at);
    if (status < 0)
        return status;
    if (!accepted && !stored)
        return 0;
    bool is_stored = stored && (!accepted || at < line->heap[0].at);
    *due = (struct tide_due){.entry = is_stored ? stored : accepted,
                             .at = is_stored ? at : line->heap[0].at,
                             .is_stored = is_stored};
    return 1;
}

/* That it is taken would do: it is not due any more, and is passed over in heap and list. To leave it behind at once takes 0.3 us in
 * place of 0.5. */
void tide_states_due_taken(struct tide_states *states, struct tide_timeline *line,
                           const struct tide_due *due, uint32_t index)
{
    struct tide_store_timer timer = {due->at, due->entry->key, due->entry->key_length};
    tide_timers_take(tide_states_timers(states), due->entry, index, due->at);
    if (due->is_stored)
        take_stored(line, &timer);
    else
        tide_timers_pop(line);
}

void tide_states_end_timer(struct tide_states *states, struct tide_state_entry *entry,
                           uint32_t index, int64_t offset, int64_t at)
{
    const struct tide_state_value *value = entry->value;
    tide_timers_end(states->timers, entry, at);
    if (!value || tide_state_timer(value) != at || tide_fault("bug.timer_twice"))
        return;
    struct tide_store_value without = {value->expires_ms, value->kind & ~TIDE_STATE_TIMED,
                                       value->length - TIDE_STORE_TIMER,
                                       value->bytes + TIDE_STORE_TIMER};
    tide_states_change(states, entry, index, offset, &without);
}
