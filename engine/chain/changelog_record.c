/* SPDX-License-Identifier: MIT
 * Writes and reads the value of a changelog's record, with the two numbers of its line by hand: every change of state comes
 * through here, and when a partition is restored each record of its changelog. */
#include "chain/changelog_record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "shm/layout.h"
#include "store/store.h"

static const struct {
    const char *name;
    uint32_t length;
} kinds[] = {
    [TIDE_STATE_NONE] = {"none ", 5},
    [TIDE_STATE_STRING] = {"string ", 7},
    [TIDE_STATE_NUMBER] = {"number ", 7},
    [TIDE_STATE_JSON] = {"json ", 5},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), DIGITS = 24 };
static const double EXACT = 9007199254740992.0; /* 2^53 */

static void append_integer(struct tide_text *text, int64_t number)
{
    char digits[DIGITS], *at = digits + DIGITS;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (number < 0)
        *--at = '-';
    tide_text_append(text, at, (size_t)(digits + DIGITS - at));
}

/* 17 digits are enough for each double to be read back as it was (C11, 5.2.4.2.2: DBL_DECIMAL_DIG). */
static void append_number(struct tide_text *text, const char *bytes)
{
    double number;
    memcpy(&number, bytes, sizeof(number));
    if (fabs(number) < EXACT && number == (double)(int64_t)number &&
        !(number == 0 && signbit(number)))
        append_integer(text, (int64_t)number);
    else
        tide_text_format(text, "%.17g", number);
}

void tide_changelog_write(struct tide_text *text, const struct tide_store_value *value,
                          int64_t offset)
{
    uint32_t kind = value->kind & ~(uint32_t)TIDE_STATE_TIMED;
    uint32_t timed = value->kind & TIDE_STATE_TIMED ? TIDE_STORE_TIMER : 0;
    text->length = 0;
    tide_text_append(text, kinds[kind].name, kinds[kind].length);
    append_integer(text, value->expires_ms);
    tide_text_append(text, " ", 1);
    append_integer(text, offset);
    if (timed > 0 && !tide_fault("bug.timer_not_restored")) {
        int64_t timer;
        memcpy(&timer, value->bytes, sizeof(timer));
        tide_text_append(text, " ", 1);
        append_integer(text, timer);
    }
    tide_text_append(text, "\n", 1);
    if (kind == TIDE_STATE_NUMBER)
        append_number(text, value->bytes + timed);
    else
        tide_text_append(text, value->bytes + timed, value->length - timed);
}

/* Reads an integer; the address after the character that ends it, which is in `stop`, or NULL. */
static const char *read_integer(const char *at, const char *end, char *stop, int64_t *number)
{
    bool negative = at < end && *at == '-';
    const char *first = at += negative;
    uint64_t value = 0;
    for (; at < end && at - first < 19 && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (at == first || at == end || value > (uint64_t)INT64_MAX + negative)
        return NULL;
    *number = (int64_t)(negative ? 0 - value : value);
    *stop = *at;
    return at + 1;
}

static bool read_number(const char *at, const char *end, double *number)
{
    char text[40], *after;
    size_t length = (size_t)(end - at);
    int64_t integer = 0;
    bool small = length > 0 && length < 16;
    for (size_t i = 0; small && i < length; i++) {
        small = at[i] >= '0' && at[i] <= '9';
        integer = integer * 10 + (at[i] - '0');
    }
    if (small) {
        *number = (double)integer;
        return true;
    }
    if (length == 0 || length >= sizeof(text))
        return false;
    memcpy(text, at, length);
    text[length] = 0;
    *number = strtod(text, &after);
    return after == text + length;
}

/* The line up to its end; NULL = it is malformed. */
static const char *read_line(const char *at, const char *end, struct tide_store_value *value,
                             int64_t *offset, int64_t *timer, bool *timed)
{
    char stop = 0;
    at = read_integer(at, end, &stop, &value->expires_ms);
    if (!at || stop != ' ' || value->expires_ms < 0)
        return NULL;
    at = read_integer(at, end, &stop, offset);
    *timed = at && stop == ' ';
    if (*timed)
        at = read_integer(at, end, &stop, timer);
    return at && stop == '\n' && *offset >= 0 ? at : NULL;
}

bool tide_changelog_parse(const char *bytes, uint32_t length, struct tide_store_value *value,
                          int64_t *offset, struct tide_text *room)
{
    const char *at, *end = bytes + length;
    uint32_t kind = TIDE_STATE_NONE;
    int64_t timer;
    double number;
    bool timed;
    while (kind < KINDS && (length < kinds[kind].length ||
                            memcmp(bytes, kinds[kind].name, kinds[kind].length) != 0))
        kind++;
    if (kind == KINDS ||
        !(at = read_line(bytes + kinds[kind].length, end, value, offset, &timer, &timed)) ||
        (kind == TIDE_STATE_NONE && (!timed || at < end)) ||
        (kind == TIDE_STATE_NUMBER && !read_number(at, end, &number)) ||
        end - at > TIDE_STORE_VALUE)
        return false;
    value->kind = kind | (timed ? (uint32_t)TIDE_STATE_TIMED : 0);
    value->bytes = at;
    value->length = (uint32_t)(end - at);
    if (!timed && kind != TIDE_STATE_NUMBER)
        return true;
    room->length = 0;
    if (timed)
        tide_text_append(room, &timer, sizeof(timer));
    if (kind == TIDE_STATE_NUMBER)
        tide_text_append(room, &number, sizeof(number));
    else
        tide_text_append(room, at, (size_t)(end - at));
    value->bytes = room->data;
    value->length = (uint32_t)room->length;
    return true;
}
