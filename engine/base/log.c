/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static enum tide_log_level shown = TIDE_LOG_INFO;
static enum tide_log_format form = TIDE_LOG_TEXT;

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

/* Line breaks and escape sequences of a message must not look like lines of ours. */
static void append_escaped(struct tide_text *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7F)
            tide_text_format(line, "\\x%02x", c);
        else
            tide_text_append(line, text, 1);
    }
}

void tide_log_text(enum tide_log_level level, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (level > shown)
        return;
    struct tide_text line = {0};
    if (form == TIDE_LOG_JSON) {
        tide_text_string(&line, "{\"time\":\"");
        append_time(&line);
        tide_text_format(&line, "\",\"level\":\"%s\",\"message\":", names[level]);
        tide_text_json(&line, text, strlen(text));
        tide_text_string(&line, "}\n");
    } else {
        append_time(&line);
        tide_text_format(&line, " %s ", names[level]);
        append_escaped(&line, text);
        tide_text_string(&line, "\n");
    }
    /* One write a line, so that lines of several processes do not mix. A full disk loses the line. */
    ssize_t written = write(STDERR_FILENO, line.data, line.length);
    (void)written;
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
