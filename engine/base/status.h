/* SPDX-License-Identifier: MIT
 * engine/base/status.h - how a call answers, and the text that goes with a failure.
 * A negative status is the program's exit code with a minus sign (sysexits.h, design section 6). */
#ifndef TIDE_BASE_STATUS_H
#define TIDE_BASE_STATUS_H

#include <stddef.h>

enum tide_status {
    TIDE_OK = 0,
    TIDE_BUSY = 1,         /* not now: keep what you have and call again after the next poll */
    TIDE_EUSAGE = -64,     /* the command line is wrong */
    TIDE_EDATA = -65,      /* a bad message and no dlq, or the dlq's limits reached */
    TIDE_ENOINPUT = -66,   /* no such input */
    TIDE_EUNREACHED = -69, /* the broker was not reached at start */
    TIDE_EINTERNAL = -70,  /* a bug, or a system call that must not fail */
    TIDE_ETEMPORARY = -75, /* gave up for now: starting again is right */
    TIDE_EFENCED = -76,    /* a newer instance took over: do not start again */
    TIDE_ECONFIG = -78     /* the configuration cannot work */
};

/** Keeps the text of a failure for tide_error() (this thread's, cut at 2 KiB) and returns `status`. */
int tide_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A system call failed (errno) that must not: TIDE_EINTERNAL; TIDE_ECONFIG where the limit of open files is why. The
 * text says `what` it was for. Returns the status. */
int tide_fail_system(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** The status of this thread's last tide_fail(), for what answers with NULL. */
int tide_failure(void);
/** The text of this thread's last tide_fail(); "" when there was none. Valid until the next one. */
const char *tide_error(void);

/** Zeroed memory, never NULL: out of memory ends the process with 70, or the code of tide_alloc_exit. Given back by
 * free(). */
void *tide_alloc(size_t size) __attribute__((malloc));
/** As realloc(), never NULL; new bytes are not zeroed. */
void *tide_realloc(void *memory, size_t size);
/** With what code a process leaves that is refused memory from here on. */
void tide_alloc_exit(int code);
/** A copy of `text` (NULL stays NULL). Given back by free(). */
char *tide_copy(const char *text);

/** Ends the process: a rule between modules was broken (a bug, never bad input). */
void tide_broken(const char *file, int line, const char *rule) __attribute__((noreturn));
#define tide_require(rule) ((rule) ? (void)0 : tide_broken(__FILE__, __LINE__, #rule))

#endif
