/* SPDX-License-Identifier: MIT
 * Shows taps what became of records, after a portion of results has been dealt with: by then the items say it. That is the
 * only moment at which it is known and all of the bytes are still there, since the records lie in the input block and the
 * results in the output block until the batch is given back or run again. What was rejected or is to be tried again is
 * shown where that is decided (chain/dlq.c, task_retry.c), so that no way leads past the taps; here it is left out. */
#include "chain/tap.h"
#include "chain/task.h"
#include "shm/layout.h"

/* The record that the walk is at. */
struct at {
    uint32_t record;
    uint32_t results;
    bool revoked;
    bool told; /* its fate was shown where it was decided */
    const struct tide_message *after[TIDE_TAP_RESULTS];
};

/* What came of the record in the portion before. */
static struct at go_on(const struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_lane *lane = &task->lanes[batch->lane];
    struct at at = {.record = batch->records.count};
    if (lane->tapped.job != batch->work.job.number)
        return at;
    at.record = lane->tapped.record;
    at.results = lane->tapped.results;
    at.revoked = lane->tapped.revoked;
    at.told = lane->tapped.told;
    for (uint32_t i = 0; i < at.results && i < TIDE_TAP_RESULTS; i++)
        at.after[i] = &lane->tapped.first[i];
    return at;
}

/* The messages are copied, since the next portion takes their place; their bytes stay where they are. */
static void keep_for_next(struct tide_task *task, const struct tide_batch *batch,
                          const struct at *at)
{
    struct tide_lane *lane = &task->lanes[batch->lane];
    lane->tapped.job = batch->work.job.number;
    lane->tapped.record = at->record;
    lane->tapped.results = at->results;
    lane->tapped.revoked = at->revoked;
    lane->tapped.told = at->told;
    for (uint32_t i = 0; i < at->results && i < TIDE_TAP_RESULTS; i++)
        lane->tapped.first[i] = *at->after[i];
}

static void note_result(struct at *at, const struct tide_message *message, bool revoked)
{
    if (at->results < TIDE_TAP_RESULTS)
        at->after[at->results] = message;
    at->results++;
    at->revoked |= revoked;
}

static enum tide_fate fate_of(const struct tide_task *task, const struct at *at,
                              enum tide_item_kind end)
{
    if (end == TIDE_ITEM_WAITED)
        return TIDE_FATE_WAITS;
    if (at->revoked)
        return TIDE_FATE_DROPPED;
    if (at->results > 0)
        return TIDE_FATE_FORWARDED;
    return task->plan.kind == TIDE_STEP_REDUCE ? TIDE_FATE_ACCUMULATED : TIDE_FATE_FILTERED;
}

/* Results of a record that waits, or was revoked, were not forwarded: they are not shown. Returns whether taps
 * want more. */
static bool offer(struct tide_task *task, const struct tide_batch *batch, const struct at *at,
                  enum tide_item_kind end)
{
    struct tide_message before;
    struct tide_tap_event event = {
        .row = task->step.row, .fate = fate_of(task, at, end), .before = &before};
    tide_batch_message(batch, at->record, &before);
    if (event.fate == TIDE_FATE_FORWARDED)
        event.results = at->results;
    for (uint32_t i = 0; i < event.results && i < TIDE_TAP_RESULTS; i++)
        event.after[i] = at->after[i];
    return tide_taps_offer(task->step.chain->taps, &event);
}

static bool is_left_out(const struct tide_batch *batch, uint32_t record)
{
    return tide_batch_record(batch, record)->flags & TIDE_RECORD_LEFT_OUT;
}

static bool is_end(const struct tide_item *item)
{
    return item->kind == TIDE_ITEM_FINISHED || item->kind == TIDE_ITEM_WAITED;
}

/* The first item of the record that the next portion goes on with; item_count when there is none. */
static uint32_t unfinished(const struct tide_parsed *parsed)
{
    uint32_t from = parsed->item_count;
    while (from > 0 && !is_end(&parsed->items[from - 1]))
        from--;
    return from;
}

/* Returns false when no tap wants more. */
static bool walk(struct tide_task *task, const struct tide_batch *batch,
                 const struct tide_item *item, struct at *at)
{
    const struct tide_message *messages = task->lanes[batch->lane].parsed.messages;
    bool wanted = true;
    if (item->record != at->record)
        *at = (struct at){.record = item->record};
    if (item->kind == TIDE_ITEM_MESSAGE || item->kind == TIDE_ITEM_REVOKED) {
        note_result(at, &messages[item->message], item->kind == TIDE_ITEM_REVOKED);
    } else if (item->kind == TIDE_ITEM_REJECT || item->kind == TIDE_ITEM_RETRY) {
        at->told = true; /* rejected, or to be tried again */
    } else if (is_end(item)) {
        if (!at->told && !is_left_out(batch, at->record))
            wanted = offer(task, batch, at, item->kind);
        at->record = batch->records.count;
    }
    return wanted;
}

/* Records that nobody looks at are counted by their items alone: to touch their bytes would cost more than all the rest. */
static uint32_t count_records(const struct tide_parsed *parsed, uint32_t from, uint32_t end)
{
    uint32_t count = 0, told = 0;
    for (uint32_t i = from; i < end; i++) {
        count += is_end(&parsed->items[i]);
        told += parsed->items[i].kind == TIDE_ITEM_REJECT ||
                parsed->items[i].kind == TIDE_ITEM_RETRY;
    }
    return count > told ? count - told : 0;
}

void tide_task_tap(struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    struct tide_taps *taps = task->step.chain->taps;
    bool wanted = tide_taps_wanted(taps, task->step.row);
    struct at at = go_on(task, batch);
    uint32_t last = unfinished(parsed);
    uint32_t i = 0;
    for (; i < last && wanted; i++)
        wanted = walk(task, batch, &parsed->items[i], &at);
    if (i < last) {
        uint32_t count = count_records(parsed, i, last);
        bool told = i == 0 && at.told; /* the first of these was counted in the portion before */
        tide_taps_passed(taps, task->step.row, count > told ? count - told : 0);
        at.record = batch->records.count;
    }
    for (i = last; i < parsed->item_count; i++)
        walk(task, batch, &parsed->items[i], &at);
    keep_for_next(task, batch, &at);
}
