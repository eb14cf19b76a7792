// SPDX-License-Identifier: MIT
// engine/json/inside.hpp - what the C++ files of this folder share: a document with its index and its changes, the memory
// that both live in, and small functions that are inlined since they run for each token.
//
// Who calls whom: session.cpp opens by index.cpp (which finds tokens by tokens.cpp or simdjson, and checks numbers and
// strings by number.cpp, text.cpp and utf8.cpp); changes.cpp, read.cpp, walk.cpp and edit.cpp work on the index and the
// changes, each calling those before it; splice.cpp writes both out. C++ rather than C for simdjson and std::to_chars only: no exceptions, no virtual functions, no containers.
#ifndef TIDE_JSON_INSIDE_HPP
#define TIDE_JSON_INSIDE_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

// The C++ is compiled with hidden visibility. What Lua calls is declared visible, and protected: nobody replaces it, so
// that calls from here need no table of addresses and may be inlined.
#pragma GCC visibility push(default)
extern "C" {
#include "base/fault.h"
#include "base/status.h"
}
#pragma GCC visibility pop
#pragma GCC visibility push(protected)
extern "C" {
#include "json/json.h"
}
#pragma GCC visibility pop

namespace tide_json_private {

// One change of one member. `at` is the token that it is sorted by: an object's key, an array's element, or the closing
// bracket of the container for a member that was added.
struct edit {
    enum verb : uint8_t { REPLACE, DELETE, APPEND };
    uint32_t at;
    uint32_t container;
    verb what; // DELETE with `appended`: it was added and deleted again
    bool appended;
    int32_t key_length; // APPEND to an object: the unescaped key, for comparing
    const char *key;
    const char *text; // the new value's JSON
    int32_t length;
    int32_t prefix_length; // APPEND to an object: the text before the value, "key":
    const char *prefix;
    struct document *value; // the new value as a document, once it was opened to be read or changed
    // These three are set once there are many changes (change_index).
    int32_t ordinal; // of an addition among those of its container, from 1
    int32_t
        previous; // the number of the addition to the same container before it, -1 for the first one
    int32_t
        chained; // the number of the change before it in the chain of its key, -1 for the first one
};

// Finds changes where there are more than a few.
struct change_index {
    static const uint32_t CHAINS = 256;
    int32_t chains
        [CHAINS]; // of the keys that were added, by hash: the number of the last one; -1 = none
    // By token, number + 1: the change of a member, or, for the closing bracket of a container, the addition that is its last;
    // 0 = none.
    uint32_t *by_token;
};

static const size_t CHAINS = 16; // few, for they are cleared for each document

inline size_t key_hash(const char *key, size_t length)
{
    return length > 0 ? (size_t(key[0]) + size_t(key[length - 1]) * 2 + length * 4) % CHAINS : 0;
}

static const int32_t FEW = 8;

struct document : tide_json_doc {
    // The keys of the root object by hash: each chain goes from the token of the last key over the links of the others, and
    // ends with 0.
    uint32_t chains[CHAINS];
    bool is_chained;    // false: one of these keys is escaped, or nobody will look for them
    int32_t deepest;    // how deep it nests, without changes
    uint32_t container; // the node in the parent that it is assigned to
    edit *changes;
    int32_t change_count;
    int32_t change_room;
    uint32_t *order;       // numbers of `changes`, for writing in the order of their tokens
    change_index *index;   // nullptr: there are few, which are searched from end to end
    int64_t bound;         // an upper bound of the length with all changes
    edit few_changes[FEW]; // the first room for both arrays
    uint32_t few_order[FEW];
};

// Memory that is given back all at once.
class arena {
  public:
    arena();
    ~arena();
    // 8-aligned, not zeroed. Never nullptr.
    void *take(size_t size)
    {
        size = (size + 7) & ~size_t(7);
        if (size > size_t(end - next))
            return take_more(size);
        char *memory = next;
        next += size;
        return memory;
    }
    // Gives back what is beyond `size` of the piece that was taken last.
    void shrink(void *taken, size_t size)
    {
        next = static_cast<char *>(taken) + ((size + 7) & ~size_t(7));
    }
    void reset();

  private:
    struct chunk;
    chunk *new_chunk(size_t room); // take() takes from this one then
    void *take_more(size_t size);
    size_t free_chunks(); // returns how many bytes they had
    chunk *first, *last;
    char *next, *end;
};

// Where the element of an array was found that was read last, so that walking by index is not quadratic. A script may
// walk several arrays side by side.
static const uint32_t RECENT = 4;
struct recent_element {
    const document *doc;
    uint32_t node;
    int32_t index;
    uint32_t token;
    int32_t count; // of its elements; -1 = not counted
};

struct index_maker; // simdjson's parser; nullptr where fast_tokens() is used

// A number as it was read.
struct read_number {
    double number;
    const char *text;
    int32_t length;
};

static const uint32_t NUMBERS = 16; // how many of the last ones are remembered

struct session : tide_json {
    arena memory;
    index_maker *maker;
    recent_element recent[RECENT];
    uint32_t newest_recent; // the one that was used last
    read_number
        numbers[NUMBERS]; // without plain integers, which are always written as they were read
    uint32_t
        number_count;     // numbers remembered since the reset, also those that are forgotten again
    bool newest_is_plain; // the last number that was read is a plain integer, so it is none of them
};

inline session *of(tide_json_doc *doc)
{
    return static_cast<session *>(doc->json);
}

template <typename word> inline word load(const char *from)
{
    word loaded;
    memcpy(&loaded, from, sizeof(word));
    return loaded;
}

// Most pieces are short: a call of memcmp or memcpy would take more time than its work.
inline bool is_equal(const char *a, const char *b, size_t length)
{
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8)
            if (load<uint64_t>(a + i) != load<uint64_t>(b + i))
                return false;
        return load<uint64_t>(a + length - 8) == load<uint64_t>(b + length - 8);
    }
    if (length >= 4)
        return load<uint32_t>(a) == load<uint32_t>(b) &&
               load<uint32_t>(a + length - 4) == load<uint32_t>(b + length - 4);
    return length == 0 ||
           (a[0] == b[0] && a[length / 2] == b[length / 2] && a[length - 1] == b[length - 1]);
}

