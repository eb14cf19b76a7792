/* SPDX-License-Identifier: MIT
 * The way into run_task_with_multiprocessing, and the verbs of the step. Messages are copied once, into the open
 * batch of its lane. It is sealed by the first of max_batch_size, max_batch_time, a full block and the end of the stream; in an
 * eager step also when the source has nothing more right now and a worker is idle, or when its messages are work
 * enough (tide_task_measure). Rules and names are those of Arroyo's RunTaskWithMultiprocessing. Start reading at
 * take_message. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "chain/canary.h"
#include "chain/dlq.h"
#include "chain/event_time.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/tap.h"
#include "chain/task.h"
#include "chain/task_timers.h"
#include "chain/timers.h"
#include "shm/counters.h"
#include "shm/outputs.h"

static const int64_t HELD_US = 1000;

static struct tide_task *task_of(struct tide_step *step)
{
    return (struct tide_task *)(void *)step;
}

static void seal_open(struct tide_task *task, struct tide_lane *lane, enum tide_metric reason,
                      int64_t now_us)
{
    struct tide_batch *batch = lane->open;
    lane->open = NULL;
    tide_task_seal(task, batch, reason, now_us);
}

/* The flag lets the blocks of the step grow when this batch is given back (tide_task_resize). */
static void seal_overflowed(struct tide_task *task, struct tide_lane *lane, int64_t now_us)
{
    tide_count(task->step.chain->counters, task->step.row, TIDE_M_BATCH_INPUT_OVERFLOW, 1);
    lane->open->records.overflowed = task->size.input.now;
    seal_open(task, lane, TIDE_M_BATCH_CLOSE_BLOCK, now_us);
}

static void note_came(const struct tide_task *task, const struct tide_message *message)
{
    if (task->waiting.is_one)
        tide_offsets_came(task->step.chain->offsets, message->origin, task->waiting.step);
}

/* TIDE_BUSY = not now. The message would fit no block, however large that grows: waiting would stop the pipeline for
 * ever. */
static int reject(struct tide_task *task, const struct tide_message *message, const char *reason,
                  const char *error)
{
    struct tide_reject fields = {.message = message,
                                 .stage = task->stage,
                                 .row = task->step.row,
                                 .reason = reason,
                                 .error = error,
                                 .attempts = 0};
    int status = tide_dlq_reject(task->step.chain->dlq, &fields);
    if (status != TIDE_OK)
        return status;
    note_came(task, message);
    tide_offsets_unref_before(task->step.chain->offsets, message->origin, task->waiting.next,
                              TIDE_OUTCOME_FILTERED);
    return TIDE_OK;
}

/* Copies the message into the batch of the lane. False = the lane has none now. */
static inline bool put_message(struct tide_task *task, uint32_t number,
                               const struct tide_message *message, uint64_t need, int64_t now_us)
{
    const struct tide_size *input = &task->size.input;
    struct tide_lane *lane = &task->lanes[number];
    if (lane->open && lane->open->records.count > 0 &&
        lane->open->records.bytes + need > input->now)
        seal_overflowed(task, lane, now_us);
    if (!lane->open && !(lane->open = tide_task_take_free(task, number, now_us)))
        return false;
    struct tide_batch *batch = lane->open;
    tide_batch_append(batch, message);
    if (batch->records.bytes > input->now) {
        /* Larger than a whole block: it has this batch alone, which may use its maximum. */
        seal_overflowed(task, lane, now_us);
    } else if (batch->records.count >= task->size.max_messages ||
               tide_task_is_large(task, batch->records.bytes + need)) {
        bool full = batch->records.count >= task->size.max_batch_size ||
                    batch->records.count < task->size.max_messages;
        seal_open(task, lane, full ? TIDE_M_BATCH_CLOSE_SIZE : TIDE_M_BATCH_CLOSE_RUN_TIME, now_us);
    }
    return true;
}

/* False = there is no room now: neither in a batch of the lane nor in its list. */
static bool put(struct tide_task *task, uint32_t lane, const struct tide_message *message,
                int64_t now_us)
{
    bool behind = task->lanes[lane].waiting.count > 0; /* those are older */
    return (!behind && put_message(task, lane, message, tide_batch_need(message), now_us)) ||
           tide_lanes_keep(task, lane, message);
}

