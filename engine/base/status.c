/* SPDX-License-Identifier: MIT
 * Errors are a status and one text for each thread, as with errno and strerror: callers pass the status up, and only the
 * one who reports it reads the text. Running out of memory is not an error but the end of the process: no caller could go
 * on without the memory, and a worker that ends is replaced. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static _Thread_local char error_text[2048];
static _Thread_local int error_status;

int tide_fail(int status, const char *format, ...)
{
    /* In a second buffer first, so that the old text may be an argument of the new one. */
    char text[sizeof(error_text)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    memcpy(error_text, text, sizeof(text));
    error_status = status;
    return status;
}

/* Of all that can go wrong in a call that must not fail, only the limit of open files is in the user's hands: each
 * process of a pool takes a socket pair, and each batch two blocks. So it is told apart, with the advice. */
int tide_fail_system(const char *format, ...)
{
    int number = errno;
    char what[256];
    struct rlimit limit = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (number != EMFILE)
        return tide_fail(TIDE_EINTERNAL, "%s: %s", what, strerror(number));
    getrlimit(RLIMIT_NOFILE, &limit);
    return tide_fail(TIDE_ECONFIG,
                     "%s: %s: this process may have %llu; raise the limit (ulimit -n, "
                     "LimitNOFILE= of systemd), or have fewer processes",
                     what, strerror(number), (unsigned long long)limit.rlim_cur);
}

int tide_failure(void)
{
    return error_status;
}

const char *tide_error(void)
{
    return error_text;
}

/* The code is a variable, since a worker that ends for want of memory must be known by it (proc/guard.c). */
static int out_of_memory = -TIDE_EINTERNAL;

void tide_alloc_exit(int code)
{
    out_of_memory = code;
}

/* Neither the log nor an exit handler is used, since both may ask for memory. A size of 0 is no failure: calloc and
 * realloc may return NULL for it. */
static void *or_die(void *memory, size_t size)
{
    if (!memory && size > 0) {
        fprintf(stderr, "tidemill: out of memory (%zu bytes wanted)\n", size);
        _Exit(out_of_memory);
    }
    return memory;
}

void *tide_alloc(size_t size)
{
    return or_die(calloc(1, size), size);
}

void *tide_realloc(void *memory, size_t size)
{
    return or_die(realloc(memory, size), size);
}

char *tide_copy(const char *text)
{
    return text ? or_die(strdup(text), strlen(text) + 1) : NULL;
}

/* abort() and no orderly end: an orderly end commits offsets, and after a broken rule nobody knows whether they are
 * right. */
void tide_broken(const char *file, int line, const char *rule)
{
    fprintf(stderr, "tidemill: bug: %s:%d: broken rule: %s\n", file, line, rule);
    abort();
}
