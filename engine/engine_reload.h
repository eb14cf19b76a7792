/* SPDX-License-Identifier: MIT
 * engine/engine_reload.h - the states of a reload, for the files engine/engine*.c. Not for Lua. */
#ifndef TIDE_ENGINE_RELOAD_H
#define TIDE_ENGINE_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/plan.h"
#include "proc/forker.h"

struct tide_engine;
struct tide_tally;
struct tide_zygote;

/** A later revision of the transforms takes the place of the present one. `other` is the zygote of the revision that does not
 * run: of the newer one, and from LEAVING on of the older one. A zygote that is lost once it has loaded ends the run, as the
 * first one does; but not the older one in WATCHING, which is done without.
 *   state       what happens                                     next
 *   NONE        nothing                                          LOADING: tide_engine_reload
 *   LOADING     the forker forks a zygote, which loads           STARTING: it has loaded
 *                                                                NONE: it has not; or the files are the same
 *   STARTING    workers start, beside those that run             CANARY: all are ready, and a canary was asked for
 *                                                                LEAVING: all are ready: they take over, in this turn
 *                                                                WITHDRAWN: one cannot start, or the run ends
 *   CANARY      they run copies of some batches                  LEAVING: enough were run: they take over, in this turn
 *               (chain/canary.h)                                 WITHDRAWN: something speaks against them, one cannot start
 *                                                                again, or the run ends
 *   LEAVING     those before do what they were given; the new    WATCHING: all are gone
 *               ones are watched (engine_watch.c) from now on    RETURNING: they fail more than they may
 *   WATCHING    the older zygote is kept, without workers        NONE: the time of the watch has passed
 *                                                                LOADING: tide_engine_reload
 *                                                                RETURNING: the new ones fail more than they may
 *   RETURNING   workers of the older revision start              WITHDRAWN: all are ready: they take over, in this turn; or
 *                                                                one cannot start, or the run ends
 *   WITHDRAWN   those of `other` leave                           NONE: all are gone
 * Where nothing is watched (watch_us is 0), LEAVING leads to NONE, as it does when another reload was asked for meanwhile. */
enum tide_reload_state {
    TIDE_RELOAD_NONE,
    TIDE_RELOAD_LOADING,
    TIDE_RELOAD_STARTING,
    TIDE_RELOAD_CANARY,
    TIDE_RELOAD_LEAVING,
    TIDE_RELOAD_WATCHING,
    TIDE_RELOAD_RETURNING,
    TIDE_RELOAD_WITHDRAWN
};

/** What a revision is judged by. */
struct tide_watch {
    struct tide_tally
        *before; /* of each step: what the older revision has done; NULL = none was replaced yet */
    int64_t until_us;
};

struct tide_reload {
    enum tide_reload_state state;
    struct tide_zygote *other; /* NULL in NONE */
    bool again;                /* it was asked for meanwhile */
    char known[TIDE_KNOWN_BYTES];
    struct tide_canary_plan asked;  /* with the last one that was asked for ... */
    struct tide_canary_plan canary; /* ... and with the one that is under way */
    int64_t canary_until_us;        /* owned by engine_canary.c */
    struct tide_watch watch;        /* owned by engine_watch.c */
    char reason[1500];              /* RETURNING: why */
};

/* ---- engine_watch.c ---- */

/** The revision that runs now has just taken over: it is watched from here on. */
void tide_engine_watch_begin(struct tide_engine *engine);
/** The time of the watch has passed. */
bool tide_engine_watch_is_over(const struct tide_engine *engine);
/** True when a step has more failures than the plan allows (struct tide_reload_plan): `text` says how many, and names the
 * last dead letter. */
bool tide_engine_watch_fails(const struct tide_engine *engine, char *text, size_t size);

/* ---- engine_canary.c ---- */

/** Begins with reload.canary; all workers of the next revision are ready. */
void tide_engine_canary_begin(struct tide_engine *engine);
/** TIDE_OK: it has seen enough, and nothing speaks against the next revision. TIDE_BUSY: it goes on. TIDE_ECONFIG: something
 * does. */
int tide_engine_canary_look(struct tide_engine *engine);
/** Tells the log what was seen. */
void tide_engine_canary_tell(const struct tide_engine *engine);
/** Ends it, whatever it has seen. */
void tide_engine_canary_end(struct tide_engine *engine);

/* ---- engine_reload.c ---- */

/** The zygote of the other revision, whose workers are there or may come; NULL = there is none, or it has not loaded. */
struct tide_zygote *tide_engine_reload_zygote(const struct tide_engine *engine);
/** That zygote is lost, with tide_error(). True when it is not needed. */
bool tide_engine_reload_does_without(struct tide_engine *engine);
/** Gets on with the reload, if there is one. */
void tide_engine_reload_poll(struct tide_engine *engine);
void tide_engine_reload_free(struct tide_engine *engine);

#endif
