/* SPDX-License-Identifier: MIT
 * engine/base/clock.h - the two clocks. All times inside the engine are microseconds of the first. */
#ifndef TIDE_BASE_CLOCK_H
#define TIDE_BASE_CLOCK_H

#include <stdint.h>

/** CLOCK_MONOTONIC in microseconds: for deadlines, never jumps. */
int64_t tide_clock_us(void);
/** CLOCK_REALTIME in milliseconds since the epoch: for timestamps and log lines only. */
int64_t tide_clock_wall_ms(void);

/** For specs: tide_clock_us() runs ahead by so much more, so that a minute need not be waited for. */
void tide_clock_advance(int64_t by_us);
/** For the simulation: tide_clock_us() stands at `at_us` from now on (and is advanced from there); 0 = it runs again. */
void tide_clock_hold(int64_t at_us);

#endif
