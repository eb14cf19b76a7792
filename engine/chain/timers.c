/* SPDX-License-Identifier: MIT
 * The partitions of states that have times, and their timers that are not stored yet. Start reading at tide_timers_set. */
#include "chain/timers.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/grow.h"
#include "base/status.h"
#include "chain/states.h"
#include "shm/layout.h"

_Static_assert((int)TIDE_STORE_TIMED == (int)TIDE_STATE_TIMED, "one bit, whoever looks at it");

/** A state whose step reads times. */
struct timed {
    bool has_time;
    int64_t grace_ms;
    struct tide_rises **rises; /* by index of the partition; NULL = nothing was read of it */
    uint32_t rises_count;
    struct tide_timeline **lines;
    uint32_t line_count;
};

struct tide_timers {
    struct timed *states; /* by state */
    uint32_t state_count;
    uint32_t topics; /* that are read together */
    uint32_t taken;  /* of all entries */
};

struct tide_timers *tide_timers_new(void)
{
    struct tide_timers *timers = tide_alloc(sizeof(*timers));
    timers->topics = 1;
    return timers;
}

void tide_timers_topics(struct tide_timers *timers, uint32_t topics)
{
    timers->topics = topics;
}

void tide_timers_add(struct tide_timers *timers, uint32_t state, int64_t grace_ms)
{
    tide_grow(&timers->states, &timers->state_count, state + 1, sizeof(*timers->states));
    timers->states[state].has_time = true;
    timers->states[state].grace_ms = grace_ms;
}

bool tide_timers_has(const struct tide_timers *timers, uint32_t state)
{
    return state < timers->state_count && timers->states[state].has_time;
}

static struct tide_timeline *find_line(const struct timed *timed, int32_t number)
{
    for (uint32_t i = 0; i < timed->line_count; i++)
        if (timed->lines[i]->number == number)
            return timed->lines[i];
    return NULL;
}

static struct tide_timeline *new_line(struct timed *timed, uint32_t state, int32_t number)
{
    struct tide_timeline *line = tide_alloc(sizeof(*line));
    uint32_t at = timed->line_count;
    *line = (struct tide_timeline){.state = state,
                                   .number = number,
                                   .grace_ms = timed->grace_ms,
                                   .newest_ms = INT64_MIN,
                                   .stored_ms = INT64_MIN};
    tide_grow(&timed->lines, &timed->line_count, at + 1, sizeof(struct tide_timeline *));
    timed->lines[at] = line;
    return line;
}

static struct tide_rises *new_rises(struct tide_timeline *line, uint32_t index, const char *topic)
{
    struct tide_rises *rises = tide_alloc(sizeof(*rises));
    *rises = (struct tide_rises){
        .line = line, .index = index, .topic = topic, .before_ms = INT64_MIN, .came = INT64_MAX};
    uint32_t place = line->input_count;
    tide_grow(&line->inputs, &line->input_count, place + 1, sizeof(struct tide_rises *));
    line->inputs[place] = rises;
    return rises;
}

struct tide_rises *tide_timers_rises(struct tide_timers *timers, uint32_t state, uint32_t index,
                                     const char *topic, int32_t number)
{
    struct timed *timed = &timers->states[state];
    tide_require(tide_timers_has(timers, state));
    tide_grow(&timed->rises, &timed->rises_count, index + 1, sizeof(struct tide_rises *));
    if (!timed->rises[index]) {
        struct tide_timeline *line = find_line(timed, number);
        if (!line)
            line = new_line(timed, state, number);
        timed->rises[index] = new_rises(line, index, topic);
    }
    return timed->rises[index];
}

bool tide_timers_complete(const struct tide_timers *timers, const struct tide_timeline *line)
{
    uint32_t loaded = 0;
    for (uint32_t i = 0; i < line->input_count; i++)
        loaded += line->inputs[i]->loaded;
    return loaded >= timers->topics;
}

