/* SPDX-License-Identifier: MIT
 * engine/proc/sandbox.h - what keeps user code inside its process, from TIDE_TRUST_STANDARD on: seccomp, Landlock, and what
 * a process can give up about itself. docs/security.md says which rule holds at which moment, and against whom.
 *
 * Where the plan names hosts, connections to these are made by another process (proc/connector.h).
 *
 *   moment                                         rules
 *   right after the zygote's fork, before any      no program is started, no socket made without
 *   user code                                      `network`, files only as the plan says, no signal to others, no
 *                                                  capability, no core
 *   right after a worker's fork, before `start`    in addition: no process is forked, the death with
 *                                                  the parent cannot be undone, no limit is changed, and no worker can look
 *                                                  into another
 *
 * What is refused fails with EPERM or EACCES. None of this can be undone by the process that it holds for. */
#ifndef TIDE_PROC_SANDBOX_H
#define TIDE_PROC_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

/** What this kernel can do. */
struct tide_sandbox_support {
    bool seccomp;
    uint32_t landlock; /* the version of its interface (ABI), 0 = none */
};

/** Versions of Landlock's interface from which on it has ... */
enum {
    TIDE_LANDLOCK_FILES = 1,
    TIDE_LANDLOCK_MOVES = 2, /* moving files between folders */
    TIDE_LANDLOCK_TRUNCATE = 3,
    TIDE_LANDLOCK_NETWORK = 4,
    TIDE_LANDLOCK_DEVICES = 5,
    TIDE_LANDLOCK_SIGNALS = 6 /* signals only within the sandbox */
};

void tide_sandbox_support(struct tide_sandbox_support *support);
/** What does not hold on such a kernel, as one sentence or more for a log; NULL = all holds. Valid until the next call. */
const char *tide_sandbox_gaps(const struct tide_sandbox_support *support,
                              const struct tide_plan_sandbox *plan);
/** TIDE_ECONFIG when such a kernel cannot keep what the plan asks for: TIDE_TRUST_HARDENED needs both, a list of hosts needs
 * seccomp. */
int tide_sandbox_check(const struct tide_sandbox_support *support,
                       const struct tide_plan_sandbox *plan);

/** Makes this process, which has one thread, keep the rules of the zygote. `keep` are the descriptors above 2 that stay
 * open. TIDE_OK at once under TIDE_TRUST_FULL. On failure user code must not run. */
int tide_sandbox_enter_zygote(const struct tide_plan_sandbox *plan,
                              const struct tide_sandbox_support *support, const int *keep,
                              uint32_t keep_count);
/** Makes this process keep the rules of the connector: those of a zygote that may use the network and loads nothing. */
int tide_sandbox_enter_connector(const struct tide_sandbox_support *support, const int *keep,
                                 uint32_t keep_count);
/** Adds the rules of a worker, in a process that was forked from the zygote. As above. */
int tide_sandbox_enter_worker(const struct tide_plan_sandbox *plan,
                              const struct tide_sandbox_support *support);

/** A copy of the lists and their texts, for tide_sandbox_plan_free(). */
void tide_sandbox_plan_copy(struct tide_plan_sandbox *copy, const struct tide_plan_sandbox *plan);
void tide_sandbox_plan_free(struct tide_plan_sandbox *copy);

#endif
