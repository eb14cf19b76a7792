/* SPDX-License-Identifier: MIT
 * A worker that floods its log must harm nobody: not the disk that the log is written to, nor the reader who looks for
 * something in it, nor the engine. A limit inside of the worker would hold for print() alone, and not for C code that
 * writes to descriptor 2; so the engine reads, and a worker has no other way to its standard error. One that writes faster
 * than it is read waits, as it would at a terminal. Start with tide_worker_log_read(). */
#include "proc/worker_log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/status.h"

enum {
    LINE_BYTES = 64 * 1024, /* a longer line counts as several */
    ONCE_BYTES = 256 * 1024 /* are read in one turn of the engine */
};
static const int64_t SECOND_US = 1000000;

int tide_worker_log_open(struct tide_worker_log *log, const char *who, uint32_t limit)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return tide_fail_system("a pipe for the log lines of %s", who);
    *log = (struct tide_worker_log){.engine_end = ends[0], .worker_end = ends[1], .limit = limit};
    snprintf(log->who, sizeof(log->who), "%s", who);
    fcntl(log->engine_end, F_SETFL, O_NONBLOCK);
    return TIDE_OK;
}

/* Its log waits for the engine, which reads: a line that is lost would be one that a script wrote. */
void tide_worker_log_enter(const struct tide_worker_log *log)
{
    if (log->worker_end < 0)
        return;
    dup2(log->worker_end, STDOUT_FILENO);
    dup2(log->worker_end, STDERR_FILENO);
    tide_log_wait();
}

/* A line that comes in parts, as its writer is slow, is one line of those that were dropped. */
static void pass_on(struct tide_worker_log *log, const char *bytes, size_t length)
{
    bool is_open = bytes[length - 1] != '\n', is_rest = log->within_dropped;
    log->within_dropped = false;
    if (log->lines++ >= log->limit) {
        log->dropped += !is_rest;
        log->within_dropped = is_open;
        return;
    }
    tide_log_bytes(bytes, length);
    log->within_line = is_open;
}

/* The line stands where the dropped ones would, once their second is over. */
static uint64_t end_second(struct tide_worker_log *log, int64_t now_us)
{
    uint64_t dropped = log->dropped;
    if (dropped > 0)
        tide_log(TIDE_LOG_WARN,
                 "%s wrote more than max_log_lines = %u lines in a second: %llu were dropped",
                 log->who, log->limit, (unsigned long long)dropped);
    log->second_us = now_us;
    log->lines = 0;
    log->dropped = 0;
    return dropped;
}

/* Passes on whole lines, and keeps what is left. */
static void split(struct tide_worker_log *log)
{
    char *at = log->bytes, *end = log->bytes + log->length, *newline;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        pass_on(log, at, (size_t)(newline + 1 - at));
        at = newline + 1;
    }
    if (at == log->bytes && log->length == LINE_BYTES) {
        pass_on(log, at, log->length);
        at = end;
    }
    log->length = (size_t)(end - at);
    memmove(log->bytes, at, log->length);
}

void tide_worker_log_set_readable(void *log)
{
    ((struct tide_worker_log *)log)->readable = true;
}

/* What has had no end of line since the last turn goes out as it is: a script may write a line in parts, and look at what
 * it wrote. */
uint64_t tide_worker_log_read(struct tide_worker_log *log, int64_t now_us, bool at_once)
{
    uint64_t dropped = 0;
    size_t once = 0;
    if (log->engine_end < 0)
        return 0;
    if (now_us - log->second_us >= SECOND_US)
        dropped = end_second(log, now_us);
    if (!log->readable && !at_once && log->length == 0)
        return dropped;
    log->readable = false;
    if (!log->bytes)
        log->bytes = tide_alloc(LINE_BYTES);
    while (once < ONCE_BYTES) {
        ssize_t count = read(log->engine_end, log->bytes + log->length, LINE_BYTES - log->length);
        if (count <= 0)
            break;
        once += (size_t)count;
        log->length += (size_t)count;
        split(log);
    }
    if (once == 0 && log->length > 0) {
        pass_on(log, log->bytes, log->length);
        log->length = 0;
    }
    return dropped;
}

uint64_t tide_worker_log_end(struct tide_worker_log *log, int64_t now_us)
{
    uint64_t dropped = tide_worker_log_read(log, now_us, true);
    if (log->engine_end < 0)
        return 0;
    if (log->length > 0)
        pass_on(log, log->bytes, log->length);
    if (log->within_line)
        tide_log_bytes("\n", 1);
    log->length = 0;
    log->within_line = false;
    return dropped + end_second(log, now_us);
}

void tide_worker_log_free(struct tide_worker_log *log)
{
    if (log->engine_end >= 0)
        close(log->engine_end);
    if (log->worker_end >= 0)
        close(log->worker_end);
    free(log->bytes);
    *log = (struct tide_worker_log){.engine_end = -1, .worker_end = -1};
}
