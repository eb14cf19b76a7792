/* SPDX-License-Identifier: MIT
 * engine/proc/forker.h - the forker: a process that runs no user code, and forks the zygote of each later revision of the
 * transforms. The engine cannot, since it has threads of librdkafka and secrets by then; the zygote that is there cannot,
 * since it has run user code. So the forker is forked with the first zygote, is a copy of the engine as it was at that
 * moment, and waits.
 *
 *   state      who       what                                             next
 *   WAITING    forker    waits for a request                              FORKING: there is one; it ends when the engine has
 *   FORKING    forker    forks a zygote, the child of the engine          WAITING: answers with its process id
 *                        (CLONE_PARENT): the engine waits for it, and
 *                        dies before it, as with the first one
 *
 *   from       to        what               with
 *   engine     forker    request            two descriptors: the zygote's end of its socket pair, and of its log
 *   forker     engine    answer             the process id, or errno of the fork
 *
 * The connector's channel of the zygote is that of the first one: the forker keeps it open, and each zygote that it forks
 * has it. What belongs to worker slots it does not have (proc/spawn.c). */
#ifndef TIDE_PROC_FORKER_H
#define TIDE_PROC_FORKER_H

#include <stdint.h>

struct tide_forker;
struct tide_zygote;

enum { TIDE_KNOWN_BYTES = 64 }; /* of the mark of what is loaded now, with the NUL */

struct tide_forker_request {
    uint32_t revision;
    char known[TIDE_KNOWN_BYTES];
};

struct tide_forker_answer {
    int32_t pid; /* -1: fork failed */
    int32_t problem;
};

/** Forks the forker, while this process has one thread; zygote->forker is set in both. Returns as fork(): 0 in the forker,
 * which frees what it does not need and calls tide_forker_serve. */
int tide_forker_fork(struct tide_zygote *zygote);
/** In the forker: closes what zygotes do not need, and forks one for each request. Returns in each of these only; it ends with
 * the engine. */
void tide_forker_serve(struct tide_zygote *zygote);
/** In the engine: has a zygote forked. It may have no other request on its way. TIDE_ETEMPORARY: the forker is gone. */
int tide_forker_ask(struct tide_forker *forker, const struct tide_forker_request *request,
                    int zygote_end, int log_end);
/** In the engine: TIDE_OK when the forker has answered with a process id. TIDE_BUSY: not yet; TIDE_ETEMPORARY: fork failed, or
 * the forker is gone. */
int tide_forker_answer(struct tide_forker *forker, int32_t *pid);
int32_t tide_forker_pid(const struct tide_forker *forker);
/** Ends the forker. NULL is fine. */
void tide_forker_free(struct tide_forker *forker);

#endif
