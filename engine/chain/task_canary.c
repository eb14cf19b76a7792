/* SPDX-License-Identifier: MIT
 * The canary of a step: copies batches that have been run, has workers of the next revision run the copies, and keeps what speaks
 * against that revision (the states are in chain/canary.h). A copy rather than the batch itself, since a batch that waited for a
 * second worker would hold up those behind it, and a transform that hangs is what a canary is there to find. Start reading at
 * tide_canary_offer(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/signal_name.h"
#include "base/status.h"
#include "chain/canary.h"
#include "chain/task.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/foreign.h"
#include "shm/layout.h"
#include "shm/topics.h"

int tide_canary_prepare(struct tide_task *task)
{
    struct tide_canary *canary = tide_alloc(sizeof(*canary));
    task->canary = canary;
    canary->batch = tide_batch_new(task->plan.max_batch_size, task->size.input.max);
    if (!canary->batch)
        return tide_failure();
    return task->has_state ? tide_state_prepare(task, canary->batch) : (int)TIDE_OK;
}

void tide_canary_begin(struct tide_task *task, const struct tide_canary_rules *rules)
{
    struct tide_canary *canary = task->canary;
    tide_require(canary->state == TIDE_CANARY_OFF);
    canary->rules = *rules;
    canary->credit = 1; /* the first batch, since another one may not come for long */
    canary->messages = canary->differing = canary->rejected = 0;
    canary->first[0] = canary->verdict[0] = 0;
    canary->state = TIDE_CANARY_IDLE;
}

/* ---- a copy is made ---- */

/* At the same places, so that what the job says of records holds for the copy, too. */
static void copy_records(struct tide_batch *copy, const struct tide_batch *batch, uint32_t first,
                         uint32_t end)
{
    uint64_t from = batch->record_at[first];
    uint64_t until = end < batch->records.count ? batch->record_at[end] : batch->records.bytes;
    memcpy(copy->input->data + from, batch->input->data + from, until - from);
    memcpy(&copy->record_at[first], &batch->record_at[first],
           sizeof(*copy->record_at) * (end - first));
    memcpy(&copy->origins[first], &batch->origins[first], sizeof(*copy->origins) * (end - first));
    copy->records.count = end;
    copy->records.bytes = until;
    if (until > copy->input->touched)
        copy->input->touched = until;
}

/* All that may be of this fill: what the block has beyond it is older, and read by nobody. */
static void copy_state(struct tide_batch *copy, const struct tide_batch *batch)
{
    const struct tide_block *from = batch->keyed.block;
    memcpy(copy->keyed.block->data, from->data, from->touched);
    if (from->touched > copy->keyed.block->touched)
        copy->keyed.block->touched = from->touched;
}

static void copy_results(struct tide_canary *canary, const struct tide_batch *batch)
{
    canary->result_bytes = batch->run.result_bytes;
    canary->results = tide_realloc(canary->results,
                                   sizeof(struct tide_output) + canary->result_bytes);
    if (canary->result_bytes > 0)
        tide_foreign_copy(canary->results + 1, batch->work.job.output + 1, canary->result_bytes);
}

/* Of the job itself nothing differs but where its records are. */
static void give(struct tide_task *task, const struct tide_work *ran)
{
    struct tide_batch *copy = task->canary->batch;
    struct tide_work *work = &copy->work;
    work->job = ran->job;
    work->job.output = NULL;
    work->job.record = (const char *)tide_batch_record(copy, ran->job.first);
    if (task->has_state)
        work->job.states = (const struct tide_state_place *)(const void *)copy->keyed.block->data;
    work->outputs = task->outputs;
    work->row = task->step.row;
    work->begins_again = ran->begins_again;
    work->canary = true;
    work->attributed = work->timed_out = work->over_cpu = work->several = work->violation = false;
    work->out_of_memory = false;
    tide_pool_submit(task->pool, work);
    task->canary->state = TIDE_CANARY_RUNNING;
}

/* Only of a job that was run as a whole: what a worker died of before is run again, and then its turn may come. */
void tide_canary_offer(struct tide_task *task, const struct tide_batch *batch)
{
    struct tide_canary *canary = task->canary;
    const struct tide_work *work = &batch->work;
    if (canary->verdict[0] || work->state != TIDE_WORK_DONE || work->status != TIDE_JOB_DONE ||
        batch->run.ready != work->job.end)
        return;
    canary->credit += canary->rules.share;
    if (canary->credit < 1)
        return;
    canary->credit = 1; /* what no worker was free for is not made up for */
    if (!tide_pool_next_has_idle(task->pool))
        return;
    canary->credit = 0;
    copy_records(canary->batch, batch, work->job.first, work->job.end);
    if (task->has_state)
        copy_state(canary->batch, batch);
    copy_results(canary, batch);
    give(task, work);
}

/* ---- what came of it ---- */

static void say(struct tide_canary *canary, const struct tide_task *task, uint32_t record,
                const char *what)
{
    struct tide_message message;
    tide_batch_message(canary->batch, record, &message);
    const char *topic = tide_topics_name(task->step.chain->topics, message.topic);
    snprintf(canary->verdict, sizeof(canary->verdict), "%s/%d/%lld: %s", topic ? topic : "",
             message.partition, (long long)message.offset, what);
}

/* The worker of the next revision died at a record that one of the present revision has run. One that was killed at none, by
 * somebody else, says nothing. */
