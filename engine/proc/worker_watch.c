/* SPDX-License-Identifier: MIT
 * What the engine sees of a worker that runs a job, beside what it sends: where it is in its block, for how long, and how
 * much memory it has touched there. All of it is the worker's word, or what the kernel says. Start reading at
 * tide_worker_watch(), which is called for each slot with each turn of the loop. */
#include "base/log.h"
#include "proc/pool_inside.h"
#include "shm/layout.h"
#include "shm/outputs.h"

enum {
    SLOW_US = 100000,           /* at one record: longer is a slow message */
    NOTED_US = 5000,            /* at one record: may be one of the slowest of the last minute */
    LOOK_AT_MEMORY_US = 1000000 /* how often it is asked what workers have touched */
};

/* Time at one record counts once it is more than SLOW_US, and then from the beginning. A function that takes a whole batch
 * is at no record. */
static void count_slow(struct tide_pool *pool, const struct tide_worker_slot *slot,
                       int64_t before_us)
{
    const struct tide_work *work = TAILQ_FIRST(&slot->given);
    int64_t now_us = slot->stall.stalled_us;
    if (!work || slot->stall.running != TIDE_RUNNING_ONE || now_us < SLOW_US || now_us <= before_us)
        return;
    int64_t counted = before_us < SLOW_US ? now_us : now_us - before_us;
    tide_count(pool->counters, work->row, TIDE_M_WORKER_SLOW_MESSAGE_TIME, (uint64_t)counted);
}

/* Takes note of where the worker stands, in place of the fastest that is known of this work. */
static void note_slow(const struct tide_worker_slot *slot, int64_t now_us)
{
    struct tide_work *work = TAILQ_FIRST(&slot->given);
    const struct tide_stall *stall = &slot->stall;
    uint32_t record = stall->next; /* at the end of the job it is at no record any more */
    if (!work || stall->running == TIDE_RUNNING_NOT || stall->stalled_us < NOTED_US ||
        record < work->job.first || record >= work->job.end)
        return;
    bool several = stall->running == TIDE_RUNNING_SEVERAL;
    struct tide_slow_record *least = &work->slow[0];
    for (uint32_t i = 0; i < TIDE_SLOW_OF_WORK; i++) {
        struct tide_slow_record *slow = &work->slow[i];
        if (slow->time_us > 0 && slow->record == record && slow->several == several) {
            least = slow;
            break;
        }
        if (slow->time_us < least->time_us)
            least = slow;
    }
    if (stall->stalled_us > least->time_us)
        *least = (struct tide_slow_record){
            .record = record, .several = several, .time_us = stall->stalled_us, .seen_us = now_us};
}

static bool is_over_cpu(const struct tide_pool *pool, struct tide_worker_slot *slot)
{
    int64_t limit_us = pool->limits.max_cpu_time_us;
    return limit_us > 0 &&
           tide_stall_check_cpu(&slot->stall, tide_stall_cpu_us(slot->pid), limit_us);
}

/* The slot stays READY, since what the worker reports before the signal reaches it still counts. */
static void look_for_stall(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    int64_t limit_us = pool->limit_us > 0 ? pool->limit_us : INT64_MAX;
    int64_t before_us = slot->stall.stalled_us;
    /* A worker that is STARTING runs `start` hooks, which have a limit of their own. */
    if (slot->state != TIDE_WORKER_READY)
        return;
    enum tide_stall_finding finding = tide_stall_check(&slot->stall, TAILQ_FIRST(&slot->given),
                                                       limit_us, now_us);
    if (finding == TIDE_STALL_FALSE) {
        tide_pool_violation(pool, slot, TIDE_M_WORKER_VIOLATION_PROGRESS,
                            "published progress that cannot be true");
        return;
    }
    if (tide_stall_wants_processor(&slot->stall, limit_us))
        slot->stall.before = tide_stall_processor(slot->pid);
    count_slow(pool, slot, before_us);
    note_slow(slot, now_us);
    if (finding == TIDE_STALL_FOUND) {
        struct tide_stall_processor now = tide_stall_processor(slot->pid);
        if (tide_stall_excuse(&slot->stall, &now, limit_us))
            finding = TIDE_STALL_NONE;
    }
    if (finding != TIDE_STALL_FOUND && !is_over_cpu(pool, slot))
        return;
    if (slot->stall.over_cpu)
        tide_log(TIDE_LOG_WARN,
                 "worker %u (pid %d) used %.1f s of processor time for one message; it is replaced",
                 slot->number, slot->pid, (double)slot->stall.cpu_us / 1e6);
    else
        tide_log(TIDE_LOG_WARN, "worker %u (pid %d) has stood still for %.1f s; it is replaced",
                 slot->number, slot->pid, (double)slot->stall.stalled_us / 1e6);
    slot->kill_due = true;
}

/* No job makes a worker touch more than the blocks that it was given: what it does beyond that would take the memory of the
 * machine, which no limit of a process counts. */
static void look_at_memory(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    if (slot->state != TIDE_WORKER_READY || now_us - slot->memory_us < LOOK_AT_MEMORY_US)
        return;
    slot->memory_us = now_us;
    for (uint32_t i = 0; i < pool->row_count; i++) {
        if (pool->outputs[i] && tide_outputs_exceeded(pool->outputs[i], slot->number))
            tide_pool_violation(pool, slot, TIDE_M_WORKER_VIOLATION_MEMORY,
                                "has touched output blocks that it was not given");
    }
}

void tide_worker_watch(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    look_for_stall(pool, slot, now_us);
    look_at_memory(pool, slot, now_us);
}
