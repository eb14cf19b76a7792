/* SPDX-License-Identifier: MIT
 * A plain parser of RFC 8259 that only tells what is wrong and where. It runs when the index has refused a document, so it
 * may be slow; it shares no code with the index, so that specs can compare the two on random documents. It does not
 * recurse, since a document may nest 1024 deep. Start with tide_json_check(). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "json/json.h"

struct scan {
    const unsigned char *bytes;
    size_t length;
    size_t at;
    int depth;
    bool object[TIDE_JSON_DEPTH + 1]; /* by depth: an object, not an array */
};

/* The byte at the position, -1 at the end. */
static int peek(const struct scan *scan)
{
    return scan->at < scan->length ? scan->bytes[scan->at] : -1;
}

static int fail_at(size_t at, const char *what)
{
    return tide_fail(TIDE_EDATA, "%s at byte %zu", what, at);
}

/* A byte that can be seen is shown as it is, any other by its number: the text ends in a log line or a dead letter, and
 * the byte may be half of a character. */
static int unexpected(const struct scan *scan, const char *wanted)
{
    int c = peek(scan);
    if (c < 0)
        return tide_fail(TIDE_EDATA, "it ends at byte %zu where %s should be", scan->at, wanted);
    if (c > 0x20 && c < 0x7F)
        return tide_fail(TIDE_EDATA, "'%c' at byte %zu where %s should be", c, scan->at, wanted);
    return tide_fail(TIDE_EDATA, "0x%02x at byte %zu where %s should be", (unsigned)c, scan->at,
                     wanted);
}

/* Names the two mistakes that are most frequent: empty lines, and the mark that some editors write at the start of a file. */
static int check_beginning(const struct scan *scan)
{
    if (scan->at == scan->length)
        return tide_fail(TIDE_EDATA, scan->length == 0 ? "it is empty" : "it has only white space");
    if (scan->length >= 3 && memcmp(scan->bytes, "\xEF\xBB\xBF", 3) == 0)
        return tide_fail(
            TIDE_EDATA, "it begins with a byte order mark (3 bytes, EF BB BF), which is no part of "
                        "JSON; value:sub(4) is the text without it");
    return TIDE_OK;
}

/* The four of RFC 8259, and not isspace(), which knows more and asks the locale. */
static void skip_space(struct scan *scan)
{
    while (peek(scan) == ' ' || peek(scan) == '\t' || peek(scan) == '\n' || peek(scan) == '\r')
        scan->at++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* RFC 8259 wants at least one digit wherever digits may stand: before the point, after it and in the exponent. */
static int check_digits(struct scan *scan)
{
    if (!is_digit(peek(scan)))
        return unexpected(scan, "a digit");
    while (is_digit(peek(scan)))
        scan->at++;
    return TIDE_OK;
}

/* True when the number at [from, at) is beyond the range of a double. strtod decides; it is given the digits without a
 * decimal point, with the exponent corrected for it, so that the locale does not matter. */
static bool is_too_large(const struct scan *scan, size_t from)
{
    /* Whether a number is infinite depends on how many digits it has and on the first of them, so what comes after
     * 1,000 is only counted. */
    char text[1100];
    size_t used = 0;
    long point = 0, exponent = 0;
    bool fraction = false;
    size_t i = from;
    for (; i < scan->at &&
           (is_digit(scan->bytes[i]) || scan->bytes[i] == '.' || scan->bytes[i] == '-');
         i++) {
        if (scan->bytes[i] == '.')
            fraction = true;
        if (!is_digit(scan->bytes[i]))
            continue;
        bool kept = used < 1000 && (used > 0 || scan->bytes[i] != '0');
        if (kept)
            text[used++] = (char)scan->bytes[i];
        point += (fraction ? -1 : 0) + (kept || used == 0 ? 0 : 1);
    }
    if (used == 0)
        return false;
    if (i < scan->at) {
        bool negative = scan->bytes[i + 1] == '-';
        /* The bound keeps the sum from overflowing; it is far beyond any exponent that a double has. */
        for (i++; i < scan->at; i++)
            if (is_digit(scan->bytes[i]) && exponent < 100000000)
                exponent = exponent * 10 + (scan->bytes[i] - '0');
        exponent = negative ? -exponent : exponent;
    }
    snprintf(text + used, sizeof(text) - used, "e%ld", exponent + point);
    return isinf(strtod(text, NULL));
}

/* A leading zero gets a text of its own: "a digit where a comma should be" would not tell what the rule is. */
static int check_number(struct scan *scan)
{
    size_t from = scan->at;
    if (peek(scan) == '-')
        scan->at++;
    if (peek(scan) == '0') {
        scan->at++;
        if (is_digit(peek(scan)))
            return fail_at(scan->at - 1, "a number with a leading zero");
    } else if (check_digits(scan) < 0) {
        return TIDE_EDATA;
    }
    if (peek(scan) == '.') {
        scan->at++;
        if (check_digits(scan) < 0)
            return TIDE_EDATA;
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->at++;
        if (check_digits(scan) < 0)
            return TIDE_EDATA;
    }
    return is_too_large(scan, from) ? fail_at(from, "a number too large for a double")
                                    : (int)TIDE_OK;
}

/* Reads the four digits of \u at the position; -1 and a failure if they are not there. */
static long check_code_unit(struct scan *scan)
{
    long code = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        int c = peek(scan);
        if (is_digit(c))
            code = code * 16 + c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f' && c > 0)
            code = code * 16 + (c | 0x20) - 'a' + 10;
        else
            goto fail;
    }
    return code;
fail:
    unexpected(scan, "a hexadecimal digit");
    return -1;
}

/* RFC 8259 leaves their meaning open. There is no UTF-8 for them, so they could not be written back as they were. */
static const char LONE[] = "a lone surrogate (half a character, for which there is no UTF-8)";

