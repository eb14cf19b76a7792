/* SPDX-License-Identifier: MIT
 * The way out of run_task_with_multiprocessing: the states of the oldest batch of a lane (the table is in
 * chain/batch.h). A crash and a full output block are handled alike: results up to the published progress are used, the
 * record in progress is dealt with if the crash is attributed to it, and the batch goes on after it. Of a worker
 * that broke the protocol nothing is used but what was forwarded before this was seen.
 *
 * Each state has a function that does what can be done now and returns the next state. A batch whose function returns
 * its own state has to wait, for a worker, the next step, the dlq or a pause, and with it the batches after it in its lane. A
 * negative status instead of a state ends the pipeline. Start reading at the end of the file. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/signal_name.h"
#include "base/status.h"
#include "chain/canary.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/states.h"
#include "chain/tap.h"
#include "chain/task.h"
#include "shm/counters.h"
#include "shm/outputs.h"
#include "shm/topics.h"

/* ---- SEALED ---- */

/* Of its lane it is the oldest now. */
static int run_sealed(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    (void)now_us;
    tide_task_submit(task, batch, 0, batch->records.count);
    return TIDE_BATCH_WITH_POOL;
}

/* ---- WITH_POOL ---- */

/* The worker is replaced, and nothing more is used of what it left. Until it is gone the pool has the batch again, with the
 * output block: nobody else may have that while this worker may still write to it. */
static int report_violation(struct tide_task *task, struct tide_batch *batch)
{
    char what[256];
    snprintf(what, sizeof(what), "broke the block protocol (%s)", tide_error());
    tide_pool_report_violation(task->pool, &batch->work, what);
    tide_task_observe_progress(task);
    return TIDE_BATCH_WITH_POOL;
}

/* A run that ended with a crash says nothing of the time that messages take. */
static void count_run(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_counters *counters = task->step.chain->counters;
    const struct tide_work *work = &batch->work;
    uint32_t messages = batch->run.ready - batch->release.released;
    tide_tally_add(&task->tally, work->revision, messages, 0);
    if (work->state == TIDE_WORK_DONE && messages > 0) {
        tide_task_measure(task, work, messages, batch->run.result_bytes);
        tide_observe_many(counters, task->step.row, TIDE_M_MESSAGE_TIME,
                          (double)work->busy_ns / 1e9 / messages, messages);
    }
    if (work->state == TIDE_WORK_DONE && work->status == TIDE_JOB_FULL) {
        tide_count(counters, task->step.row, TIDE_M_BATCH_OUTPUT_OVERFLOW, 1);
        batch->release.overflowed = work->job.output_size;
    }
    /* A single result may be larger than the block: it was given the maximum. */
    if (batch->run.result_bytes > work->job.output_size)
        batch->release.overflowed = work->job.output_size;
}

/* What a worker has written of a result that was too large for the block, or that it died of, is not in its progress. */
static void note_filled(struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_work *work = &batch->work;
    uint64_t bytes = batch->run.result_bytes;
    if (work->state == TIDE_WORK_WORKER_LOST)
        bytes = work->job.output_max;
    else if (work->status == TIDE_JOB_FULL && bytes < work->job.output_size)
        bytes = work->job.output_size;
    tide_outputs_filled(task->outputs, work->output, bytes);
}

static int take_results(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_work *work = &batch->work;
    if (work->state == TIDE_WORK_WAITING || work->state == TIDE_WORK_GIVEN)
        return TIDE_BATCH_WITH_POOL;
    tide_task_observe_progress(task);
    if (!work->violation && tide_results_accept(batch) < 0)
        return report_violation(task, batch);
    note_filled(task, batch);
    batch->record.changed = false; /* of a run before */
    if (task->kind->take(task, batch, now_us) < 0)
        return report_violation(task, batch);
    count_run(task, batch);
    if (task->canary && task->canary->state == TIDE_CANARY_IDLE)
        tide_canary_offer(task, batch);
    work->state = TIDE_WORK_IDLE;
    return TIDE_BATCH_RESULTS;
}

/* ---- RESULTS ---- */

/* Submits messages to the next step. TIDE_BUSY = it took fewer of them. */
static int submit_messages(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_chain *chain = task->step.chain;
    struct tide_step *next = task->step.next;
    const struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    const struct tide_message *messages = &parsed->messages[parsed->items[parsed->item_at].message];
    uint32_t count = tide_task_count_submittable(task, batch, messages);
    /* Each output has its reference before it is submitted, since it may be acknowledged within the call. */
    tide_offsets_ref_many_before(chain->offsets, messages, count, task->waiting.next);
    ssize_t taken = next->ops->submit(next, messages, count, now_us);
    for (uint32_t i = taken < 0 ? 0 : (uint32_t)taken; i < count; i++)
        tide_offsets_unref_before(chain->offsets, messages[i].origin, task->waiting.next,
                                  TIDE_OUTCOME_FILTERED);
    if (taken < 0)
        return (int)taken;
    chain->progress |= taken > 0;
    /* A mistake that the simulation must find: what was taken is offered again. */
    bool twice = (uint32_t)taken < count && tide_fault("bug.double_release");
    tide_task_pass_items(task, batch, twice ? 0 : (uint32_t)taken);
    if ((uint32_t)taken == count)
        return TIDE_OK;
    tide_count(chain->counters, task->step.row, TIDE_M_BATCH_BACKPRESSURE, 1);
    return TIDE_BUSY;
}

