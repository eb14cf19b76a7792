// SPDX-License-Identifier: MIT
// Numbers: the grammar of RFC 8259, integers up to 64 bits kept as such, and the shortest text that reads
// back as the same double. Neither looks at the locale.
#include <charconv>
#include <cmath>

#include "json/private.hpp"

namespace tide_json_private {

static inline bool is_digit(char c)
{
    return uint8_t(c - '0') < 10;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "skip_digits counts from the low end");

// The first byte that is no digit. Eight at once, as the counts of digits are hard to foretell.
static inline __attribute__((always_inline)) const char *skip_digits(const char *from,
                                                                     const char *limit)
{
    const uint64_t ones = 0x0101010101010101;
    while (limit - from >= 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        uint64_t others = ((word ^ ones * '0') | ((word & ones * 15) + ones * 6)) & ones * 0xF0;
        if (others)
            return from + __builtin_ctzll(others) / 8;
        from += 8;
    }
    while (from < limit && is_digit(*from))
        from++;
    return from;
}

// Infinity for what is too large, zero for what is too small.
static double slow_double(const char *from, const char *to)
{
    double number = 0;
    auto result = std::from_chars(from, to, number);
    if (result.ec == std::errc())
        return number;
    // Out of range, and which way the exponent tells: digits alone can only be too large.
    const char *mark = from;
    while (mark < to && *mark != 'e' && *mark != 'E')
        mark++;
    bool small = mark < to && mark[1] == '-';
    double size = small ? 0 : HUGE_VAL;
    return *from == '-' ? -size : size;
}

bool check_number(const char *from, const char *to, const char *limit)
{
    const char *p = from + (*from == '-');
    const char *digits = p;
    p = skip_digits(p, limit);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return false;
    bool suspicious = p - digits > 290;
    if (p < to && *p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p, limit);
        if (p == fraction)
            return false;
    }
    if (p < to && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < to && (*p == '+' || *p == '-'))
            p++;
        const char *exponent = p;
        p = skip_digits(p, limit);
        if (p == exponent)
            return false;
        suspicious = suspicious || p - exponent > 1;
    }
    if (p != to)
        return false;
    return !suspicious || std::isfinite(slow_double(from, to));
}

// 10^n is a double without error up to 22.
static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t EXACT = uint64_t(1) << 53;

// Few digits and a small power of ten: one operation on two exact doubles is rounded right (Clinger).
static bool fast_double(const char *p, const char *to, double *number)
{
    uint64_t digits = 0;
    if (to - p > 17)
        return false;
    for (; p < to && is_digit(*p); p++)
        digits = digits * 10 + uint64_t(*p - '0');
    int places = 0;
    if (p < to && *p == '.')
        for (p++; p < to && is_digit(*p); p++, places++)
            digits = digits * 10 + uint64_t(*p - '0');
    if (p < to || digits > EXACT)
        return false;
    *number = places ? double(digits) / POWERS[places] : double(digits);
    return true;
}

// An integer of up to 20 digits; false when it is none or does not fit.
static bool integer(const char *p, const char *to, uint64_t *number)
{
    uint64_t sum = 0;
    if (to - p > 20)
        return false;
    for (; p < to; p++)
        if (!is_digit(*p) || __builtin_mul_overflow(sum, uint64_t(10), &sum) ||
            __builtin_add_overflow(sum, uint64_t(*p - '0'), &sum))
            return false;
    *number = sum;
    return true;
}

static int big_integer(tide_json *json, uint64_t size, bool negative)
{
    const uint64_t limit = uint64_t(1) << 63;
    if (negative && size > limit)
        return TIDE_JSON_NONE;
    if (!negative && size >= limit) {
        json->natural = size;
        return TIDE_JSON_UINT64;
    }
    json->integer = negative ? int64_t(0 - size) : int64_t(size);
    return TIDE_JSON_INT64;
}

} // namespace tide_json_private

using namespace tide_json_private;

int tide_json_read_number(tide_json *json, const char *from, const char *to)
{
    bool negative = *from == '-';
    double number;
    uint64_t size;
    if (fast_double(from + negative, to, &number)) {
        json->number = negative ? -number : number;
        return TIDE_JSON_DOUBLE;
    }
    if (integer(from + negative, to, &size) && size > EXACT) {
        int kind = big_integer(json, size, negative);
        if (kind != TIDE_JSON_NONE)
            return kind;
    }
    json->number = slow_double(from, to);
    return TIDE_JSON_DOUBLE;
}

// A decimal of at most 15 digits is the only one of them that reads as its double, hence the shortest.
static int write_decimal(double number, char *to)
{
    if (!(std::fabs(number) < 1e11))
        return 0;
    for (int places = 1; places <= 3; places++) {
        auto digits = int64_t(number * POWERS[places] + std::copysign(0.5, number));
        if (double(digits) / POWERS[places] != number)
            continue;
        char *end = std::to_chars(to, to + TIDE_JSON_NUMBER, digits).ptr;
        if (end - to <= places + (digits < 0)) // zeros would have to come first
            return 0;
        // The point goes before the last digits.
        for (int i = 0; i < places; i++)
            end[-i] = end[-i - 1];
        end[-places] = '.';
        return int(end + 1 - to);
    }
    return 0;
}

int tide_json_write_double(double number, char *to)
{
    if (std::fabs(number) <= double(EXACT) && double(int64_t(number)) == number &&
        (number != 0 || !std::signbit(number)))
        return int(std::to_chars(to, to + TIDE_JSON_NUMBER, int64_t(number)).ptr - to);
    int length = write_decimal(number, to);
    if (length > 0 && number != 0)
        return length;
    // Without an exponent a great one would read back as an int64.
    bool great = std::fabs(number) > double(EXACT);
    auto result = great ? std::to_chars(to, to + TIDE_JSON_NUMBER, number,
                                        std::chars_format::scientific)
                        : std::to_chars(to, to + TIDE_JSON_NUMBER, number);
    return int(result.ptr - to);
}

int tide_json_write_integer(int64_t number, char *to)
{
    return int(std::to_chars(to, to + TIDE_JSON_NUMBER, number).ptr - to);
}

int tide_json_write_natural(uint64_t number, char *to)
{
    return int(std::to_chars(to, to + TIDE_JSON_NUMBER, number).ptr - to);
}
