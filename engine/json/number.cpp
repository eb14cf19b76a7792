// SPDX-License-Identifier: MIT
// Numbers. Reading: integers up to 64 bits are kept as such, everything else becomes a double. Writing: the shortest text
// that reads back as the same double. strtod and printf were not taken: they obey the locale, and std::from_chars and
// std::to_chars, which do not, are used only where the short cuts here do not serve, since most numbers of real messages
// have few digits. Start with tide_json_read_number() and tide_json_write_double().
#include <charconv>
#include <cmath>

#include "json/inside.hpp"

namespace tide_json_private {

// Infinity for a number that is too large, zero for one that is too small.
static double slow_double(const char *from, const char *to)
{
    double number = 0;
    auto result = std::from_chars(from, to, number);
    if (result.ec == std::errc())
        return number;
    // It is out of range. The sign of the exponent tells which way: digits alone can only be too large.
    const char *mark = from;
    while (mark < to && *mark != 'e' && *mark != 'E')
        mark++;
    bool small = mark < to && mark[1] == '-';
    double size = small ? 0 : HUGE_VAL;
    return *from == '-' ? -size : size;
}

// A document with such a number is refused: it would become infinity, which JSON has no text for.
bool is_in_range(const char *from, const char *to)
{
    return std::isfinite(slow_double(from, to));
}

// Up to 10^22 these are exact doubles.
static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t EXACT = uint64_t(1) << 53;

// Reads a number of `count` digits, 0 to 8. Eight bytes are read in any case.
static inline uint64_t read_digits(const char *from, size_t count)
{
    uint64_t word;
    memcpy(&word, from, 8);
    // The last digit goes to the highest byte, zeros before the first.
    word = count > 0 ? (word & 0x0F0F0F0F0F0F0F0F) << (64 - 8 * count) : 0;
    word = word * 10 + (word >> 8); // pairs, in every other byte
    return ((word & 0x000000FF000000FF) * (100 + (uint64_t(1000000) << 32)) +
            ((word >> 16) & 0x000000FF000000FF) * (1 + (uint64_t(10000) << 32))) >>
           32;
}

// For few digits and a small power of ten: one operation on two exact doubles rounds right (Clinger). Sets `plain` when the
// number has neither point nor exponent. False: this method does not serve.
static bool slow_decimal(const char *p, const char *to, double *number, bool *plain)
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
    *plain = places == 0;
    return true;
}

// The same without a loop, for at most eight digits: a branch for each digit is hard to predict.
static bool fast_decimal(const char *p, const char *to, const char *limit, double *number,
                         bool *plain)
{
    // read_digits() takes eight bytes from wherever it begins, so there have to be as many after the number.
    if (limit - to < 8 || to - p > 8)
        return slow_decimal(p, to, number, plain);
    size_t whole = size_t(skip_digits(p, limit) - p);
    uint64_t digits = read_digits(p, whole);
    p += whole;
    *plain = p == to;
    if (p == to) {
        *number = double(digits);
        return true;
    }
    size_t places = size_t(to - p) - 1;
    if (*p != '.' || skip_digits(p + 1, limit) != to)
        return false;
    *number = double(digits * uint64_t(POWERS[places]) + read_digits(p + 1, places)) /
              POWERS[places];
    return true;
}

// Parses an integer of 8 to 20 digits; false when it is not an integer or does not fit. Shorter ones are decimals, which
// are read above.
static bool parse_integer(const char *p, const char *to, const char *limit, uint64_t *number)
{
    size_t count = size_t(to - p);
    if (count < 8 || count > 20 || skip_digits(p, limit) != to)
        return false;
    // Up to 19 digits fit, so only one more is looked at.
    const char *fits = to - (count == 20);
    size_t first = size_t(fits - p) % 8;
    uint64_t sum = read_digits(p, first);
    for (p += first; p < fits; p += 8)
        sum = sum * 100000000 + read_digits(p, 8);
    if (fits < to && (__builtin_mul_overflow(sum, uint64_t(10), &sum) ||
                      __builtin_add_overflow(sum, uint64_t(*fits - '0'), &sum)))
        return false;
    *number = sum;
    return true;
}

// The one number more that int64_t has below zero is why the two signs have different limits.
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

static int long_integer(tide_json *json, const char *from, const char *to)
{
    json->bytes = from;
    json->length = int32_t(to - from);
    return TIDE_JSON_BIG;
}

// A script copies a field soon after it has read it, so a ring of the last numbers is enough; what it has forgotten is
// written in the shortest form.
static int remember(tide_json *json, const char *from, const char *to, double number)
{
    auto *own = static_cast<session *>(json);
    json->number = number;
    own->newest_is_plain = false;
    own->numbers[own->number_count++ % NUMBERS] = {number, from, int32_t(to - from)};
    return TIDE_JSON_DOUBLE;
}

static bool is_same(double a, double b) // -0 is not 0
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static bool is_small_integer(double number)
{
    return std::fabs(number) <= double(EXACT) && double(int64_t(number)) == number;
}

} // namespace tide_json_private

