/* SPDX-License-Identifier: MIT
 * engine/proc/worker_log.h - what a worker writes to standard output and error, its own log lines included. It comes to the
 * engine through a pipe, which passes on so many lines a second and drops the rest: so the limit holds for C code too,
 * and one line says how many were dropped. The zygote has such a pipe as well, so that code which is loaded cannot change
 * the engine's own standard error (empty the file that it is, or make it not wait). A worker without a limit has no pipe of
 * its own, and writes to the zygote's. */
#ifndef TIDE_PROC_WORKER_LOG_H
#define TIDE_PROC_WORKER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero it, with both ends -1, to begin with. */
struct tide_worker_log {
    int engine_end; /* -1 = closed */
    int worker_end;
    char who[24];      /* whose lines these are */
    uint32_t limit;    /* lines in a second */
    int64_t second_us; /* when the present second began */
    uint32_t lines;    /* passed on in it */
    uint64_t dropped;  /* in it */
    char *bytes;       /* of a line whose end has not come; NULL until the first */
    size_t length;
    bool readable;
    bool within_line;    /* what was passed on last had no end of line */
    bool within_dropped; /* what was dropped last had none: the line is counted */
};

/** Makes the pipe; before the fork. `who` is cut at 23 bytes. TIDE_OK or a failure. */
int tide_worker_log_open(struct tide_worker_log *log, const char *who, uint32_t limit);
/** In the worker or the zygote: its standard output and error are the pipe from now on. */
void tide_worker_log_enter(const struct tide_worker_log *log);
/** In the engine: there may be something to read. */
void tide_worker_log_set_readable(void *log);
/** In the engine: passes on what is there, never waiting. Without `at_once` only where there is something by
 * tide_worker_log_set_readable. Returns how many lines were dropped. */
uint64_t tide_worker_log_read(struct tide_worker_log *log, int64_t now_us, bool at_once);
/** The worker is gone: also what has no end of line is passed on, and what was dropped is said. Returns as above. */
uint64_t tide_worker_log_end(struct tide_worker_log *log, int64_t now_us);
/** Closes what is open of it. */
void tide_worker_log_free(struct tide_worker_log *log);

#endif