/* Timers that are due. True = all of them are in their lanes. */
static bool put_timers(struct tide_task *task, int64_t now_us)
{
    struct tide_message timer;
    const char *problem;
    while (tide_task_next_timer(task, &timer)) {
        if (!put(task, tide_lanes_choose(task, &timer, &problem), &timer, now_us))
            return false;
        tide_task_timer_taken(task);
    }
    return true;
}

/* TIDE_BUSY = there is no room now. */
static int take_message(struct tide_task *task, const struct tide_message *message, int64_t now_us)
{
    uint64_t need = tide_batch_need(message);
    const char *problem = NULL;
    struct tide_message timed;
    if (task->timers.time) {
        timed = *message;
        problem = tide_task_time_read(task, &timed);
        message = &timed;
    }
    if (problem)
        return reject(task, message, "no_time", problem);
    if (need > task->size.input.max) {
        tide_fail(TIDE_EDATA, "the message takes %llu bytes, more than max_input_block_size (%llu)",
                  (unsigned long long)need, (unsigned long long)task->size.input.max);
        return reject(task, message, "too_large", tide_error());
    }
    uint32_t lane = task->by_key.key ? tide_lanes_choose(task, message, &problem) : 0;
    if (problem)
        return reject(task, message, "no_key", problem);
    /* Messages that are to be tried again are kept in memory: a block of them is enough. */
    bool taken = task->retry.waiting_bytes <= task->size.input.max && task->timers.count == 0 &&
                 put(task, lane, message, now_us);
    if (!taken) {
        tide_task_blocked(task, lane);
        return TIDE_BUSY;
    }
    task->time.blocked = false;
    if (task->timers.time) {
        note_came(task, message);
        tide_task_time_taken(task, message);
        put_timers(task, now_us);
    }
    return TIDE_OK;
}

/* Messages before the one that failed are taken, and a count can say only that. */
static ssize_t task_submit(struct tide_step *step, const struct tide_message *messages,
                           size_t count, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    for (size_t i = 0; i < count; i++) {
        int status = take_message(task, &messages[i], now_us);
        if (status < 0 && i == 0)
            return status;
        if (status != TIDE_OK) /* a failure comes again when the others are offered again */
            return (ssize_t)i;
    }
    return (ssize_t)count;
}

/* Messages that waited for a full lane go into its batches, as these are given back. */
static void put_waiting(struct tide_task *task, int64_t now_us)
{
    const struct tide_message *oldest;
    for (uint32_t i = 0; i < task->filled && task->by_key.waiting > 0; i++) {
        while ((oldest = tide_lanes_oldest(task, i)) &&
               put_message(task, i, oldest, tide_batch_need(oldest), now_us))
            tide_lanes_drop_oldest(task, i);
    }
}

/* By key, a step that takes nothing (since a lane is full) is to the other lanes like a source that has nothing more. */
static bool has_idle_worker(const struct tide_task *task, uint32_t lane)
{
    if (task->plan.order != TIDE_ORDER_KEY)
        return task->step.chain->source_idle && tide_pool_has_idle(task->pool);
    return (task->step.chain->source_idle || task->time.blocked) &&
           tide_lanes_is_idle(task, lane) && tide_pool_is_idle(task->pool, lane);
}

/* The idle rule of an eager step is for latency: with a worker idle and nothing more to read, waiting for
 * max_batch_time would gain nothing. Nor may a transaction wait for it. */
static void seal_due(struct tide_task *task, int64_t now_us)
{
    for (uint32_t i = 0; i < task->filled; i++) {
        struct tide_lane *lane = &task->lanes[i];
        if (!lane->open)
            continue;
        if (now_us - lane->open->records.opened_us >= task->size.max_batch_time_us)
            seal_open(task, lane, TIDE_M_BATCH_CLOSE_TIME, now_us);
        else if (task->step.chain->all_needed)
            seal_open(task, lane, TIDE_M_BATCH_CLOSE_FLUSH, now_us);
        else if (task->plan.eager && has_idle_worker(task, i))
            seal_open(task, lane, TIDE_M_BATCH_CLOSE_IDLE, now_us);
    }
}