using namespace tide_json_private;

int32_t tide_json_read_text(const tide_json *json, double number, bool newest, const char **text)
{
    auto *own = static_cast<const session *>(json);
    if (own->number_count == 0)
        return 0;
    const read_number *last = &own->numbers[(own->number_count - 1) % NUMBERS], *found = nullptr;
    newest = newest && !own->newest_is_plain && is_same(last->number, number);
    if (!newest && is_small_integer(number))
        return 0;
    for (uint32_t i = 0; i < NUMBERS && i < own->number_count; i++) {
        const read_number *one = &own->numbers[i];
        if (!is_same(one->number, number))
            continue;
        if (found && (found->length != one->length ||
                      memcmp(found->text, one->text, size_t(one->length)) != 0))
            return 0; // the number was written in two ways, and it is unknown which was meant
        found = one;
    }
    if (!found)
        return 0;
    *text = found->text;
    return found->length;
}

int tide_json_read_number(tide_json *json, const char *from, const char *to, const char *limit)
{
    // From the most frequent to the rarest: few digits, an integer that a double would round, one beyond 64 bits whose
    // digits are kept as a text, and everything else.
    bool negative = *from == '-', plain;
    double number;
    uint64_t size;
    if (fast_decimal(from + negative, to, limit, &number, &plain)) {
        number = negative ? -number : number;
        if (!plain)
            return remember(json, from, to, number);
        static_cast<session *>(json)->newest_is_plain = true;
        json->number = number;
        return TIDE_JSON_DOUBLE;
    }
    static_cast<session *>(json)->newest_is_plain = true;
    if (parse_integer(from + negative, to, limit, &size)) {
        int kind = size > EXACT ? big_integer(json, size, negative) : TIDE_JSON_NONE;
        if (kind != TIDE_JSON_NONE)
            return kind;
    }
    if (skip_digits(from + negative, limit) == to)
        return long_integer(json, from, to);
    return remember(json, from, to, slow_double(from, to));
}

// Writes a number below 10^8: eight bytes, of which the first ones count. Without branches, for the reason above.
static char *write_digits(uint64_t number, char *to)
{
    uint64_t fours = number / 10000 | (number % 10000) << 32;
    uint64_t high = ((fours * 10486) >> 20) & 0x0000007F0000007F; // by 100
    uint64_t pairs = high | (fours - high * 100) << 16;
    high = ((pairs * 103) >> 10) & 0x000F000F000F000F; // by 10
    uint64_t digits = high | (pairs - high * 10) << 8;
    int zeros = __builtin_ctzll(digits | uint64_t(1) << 56) / 8;
    digits = (digits | 0x3030303030303030) >> (8 * zeros);
    memcpy(to, &digits, 8);
    return to + 8 - zeros;
}

static char *write_natural(uint64_t number, char *to)
{
    return number < 100000000 ? write_digits(number, to)
                              : std::to_chars(to, to + TIDE_JSON_NUMBER, number).ptr;
}

static char *write_integer(int64_t number, char *to)
{
    *to = '-';
    return number < 0 ? write_natural(0 - uint64_t(number), to + 1)
                      : write_natural(uint64_t(number), to);
}

// Among decimals of at most 15 digits only one reads back as a given double, so it is the shortest. Below 10^11, three
// places more make 14 digits, so `digits` is an exact double, and the division gives what a reader of the text gets.
static int write_decimal(double number, char *to)
{
    if (!(std::fabs(number) < 1e11))
        return 0;
    for (int places = 1; places <= 3; places++) {
        auto digits = int64_t(number * POWERS[places] + std::copysign(0.5, number));
        if (double(digits) / POWERS[places] != number)
            continue;
        char *end = write_integer(digits, to);
        if (end - to <= places + (digits < 0)) // zeros would have to come first
            return 0;
        // The point goes before the last digits.
        uint32_t last;
        memcpy(&last, end - places, 4);
        memcpy(end - places + 1, &last, 4);
        end[-places] = '.';
        return int(end + 1 - to);
    }
    return 0;
}

int tide_json_write_double(double number, char *to)
{
    if (std::fabs(number) <= double(EXACT) && double(int64_t(number)) == number &&
        (number != 0 || !std::signbit(number)))
        return int(write_integer(int64_t(number), to) - to);
    int length = write_decimal(number, to);
    if (length > 0 && number != 0)
        return length;
    // Without an exponent, a large one would read back as an integer.
    bool great = std::fabs(number) > double(EXACT);
    auto result = great ? std::to_chars(to, to + TIDE_JSON_NUMBER, number,
                                        std::chars_format::scientific)
                        : std::to_chars(to, to + TIDE_JSON_NUMBER, number);
    return int(result.ptr - to);
}

int tide_json_write_integer(int64_t number, char *to)
{
    return int(write_integer(number, to) - to);
}

int tide_json_write_natural(uint64_t number, char *to)
{
    return int(write_natural(number, to) - to);
}
