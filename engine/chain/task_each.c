/* SPDX-License-Identifier: MIT
 * A step whose results each stand for one message. So results are used as far as the worker got, whatever became of it
 * then: the record at which it died is run again alone, in a fresh worker, and the batch goes on after it. */
#include "base/fault.h"
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "shm/counters.h"

static int each_take(struct tide_task *task, struct tide_batch *batch, int64_t now_us)
{
    (void)task, (void)now_us;
    struct tide_batch_run *run = &batch->run;
    if (batch->work.violation) /* nothing that the worker left is used */
        *run = (struct tide_batch_run){.ready = batch->release.released, .crashed = true};
    else /* if it had published its last record, no record is left to attribute the crash to */
        run->crashed = batch->work.attributed && run->ready < batch->work.job.end;
    return TIDE_OK;
}

static int each_reject(struct tide_task *task, struct tide_batch *batch,
                       const struct tide_reject *fields)
{
    uint32_t record = batch->release.released;
    /* A mistake that the simulation must find: the wrong record is rejected. */
    record += record + 1 < batch->records.count && tide_fault("bug.attribution_off_by_one");
    int status = tide_task_reject(task, batch, record, fields);
    if (status == TIDE_OK)
        tide_task_finish_record(task, batch);
    return status;
}

static void each_finish(struct tide_task *task, struct tide_batch *batch, uint32_t count,
                        uint32_t filtered, bool passed)
{
    struct tide_chain *chain = task->step.chain;
    if (passed) {
        struct tide_origin origin = batch->origins[batch->release.released];
        tide_dlq_passed(chain->dlq, tide_offsets_partition(chain->offsets, origin), count);
        tide_count(chain->counters, task->step.row, TIDE_M_FILTER_DROPPED_MESSAGES, filtered);
    }
    for (uint32_t i = 0; i < count && batch->records.from_queue; i++)
        tide_retry_finished(task, batch);
}

const struct tide_task_kind tide_task_each = {
    .isolates = true,
    .mark = tide_retry_mark,
    .take = each_take,
    .retry = tide_retry_again,
    .reject = each_reject,
    .finish = each_finish,
};
