/* SPDX-License-Identifier: MIT
 * The clock in a step that reads times (the option clock_after): when nothing came in a partition for a while, timers whose time
 * and grace the clock has passed are due, though no message has moved the watermark. They need an origin: a message that the
 * tracker opens beside those that were read (tide_offsets_open_beside), of which the rest of the chain knows nothing. So
 * their results and changes are committed with the position as it is, which stands for what the clock did from then on. Start
 * reading at tide_task_clock_poll. */
#include "base/clock.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/task.h"
#include "chain/task_timers.h"
#include "chain/timers.h"
#include "io/source.h"

/* All partitions are gone through once in so long. */
static const int64_t LOOK_US = 250000;

int64_t tide_task_clock_deadline(const struct tide_task *task)
{
    return task->timers.time && task->plan.clock_us > 0 ? task->timers.looked_us + LOOK_US
                                                        : INT64_MAX;
}

/* Nothing came of the topic for long enough, nothing of it is under way, and nothing more is there to be read. */
static bool is_silent(const struct tide_task *task, struct tide_rises *rises, int64_t now_us)
{
    const struct tide_chain *chain = task->step.chain;
    uint32_t index = rises->index;
    if (chain->source->partitions[index].end < 0) /* not known, as the brokers are away */
        rises->heard_us = now_us;
    int64_t since_us = rises->heard_us > chain->refused_us ? rises->heard_us : chain->refused_us;
    return now_us - since_us >= task->plan.clock_us && tide_offsets_owned(chain->offsets, index) &&
           tide_task_is_at_end(task, index) &&
           tide_offsets_position(chain->offsets, index) ==
               tide_offsets_read_to(chain->offsets, index);
}

static bool are_silent(const struct tide_task *task, const struct tide_timeline *line,
                       int64_t now_us)
{
    for (uint32_t i = 0; i < line->input_count; i++)
        if (!is_silent(task, line->inputs[i], now_us))
            return false;
    return tide_timers_complete(tide_states_timers(task->step.chain->states), line);
}

/* The clock says what time it is in the partition. */
static void move(struct tide_task *task, struct tide_rises *rises, int64_t now_ms)
{
    const struct tide_chain *chain = task->step.chain;
    const struct tide_partition *partition = &chain->source->partitions[rises->index];
    int64_t read_to = tide_offsets_read_to(chain->offsets, rises->index);
    int64_t end = read_to > partition->begin ? read_to : partition->begin;
    struct tide_message message = {
        .topic = partition->topic,
        .partition = partition->number,
        .offset = end - 1,
        .timestamp = now_ms,
        .origin = tide_offsets_open_beside(chain->offsets, rises->index, end),
    };
    for (uint32_t i = 0; i < task->waiting.next; i++)
        tide_offsets_came(chain->offsets, message.origin, i);
    for (uint32_t i = 0; i < rises->line->input_count; i++)
        rises->line->inputs[i]->idle = true; /* all but this one, which tide_timers_rise ends */
    tide_task_time_move(task, rises, &message, now_ms);
    tide_offsets_unref_before(chain->offsets, message.origin, task->waiting.next,
                              TIDE_OUTCOME_FILTERED);
}

/* Negative = the store fails. */
static int look_at(struct tide_task *task, uint32_t index, int64_t now_us)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_rises *rises = tide_task_rises(task, index);
    struct tide_due due;
    if (!rises)
        return tide_states_status(chain->states);
    struct tide_timeline *line = rises->line;
    int64_t now_ms = tide_clock_day_ms();
    if (line->inputs[0] != rises || now_ms <= line->newest_ms || !are_silent(task, line, now_us))
        return TIDE_OK;
    int found = tide_states_due(chain->states, line, now_ms - line->grace_ms, &due);
    if (found > 0)
        move(task, rises, now_ms);
    return found < 0 ? found : (int)TIDE_OK;
}

void tide_task_clock_poll(struct tide_task *task, int64_t now_us)
{
    const struct tide_chain *chain = task->step.chain;
    if (!task->timers.time || task->plan.clock_us == 0 ||
        now_us - task->timers.looked_us < LOOK_US || task->timers.count > 0 || chain->all_needed)
        return;
    task->timers.looked_us = now_us;
    for (uint32_t i = 0; i < chain->source->partition_count; i++)
        if (chain->source->partitions[i].owned && tide_states_ready(chain->states, i) &&
            look_at(task, i, now_us) < 0)
            return; /* the run ends with the next poll */
}
