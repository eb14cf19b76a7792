/* SPDX-License-Identifier: MIT
 * engine/proc/profile.h - asking one worker of a pool for a profile of the user's code. Only that worker is slowed, and only
 * while it samples; the engine never waits for it. What it answers is text by a worker, which nobody may trust: the engine
 * only hands it on.
 *
 * States of the profile of a worker slot:
 *   state      what happens                                 next
 *   NONE       nothing                                      SAMPLING, by begin
 *   SAMPLING   the worker was ordered to sample             ENDING, by end; ABANDONED, by forget
 *   ENDING     it was ordered to answer                     DONE by its last piece; ABANDONED, by forget
 *   DONE       the text is here                             NONE, by forget
 *   ABANDONED  nobody wants the answer; pieces are dropped  NONE by the last piece
 * In SAMPLING, ENDING and ABANDONED the profile is LOST once the worker is gone; NONE, by forget, or by begin. */
#ifndef TIDE_PROC_PROFILE_H
#define TIDE_PROC_PROFILE_H

#include <stddef.h>
#include <stdint.h>

enum tide_profile_state {
    TIDE_PROFILE_NONE,
    TIDE_PROFILE_SAMPLING,
    TIDE_PROFILE_ENDING,
    TIDE_PROFILE_DONE,
    TIDE_PROFILE_ABANDONED,
    TIDE_PROFILE_LOST
};

#endif
