/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/output.h"
#include "base/text.h"

static enum tide_log_level shown = TIDE_LOG_INFO;
static enum tide_log_format form = TIDE_LOG_TEXT;

/* Standard error as this process writes it. */
static struct {
    pthread_mutex_t lock;
    int fd;            /* never waits; -1 = not opened yet */
    struct stat about; /* what it is open on */
    struct tide_text rest;
    size_t rest_sent;
    uint64_t lost; /* lines, since the last one that went out */
} out = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

void tide_log_setup(enum tide_log_level level, enum tide_log_format format)
{
    shown = level;
    form = format;
}

static void append_time(struct tide_text *line)
{
    int64_t now = tide_clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;
    char text[32];
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    tide_text_format(line, "%s.%03dZ", text, (int)(now % 1000));
}

/* Line breaks and escape sequences of a message must not look like lines of ours, which begin with a time: a traceback is
 * read line by line all the same. */
static void append_escaped(struct tide_text *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            tide_text_string(line, "\n    ");
        else if (c == '\t')
            tide_text_string(line, "  ");
        else if (c < 0x20 || c == 0x7F)
            tide_text_format(line, "\\x%02x", c);
        else
            tide_text_append(line, text, 1);
    }
}

/* Behind `at`: a slash and digits. NULL when there is none. */
static const char *skip_number(const char *at)
{
    size_t digits = *at == '/' ? strspn(at + 1, "0123456789") : 0;
    return digits > 0 ? at + 1 + digits : NULL;
}

static void append_place(struct tide_text *line, const char *text)
{
    size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    const char *partition = text + name, *offset = skip_number(partition);
    const char *end = offset ? skip_number(offset) : NULL;
    if (name == 0 || !end || *end != ':')
        return;
    tide_text_format(line, ",\"topic\":\"%.*s\",\"partition\":%.*s,\"offset\":%.*s", (int)name,
                     text, (int)(offset - partition) - 1, partition + 1, (int)(end - offset) - 1,
                     offset + 1);
}

/* `fields`: further members of the JSON object, or NULL. */
static void append_line(struct tide_text *line, enum tide_log_level level, const char *text,
                        const char *fields)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (form == TIDE_LOG_JSON) {
        tide_text_string(line, "{\"time\":\"");
        append_time(line);
        tide_text_format(line, "\",\"level\":\"%s\",\"message\":", names[level]);
        tide_text_json(line, text, strlen(text));
        append_place(line, text);
        if (fields)
            tide_text_format(line, ",%s", fields);
        tide_text_string(line, "}\n");
    } else {
        append_time(line);
        tide_text_format(line, " %s ", names[level]);
        append_escaped(line, text);
        tide_text_string(line, "\n");
    }
}

/* ---- standard error ---- */

/* Descriptor 2 may be another stream by now: a process that was forked has one of its own. */
static void open_output(void)
{
    struct stat now;
    if (fstat(STDERR_FILENO, &now) < 0 ||
        (out.fd >= 0 && now.st_dev == out.about.st_dev && now.st_ino == out.about.st_ino))
        return;
    if (out.fd >= 0)
        close(out.fd);
    out.fd = tide_output_duplicate(STDERR_FILENO);
    out.about = now;
    out.rest.length = out.rest_sent = 0;
}

/* The rest of a line of which only the beginning went out. True once nothing is left. */
static bool push_rest(void)
{
    size_t left = out.rest.length - out.rest_sent;
    ssize_t count = left > 0 ? tide_output_write(out.fd, out.rest.data + out.rest_sent, left) : 0;
    out.rest_sent += count > 0 ? (size_t)count : 0;
    if (out.rest_sent < out.rest.length)
        return false;
    out.rest.length = out.rest_sent = 0;
    return true;
}

/* A line goes out whole or not at all, with one write where it can, so that lines of several processes do not mix. */
static bool push(const char *bytes, size_t length)
{
    if (!push_rest())
        return false;
    ssize_t count = tide_output_write(out.fd, bytes, length);
    if (count > 0 && (size_t)count < length)
        tide_text_append(&out.rest, bytes + count, length - (size_t)count);
    return count > 0;
}

/* What standard error does not take now (nobody reads the pipe, a full disk) is lost and counted. */
static bool tell_lost(void)
{
    struct tide_text line = {0};
    char text[96];
    if (out.lost == 0)
        return true;
    snprintf(text, sizeof(text), "%llu log lines were lost: standard error did not take them",
             (unsigned long long)out.lost);
    append_line(&line, TIDE_LOG_WARN, text, NULL);
    if (push(line.data, line.length))
        out.lost = 0;
    tide_text_free(&line);
    return out.lost == 0;
}

void tide_log_bytes(const char *bytes, size_t length)
{
    pthread_mutex_lock(&out.lock);
    open_output();
    if (!tell_lost() || !push(bytes, length))
        out.lost++;
    pthread_mutex_unlock(&out.lock);
}

void tide_log_text(enum tide_log_level level, const char *text)
{
    tide_log_fields(level, text, NULL);
}

void tide_log_fields(enum tide_log_level level, const char *text, const char *fields)
{
    struct tide_text line = {0};
    if (level > shown)
        return;
    append_line(&line, level, text, fields);
    tide_log_bytes(line.data, line.length);
    tide_text_free(&line);
}

void tide_log(enum tide_log_level level, const char *format, ...)
{
    char text[2048];
    if (level > shown)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tide_log_text(level, text);
}