static void judge_death(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    const struct tide_work *work = &canary->batch->work;
    uint32_t next = canary->batch->run.ready;
    char what[1200], cause[64];
    if (!work->attributed)
        return;
    if (WIFSIGNALED(work->death))
        snprintf(cause, sizeof(cause), "died of SIG%s", tide_signal_name(WTERMSIG(work->death)));
    else
        snprintf(cause, sizeof(cause), "ended with code %d", WEXITSTATUS(work->death));
    const char *why = work->over_cpu        ? "took more processor time than max_cpu_time"
                      : work->timed_out     ? "took longer than message_timeout"
                      : work->out_of_memory ? "wanted more than worker_memory"
                                            : cause;
    snprintf(what, sizeof(what), "the worker of the new transforms %s%s%s%.1000s", why,
             work->several ? ", in a function that had several messages" : "",
             work->crash[0] ? ": " : "", work->crash);
    say(canary, task, next < work->job.end ? next : work->job.end - 1, what);
}

static void judge_rejections(struct tide_canary *canary)
{
    const struct tide_canary_rules *rules = &canary->rules;
    if (canary->rejected <= rules->max_rejected ||
        (double)canary->rejected <= rules->max_rejected_ratio * (double)canary->messages)
        return;
    snprintf(canary->verdict, sizeof(canary->verdict),
             "%llu of %llu messages are rejected that were not before; the first: %s",
             (unsigned long long)canary->rejected, (unsigned long long)canary->messages,
             canary->first);
}

static void drop_violation(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    char what[300];
    snprintf(what, sizeof(what), "broke the block protocol (%s)", tide_error());
    snprintf(canary->verdict, sizeof(canary->verdict), "a worker of the new transforms %s", what);
    tide_pool_report_violation(task->pool, &canary->batch->work, what);
    canary->state = TIDE_CANARY_DROPPED;
}

static void add(struct tide_canary *canary, struct tide_counters *counters, uint64_t messages,
                const struct tide_comparison *found)
{
    if (canary->rejected == 0)
        memcpy(canary->first, found->first_rejected, sizeof(canary->first));
    canary->messages += messages;
    canary->differing += found->differing;
    canary->rejected += found->rejected;
    tide_count(counters, 0, TIDE_M_CANARY_COMPARED, messages);
    tide_count(counters, 0, TIDE_M_CANARY_DIFFERING, found->differing);
    tide_count(counters, 0, TIDE_M_CANARY_REJECTED, found->rejected);
}

/* Those of the present revision lie in memory of the engine's own, for the same records. */
static int compare(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    struct tide_batch *newer = canary->batch;
    struct tide_batch older = *newer;
    struct tide_comparison found;
    older.work.job.output = canary->results;
    older.run = (struct tide_batch_run){.ready = newer->work.job.end,
                                        .result_bytes = canary->result_bytes};
    /* Where a result stands for all messages, it is not there before the last of them is run. */
    if (!task->kind->isolates && newer->run.ready < newer->work.job.end)
        return TIDE_OK;
    if (tide_canary_compare(&older, newer, task, &found) < 0)
        return TIDE_EDATA;
    add(canary, task->step.chain->counters, newer->run.ready - newer->release.released, &found);
    if (canary->rules.compare)
        memcpy(canary->verdict, found.difference, sizeof(found.difference));
    return TIDE_OK;
}

static void judge(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    struct tide_batch *newer = canary->batch;
    newer->release.released = newer->work.job.first;
    if (!newer->work.violation &&
        (tide_results_accept(newer) < 0 || (!newer->work.attributed && compare(task) < 0))) {
        drop_violation(task);
        return;
    }
    if (newer->work.violation)
        snprintf(canary->verdict, sizeof(canary->verdict),
                 "a worker of the new transforms broke the protocol (the log says how)");
    else if (newer->work.state == TIDE_WORK_WORKER_LOST)
        judge_death(task);
    if (!canary->verdict[0])
        judge_rejections(canary);
    canary->state = TIDE_CANARY_IDLE;
}

/* Gives back what the copy takes. */
static void put_away(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    tide_block_trim(canary->batch->input, 0);
    canary->batch->input->touched = 0;
    if (task->has_state) {
        tide_block_trim(canary->batch->keyed.block, 0);
        canary->batch->keyed.block->touched = 0;
    }
    free(canary->results);
    canary->results = NULL;
    canary->state = TIDE_CANARY_OFF;
}

void tide_canary_poll(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    struct tide_work *work = &canary->batch->work;
    if (!tide_canary_is_busy(canary) || work->state == TIDE_WORK_WAITING ||
        work->state == TIDE_WORK_GIVEN)
        return;
    bool dropped = canary->state == TIDE_CANARY_DROPPED;
    if (!dropped)
        judge(task);
    if (work->state == TIDE_WORK_GIVEN) /* until the worker is gone that broke the protocol */
        return;
    tide_pool_results_taken(work);
    work->state = TIDE_WORK_IDLE;
    task->step.chain->progress = true;
    if (dropped)
        put_away(task);
    else if (canary->state == TIDE_CANARY_DROPPED) /* its worker is gone already */
        canary->state = TIDE_CANARY_IDLE;
}

void tide_canary_end(struct tide_task *task)
{
    struct tide_canary *canary = task->canary;
    if (canary->state == TIDE_CANARY_OFF)
        return;
    bool idle = canary->batch->work.state == TIDE_WORK_IDLE ||
                tide_pool_withdraw(task->pool, &canary->batch->work);
    if (idle)
        put_away(task);
    else
        canary->state = TIDE_CANARY_DROPPED;
}

void tide_canary_free(struct tide_task *task)
{
    if (!task->canary)
        return;
    tide_batch_free(task->canary->batch);
    free(task->canary->results);
    free(task->canary);
}