static int task_poll(struct tide_step *step, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    tide_task_charge(task, now_us);
    tide_task_pace(task, now_us);
    int status = tide_task_release(task, now_us);
    tide_task_unblocked(task);
    if (status < 0)
        return status;
    if (task->canary)
        tide_canary_poll(task);
    /* After the release, which may have given batches back, and before the open batches, which need none. */
    tide_retry_poll(task, now_us);
    put_waiting(task, now_us);
    tide_task_time_poll(task);
    tide_task_clock_poll(task, now_us);
    put_timers(task, now_us);
    tide_task_time_observe(task, now_us);
    seal_due(task, now_us);
    return TIDE_OK;
}

static void task_close(struct tide_step *step, int64_t now_us)
{
    struct tide_task *task = task_of(step);
    task->plan.clock_us = 0; /* partitions are silent since they are read no more */
    /* Messages that are tried again, or wait for a lane, need no call: task_poll runs them until none is left. */
    for (uint32_t i = 0; i < task->filled; i++) {
        if (task->lanes[i].open)
            seal_open(task, &task->lanes[i], TIDE_M_BATCH_CLOSE_FLUSH, now_us);
    }
}

static bool task_join(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    for (uint32_t i = 0; i < task->filled; i++) {
        if (task->lanes[i].open)
            return false;
    }
    return task->order.count == 0 && task->retry.waiting == 0 && task->by_key.waiting == 0 &&
           task->timers.count == 0 && task->timers.held_count == 0;
}

/* Reports of workers need no deadline: their sockets wake the loop. */
static int64_t task_deadline_us(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    int64_t due_us = tide_retry_deadline(task), clock_us = tide_task_clock_deadline(task);
    due_us = clock_us < due_us ? clock_us : due_us;
    if (task->timers.held_count >
        0) /* something may come to this step after its poll, the last of the turn */
        due_us = tide_clock_us() + HELD_US < due_us ? tide_clock_us() + HELD_US : due_us;
    for (uint32_t i = 0; i < task->filled; i++) {
        const struct tide_batch *open = task->lanes[i].open;
        if (open && open->records.opened_us + task->size.max_batch_time_us < due_us)
            due_us = open->records.opened_us + task->size.max_batch_time_us;
    }
    return due_us;
}

/* The engine ends the workers before, so nobody has a batch any more; the messages in them are not complete, and are
 * read again. */
static void task_terminate(struct tide_step *step)
{
    struct tide_task *task = task_of(step);
    for (uint32_t i = 0; i < task->batch_count; i++)
        tide_batch_free(task->batches[i]);
    free(task->batches);
    tide_canary_free(task);
    tide_outputs_free(task->outputs);
    for (uint32_t i = 0; i < task->lane_count; i++) {
        tide_results_free(&task->lanes[i].parsed);
        tide_message_list_free(&task->lanes[i].waiting);
    }
    tide_lane_key_free(task->by_key.key);
    tide_event_time_free(task->timers.time);
    free(task->timers.list);
    free(task->timers.held);
    tide_retry_free(task);
    free(task->lanes);
    free(task->stage);
    free(task);
}

/* Batches are one more than workers can have, to be filled meanwhile; by key that is one more for each lane. All are made
 * now, since blocks have to be mapped before the fork; how many are in use follows the number of processes
 * (tide_task_has_free). Returns how many there are to be. */
