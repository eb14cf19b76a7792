/* SPDX-License-Identifier: MIT
 * The clocks. Specs and the simulation move the monotonic one, so that a time-out of a minute is tested in no time;
 * nothing else in the engine reads CLOCK_MONOTONIC for its deadlines. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/fault.h"

#define DAY_MS ((int64_t)86400000) /* by which a spec lets the wall clock jump */
#define JUMP_MS ((int64_t)60000)   /* by less it is adjusted, and has not jumped */
#define PATIENCE_US ((int64_t)300000000)

/* Other threads read the clock while a spec moves it. */
static _Atomic int64_t ahead_us;
static _Atomic int64_t held_us; /* the moment at which the clock is held; 0 = it runs */

/* The times in us are of CLOCK_BOOTTIME. */
static struct {
    int64_t first_us; /* when it was asked for first */
    int64_t wall_ms;  /* CLOCK_REALTIME when it was believed last */
    int64_t at_us;    /* when that was; 0 = never */
    int64_t since_us; /* when it was seen to have jumped; 0 = it has not */
    int64_t off_ms;   /* tide_clock_disbelief_ms() */
} day;

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    int64_t held = atomic_load_explicit(&held_us, memory_order_relaxed);
    int64_t ahead = atomic_load_explicit(&ahead_us, memory_order_relaxed);
    if (held > 0)
        return held + ahead;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + ahead;
}

int64_t tide_clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void tide_clock_advance(int64_t by_us)
{
    ahead_us += by_us;
    if (day.at_us > 0)
        day.at_us += by_us;
}

void tide_clock_hold(int64_t at_us)
{
    held_us = at_us;
    ahead_us = 0;
    day.at_us = 0;
}

int64_t tide_clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t jump_ms = (tide_fault("clock.forward") ? DAY_MS : 0) -
                      (tide_fault("clock.back") ? DAY_MS : 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + jump_ms;
}

/* The clock of boot time counts the time in which the machine was suspended, so that is no jump. */
int64_t tide_clock_day_ms(void)
{
    int64_t now_us = read_us(CLOCK_BOOTTIME), wall_ms = tide_clock_wall_ms();
    int64_t expected_ms = day.wall_ms + (now_us - day.at_us) / 1000;
    if (day.at_us == 0)
        day.first_us = now_us;
    day.off_ms = wall_ms - expected_ms;
    if (now_us - day.first_us >= PATIENCE_US && (day.off_ms > JUMP_MS || day.off_ms < -JUMP_MS)) {
        if (day.since_us == 0)
            day.since_us = now_us;
        if (now_us - day.since_us < PATIENCE_US)
            return expected_ms;
    }
    day.wall_ms = wall_ms;
    day.at_us = now_us;
    day.since_us = day.off_ms = 0;
    return wall_ms;
}

int64_t tide_clock_latest_ms(void)
{
    int64_t day_ms = tide_clock_day_ms();
    return day.off_ms > 0 ? day_ms + day.off_ms : day_ms;
}

int64_t tide_clock_disbelief_ms(void)
{
    return day.off_ms;
}

int64_t tide_clock_thread_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