/* Rejects the record, or puts it off, as its worker says in this item. TIDE_BUSY = the dlq takes nothing now. */
static int handle_failure(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    const struct tide_item *item = &parsed->items[parsed->item_at];
    struct tide_failure failure;
    int status;
    tide_results_failure(&parsed->messages[item->message], &failure);
    if (item->kind == TIDE_ITEM_RETRY && task->kind->retry) {
        status = task->kind->retry(task, batch, failure.error, now_us);
    } else {
        struct tide_reject fields = {.reason = failure.reason,
                                     .error = failure.error,
                                     .traceback = failure.traceback,
                                     .attempts = batch->record.attempts + 1};
        status = tide_task_reject(task, batch, item->record, &fields);
    }
    if (status != TIDE_OK)
        return status;
    /* No record is left if the whole batch was put off: then its results are not used. */
    if (batch->release.released == batch->records.count)
        parsed->item_count = parsed->item_at + 1;
    parsed->item_at++;
    tide_task_pass_items(task, batch, 0);
    return TIDE_OK;
}

/* TIDE_OK = all that is parsed is forwarded; TIDE_BUSY = the next step or the dlq takes nothing now. */
static int forward_parsed(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    int status = TIDE_OK;
    tide_task_pass_items(task, batch, 0);
    while (status == TIDE_OK && parsed->item_at < parsed->item_count)
        status = parsed->items[parsed->item_at].kind == TIDE_ITEM_MESSAGE
                     ? submit_messages(task, batch, now_us)
                     : handle_failure(task, batch, now_us);
    return status;
}

static int parse_next(struct tide_task *task, struct tide_batch *batch)
{
    struct tide_parsed *parsed = &task->lanes[batch->lane].parsed;
    uint32_t topics = tide_topics_count(task->step.chain->topics);
    int status = tide_results_read(batch, parsed, topics);
    for (uint32_t i = 0; batch->group.open && i < parsed->message_count; i++) {
        parsed->messages[i].origin = batch->group.origin;
        parsed->messages[i].flags |= TIDE_MESSAGE_RESULT;
    }
    return status;
}

static int forward_results(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    do {
        int status = forward_parsed(task, batch, now_us);
        if (status != TIDE_OK)
            return status == TIDE_BUSY ? TIDE_BATCH_RESULTS : status;
        if (tide_taps_armed(task->step.chain->taps))
            tide_task_tap(task, batch);
        if (parse_next(task, batch) < 0)
            return report_violation(task, batch); /* records complete before it are parsed */
    } while (task->lanes[batch->lane].parsed.item_count > 0);
    if (task->kind->leave)
        task->kind->leave(task, batch);
    /* Not before all results are forwarded: the record is the first that is left then. */
    if (batch->run.crashed)
        return TIDE_BATCH_CRASHED;
    return batch->pause.wanted ? TIDE_BATCH_PAUSED : TIDE_BATCH_FORWARDED;
}

/* ---- CRASHED ---- */

/* A worker that broke the protocol may have done so at any record of its job, so it takes one more run to know. */
static uint32_t retries(const struct tide_task *task, const struct tide_batch *batch)
{
    const struct tide_job *job = &batch->work.job;
    bool unsure = batch->work.violation && job->end - job->first > 1;
    return unsure && task->plan.crash_retries == 0 ? 1 : task->plan.crash_retries;
}

/* `cause`: room for the name of a signal. */
static struct tide_reject describe_crash(const struct tide_batch *batch, char *cause, size_t size)
{
    const struct tide_work *work = &batch->work;
    struct tide_reject fields = {.reason = "crash",
                                 .cause = cause,
                                 .traceback = work->crash,
                                 .attempts = batch->record.attempts + 1,
                                 .error = "the worker died while it ran this message"};
    if (WIFSIGNALED(work->death))
        snprintf(cause, size, "SIG%s", tide_signal_name(WTERMSIG(work->death)));
    else
        snprintf(cause, size, "exit %d", WEXITSTATUS(work->death));
    if (work->over_cpu) {
        fields.reason = "cpu";
        fields.cause = "max_cpu_time";
        fields.error =
            "the message took more processor time than max_cpu_time, so its worker was killed";
    } else if (work->timed_out) {
        fields.reason = "timeout";
        fields.error = "the message took longer than message_timeout, so its worker was killed";
    } else if (work->violation) {
        fields.cause = "protocol";
        fields.error = "what the worker left of this message makes no sense, so it was killed";
    } else if (work->out_of_memory) {
        fields.reason = "memory";
        fields.cause = "worker_memory";
        fields.error = "the worker wanted more than worker_memory while it ran this message";
    }
    return fields;
}

