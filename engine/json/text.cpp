// SPDX-License-Identifier: MIT
// Strings: checking and undoing escapes, quoting bytes. Quoting is strict, as the output of a transform must be right: bytes
// that are not UTF-8 are refused (base/text.c, for logs and dead letters, replaces them). Both directions copy eight bytes
// at a time as long as nothing in them is special. Start with tide_json_quote() and tide_json_unescape().
#include "json/inside.hpp"

namespace tide_json_private {

static const uint64_t ONES = 0x0101010101010101, HIGHS = 0x8080808080808080;

// The highest bit of each byte that is a backslash; above the first one other bytes may be marked as well.
static inline uint64_t find_slashes(uint64_t word)
{
    word ^= ONES * '\\';
    return (word - ONES) & ~word & HIGHS;
}

// True when all four bytes are hexadecimal digits. A sum has the highest bit of a byte set from that digit on, and none
// carries, as no byte is above 0x7F.
static inline bool are_hex_digits(uint32_t word)
{
    const uint32_t ones = uint32_t(ONES), highs = uint32_t(HIGHS);
    if (word & highs)
        return false;
    uint32_t letters = word | ones * 0x20;
    uint32_t digits = (word + ones * (0x80 - '0')) & ~(word + ones * (0x7F - '9'));
    letters = (letters + ones * (0x80 - 'a')) & ~(letters + ones * (0x7F - 'f'));
    return ((digits | letters) & highs) == highs;
}

// The value of the four digits, all at once: a letter has bit 6 set, and its lower half is 9 less than its value.
static inline int32_t code_unit(const char *from)
{
    auto word = load<uint32_t>(from);
    word = (word & uint32_t(ONES) * 15) + (word >> 6 & uint32_t(ONES)) * 9;
    word = __builtin_bswap32(word); // the first digit counts most
    word = (word | word >> 4) & 0x00FF00FF;
    return int32_t((word | word >> 8) & 0xFFFF);
}

// Reads the four digits after \u; -1 if they are not there.
static inline int32_t read_code_unit(const char *from, const char *to)
{
    return to - from >= 4 && are_hex_digits(load<uint32_t>(from)) ? code_unit(from) : -1;
}

// What a backslash and this byte stand for; 0 = nothing, or more than the one byte says.
static inline char plain_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

// JSON writes a character beyond U+FFFF as two halves of UTF-16, the high one first (RFC 8259, section 7). One alone is
// refused here as in check.c: there is no UTF-8 for it.
static inline bool is_high(int32_t code)
{
    return code >= 0xD800 && code <= 0xDBFF;
}

static inline bool is_low(int32_t code)
{
    return code >= 0xDC00 && code <= 0xDFFF;
}

// `from` is the byte after a backslash. Returns how many bytes the escape takes from there on; 0 = it is invalid.
static int check_escape(const char *from, const char *to)
{
    if (from == to)
        return 0;
    if (*from != 'u')
        return plain_escape(*from) != 0;
    int32_t code = read_code_unit(from + 1, to);
    if (code < 0 || is_low(code))
        return 0;
    if (!is_high(code))
        return 5;
    bool pair = to - from >= 7 && from[5] == '\\' && from[6] == 'u' &&
                is_low(read_code_unit(from + 7, to));
    return pair ? 11 : 0;
}

// The next backslash, or `to`. Where there is one there are mostly more, and near: memchr would take more time to begin.
static inline const char *find_slash(const char *from, const char *to)
{
    for (; to - from >= 8; from += 8) {
        uint64_t slashes = find_slashes(load<uint64_t>(from));
        if (slashes)
            return from + __builtin_ctzll(slashes) / 8;
    }
    while (from < to && *from != '\\')
        from++;
    return from;
}

// It takes the whole document and not each string: a backslash outside of a string is refused by the grammar in any case.
bool check_escapes(const char *from, const char *to)
{
    while ((from = find_slash(from, to)) < to) {
        int length = check_escape(from + 1, to);
        if (length == 0)
            return false;
        from += 1 + length;
    }
    return true;
}

static char *put_utf8(int32_t code, char *to)
{
    if (code < 0x80) {
        *to++ = char(code);
    } else if (code < 0x800) {
        *to++ = char(0xC0 | code >> 6);
        *to++ = char(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = char(0xE0 | code >> 12);
        *to++ = char(0x80 | (code >> 6 & 0x3F));
        *to++ = char(0x80 | (code & 0x3F));
    } else {
        *to++ = char(0xF0 | code >> 18);
        *to++ = char(0x80 | (code >> 12 & 0x3F));
        *to++ = char(0x80 | (code >> 6 & 0x3F));
        *to++ = char(0x80 | (code & 0x3F));
    }
    return to;
}

} // namespace tide_json_private

using namespace tide_json_private;

// Nothing is checked here, since check_escapes() has seen the document when it was opened. Each escape is longer than
// what it stands for, so `text` needs no more room than the string had.
int32_t tide_json_unescape(const char *from, const char *to, char *text)
{
    char *out = text;
    while (from < to) {
        if (to - from >= 8) {
            uint64_t slashes = find_slashes(load<uint64_t>(from));
            int length = slashes ? __builtin_ctzll(slashes) / 8 : 8;
            memcpy(out, from, 8); // there is room: what is written is never ahead of what is read
            from += length;
            out += length;
            if (!slashes)
                continue;
        }
        if (*from != '\\') {
            *out++ = *from++;
            continue;
        }
        from++;
        if (*from != 'u') {
            *out++ = plain_escape(*from++);
            continue;
        }
        int32_t code = code_unit(from + 1);
        from += 5;
        if (is_high(code)) {
            code = 0x10000 + ((code - 0xD800) << 10) + (code_unit(from + 2) - 0xDC00);
            from += 6;
        }
        out = put_utf8(code, out);
    }
    return int32_t(out - text);
}

// The short form where JSON has one, so that a text is no longer than other writers make it.
static char *put_escape(uint8_t c, char *to)
{
    static const char SHORT[] = "btnvfr";
    static const char DIGITS[] = "0123456789abcdef";
    *to++ = '\\';
    if (c == '"' || c == '\\') {
        *to++ = char(c);
    } else if (c >= 8 && c <= 13 && c != 11) {
        *to++ = SHORT[c - 8];
    } else {
        memcpy(to, "u00", 3);
        to[3] = DIGITS[c >> 4];
        to[4] = DIGITS[c & 15];
        to += 5;
    }
    return to;
}

// Looks at eight bytes at once: marks by their highest bit those that are below 0x20, a quote or a backslash, which are
// written as escapes. The subtractions may carry from one byte into the next and mark a byte that is none of these, but
// only above one that is: the lowest mark is right.
static inline uint64_t needs_escape(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"'), slash = word ^ (ONES * '\\');
    return ((word - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & ~word & HIGHS;
}

// The same, or one of them is above 0x7F.
static inline uint64_t special(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"'), slash = word ^ (ONES * '\\');
    return ((word - ONES * 0x20) | (quote - ONES) | (slash - ONES) | word) & HIGHS;
}

// True when the bytes are written as they are. The last word may overlap the one before it, which is cheaper than a
// loop over what is left.
static inline bool is_plain(const char *bytes, size_t length)
{
    if (length >= 8) {
        uint64_t all = special(load<uint64_t>(bytes + length - 8));
        for (size_t i = 0; i + 8 < length; i += 8)
            all |= special(load<uint64_t>(bytes + i));
        return !all;
    }
    if (length >= 4)
        return !special(load<uint32_t>(bytes) | uint64_t(load<uint32_t>(bytes + length - 4)) << 32);
    for (size_t i = 0; i < length; i++)
        if (special(ONES * uint8_t(bytes[i])))
            return false;
    return true;
}

int64_t tide_json_quote(const char *bytes, size_t length, char *to)
{
    const char *from = bytes, *end = bytes + length;
    char *out = to;
    uint64_t all = 0;
    *out++ = '"';
    if (is_plain(bytes, length)) {
        copy(out, bytes, length);
        out[length] = '"';
        return int64_t(length) + 2;
    }
    while (from < end) {
        // Mostly few bytes of a long string need an escape, so it is copied by words up to the next one.
        if (end - from >= 8) {
            auto word = load<uint64_t>(from);
            uint64_t escapes = needs_escape(word);
            int length_of_plain = escapes ? __builtin_ctzll(escapes) / 8 : 8;
            all |= word;
            memcpy(out, &word, 8);
            from += length_of_plain;
            out += length_of_plain;
            if (!escapes)
                continue;
        }
        auto c = uint8_t(*from++);
        all |= c;
        if (c < 0x20 || c == '"' || c == '\\')
            out = put_escape(c, out);
        else
            *out++ = char(c);
    }
    *out++ = '"';
    // UTF-8 is looked at last and for all bytes at once: most strings are ASCII, which `all` tells for nothing.
    if (all & HIGHS && !is_utf8(bytes, length))
        return -1;
    return out - to;
}
