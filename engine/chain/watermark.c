/* SPDX-License-Identifier: MIT
 * How far event time has come in a partition of a state (chain/timers.h): of one topic, or of several that are read together.
 * Start reading at tide_timers_rise. */
#include <string.h>

#include "base/grow.h"
#include "chain/timers.h"

static int64_t newest_of(const struct tide_rises *rises)
{
    return rises->count > 0 ? rises->list[rises->count - 1].newest_ms : rises->before_ms;
}

/* How many rises are at offsets before this one. */
static uint32_t rises_before(const struct tide_rises *rises, int64_t offset)
{
    uint32_t low = 0, high = rises->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (rises->list[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t counted_of(const struct tide_rises *rises)
{
    if (rises->came == INT64_MAX)
        return newest_of(rises);
    return rises->counted > 0 ? rises->list[rises->counted - 1].newest_ms : rises->before_ms;
}

static int64_t earliest_of(const struct tide_timeline *line,
                           int64_t (*time_of)(const struct tide_rises *))
{
    int64_t earliest_ms = INT64_MAX;
    for (uint32_t i = 0; i < line->input_count; i++) {
        int64_t time_ms = line->inputs[i]->idle ? INT64_MAX : time_of(line->inputs[i]);
        earliest_ms = time_ms < earliest_ms ? time_ms : earliest_ms;
    }
    return earliest_ms;
}

static void count_rises(struct tide_rises *rises)
{
    while (rises->counted < rises->count && rises->list[rises->counted].offset < rises->came)
        rises->counted++;
}

/* What is left out while it is idle may come back with earlier times: the watermark does not. */
static void settle(struct tide_timeline *line)
{
    int64_t earliest_ms = earliest_of(line, counted_of);
    if (earliest_ms == INT64_MAX || earliest_ms <= line->newest_ms)
        return;
    line->newest_ms = earliest_ms;
}

void tide_timers_came(struct tide_rises *rises, int64_t offset)
{
    rises->came = offset;
    count_rises(rises);
    settle(rises->line);
}

void tide_timers_loaded(struct tide_rises *rises, int64_t newest_ms)
{
    struct tide_timeline *line = rises->line;
    rises->loaded = true;
    rises->before_ms = newest_ms;
    for (uint32_t i = 0; i < line->input_count; i++)
        if (!line->inputs[i]->loaded)
            return;
    settle(line);
}

/* Where a step before it does not keep the order of the partition, a rise counts from the largest offset on that came
 * before. */
static void add_rise(struct tide_rises *rises, int64_t offset, int64_t time_ms)
{
    if (rises->count > 0 && rises->list[rises->count - 1].offset > offset)
        offset = rises->list[rises->count - 1].offset;
    if (rises->count == rises->room)
        tide_grow(&rises->list, &rises->room, rises->room * 2 + 256, sizeof(*rises->list));
    rises->list[rises->count++] = (struct tide_rise){offset, time_ms};
}

void tide_timers_rise(struct tide_rises *rises, int64_t offset, int64_t time_ms)
{
    rises->idle = false;
    if (time_ms > newest_of(rises))
        add_rise(rises, offset, time_ms);
    count_rises(rises);
    settle(rises->line);
}

static int64_t less_grace(const struct tide_timeline *line, int64_t newest_ms)
{
    return newest_ms == INT64_MIN ? INT64_MIN : newest_ms - line->grace_ms;
}

int64_t tide_timers_watermark(const struct tide_timeline *line)
{
    return less_grace(line, line->newest_ms);
}

int64_t tide_timeline_coming(const struct tide_timeline *line)
{
    int64_t earliest_ms = earliest_of(line, newest_of);
    bool moves = earliest_ms != INT64_MAX && earliest_ms > line->newest_ms;
    return less_grace(line, moves ? earliest_ms : line->newest_ms);
}

bool tide_rises_cover(struct tide_rises *rises, int64_t limit)
{
    uint32_t covered = rises_before(rises, limit);
    if (covered == 0)
        return false;
    rises->before_ms = rises->list[covered - 1].newest_ms;
    rises->count -= covered;
    rises->counted -= covered < rises->counted ? covered : rises->counted;
    memmove(rises->list, rises->list + covered, sizeof(*rises->list) * rises->count);
    return true;
}