/* Runs the records that are left; only the one that a worker died of, if there is one. */
static int run_rest(struct tide_task *task, struct tide_batch *batch)
{
    uint32_t first = batch->release.released;
    bool alone = batch->record.attempts > 0 && task->kind->isolates;
    tide_task_submit(task, batch, first, alone ? first + 1 : batch->records.count);
    return TIDE_BATCH_WITH_POOL;
}

/* The worker died of a record, or broke the protocol there: the record is run once more, then rejected. One that took
 * too long is not run again. If a function had several records at once, each is run by itself first. */
static int run_again_or_reject(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    char cause[32];
    (void)now_us;
    if (batch->work.several && !batch->release.one_by_one) {
        batch->release.one_by_one = true;
        tide_task_submit(task, batch, batch->release.released, batch->records.count);
        return TIDE_BATCH_WITH_POOL;
    }
    if (!batch->work.timed_out && batch->record.attempts < retries(task, batch)) {
        batch->record.attempts++;
        tide_tally_add(&task->tally, batch->work.revision, 0, 1);
        return run_rest(task, batch);
    }
    struct tide_reject fields = describe_crash(batch, cause, sizeof(cause));
    int status = task->kind->reject(task, batch, &fields);
    if (status == TIDE_OK)
        return TIDE_BATCH_FORWARDED;
    return status == TIDE_BUSY ? TIDE_BATCH_CRASHED : status;
}

/* ---- PAUSED ---- */

static int wait_for_pause(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    int status = tide_reduce_resume(task, batch, now_us);
    if (status == TIDE_OK)
        return TIDE_BATCH_FORWARDED;
    return status == TIDE_BUSY ? TIDE_BATCH_PAUSED : status;
}

/* ---- FORWARDED ---- */

static int run_rest_or_end(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    struct tide_counters *counters = task->step.chain->counters;
    const struct tide_batch_release *release = &batch->release;
    if (release->released < batch->records.count)
        return run_rest(task, batch);
    tide_retry_end(task, batch);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_MSG, release->results);
    tide_observe(counters, task->step.row, TIDE_M_OUTPUT_BATCH_SIZE_BYTES,
                 (double)release->result_bytes);
    tide_task_resize(task, batch, now_us);
    tide_task_give_back(task, batch);
    return TIDE_BATCH_EMPTY;
}

static int (*const state_functions[])(struct tide_task *, struct tide_batch *, int64_t) = {
    [TIDE_BATCH_SEALED] = run_sealed,       [TIDE_BATCH_WITH_POOL] = take_results,
    [TIDE_BATCH_RESULTS] = forward_results, [TIDE_BATCH_CRASHED] = run_again_or_reject,
    [TIDE_BATCH_PAUSED] = wait_for_pause,   [TIDE_BATCH_FORWARDED] = run_rest_or_end,
};

/* As far as it gets now. Negative = failure. */
static int release_batch(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    enum tide_batch_state state;
    do {
        state = batch->state;
        int next = state_functions[state](task, batch, now_us);
        if (next < 0)
            return next;
        batch->state = (enum tide_batch_state)next;
    } while (batch->state != state && batch->state != TIDE_BATCH_EMPTY);
    return TIDE_OK;
}

static bool is_oldest_of_lane(const struct tide_task *task, const struct tide_batch *batch)
{
    return STAILQ_FIRST(&task->lanes[batch->lane].sealed.list) == batch;
}

/* Of each lane only the oldest batch is looked at, however many have results: the order of the messages is kept by that
 * alone. The oldest of all comes first, so that none starves where the next step takes few. */
int tide_task_release(struct tide_task *task, int64_t now_us)
{
    struct tide_batch *batch, *next;
    if (task->has_state && tide_states_status(task->step.chain->states) < 0)
        return tide_states_status(task->step.chain->states);
    tide_task_observe_progress(task);
    tide_task_note_slow(task);
    tide_lanes_run(task);
    for (batch = tide_task_oldest(task); batch; batch = next) {
        next = STAILQ_NEXT(batch, in_order); /* the batch itself may be gone from there then */
        if (!is_oldest_of_lane(task, batch))
            continue;
        int status = release_batch(task, batch, now_us);
        if (status < 0)
            return status;
        if (batch->state != TIDE_BATCH_EMPTY && task->plan.order == TIDE_ORDER_PARTITION)
            break;
    }
    return TIDE_OK;
}
