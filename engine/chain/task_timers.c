/* SPDX-License-Identifier: MIT
 * Event time in a step with state (chain/timers.h): what a message's time moves, and the timers that are due for it. These
 * are taken one by one into the lanes of their keys. As long as some have to wait for room the step takes no message, so
 * that timers come before the messages that were read after. Start reading at tide_task_time_taken. */
#include "chain/task_timers.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/event_time.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/task.h"
#include "chain/timers.h"
#include "io/source.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/topics.h"

static const int64_t LOG_EVERY_US = 60000000, SECOND_US = 1000000;

struct tide_rises *tide_task_rises(const struct tide_task *task, uint32_t index)
{
    const struct tide_chain *chain = task->step.chain;
    const struct tide_partition *partition = &chain->source->partitions[index];
    const char *topic = chain->topic_count > 1 ? tide_topics_name(chain->topics, partition->topic)
                                               : NULL;
    return tide_states_rises(chain->states, task->state, index, topic, partition->number);
}

/* With the first message of any topic the partitions of the others are found, too: they hold the watermark. */
static struct tide_rises *rises_of(const struct tide_task *task, struct tide_origin origin)
{
    const struct tide_chain *chain = task->step.chain;
    const struct tide_source *source = chain->source;
    uint32_t index = tide_offsets_partition(chain->offsets, origin);
    struct tide_rises *rises = tide_task_rises(task, index);
    if (!rises || tide_timers_complete(tide_states_timers(chain->states), rises->line))
        return rises;
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].number == rises->line->number && source->partitions[i].owned &&
            !tide_task_rises(task, i))
            return NULL;
    return rises;
}

/* ---- idle topics ---- */

bool tide_task_is_at_end(const struct tide_task *task, uint32_t index)
{
    const struct tide_chain *chain = task->step.chain;
    const struct tide_partition *partition = &chain->source->partitions[index];
    int64_t read_to = tide_offsets_read_to(chain->offsets, index);
    if (task->waiting.is_one &&
        tide_offsets_came_to(chain->offsets, index, task->waiting.step) < read_to)
        return false;
    return partition->end >= 0 &&
           (read_to > partition->begin ? read_to : partition->begin) >= partition->end;
}

/* A message of `rises` has come: which of the other topics may hold the watermark? */
static void look_for_idle(const struct tide_task *task, struct tide_rises *rises)
{
    const struct tide_timeline *line = rises->line;
    bool asked = line->input_count > 1 || task->plan.clock_us > 0;
    int64_t now_us = asked ? tide_clock_us() : 0;
    rises->heard_us = now_us;
    for (uint32_t i = 0; i < line->input_count; i++) {
        struct tide_rises *input = line->inputs[i];
        input->idle = input != rises && task->plan.idle_us > 0 &&
                      now_us - input->heard_us >= task->plan.idle_us &&
                      tide_task_is_at_end(task, input->index);
    }
}

/* ---- messages that are held ---- */

static void unref(const struct tide_task *task, struct tide_origin origin)
{
    tide_offsets_unref_before(task->step.chain->offsets, origin, task->waiting.next,
                              TIDE_OUTCOME_FILTERED);
}

static struct tide_firing *find_firing(struct tide_firing *list, uint32_t count,
                                       const struct tide_rises *rises)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].rises == rises)
            return &list[i];
    return NULL;
}

/* A newer message takes the place of the one that was held, so that its partition can get on. */
static void keep(struct tide_task *task, struct tide_firing **list, uint32_t *count, uint32_t *room,
                 struct tide_rises *rises, const struct tide_message *message)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    struct tide_firing *firing = find_firing(*list, *count, rises);
    if (firing && tide_offsets_current(offsets, firing->message.origin)) {
        if (firing->message.offset > message->offset)
            return;
        unref(task, firing->message.origin);
    } else if (!firing) {
        if (*count == *room)
            tide_grow(list, room, *room * 2 + 8, sizeof(**list));
        firing = &(*list)[(*count)++];
    }
    tide_offsets_ref_before(offsets, message->origin, task->waiting.next);
    *firing = (struct tide_firing){
        .rises = rises,
        .message = {.topic = message->topic,
                    .offset = message->offset,
                    .partition = message->partition,
                    .flags = TIDE_MESSAGE_TIMER,
                    .origin = message->origin,
                    .target_topic = TIDE_TOPIC_NONE,
                    .target_partition = TIDE_PARTITION_ANY},
    };
}