static bool is_due_at(const struct tide_timeline *line, int64_t until_ms)
{
    return (line->heap_count > 0 && line->heap[0].at <= until_ms) || line->stored_ms <= until_ms;
}

bool tide_timers_may_be_due(const struct tide_timeline *line)
{
    return is_due_at(line, tide_timers_watermark(line));
}

bool tide_timers_will_be_due(const struct tide_timeline *line)
{
    return is_due_at(line, tide_timeline_coming(line));
}

/* ---- the heap ---- */

static void sink_down(struct tide_timeline *line, uint32_t at)
{
    struct tide_timer *heap = line->heap, moved = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < line->heap_count && heap[child + 1].at < heap[child].at)
            child++;
        if (child >= line->heap_count || heap[child].at >= moved.at)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void push(struct tide_timeline *line, const struct tide_timer *timer)
{
    if (line->heap_count == line->heap_room)
        tide_grow(&line->heap, &line->heap_room, line->heap_room * 2 + 64, sizeof(*line->heap));
    uint32_t at = line->heap_count++;
    for (; at > 0 && line->heap[(at - 1) / 2].at > timer->at; at = (at - 1) / 2)
        line->heap[at] = line->heap[(at - 1) / 2];
    line->heap[at] = *timer;
}

void tide_timers_pop(struct tide_timeline *line)
{
    line->heap[0].entry->pins--;
    line->heap[0] = line->heap[--line->heap_count];
    if (line->heap_count > 0)
        sink_down(line, 0);
}

/* Keeps the timers that `keep` says, and makes the rest a heap again. */
static void filter(struct tide_timeline *line, const int64_t *limits, uint32_t count,
                   bool (*keep)(const struct tide_timeline *line, const struct tide_timer *timer,
                                const int64_t *limits, uint32_t count))
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < line->heap_count; i++) {
        if (keep(line, &line->heap[i], limits, count))
            line->heap[kept++] = line->heap[i];
        else
            line->heap[i].entry->pins--;
    }
    line->heap_count = kept;
    for (uint32_t i = kept / 2; i-- > 0;)
        sink_down(line, i);
}

/* ---- timers whose records are in flight ---- */

void tide_timers_take(struct tide_timers *timers, struct tide_state_entry *entry, uint32_t index,
                      int64_t at)
{
    struct tide_taken_timer *taken = tide_alloc(sizeof(*taken));
    *taken = (struct tide_taken_timer){entry->taken, at, index};
    entry->taken = taken;
    entry->pins++;
    timers->taken++;
}

bool tide_timers_is_taken(const struct tide_state_entry *entry, int64_t at)
{
    const struct tide_taken_timer *taken = entry->taken;
    while (taken && taken->at != at)
        taken = taken->next;
    return taken != NULL;
}

static void drop_taken(struct tide_timers *timers, struct tide_state_entry *entry,
                       struct tide_taken_timer **at)
{
    struct tide_taken_timer *dropped = *at;
    *at = dropped->next;
    free(dropped);
    entry->pins--;
    timers->taken--;
}

void tide_timers_end(struct tide_timers *timers, struct tide_state_entry *entry, int64_t at)
{
    struct tide_taken_timer **taken = &entry->taken;
    while (*taken && (*taken)->at != at)
        taken = &(*taken)->next;
    if (*taken)
        drop_taken(timers, entry, taken);
}

void tide_timers_give_up(struct tide_timers *timers, struct tide_state_entry *entry, uint32_t index)
{
    struct tide_taken_timer **taken = &entry->taken;
    while (*taken) {
        if ((*taken)->index == index)
            drop_taken(timers, entry, taken);
        else
            taken = &(*taken)->next;
    }
}

uint32_t tide_timers_taken(const struct tide_timers *timers)
{
    return timers->taken;
}

/* ---- what states.c tells ---- */

