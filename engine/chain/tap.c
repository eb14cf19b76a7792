/* SPDX-License-Identifier: MIT
 * The taps of a chain. What a tap may cost is bounded by three allowances, which fill up with the time and are spent
 * before anything is done: messages that are examined, bytes that are searched (both shared by all taps), and samples
 * that are made. A tap without conditions examines nothing while it may not make a sample; one with conditions goes on
 * only as long as it may make one. So a rare match is found among fifty thousand messages a second, and at a million
 * it is found among a sample of them; `examined` and `passed` tell which. Start reading at tide_taps_offer. */
#include "chain/tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/status.h"
#include "base/text.h"
#include "chain/tap_inside.h"

/* What all taps may cost together is about 1 % of a core (scripts/bench/tap.lua). A tap waits until it may examine a whole
 * portion of a batch: the few messages that it may examine at any moment would keep it busy at every portion. */
enum { EXAMINED_A_SECOND = 50000, SEARCHED_A_SECOND = 16 << 20, EXAMINED_AT_ONCE = 128 };
/* Samples that wait to be taken, which happens once a second at the latest. */
enum { MOST_SAMPLES = 1024, MOST_SAMPLE_BYTES = 2 << 20 };

struct sample {
    STAILQ_ENTRY(sample) next;
    struct tide_text text;
};

struct tap {
    bool armed;
    uint32_t row; /* 0 = all */
    uint32_t value_limit;
    struct tide_tap_conditions conditions;
    uint32_t rate;
    double
        samples_left; /* allowances: what may be spent now; they fill up to what one second brings */
    double examined_left; /* messages */
    double searched_left; /* bytes */
    int64_t filled_us;
    bool looks; /* the allowances let it look at messages, since tide_taps_wanted() */
    struct tide_tap_counts counts;
    STAILQ_HEAD(, sample) waiting;
    uint32_t waiting_count;
    uint64_t waiting_bytes;
    struct sample *taken; /* the sample that was taken last, whose text is lent */
};

struct tide_taps {
    const struct tide_topics *topics;
    struct tide_tap_step *steps; /* in order, so that the first is step 1 */
    uint32_t step_count;
    struct tap taps[TIDE_TAPS];
    uint32_t armed;
};

struct tide_taps *tide_taps_new(const struct tide_topics *topics)
{
    struct tide_taps *taps = tide_alloc(sizeof(*taps));
    taps->topics = topics;
    return taps;
}

void tide_taps_add_step(struct tide_taps *taps, uint32_t row, const char *stage)
{
    if (!taps)
        return;
    tide_grow(&taps->steps, &taps->step_count, taps->step_count + 1, sizeof(*taps->steps));
    taps->steps[taps->step_count - 1] = (struct tide_tap_step){row, tide_copy(stage)};
}

/* ---- for who looks on ---- */

static struct tap *tap_of(const struct tide_taps *taps, int number)
{
    tide_require(number >= 1 && number <= TIDE_TAPS && taps->taps[number - 1].armed);
    return (struct tap *)(uintptr_t)&taps->taps[number - 1];
}

int tide_taps_arm(struct tide_taps *taps, const struct tide_tap_plan *plan)
{
    int number = 1;
    if (plan->step > taps->step_count)
        return tide_fail(TIDE_EUSAGE,
                         "there is no step %u to tap: %u of the pipeline's steps run in workers",
                         plan->step, taps->step_count);
    if (plan->condition_count > TIDE_TAP_CONDITIONS)
        return tide_fail(TIDE_EUSAGE, "a tap takes at most %d conditions, these are %u",
                         TIDE_TAP_CONDITIONS, plan->condition_count);
    while (number <= TIDE_TAPS && taps->taps[number - 1].armed)
        number++;
    if (number > TIDE_TAPS)
        return tide_fail(TIDE_ETEMPORARY, "%d taps look on already, which is all there may be",
                         TIDE_TAPS);
    struct tap *tap = &taps->taps[number - 1];
    /* A second's allowance at the start: what matches right away is seen right away. */
    *tap = (struct tap){.armed = true,
                        .row = plan->step > 0 ? taps->steps[plan->step - 1].row : 0,
                        .value_limit = plan->value_limit,
                        .rate = plan->rate,
                        .filled_us = tide_clock_us() - 1000000};
    STAILQ_INIT(&tap->waiting);
    tide_tap_conditions_copy(&tap->conditions, plan->conditions, plan->condition_count);
    taps->armed++;
    return number;
}

static void free_sample(struct sample *sample)
{
    if (sample)
        tide_text_free(&sample->text);
    free(sample);
}

static struct sample *take_oldest(struct tap *tap)
{
    struct sample *oldest = STAILQ_FIRST(&tap->waiting);
    if (!oldest)
        return NULL;
    STAILQ_REMOVE_HEAD(&tap->waiting, next);
    tap->waiting_count--;
    tap->waiting_bytes -= oldest->text.length;
    return oldest;
}