inline void copy(char *to, const char *from, size_t length)
{
    if (length > 16) {
        memcpy(to, from, length);
    } else if (length >= 8) {
        auto first = load<uint64_t>(from), last = load<uint64_t>(from + length - 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
    } else if (length >= 4) {
        auto first = load<uint32_t>(from), last = load<uint32_t>(from + length - 4);
        memcpy(to, &first, 4);
        memcpy(to + length - 4, &last, 4);
    } else if (length > 0) {
        to[0] = from[0];
        to[length / 2] = from[length / 2];
        to[length - 1] = from[length - 1];
    }
}

// All bytes count, as keys may differ in the middle only.
inline uint32_t hash_bytes(const char *bytes, size_t length)
{
    const uint64_t factor = 0x9E3779B97F4A7C15;
    uint64_t sum = length, last = 0;
    for (; length >= 8; bytes += 8, length -= 8) {
        sum = (sum ^ load<uint64_t>(bytes)) * factor;
        sum ^= sum >> 32;
    }
    copy(reinterpret_cast<char *>(&last), bytes, length);
    // A product carries upwards only: the second one brings what the last bytes say into all bits that are returned.
    sum = (sum ^ last) * factor;
    sum = (sum ^ sum >> 32) * factor;
    return uint32_t(sum >> 32);
}

inline bool is_space(char c)
{
    return uint8_t(c) <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

// The offset after the value or key that ends with token `last`.
inline uint32_t end_of(const tide_json_doc *doc, uint32_t last)
{
    uint32_t end = doc->at[last + 1];
    while (is_space(doc->bytes[end - 1]))
        end--;
    return end;
}

inline uint32_t end_of_value(const tide_json_doc *doc, uint32_t node)
{
    return end_of(doc, doc->link[node]);
}

inline bool is_object(const tide_json_doc *doc, uint32_t node)
{
    return doc->bytes[doc->at[node]] == '{';
}

inline bool is_digit(char c)
{
    return uint8_t(c - '0') < 10;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "skip_digits counts from the low end");

// The first byte that is not a digit. Eight at once, since a branch for each digit is hard to predict.
inline const char *skip_digits(const char *from, const char *limit)
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

// index.cpp
index_maker *new_index_maker();
void free_index_maker(index_maker *maker);
void reset_index_maker(index_maker *maker);
// nullptr with tide_error(). The bytes must live as long as the document.
document *open_document(session *json, const char *bytes, int32_t length, document *parent);

// utf8.cpp
bool is_utf8(const char *bytes, size_t length);

// tokens.cpp: our own index, for processors with AVX2.
#ifdef __x86_64__
constexpr bool HAS_FAST_TOKENS = true;
#else
constexpr bool HAS_FAST_TOKENS = false;
#endif
// Finds `at`, `count` and `escaped` of a document whose `bytes` and `length` are set. False: it is not UTF-8, holds
// nothing but white space, a control byte in a string, or a string without an end.
bool fast_tokens(document *doc, arena *memory);

// number.cpp, text.cpp; each takes the bytes [from, to) of a token.
// True when a number that is long or has a large exponent is within the range of a double.
bool is_in_range(const char *from, const char *to);
bool check_escapes(const char *from, const char *to);

// Checks the grammar of a number in the bytes [from, to) of a token; bytes up to `limit` may be read.
inline bool check_number(const char *from, const char *to, const char *limit)
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
    return !suspicious || is_in_range(from, to);
}

// read.cpp
// True when the key at token `key` is these (unescaped) bytes.
bool key_equals(const document *doc, uint32_t key, const char *bytes, int32_t length);
// The last equal key before token `before`; 0 if there is none.
uint32_t find_key(const document *doc, uint32_t node, uint32_t before, const char *key,
                  int32_t length);
// The token of element `index`; 0 if the document has none.
uint32_t find_element(document *doc, uint32_t node, int32_t index);
int32_t count_elements(document *doc, uint32_t node);
// Opens an assigned value as a document and returns its kind; TIDE_EDATA if it nests too deep to be read.
int read_value(document *doc, edit *change);
// Sets `key` and `key_length` of the session to the text of a key, unescaped.
void find_key_text(document *doc, uint32_t key);

// walk.cpp
// True when an equal key stands after this one in its object.
bool is_overridden(document *doc, uint32_t node, uint32_t key);

// changes.cpp
// A new change, which stays where it is until the next one. `key` is nullptr but for what is added to an object.
edit *add_change(document *doc, uint32_t at, uint32_t container, const char *key, int32_t length);
edit *find_change(document *doc, uint32_t at);
// A member that was added to a container: by key, or by index from 1 among the additions.
edit *find_added(document *doc, uint32_t node, const char *key, int32_t length);
// How many elements were added, including those that were deleted again.
int32_t count_added(const document *doc, uint32_t node);
// The index among the additions of the last one that was not deleted again; 0 if there is none.
int32_t last_added(const document *doc, uint32_t node);
// Puts `order` in order.
void sort_changes(document *doc);

// splice.cpp
// Returns the length; `to` == nullptr: writes nothing.
int64_t write_node(document *doc, int32_t node, char *to);

} // namespace tide_json_private

#endif