void tide_timers_set(struct tide_timers *timers, struct tide_state_entry *entry, uint32_t index,
                     int64_t offset, int64_t at)
{
    if (!tide_timers_has(timers, entry->state))
        return; /* it was set when the step had times, and waits until it has them again */
    struct timed *timed = &timers->states[entry->state];
    struct tide_timeline *line = find_line(timed, entry->partition);
    struct tide_timer timer = {at, entry, offset, index};
    entry->pins++;
    push(line ? line : new_line(timed, entry->state, entry->partition), &timer);
}

/* The list of the store may have a timer that is before the one it was asked for last. What is due already stays in the
 * heap, since the list is only read on from `last`. */
static bool is_not_stored(const struct tide_timeline *line, const struct tide_timer *timer,
                          const int64_t *limits, uint32_t count)
{
    return timer->index >= count || timer->offset >= limits[timer->index] ||
           timer->at <= tide_timers_watermark(line);
}

void tide_timers_stored(struct tide_timers *timers, const int64_t *limits, uint32_t count)
{
    for (uint32_t i = 0; i < timers->state_count; i++) {
        const struct timed *timed = &timers->states[i];
        for (uint32_t j = 0; j < timed->line_count; j++) {
            filter(timed->lines[j], limits, count, is_not_stored);
            if (!tide_fault("bug.timer_lost")) /* the list is not asked for what went there */
                timed->lines[j]->stored_ms = INT64_MIN;
        }
    }
}

const struct tide_rises *tide_timers_cover(struct tide_timers *timers, uint32_t *at,
                                           const int64_t *limits, uint32_t count)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < timers->state_count; i++) {
        const struct timed *timed = &timers->states[i];
        for (uint32_t j = 0; j < timed->rises_count; j++, first++) {
            if (first < *at || j >= count || !timed->rises[j] ||
                !tide_rises_cover(timed->rises[j], limits[j]))
                continue;
            *at = first + 1;
            return timed->rises[j];
        }
    }
    return NULL;
}

static bool is_of_another(const struct tide_timeline *line, const struct tide_timer *timer,
                          const int64_t *limits, uint32_t index)
{
    (void)line;
    (void)limits;
    return timer->index != index;
}

/* The newest time is read from the store again, and its list of timers from the beginning. */
void tide_timers_forget(struct tide_timers *timers, uint32_t index)
{
    for (uint32_t i = 0; i < timers->state_count; i++) {
        struct timed *timed = &timers->states[i];
        struct tide_rises *rises = index < timed->rises_count ? timed->rises[index] : NULL;
        if (!rises)
            continue;
        struct tide_timeline *line = rises->line;
        filter(line, NULL, index, is_of_another);
        line->newest_ms = line->stored_ms = INT64_MIN;
        line->last_ms = line->last_length = 0;
        rises->count = rises->counted = 0;
        rises->loaded = rises->idle = false;
        rises->before_ms = INT64_MIN;
    }
}

int64_t tide_timers_earliest(const struct tide_timers *timers, uint32_t state)
{
    const struct timed *timed = &timers->states[state];
    int64_t earliest_ms = INT64_MAX;
    for (uint32_t i = 0; i < timed->line_count; i++) {
        int64_t at_ms = tide_timers_watermark(timed->lines[i]);
        if (at_ms != INT64_MIN && at_ms < earliest_ms)
            earliest_ms = at_ms;
    }
    return earliest_ms == INT64_MAX ? INT64_MIN : earliest_ms;
}

void tide_timers_free(struct tide_timers *timers)
{
    if (!timers)
        return;
    for (uint32_t i = 0; i < timers->state_count; i++) {
        struct timed *timed = &timers->states[i];
        for (uint32_t j = 0; j < timed->rises_count; j++) {
            free(timed->rises[j] ? timed->rises[j]->list : NULL);
            free(timed->rises[j]);
        }
        for (uint32_t j = 0; j < timed->line_count; j++) {
            free(timed->lines[j]->heap);
            free(timed->lines[j]->inputs);
            free(timed->lines[j]);
        }
        free(timed->rises);
        free(timed->lines);
    }
    free(timers->states);
    free(timers);
}