static int check_escape(struct scan *scan)
{
    size_t from = scan->at++;
    int c = peek(scan);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return unexpected(scan, "an escape");
    scan->at++;
    if (c != 'u')
        return TIDE_OK;
    long code = check_code_unit(scan);
    if (code < 0)
        return TIDE_EDATA;
    if (code >= 0xDC00 && code <= 0xDFFF)
        return fail_at(from, LONE);
    if (code < 0xD800 || code > 0xDFFF)
        return TIDE_OK;
    /* After the first half nothing but the second one may follow, at once. */
    if (scan->length - scan->at < 6 || memcmp(scan->bytes + scan->at, "\\u", 2) != 0)
        return fail_at(from, LONE);
    scan->at += 2;
    code = check_code_unit(scan);
    if (code < 0)
        return TIDE_EDATA;
    return code >= 0xDC00 && code <= 0xDFFF ? (int)TIDE_OK : fail_at(from, LONE);
}

/* Checks one character above 0x7F (RFC 3629, table 3-7 of Unicode). The second byte has bounds of its own after four of
 * the first ones: they leave out overlong forms, surrogates and what is above U+10FFFF. The position that is named is
 * that of the character, not of the byte in it. */
static int check_utf8(struct scan *scan)
{
    const unsigned char *p = scan->bytes + scan->at;
    size_t left = scan->length - scan->at;
    unsigned low = 0x80, high = 0xBF;
    size_t more;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        more = 1;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        more = 2;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        more = 3;
    else
        return fail_at(scan->at, "a byte that is not UTF-8");
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i <= more; i++, low = 0x80, high = 0xBF)
        if (i >= left || p[i] < low || p[i] > high)
            return fail_at(scan->at, "a character that is cut, or not UTF-8,");
    scan->at += more + 1;
    return TIDE_OK;
}

/* For a string without an end the position of its first quote is named, as the end of the document tells nothing. */
static int check_string(struct scan *scan)
{
    size_t from = scan->at++;
    for (;;) {
        int c = peek(scan), status = TIDE_OK;
        if (c < 0)
            return fail_at(from, "a string without an end");
        if (c == '"') {
            scan->at++;
            return TIDE_OK;
        }
        if (c < 0x20)
            return fail_at(scan->at, "a control byte in a string");
        if (c == '\\')
            status = check_escape(scan);
        else if (c >= 0x80)
            status = check_utf8(scan);
        else
            scan->at++;
        if (status < 0)
            return status;
    }
}

/* The position is that of the first byte that differs: "nul" and "none" are told apart. */
static int check_literal(struct scan *scan, const char *text)
{
    for (; *text; text++, scan->at++)
        if (peek(scan) != *text)
            return unexpected(scan, "true, false or null");
    return TIDE_OK;
}

/* Every value that is no container is told by its first byte, as in index.cpp, but in code of its own. */
static int check_scalar(struct scan *scan)
{
    switch (peek(scan)) {
    case '"':
        return check_string(scan);
    case 't':
        return check_literal(scan, "true");
    case 'f':
        return check_literal(scan, "false");
    case 'n':
        return check_literal(scan, "null");
    default:
        if (peek(scan) != '-' && !is_digit(peek(scan)))
            return unexpected(scan, "a value");
        return check_number(scan);
    }
}

/* White space may stand on both sides, and the colon belongs to the key: what is missing is then named where it is
 * missing. */
static int check_key(struct scan *scan)
{
    skip_space(scan);
    if (peek(scan) != '"')
        return unexpected(scan, "a key");
    if (check_string(scan) < 0)
        return TIDE_EDATA;
    skip_space(scan);
    if (peek(scan) != ':')
        return unexpected(scan, "a colon");
    scan->at++;
    return TIDE_OK;
}

/* Called after a value: leaves the containers that end there. 1 = another value follows, 0 = the document is complete.
 * One value may end several containers. The loop over them is what a return from a recursive parser would be, and
 * `object` is its stack: it tells whether a comma is followed by a key. */
static int leave_containers(struct scan *scan)
{
    for (skip_space(scan); scan->depth > 0; skip_space(scan)) {
        bool object = scan->object[scan->depth];
        int c = peek(scan);
        scan->at++;
        if (c == ',')
            return 1;
        if (c != (object ? '}' : ']')) {
            scan->at--;
            return unexpected(scan, object ? "a comma or }" : "a comma or ]");
        }
        scan->depth--;
    }
    return scan->at == scan->length ? 0 : unexpected(scan, "the end");
}

/* Each turn of the loop reads one value or enters one container. The limit of nesting is the index's own: what this
 * parser accepts and the index refuses would be a dead letter without a reason ("not JSON"). */
int tide_json_check(const char *bytes, size_t length)
{
    struct scan scan = {.bytes = (const unsigned char *)bytes, .length = length};
    int status;
    skip_space(&scan);
    if (check_beginning(&scan) < 0)
        return TIDE_EDATA;
    do {
        if (scan.object[scan.depth] && scan.depth > 0 && check_key(&scan) < 0)
            return TIDE_EDATA;
        skip_space(&scan);
        int c = peek(&scan);
        if (c == '{' || c == '[') {
            if (scan.depth == TIDE_JSON_DEPTH)
                return fail_at(scan.at, "nesting deeper than 1024");
            scan.at++;
            scan.object[++scan.depth] = c == '{';
            skip_space(&scan);
            status = peek(&scan) == (c == '{' ? '}' : ']') ? leave_containers(&scan) : 1;
        } else {
            status = check_scalar(&scan) < 0 ? TIDE_EDATA : leave_containers(&scan);
        }
    } while (status == 1);
    return status;
}
