/* SPDX-License-Identifier: MIT
 * engine/base/clock.h - the clocks. All times inside the engine are microseconds of tide_clock_us(). */
#ifndef TIDE_BASE_CLOCK_H
#define TIDE_BASE_CLOCK_H

#include <stdint.h>

/** CLOCK_MONOTONIC in microseconds. It never jumps: for deadlines. */
int64_t tide_clock_us(void);
/** CLOCK_REALTIME in milliseconds since the epoch. It may jump: for timestamps and log lines. */
int64_t tide_clock_wall_ms(void);
/** CLOCK_REALTIME too, for what the time of day decides (ttl, clock_after, max_ahead). When it jumps by more than a minute
 * against CLOCK_BOOTTIME, this goes on as before for five minutes, so that a clock that is put right by then has decided
 * nothing; after that it jumps, too. In the five minutes after the first call it jumps at once: a clock is often put right
 * just after a start. In one thread alone. */
int64_t tide_clock_day_ms(void);
/** The later one of tide_clock_day_ms() and CLOCK_REALTIME: where to take a time for too late would do harm. */
int64_t tide_clock_latest_ms(void);
/** Milliseconds by which CLOCK_REALTIME was ahead of tide_clock_day_ms() (below 0: behind) when that was last called; 0: it
 * was believed. */
int64_t tide_clock_disbelief_ms(void);
/** Microseconds of the processor that the calling thread has had. */
int64_t tide_clock_thread_us(void);

/** For specs: sets tide_clock_us() forward by `by_us`, which is no jump of CLOCK_REALTIME. It adds up. */
void tide_clock_advance(int64_t by_us);
/** For the simulation: holds tide_clock_us() at `at_us`, to be advanced from there; 0 lets it run again. */
void tide_clock_hold(int64_t at_us);

#endif
