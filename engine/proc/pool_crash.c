/* SPDX-License-Identifier: MIT
 * The last words of workers, on the engine's side. They are written by a process that has just crashed, or by one that lies:
 * what is taken is text, of a size that fits a dead letter. Start with tide_pool_crash(). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "proc/inside.h"
#include "proc/pool_inside.h"
#include "proc/zygote.h"
#include "shm/layout.h"
#include "shm/outputs.h"

void tide_crash_clean(char clean[TIDE_CRASH_TEXT], const char *from, size_t size)
{
    size_t left = strnlen(from, size), at = 0;
    while (left > 0) {
        size_t valid = tide_utf8_length(from, left), bytes = valid > 0 ? valid : 1;
        bool control = (unsigned char)*from < 0x20 && *from != '\n' && *from != '\t';
        if (at + bytes >= TIDE_CRASH_TEXT)
            break;
        if (valid == 0 || control || *from == 0x7F)
            clean[at] = '?';
        else
            memcpy(clean + at, from, bytes);
        at += bytes;
        from += bytes;
        left -= bytes;
    }
    clean[at] = 0;
}

/* A worker crashes once; more than that is a lie. */
bool tide_pool_crash(struct tide_worker_slot *slot, const struct tide_crash_report *report)
{
    if (slot->crash && slot->crash_generation == slot->generation)
        return false;
    if (!slot->crash)
        slot->crash = tide_alloc(TIDE_CRASH_TEXT);
    slot->crash_generation = slot->generation;
    tide_crash_clean(slot->crash, report->text, sizeof(report->text));
    return true;
}

/* One that is stopped, or has blocked the signal, says nothing. */
bool tide_pool_awaits_words(struct tide_worker_slot *slot)
{
    int64_t now_us = tide_clock_us();
    if (!slot->stall.stalled)
        return false;
    struct tide_stall_processor now = tide_stall_processor(slot->pid);
    if (slot->stall.asked_us > 0)
        return tide_stall_awaits(&slot->stall, &now, now_us);
    slot->stall.asked_us = now_us;
    slot->stall.asked = now;
    return tide_zygote_ask(slot->zygote, slot->hold);
}

const char *tide_pool_last_words(const struct tide_worker_slot *slot)
{
    return slot->crash && slot->crash_generation == slot->generation ? slot->crash : NULL;
}

void tide_pool_attribute_death(const struct tide_worker_slot *slot, struct tide_work *work,
                               const struct tide_zygote_event *event)
{
    uint32_t running = __atomic_load_n(&work->job.output->running, __ATOMIC_ACQUIRE);
    bool killed = slot->stall.stalled && WIFSIGNALED(event->status) &&
                  WTERMSIG(event->status) == SIGKILL;
    work->several = running == TIDE_RUNNING_SEVERAL;
    work->timed_out = killed && tide_stall_killed(&slot->stall, work);
    work->over_cpu = work->timed_out && slot->stall.over_cpu;
    /* A worker that went on before our signal reached it was killed at a record that did nothing. */
    work->attributed = running != TIDE_RUNNING_NOT && (!killed || work->timed_out);
    work->out_of_memory = WIFEXITED(event->status) &&
                          WEXITSTATUS(event->status) == TIDE_EXIT_MEMORY;
    work->death = event->status;
    const char *words = tide_pool_last_words(slot);
    snprintf(work->crash, sizeof(work->crash), "%s", words ? words : "");
    work->state = TIDE_WORK_WORKER_LOST;
    tide_outputs_filled(work->outputs, work->output, work->job.output_max);
}