static void fire(struct tide_task *task, struct tide_rises *rises,
                 const struct tide_message *message)
{
    keep(task, &task->timers.list, &task->timers.count, &task->timers.room, rises, message);
}

static void hold(struct tide_task *task, struct tide_rises *rises,
                 const struct tide_message *message)
{
    if (tide_timers_may_be_due(rises->line))
        fire(task, rises, message);
    if (task->waiting.is_one && tide_timers_will_be_due(rises->line))
        keep(task, &task->timers.held, &task->timers.held_count, &task->timers.held_room, rises,
             message);
}

/* ---- behind a step with several lanes ---- */

static void look_what_came(struct tide_task *task, struct tide_rises *rises)
{
    if (task->waiting.is_one)
        tide_timers_came(rises, tide_offsets_came_to(task->step.chain->offsets, rises->index,
                                                     task->waiting.step));
}

/* It is held until nothing that has come will make a timer due, or a newer one has taken its place. To the waiting steps
 * behind it is under way meanwhile, and with it the timers that it will be the origin of. */
void tide_task_time_poll(struct tide_task *task)
{
    struct tide_offsets *offsets = task->step.chain->offsets;
    for (uint32_t i = task->timers.held_count; i-- > 0;) {
        struct tide_firing held = task->timers.held[i];
        struct tide_timeline *line = held.rises->line;
        bool current = tide_offsets_current(offsets, held.message.origin);
        for (uint32_t j = 0; current && j < line->input_count; j++)
            if (tide_offsets_owned(offsets, line->inputs[j]->index))
                look_what_came(task, line->inputs[j]);
        if (current && tide_timers_may_be_due(line))
            fire(task, held.rises, &held.message);
        if (current && tide_timers_will_be_due(line))
            continue;
        task->timers.held[i] = task->timers.held[--task->timers.held_count];
        if (current) /* else its partition is read again */
            unref(task, held.message.origin);
    }
}

/* ---- due timers ---- */

static void end_firing(struct tide_task *task)
{
    task->timers.list[0] = task->timers.list[--task->timers.count];
}

bool tide_task_next_timer(struct tide_task *task, struct tide_message *message)
{
    struct tide_chain *chain = task->step.chain;
    while (task->timers.count > 0) {
        struct tide_firing *firing = &task->timers.list[0];
        struct tide_origin origin = firing->message.origin;
        if (!tide_offsets_current(chain->offsets, origin)) {
            end_firing(task); /* its partition is read again */
            continue;
        }
        int found = tide_states_due(chain->states, firing->rises->line,
                                    tide_timers_watermark(firing->rises->line), &task->timers.due);
        if (found < 0) /* the run ends with the next poll */
            return false;
        if (found > 0) {
            *message = firing->message;
            message->key = task->timers.due.entry->key;
            message->key_length = task->timers.due.entry->key_length;
            message->timestamp = message->watermark = task->timers.due.at;
            return true;
        }
        end_firing(task);
        unref(task, origin);
    }
    return false;
}

void tide_task_timer_taken(struct tide_task *task)
{
    struct tide_chain *chain = task->step.chain;
    const struct tide_firing *firing = &task->timers.list[0];
    struct tide_origin origin = firing->message.origin;
    tide_offsets_ref_before(chain->offsets, origin, task->waiting.next);
    tide_states_due_taken(chain->states, firing->rises->line, &task->timers.due,
                          tide_offsets_partition(chain->offsets, origin));
    tide_count(chain->counters, task->step.row, TIDE_M_KEYED_TIMERS, 1);
    chain->progress = true;
}

/* ---- times ---- */

/* From which offset on the time of this message counts. Results of timers of a step before it have any offset: there
 * all that has been read by now has to come first. */
static int64_t counts_from(const struct tide_task *task, const struct tide_rises *rises,
                           const struct tide_message *message)
{
    return task->waiting.is_one && task->waiting.timers
               ? tide_offsets_read_to(task->step.chain->offsets, rises->index) - 1
               : message->offset;
}

