/* SPDX-License-Identifier: MIT
 * From the records at which workers were seen for long (proc/pool.h) to the messages that they are. Start reading at
 * tide_task_note_slow. */
#include "chain/task.h"
#include "shm/layout.h"

static void note_record(struct tide_task *task, const struct tide_batch *batch,
                        const struct tide_slow_record *slow)
{
    const struct tide_job *job = &batch->work.job;
    const struct tide_record *record = tide_batch_record(batch,
                                                         slow->several ? job->first : slow->record);
    struct tide_slow_message message = {.time_us = slow->time_us,
                                        .seen_us = slow->seen_us,
                                        .offset = record->offset,
                                        .topic = record->topic,
                                        .partition = record->partition,
                                        .step = task->step.number,
                                        .whole = slow->several ? job->end - job->first : 0};
    tide_slow_add(&task->step.chain->slow, &message);
}

/* Records are those of the engine: workers have the input block mapped read-only. */
void tide_task_note_slow(struct tide_task *task)
{
    struct tide_batch *batch;
    STAILQ_FOREACH(batch, &task->order.list, in_order)
    {
        for (uint32_t j = 0; j < TIDE_SLOW_OF_WORK; j++) {
            struct tide_slow_record *slow = &batch->work.slow[j];
            if (slow->time_us > 0 && !slow->noted)
                note_record(task, batch, slow);
            slow->noted = true;
        }
    }
}
