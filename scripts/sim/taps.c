/* SPDX-License-Identifier: MIT
 * Somebody who looks on: in half of all runs a tap sees every message that goes through the steps, whatever workers do to
 * their blocks meanwhile. It must change nothing, and each sample must be whole. It is armed and disarmed at any moment;
 * when, is drawn by sim_mix, so that seeds which were kept before draw what they drew. */
#include <string.h>

#include "base/status.h"
#include "chain/tap.h"
#include "sim.h"

enum { TOGGLED_ONE_IN = 64, ALL_OF_THEM = 1000000 };

static bool begins(const struct tide_tap_sample *sample, const char *text)
{
    size_t length = strlen(text);
    return sample->length > length && memcmp(sample->text, text, length) == 0;
}

static void take_samples(struct tide_taps *taps)
{
    struct tide_tap_sample sample;
    struct tide_tap_counts counts;
    while (tide_taps_take(taps, sim.tap, &sample)) {
        if (!begins(&sample, "{\"step\":") || memcmp(sample.text + sample.length - 2, "]}", 2) != 0)
            sim_fail("a sample is not whole: %.*s", (int)sample.length, sample.text);
    }
    tide_taps_counts(taps, sim.tap, &counts);
    if (counts.examined > counts.passed || counts.sampled + counts.lost != counts.matched)
        sim_fail("a tap counts %llu examined of %llu passed, %llu sampled and %llu lost of %llu",
                 (unsigned long long)counts.examined, (unsigned long long)counts.passed,
                 (unsigned long long)counts.sampled, (unsigned long long)counts.lost,
                 (unsigned long long)counts.matched);
}

void sim_look_on(void)
{
    struct tide_taps *taps = tide_engine_taps(sim.engine);
    const struct tide_tap_plan plan = {.rate = ALL_OF_THEM, .value_limit = 64};
    if (sim_mix(sim.set.seed, 14, 0, 0) % 2)
        return;
    if (sim.tap > 0)
        take_samples(taps);
    if (sim.tap > 0 && sim_mix(sim.set.seed, 15, sim.resizes, 0) % TOGGLED_ONE_IN)
        return;
    if (sim.tap > 0)
        tide_taps_disarm(taps, sim.tap);
    sim.tap = tide_taps_arm(taps, &plan);
    if (sim.tap < 0)
        sim_fail("no tap can be armed: %s", tide_error());
}