static bool is_ahead(const struct tide_task *task, int64_t time_ms, int64_t now_ms)
{
    return time_ms - now_ms > task->plan.max_ahead_ms;
}

static void tell_ahead(struct tide_task *task, const struct tide_message *message)
{
    int64_t now_us = tide_clock_us();
    tide_count(task->step.chain->counters, task->step.row, TIDE_M_KEYED_AHEAD, 1);
    task->timers.untold++;
    if (task->timers.told_us > 0 && now_us - task->timers.told_us < LOG_EVERY_US)
        return;
    tide_log(
        TIDE_LOG_WARN,
        "%s: the time of %s/%d/%lld is %lld s ahead of the clock, more than max_ahead: it does "
        "not move the watermark (%llu such messages since this was said last)",
        task->stage, tide_topics_name(task->step.chain->topics, message->topic), message->partition,
        (long long)message->offset, (long long)(message->timestamp - tide_clock_day_ms()) / 1000,
        (unsigned long long)task->timers.untold);
    task->timers.told_us = now_us;
    task->timers.untold = 0;
}

const char *tide_task_time_read(struct tide_task *task, struct tide_message *message)
{
    const struct tide_rises *rises = rises_of(task, message->origin);
    message->watermark = rises ? tide_timers_watermark(rises->line) : INT64_MIN;
    return tide_event_time_read(task->timers.time, message, &message->timestamp);
}

void tide_task_time_move(struct tide_task *task, struct tide_rises *rises,
                         const struct tide_message *message, int64_t time_ms)
{
    look_what_came(task, rises);
    tide_timers_rise(rises, counts_from(task, rises, message), time_ms);
    hold(task, rises, message);
}

void tide_task_time_taken(struct tide_task *task, const struct tide_message *message)
{
    struct tide_rises *rises = rises_of(task, message->origin);
    if (!rises)
        return;
    look_for_idle(task, rises);
    bool ahead = is_ahead(task, message->timestamp, tide_clock_day_ms());
    if (ahead)
        tell_ahead(task, message);
    tide_task_time_move(task, rises, message, ahead ? INT64_MIN : message->timestamp);
}

void tide_task_tick(struct tide_step *step, const struct tide_message *message)
{
    struct tide_task *task = (struct tide_task *)(void *)step;
    struct tide_rises *rises = task->timers.time ? rises_of(task, message->origin) : NULL;
    if (!rises)
        return;
    tide_task_time_move(task, rises, message, message->timestamp + task->plan.grace_ms);
}

/* A window rejects what is ahead, and whether a clock that has jumped ahead is right is not known yet. */
void tide_task_time_place(struct tide_task *task, const struct tide_message *message,
                          struct tide_state_place *place)
{
    bool ahead = task->timers.time && !(message->flags & TIDE_MESSAGE_TIMER) &&
                 is_ahead(task, message->timestamp, tide_clock_latest_ms());
    place->watermark = task->timers.time ? message->watermark : INT64_MIN;
    place->flags = ahead ? TIDE_STATE_AHEAD : 0;
}

void tide_task_time_accepted(struct tide_task *task, const struct tide_message *message)
{
    struct tide_rises *rises = task->timers.time ? rises_of(task, message->origin) : NULL;
    if (rises)
        hold(task, rises, message);
}

/* Also when the last partition has gone, so that no old value stays. */
void tide_task_time_observe(struct tide_task *task, int64_t now_us)
{
    const struct tide_chain *chain = task->step.chain;
    if (!task->timers.time || now_us - task->timers.observed_us < SECOND_US)
        return;
    tide_observe(chain->counters, task->step.row, TIDE_M_KEYED_WAITING_TIMERS,
                 (double)tide_states_waiting_timers(chain->states, task->state));
    task->timers.observed_us = now_us;
    int64_t earliest_ms = tide_timers_earliest(tide_states_timers(chain->states), task->state);
    bool known = earliest_ms != INT64_MIN;
    if (!known && !task->timers.known)
        return;
    int64_t behind_ms = known ? tide_clock_day_ms() - earliest_ms : 0;
    task->timers.known = true;
    tide_observe(chain->counters, task->step.row, TIDE_M_KEYED_WATERMARK_LAG,
                 behind_ms > 0 ? (double)behind_ms / 1e3 : 0);
}
