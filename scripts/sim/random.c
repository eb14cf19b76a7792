/* SPDX-License-Identifier: MIT
 * Random numbers: a xorshift generator for the events of a run, and a hash (sim_mix) where the same question must get the
 * same answer each time, as how a transform behaves on an item. */
#include "sim.h"

uint32_t sim_roll(uint32_t below)
{
    sim.random ^= sim.random >> 12;
    sim.random ^= sim.random << 25;
    sim.random ^= sim.random >> 27;
    return (uint32_t)(((sim.random * 0x2545F4914F6CDD1DULL >> 32) * below) >> 32);
}

bool sim_chance(uint32_t rate)
{
    return rate > 0 && sim_roll(RATE_ALWAYS) < rate;
}

bool sim_fault(uint32_t rate)
{
    return !sim.calm && sim_chance(rate);
}

static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return x ^ x >> 31;
}

uint64_t sim_mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return scramble(scramble(scramble(scramble(a + 0x9E3779B97F4A7C15ULL) + b) + c) + d);
}