bool tide_taps_take(struct tide_taps *taps, int number, struct tide_tap_sample *sample)
{
    struct tap *tap = tap_of(taps, number);
    free_sample(tap->taken);
    tap->taken = take_oldest(tap);
    if (!tap->taken)
        return false;
    *sample = (struct tide_tap_sample){tap->taken->text.data, tap->taken->text.length};
    return true;
}

void tide_taps_counts(const struct tide_taps *taps, int number, struct tide_tap_counts *counts)
{
    *counts = tap_of(taps, number)->counts;
}

void tide_taps_disarm(struct tide_taps *taps, int number)
{
    struct tap *tap = tap_of(taps, number);
    struct sample *sample;
    while ((sample = take_oldest(tap)))
        free_sample(sample);
    free_sample(tap->taken);
    tide_tap_conditions_free(&tap->conditions);
    *tap = (struct tap){.armed = false};
    taps->armed--;
}

void tide_taps_free(struct tide_taps *taps)
{
    if (!taps)
        return;
    for (int number = 1; number <= TIDE_TAPS; number++) {
        if (taps->taps[number - 1].armed)
            tide_taps_disarm(taps, number);
    }
    for (uint32_t i = 0; i < taps->step_count; i++)
        free(taps->steps[i].stage);
    free(taps->steps);
    free(taps);
}

/* ---- for the steps ---- */

bool tide_taps_armed(const struct tide_taps *taps)
{
    return taps && taps->armed > 0;
}

static void fill(double *left, double a_second, double seconds)
{
    *left += a_second * seconds;
    if (*left > a_second)
        *left = a_second;
}

/* What all taps may examine and search together is shared by those that are armed. */
static void fill_allowances(const struct tide_taps *taps, struct tap *tap, int64_t now_us)
{
    double seconds = (double)(now_us - tap->filled_us) / 1e6;
    fill(&tap->samples_left, tap->rate, seconds);
    fill(&tap->examined_left, (double)EXAMINED_A_SECOND / taps->armed, seconds);
    fill(&tap->searched_left, (double)SEARCHED_A_SECOND / taps->armed, seconds);
    tap->filled_us = now_us;
}

static bool may_look(const struct tap *tap, int messages)
{
    return tap->samples_left >= 1 && tap->examined_left >= messages && tap->searched_left > 0;
}

/* The output (row 0) belongs to no step, so only a tap of all steps has it. */
static bool concerns(const struct tap *tap, uint32_t row)
{
    return tap->armed && (tap->row == 0 || tap->row == row);
}

bool tide_taps_wanted(struct tide_taps *taps, uint32_t row)
{
    int64_t now_us = tide_clock_us();
    bool wanted = false;
    for (uint32_t i = 0; i < TIDE_TAPS; i++) {
        struct tap *tap = &taps->taps[i];
        if (!concerns(tap, row))
            continue;
        fill_allowances(taps, tap, now_us);
        tap->looks = tap->looks ? may_look(tap, 1) : may_look(tap, EXAMINED_AT_ONCE);
        wanted |= tap->looks;
    }
    return wanted;
}

void tide_taps_passed(struct tide_taps *taps, uint32_t row, uint32_t count)
{
    for (uint32_t i = 0; i < TIDE_TAPS; i++) {
        if (concerns(&taps->taps[i], row))
            taps->taps[i].counts.passed += count;
    }
}

static void add_sample(struct tide_taps *taps, struct tap *tap, const struct tide_tap_event *event)
{
    uint32_t step = 0;
    if (tap->waiting_count >= MOST_SAMPLES || tap->waiting_bytes >= MOST_SAMPLE_BYTES) {
        tap->counts.lost++;
        return;
    }
    while (event->row > 0 && step < taps->step_count && taps->steps[step].row != event->row)
        step++;
    bool known = event->row > 0 && step < taps->step_count;
    struct sample *sample = tide_alloc(sizeof(*sample));
    tide_tap_write(&sample->text, event, taps->topics, known ? step + 1 : 0,
                   known ? taps->steps[step].stage : event->stage, tap->value_limit);
    STAILQ_INSERT_TAIL(&tap->waiting, sample, next);
    tap->waiting_count++;
    tap->waiting_bytes += sample->text.length;
    tap->counts.sampled++;
}

static void look_at(struct tide_taps *taps, struct tap *tap, const struct tide_tap_event *event)
{
    int64_t searched = 0;
    tap->counts.passed++;
    if (!tap->looks)
        return;
    tap->counts.examined++;
    tap->examined_left -= 1;
    bool matches = tide_tap_matches(&tap->conditions, event, taps->topics, &searched);
    tap->searched_left -= (double)searched;
    if (matches) {
        tap->counts.matched++;
        tap->samples_left -= 1;
        add_sample(taps, tap, event);
    }
    tap->looks = may_look(tap, 1);
}

bool tide_taps_offer(struct tide_taps *taps, const struct tide_tap_event *event)
{
    bool wanted = false;
    for (uint32_t i = 0; i < TIDE_TAPS; i++) {
        struct tap *tap = &taps->taps[i];
        if (!concerns(tap, event->row))
            continue;
        look_at(taps, tap, event);
        wanted |= tap->looks;
    }
    return wanted;
}
