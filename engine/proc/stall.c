/* SPDX-License-Identifier: MIT
 * Whether a worker stands still is measured by what the engine saw of it from turn to turn, not by the clock alone:
 * after a pause of the engine itself (SIGSTOP, a machine that sleeps) every worker would be too late. Start with
 * tide_stall_check(). */
#include "proc/stall.h"

#include <stdio.h>
#include <time.h>

#include "proc/inside.h"
#include "proc/pool.h"
#include "shm/layout.h"

static const int64_t LONGEST_COUNTED_US = 1000000;

/* For last words; and how much of that counts from one look to the next, since the engine may have been stopped meanwhile. */
static const int64_t WORDS_US = 200000, WORDS_COUNTED_US = 20000;

static uint32_t read_next(const struct tide_work *work)
{
    return (uint32_t)__atomic_load_n(&work->job.output->progress, __ATOMIC_ACQUIRE);
}

static uint32_t read_running(const struct tide_work *work)
{
    return __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
}

/* From what the last check found, in the same job. */
static bool gets_on(struct tide_stall *stall, const struct tide_work *work, uint32_t next,
                    uint32_t running)
{
    bool ended = stall->ran && stall->running == TIDE_RUNNING_NOT;
    bool back = next < stall->next;
    if ((ended && running != TIDE_RUNNING_NOT) ||
        (stall->running == TIDE_RUNNING_ONE && running == TIDE_RUNNING_SEVERAL))
        return false;
    stall->begun_again += back;
    return !back || (work->begins_again && stall->begun_again <= work->job.end - work->job.first);
}

/* Takes over where the worker is now. */
static enum tide_stall_finding look(struct tide_stall *stall, const struct tide_work *work,
                                    bool *unchanged)
{
    uint32_t next = read_next(work), running = read_running(work);
    bool is_new = work->job.number != stall->number;
    if (is_new)
        *stall = (struct tide_stall){
            .number = work->job.number, .next = work->job.first, .checked_us = stall->checked_us};
    *unchanged = !is_new && next == stall->next && running == stall->running;
    if (next < work->job.first || next > work->job.end || running > TIDE_RUNNING_SEVERAL ||
        !gets_on(stall, work, next, running))
        return TIDE_STALL_FALSE;
    stall->next = next;
    stall->running = running;
    stall->ran |= running != TIDE_RUNNING_NOT;
    return TIDE_STALL_NONE;
}

enum tide_stall_finding tide_stall_check(struct tide_stall *stall, const struct tide_work *work,
                                         int64_t limit_us, int64_t now_us)
{
    int64_t since_us = now_us - stall->checked_us;
    int64_t most_us = limit_us / 4 < LONGEST_COUNTED_US ? limit_us / 4 : LONGEST_COUNTED_US;
    bool unchanged = false;
    if (stall->stalled)
        return TIDE_STALL_NONE; /* what was found stays as it is: tide_stall_killed() compares with it */
    stall->checked_us = now_us;
    if (work && look(stall, work, &unchanged) == TIDE_STALL_FALSE)
        return TIDE_STALL_FALSE;
    if (!unchanged) {
        stall->stalled_us = 0;
        stall->before_known = false;
        return TIDE_STALL_NONE;
    }
    stall->stalled_us += since_us < most_us ? since_us : most_us;
    stall->stalled = stall->stalled_us > limit_us;
    return stall->stalled ? TIDE_STALL_FOUND : TIDE_STALL_NONE;
}

bool tide_stall_wants_processor(struct tide_stall *stall, int64_t limit_us)
{
    bool wants = !stall->before_known && stall->stalled_us > limit_us / 8;
    if (wants) {
        stall->before_known = true;
        stall->before_us = stall->stalled_us;
    }
    return wants;
}

/* How much of the time between two looks the process waited for a processor; 0 also where the kernel does not tell. It adds
 * a wait to the delay when that is over. One that lasts shows in that the process is ready and has not run since: then it has
 * waited all that time. */
static int64_t waited_us(const struct tide_stall_processor *before,
                         const struct tide_stall_processor *now, int64_t since_us)
{
    if (before->delay_us < 0 || now->delay_us < 0)
        return 0;
    bool waits = now->ready && now->ran_ns == before->ran_ns;
    return waits ? since_us : now->delay_us - before->delay_us;
}

bool tide_stall_excuse(struct tide_stall *stall, const struct tide_stall_processor *now,
                       int64_t limit_us)
{
    int64_t off_us = waited_us(&stall->before, now, stall->stalled_us - stall->before_us);
    if (off_us <= 0)
        return false;
    stall->before = *now;
    stall->stalled_us = off_us < stall->stalled_us ? stall->stalled_us - off_us : 1;
    stall->before_us = stall->stalled_us;
    stall->stalled = stall->stalled_us > limit_us;
    return !stall->stalled;
}

/* Where nothing counts, the next look goes back as far as this one: the delay has the whole wait when it is over. */
void tide_stall_await(struct tide_stall *stall, const struct tide_stall_processor *now,
                      int64_t now_us, int64_t most_us)
{
    int64_t since_us = now_us - stall->asked_us;
    since_us -= waited_us(&stall->asked, now, since_us);
    if (since_us <= 0)
        return;
    stall->asked_us = now_us;
    stall->asked = *now;
    stall->awaited_us += since_us < most_us ? since_us : most_us;
}

bool tide_stall_awaits(struct tide_stall *stall, const struct tide_stall_processor *now,
                       int64_t now_us)
{
    tide_stall_await(stall, now, now_us, WORDS_COUNTED_US);
    return stall->awaited_us < WORDS_US;
}

struct tide_stall_processor tide_stall_processor(int32_t pid)
{
    char path[64], state = 0;
    int32_t parent;
    unsigned long long ran_ns, waited_ns;
    struct tide_stall_processor unknown = {.delay_us = -1};
    snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return unknown;
    int found = fscanf(file, "%llu %llu", &ran_ns, &waited_ns);
    fclose(file);
    if (found != 2 || !tide_hold_look(pid, &state, &parent))
        return unknown;
    return (struct tide_stall_processor){(int64_t)(waited_ns / 1000), (int64_t)ran_ns,
                                         state == 'R'};
}

/* What a record used before it was first seen is not counted: never too much, and less by one turn at most. */
bool tide_stall_check_cpu(struct tide_stall *stall, int64_t cpu_us, int64_t limit_us)
{
    if (stall->stalled || cpu_us < 0)
        return false;
    if (stall->stalled_us == 0)
        stall->cpu_from_us = cpu_us;
    stall->cpu_us = cpu_us - stall->cpu_from_us;
    stall->stalled = stall->over_cpu = stall->cpu_us > limit_us;
    return stall->stalled;
}

int64_t tide_stall_cpu_us(int32_t pid)
{
    struct timespec used;
    clockid_t clock;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

bool tide_stall_killed(const struct tide_stall *stall, const struct tide_work *work)
{
    return stall->stalled && work->job.number == stall->number &&
           read_running(work) == stall->running && read_next(work) == stall->next;
}