static uint32_t make_lanes(struct tide_task *task, uint32_t processes)
{
    const struct tide_step_plan *plan = &task->plan;
    bool by_key = plan->order == TIDE_ORDER_KEY;
    uint32_t batches = processes * (1 + plan->prefetch_batches) + (by_key ? processes : 1);
    task->lane_count = by_key ? processes : plan->order == TIDE_ORDER_NONE ? batches : 1;
    task->filled = by_key ? processes : 1;
    task->lanes = tide_alloc(sizeof(*task->lanes) * task->lane_count);
    for (uint32_t i = 0; i < task->lane_count; i++)
        STAILQ_INIT(&task->lanes[i].sealed.list);
    STAILQ_INIT(&task->order.list);
    if (by_key)
        task->by_key.key = tide_lane_key_new(plan->by, plan->by_name);
    task->has_state = plan->state_count > 0;
    for (uint32_t i = 0; i < plan->state_count; i++) /* their indices follow each other */
        task->state = tide_states_add(task->step.chain->states, plan->states[i], plan->state_by) -
                      i;
    if (plan->time != TIDE_TIME_NONE) {
        task->timers.time = tide_event_time_new(plan->time, plan->time_name, plan->time_unit_ms);
        tide_states_add_timers(task->step.chain->states, task->state, plan->grace_ms);
        tide_timers_topics(tide_states_timers(task->step.chain->states),
                           task->step.chain->topic_count);
        task->waiting.is_one = task->step.chain->has_lanes;
        if (task->waiting.is_one)
            task->waiting.step = tide_offsets_add_waiting(task->step.chain->offsets);
        task->waiting.timers = task->step.chain->has_times;
        task->step.chain->has_times = true;
    }
    task->waiting.next = tide_offsets_waiting(task->step.chain->offsets);
    task->step.chain->has_lanes = task->step.chain->has_lanes || task->lane_count > 1;
    task->plan.by_name = task->plan.state_by = task->plan.time_name = NULL; /* they are borrowed */
    task->plan.states = NULL;
    return batches;
}

struct tide_task *tide_task_new(struct tide_chain *chain, const struct tide_step_plan *plan,
                                struct tide_pool *pool, uint32_t processes, uint32_t number,
                                uint32_t row)
{
    static const struct tide_step_ops ops = {.submit = task_submit,
                                             .poll = task_poll,
                                             .close = task_close,
                                             .join = task_join,
                                             .deadline_us = task_deadline_us,
                                             .terminate = task_terminate,
                                             .block = tide_task_block,
                                             .progress = tide_task_progress,
                                             .tally = tide_task_tally,
                                             .canary = tide_task_canary,
                                             .get_sizes = tide_task_get_sizes,
                                             .set_sizes = tide_task_set_sizes,
                                             .retry_wait = tide_task_retry_wait,
                                             .tick = tide_task_tick,
                                             .waits = tide_task_waits};
    struct tide_task *task = tide_alloc(sizeof(*task));
    task->step = (struct tide_step){.ops = &ops, .chain = chain, .number = number, .row = row};
    task->plan = *plan;
    task->plan.stage = task->stage = tide_copy(plan->stage);
    task->kind = plan->kind == TIDE_STEP_REDUCE ? &tide_task_reduce : &tide_task_each;
    task->pool = pool;
    task->tally.revision = 1;
    uint32_t batches = make_lanes(task, processes);
    task->batches = tide_alloc(sizeof(*task->batches) * batches);
    tide_taps_add_step(chain->taps, row, task->stage);
    tide_task_sizes(task, tide_clock_us());
    task->outputs = tide_outputs_new(tide_pool_first(pool), tide_pool_slots(pool),
                                     batches + (chain->canaries ? 1 : 0), task->size.output.max);
    if (task->outputs) /* the one more of a canary is used while there is one */
        tide_outputs_bound(task->outputs, batches);
    for (; task->batch_count < batches; task->batch_count++) {
        struct tide_batch *batch = task->outputs
                                       ? tide_batch_new(plan->max_batch_size, task->size.input.max)
                                       : NULL;
        if (!batch || (task->has_state && tide_state_prepare(task, batch) < 0)) {
            tide_batch_free(batch);
            task_terminate(&task->step);
            return NULL;
        }
        task->batches[task->batch_count] = batch;
        batch->lane = plan->order == TIDE_ORDER_NONE ? task->batch_count : 0;
        batch->next = task->order.free;
        task->order.free = batch;
    }
    if (chain->canaries && tide_canary_prepare(task) < 0) {
        task_terminate(&task->step);
        return NULL;
    }
    tide_observe(chain->counters, row, TIDE_M_INPUT_BLOCK_BYTES, (double)task->size.input.now);
    tide_observe(chain->counters, row, TIDE_M_OUTPUT_BLOCK_BYTES, (double)task->size.output.now);
    return task;
}
