/* SPDX-License-Identifier: MIT
 * simulate [--seed N] [--steps N] [--seeds N] [--changelog] [--verbose] runs one seed after the other, from --seed (1) on,
 * until --steps (10^6) or --seeds are done, and prints a summary. --changelog: only those that draw changelogs. On a failure it prints the rule, the seed and what the seed
 * draws, and ends with 1. --verbose shows the settings and what the engine logs. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* A contract between modules was broken (tide_require), or worse. */
static void died(int number)
{
    sim_fail("the engine died of signal %d (%s)", number, strsignal(number));
}

int main(int count, char **arguments)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"steps", required_argument, NULL, 'n'},
                                            {"seeds", required_argument, NULL, 'c'},
                                            {"changelog", no_argument, NULL, 'l'},
                                            {"timers", no_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    unsigned long long seed = 1, first, steps = 1000000, seeds = 0;
    bool verbose = false, changelog = false, timers = false;
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (option == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (option == 'n')
            steps = strtoull(optarg, NULL, 10);
        else if (option == 'c')
            seeds = strtoull(optarg, NULL, 10);
        else if (option == 'l')
            changelog = true;
        else if (option == 't')
            timers = true;
        else if (option == 'v')
            verbose = true;
        else
            return 64;
    }
    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    if (!verbose && !freopen("/dev/null", "w", stderr)) /* the engine logs each fault */
        return 70;
    first = seed;
    while (seeds > 0 ? seed < first + seeds : sim.steps < steps) {
        sim_draw(seed);
        if ((sim.set.has_changelog || !changelog) && (sim.set.has_timers || !timers))
            sim_run(seed, verbose);
        seed++;
    }
    printf("%llu steps, %llu seeds from %llu on\n", (unsigned long long)sim.steps, seed - first,
           first);
    return 0;
}
