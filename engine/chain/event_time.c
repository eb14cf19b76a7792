/* SPDX-License-Identifier: MIT
 * Reads the time of a message, in C, since the engine has to know it before any worker sees the message. Start reading at
 * tide_event_time_read. */
#include "chain/event_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/status.h"
#include "chain/lane_key.h"

enum { LONGEST = 40 /* bytes of a time */ };

struct tide_event_time {
    enum tide_step_time by;
    uint32_t unit_ms;
    char *name;
    struct tide_lane_key *where; /* HEADER, JSON: finds its text */
    char problem[260];
};

struct tide_event_time *tide_event_time_new(enum tide_step_time by, const char *name,
                                            uint32_t unit_ms)
{
    struct tide_event_time *time = tide_alloc(sizeof(*time));
    time->by = by;
    time->unit_ms = unit_ms;
    time->name = tide_copy(name);
    if (by != TIDE_TIME_OF_MESSAGE)
        time->where = tide_lane_key_new(by == TIDE_TIME_OF_JSON ? TIDE_BY_JSON : TIDE_BY_HEADER,
                                        name);
    return time;
}

void tide_event_time_free(struct tide_event_time *time)
{
    if (!time)
        return;
    tide_lane_key_free(time->where);
    free(time->name);
    free(time);
}

/* ---- texts ---- */

/* So many digits at *text, which goes on behind them. -1 = they are not there. */
static int digits(const char **text, int count)
{
    int number = 0;
    for (; count > 0; count--, (*text)++) {
        if (**text < '0' || **text > '9')
            return -1;
        number = number * 10 + (**text - '0');
    }
    return number;
}

static bool pass(const char **text, const char *any)
{
    if (!**text || !strchr(any, **text))
        return false;
    (*text)++;
    return true;
}

static int64_t fraction_ms(const char **text)
{
    int64_t ms = 0, unit = 100;
    while (**text >= '0' && **text <= '9') {
        ms += (*(*text)++ - '0') * unit;
        unit /= 10;
    }
    return ms;
}

/* How far it is ahead of UTC; false = that is malformed. */
static bool zone_of(const char **text, int64_t *seconds)
{
    *seconds = 0;
    if (pass(text, "Zz"))
        return true;
    int sign = **text == '-' ? -1 : 1;
    if (!pass(text, "+-"))
        return false;
    int hours = digits(text, 2);
    bool colon = pass(text, ":");
    int minutes = digits(text, 2);
    *seconds = (int64_t)sign * (hours * 60 + minutes) * 60;
    return colon && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

/* timegm() takes a day that is not there for one of the next month: so it is asked for the day again. */
static bool parse_date(const char *text, int64_t *time_ms)
{
    struct tm parts = {0};
    int64_t ms = 0, zone = 0;
    int year = digits(&text, 4), month, day, hour, minute, second;
    bool fits = pass(&text, "-");
    month = digits(&text, 2);
    fits = fits && pass(&text, "-");
    day = digits(&text, 2);
    fits = fits && pass(&text, "Tt ");
    hour = digits(&text, 2);
    fits = fits && pass(&text, ":");
    minute = digits(&text, 2);
    fits = fits && pass(&text, ":");
    second = digits(&text, 2);
    if (!fits || year < 0 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60)
        return false;
    if (pass(&text, ".,"))
        ms = fraction_ms(&text);
    if (!zone_of(&text, &zone) || *text)
        return false;
    parts = (struct tm){.tm_year = year - 1900,
                        .tm_mon = month - 1,
                        .tm_mday = day,
                        .tm_hour = hour,
                        .tm_min = minute,
                        .tm_sec = second};
    int64_t seconds = timegm(&parts);
    *time_ms = (seconds - zone) * 1000 + ms;
    return parts.tm_mon == month - 1;
}

bool tide_event_time_parse(const char *text, uint32_t length, uint32_t unit_ms, int64_t *time_ms)
{
    char copy[LONGEST + 1], *end;
    double number;
    if (length == 0 || length > LONGEST || memchr(text, 0, length))
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    if (!parse_date(copy, time_ms)) {
        if (strspn(copy, "0123456789.eE+") != length)
            return false;
        number = strtod(copy, &end) * unit_ms;
        if (*end || !(number < 9007199254740992.0))
            return false;
        *time_ms = (int64_t)floor(number);
    }
    return *time_ms >= 1 && *time_ms < (int64_t)1 << 53;
}

/* ---- messages ---- */

const char *tide_event_time_read(struct tide_event_time *time, const struct tide_message *message,
                                 int64_t *time_ms)
{
    const char *text = NULL;
    uint32_t length = 0;
    if (time->by == TIDE_TIME_OF_MESSAGE) {
        *time_ms = message->timestamp;
        return *time_ms >= 1 ? NULL
                             : "the message has no timestamp: option \"time\" may name a field, as "
                               "\"json:ts\"";
    }
    const char *kind = time->by == TIDE_TIME_OF_JSON ? "json" : "header";
    if (!tide_lane_key_read(time->where, message, &text, &length))
        snprintf(time->problem, sizeof(time->problem),
                 "the message has no time (option \"time\"): %.200s",
                 tide_lane_key_missing(time->where, message));
    else if (!tide_event_time_parse(text, length, time->unit_ms, time_ms))
        snprintf(
            time->problem, sizeof(time->problem),
            "\"%.*s\" at %s:%.60s is no time: a number above 0, or a text as 2026-01-31T12:00:00Z",
            length < 40 ? (int)length : 40, text, kind, time->name);
    else
        return NULL;
    return time->problem;
}
