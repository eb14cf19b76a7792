/* SPDX-License-Identifier: MIT
 * engine/base/status.h - how a call answers, and the text that goes with a failure.
 * A negative status is the program's exit code with a minus sign (sysexits.h). */
#ifndef TIDE_BASE_STATUS_H
#define TIDE_BASE_STATUS_H

#include <stddef.h>

enum tide_status {
    TIDE_OK = 0,
    TIDE_BUSY = 1, /* not now: the caller keeps what it has and calls again after the next poll */
    TIDE_EUSAGE = -64,     /* the command line is wrong */
    TIDE_EDATA = -65,      /* a bad message and no dlq, or the dlq's limits reached */
    TIDE_ENOINPUT = -66,   /* no such input */
    TIDE_EUNREACHED = -69, /* the broker was not reached at start */
    TIDE_EINTERNAL = -70,  /* a bug, or a system call that must not fail */
    TIDE_ETEMPORARY = -75, /* gave up for now: starting again is right */
    TIDE_EFENCED = -76,    /* a newer instance took over: do not start again */
    TIDE_ECONFIG = -78     /* the configuration cannot work */
};

/** Keeps the text of a failure for tide_error() (one for each thread, cut at 2 KiB) and returns `status`. */
int tide_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** For a system call that failed (errno) though it must not. Returns TIDE_EINTERNAL, or TIDE_ECONFIG where the limit of
 * open files is the cause. The format says what the call was for. */
int tide_fail_system(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** The status of this thread's last tide_fail(), for callers of functions that return NULL. */
int tide_failure(void);
/** The text of this thread's last tide_fail(); "" when there was none. Valid until the next one. */
const char *tide_error(void);

/** Returns zeroed memory, never NULL: out of memory ends the process with 70, or the code of tide_alloc_exit. The caller
 * frees it with free(). */
void *tide_alloc(size_t size) __attribute__((malloc));
/** As realloc(), but never NULL; new bytes are not zeroed. */
void *tide_realloc(void *memory, size_t size);
/** Sets the exit code of this process for being out of memory. */
void tide_alloc_exit(int code);
/** A copy of `text` (NULL stays NULL). The caller frees it with free(). */
char *tide_copy(const char *text);

/** Ends the process because a rule between modules was broken (a bug, never bad input). */
void tide_broken(const char *file, int line, const char *rule) __attribute__((noreturn));
#define tide_require(rule) ((rule) ? (void)0 : tide_broken(__FILE__, __LINE__, #rule))

#endif
