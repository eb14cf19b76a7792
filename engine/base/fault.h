/* SPDX-License-Identifier: MIT
 * engine/base/fault.h - named fault points, at which a test lets something go wrong. In a release build a point is the
 * constant false, and its name is in no file; `make faults` builds a second program with them, build/faults/tidemill
 * (specs: TIDE_BUILD=build/faults).
 *
 *     tide_fault("pool.give");                                  acts: kill9, delay, ...
 *     pid = tide_fault("z.fork") ? -1 : fork();                 true with errno set: errno
 *     if (ours(partition) || tide_fault("bug.commit_after_revoke"))   true: bug, a planted mistake
 *
 * The environment variable TIDE_FAULTS, or tide_fault_arm(), tells which fault happens at which point:
 *
 *     name=hit:action[,name=hit:action]...        w.before_call=3:kill9,z.fork=1+:errno:11
 *
 * `hit` counts the passes through the point, from 1, over all processes that were forked from this one (zygote, workers):
 * so "=3:kill9" happens once, however often a worker is replaced. "3+" is the third pass and all that follow.
 *   kill9, stop, segv, abort   the signal, to the process that passes
 *   exit:CODE                  _exit
 *   delay:MS                   sleeps
 *   oom                        allocates until memory is refused, at most 1 GiB, then leaves as tide_alloc does
 *   errno:NUMBER               the point is true, and errno is set
 *   bug                        the point is true, at this hit and at all that follow
 *   gate:PATH                  makes the file PATH.reached, and waits until the file PATH is there
 *   shut:PATH                  the point is true, at this hit and at all that follow, until the file PATH is there
 * A name is a literal, module.point, and stands at one point of the code; planted mistakes are named bug.what. */
#ifndef TIDE_BASE_FAULT_H
#define TIDE_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TIDE_FAULTS
#define tide_fault(name) tide_fault_pass(name)
#else
#define tide_fault(name) __extension__({ false; })
#endif

/* These exist only in a library that was built with FAULTS=1: */

/** What tide_fault() calls there. */
bool tide_fault_pass(const char *name);
/** Replaces all armed faults by `faults` (as TIDE_FAULTS; "" = none) and counts hits from 1 again, in every process that
 * shares the table. TIDE_EUSAGE with tide_error() when the text is malformed. */
int tide_fault_arm(const char *faults);
/** How many passes there were through an armed point; -1 when it is not armed. */
int64_t tide_fault_hits(const char *name);

#endif
