/* SPDX-License-Identifier: MIT
 * Log lines. Who reads standard error may stop reading (a pipe to a stopped pager, a full disk), and the engine must not
 * stop with it: so it writes to a descriptor of its own that never blocks, loses lines that are not taken, and says later
 * how many. syslog() and stdio were not taken: both wait. Start with tide_log_bytes(). */
#include "base/log.h"

#include <errno.h>
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

static enum tide_log_level max_level = TIDE_LOG_INFO;
static enum tide_log_format line_format = TIDE_LOG_TEXT;
static unsigned of_engine; /* 0 = lines name none */
static bool waits;

/* Standard error as this process writes it. */
static struct {
    pthread_mutex_t lock;
    int fd;                /* never blocks; -1 = not opened yet */
    struct stat about;     /* the stream that it is open on */
    struct tide_text rest; /* of a line that went out in part */
    size_t rest_sent;
    uint64_t lost; /* lines, since the last one that was written */
} out = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

void tide_log_setup(enum tide_log_level level, enum tide_log_format format)
{
    max_level = level;
    line_format = format;
}

void tide_log_engine(unsigned engine)
{
    of_engine = engine;
}

void tide_log_wait(void)
{
    waits = true;
    if (out.fd >= 0)
        close(out.fd);
    out.fd = -1;
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

/* No message may forge a log line, or send commands to a terminal. Line breaks stay, indented, since a traceback is read
 * line by line: a line of ours begins with a time. */
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

/* Skips a slash and digits. NULL when they are not there. */
static const char *skip_number(const char *at)
{
    size_t digits = *at == '/' ? strspn(at + 1, "0123456789") : 0;
    return digits > 0 ? at + 1 + digits : NULL;
}

/* A text that begins with TOPIC/PARTITION/OFFSET gives them as fields, so that a log store can search for them. */
static void append_origin(struct tide_text *line, const char *text)
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
    if (line_format == TIDE_LOG_JSON) {
        tide_text_string(line, "{\"time\":\"");
        append_time(line);
        tide_text_format(line, "\",\"level\":\"%s\"", names[level]);
        if (of_engine > 0)
            tide_text_format(line, ",\"engine\":%u", of_engine);
        tide_text_string(line, ",\"message\":");
        tide_text_json(line, text, strlen(text));
        append_origin(line, text);
        if (fields)
            tide_text_format(line, ",%s", fields);
        tide_text_string(line, "}\n");
    } else {
        append_time(line);
        tide_text_format(line, " %s ", names[level]);
        if (of_engine > 0)
            tide_text_format(line, "engine %u: ", of_engine);
        append_escaped(line, text);
        tide_text_string(line, "\n");
    }
}

/* ---- standard error ---- */

/* Opens it again when descriptor 2 is another stream by now, as in a process that was forked and redirected. Who waits
 * writes to descriptor 2 itself. */
static void open_stream(void)
{
    struct stat now;
    if (waits || fstat(STDERR_FILENO, &now) < 0 ||
        (out.fd >= 0 && now.st_dev == out.about.st_dev && now.st_ino == out.about.st_ino))
        return;
    if (out.fd >= 0)
        close(out.fd);
    out.fd = tide_output_duplicate(STDERR_FILENO);
    out.about = now;
    out.rest.length = out.rest_sent = 0;
}

/* Writes the rest of a line that went out in part. True once nothing is left. It comes before any other line, which the
 * reader would otherwise take for the end of this one. */
static bool write_rest(void)
{
    size_t left = out.rest.length - out.rest_sent;
    ssize_t count = left > 0 ? tide_output_write(out.fd, out.rest.data + out.rest_sent, left) : 0;
    out.rest_sent += count > 0 ? (size_t)count : 0;
    if (out.rest_sent < out.rest.length)
        return false;
    out.rest.length = out.rest_sent = 0;
    return true;
}

/* Where the engine reads what is written (proc/worker_log.h). */
static bool write_waiting(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = write(STDERR_FILENO, bytes, length);
        if (count < 0 && errno != EINTR)
            return false;
        bytes += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* A line goes out whole or not at all, with one write() where possible, so that lines of several processes do not mix. */
static bool write_line(const char *bytes, size_t length)
{
    if (waits)
        return write_waiting(bytes, length);
    if (!write_rest())
        return false;
    ssize_t count = tide_output_write(out.fd, bytes, length);
    if (count > 0 && (size_t)count < length)
        tide_text_append(&out.rest, bytes + count, length - (size_t)count);
    return count > 0;
}

/* Says how many lines were lost, once standard error takes lines again. False while it does not. It is called before
 * the next line is written, so the number stands where the lines are missing. */
static bool report_lost(void)
{
    struct tide_text line = {0};
    char text[96];
    if (out.lost == 0)
        return true;
    snprintf(text, sizeof(text), "%llu log lines were lost: standard error did not take them",
             (unsigned long long)out.lost);
    append_line(&line, TIDE_LOG_WARN, text, NULL);
    if (write_line(line.data, line.length))
        out.lost = 0;
    tide_text_free(&line);
    return out.lost == 0;
}

/* The lock is there because librdkafka's threads log too (kafka/client.c). Nobody waits for it long, as no write under
 * it waits. */
void tide_log_bytes(const char *bytes, size_t length)
{
    pthread_mutex_lock(&out.lock);
    open_stream();
    if (!report_lost() || !write_line(bytes, length))
        out.lost++;
    pthread_mutex_unlock(&out.lock);
}

void tide_log_text(enum tide_log_level level, const char *text)
{
    tide_log_fields(level, text, NULL);
}

/* The level is looked at before anything is formatted, here and in tide_log(): a line that nobody wants costs a
 * comparison. */
void tide_log_fields(enum tide_log_level level, const char *text, const char *fields)
{
    struct tide_text line = {0};
    if (level > max_level)
        return;
    append_line(&line, level, text, fields);
    tide_log_bytes(line.data, line.length);
    tide_text_free(&line);
}

void tide_log(enum tide_log_level level, const char *format, ...)
{
    char text[2048];
    if (level > max_level)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tide_log_text(level, text);
}
