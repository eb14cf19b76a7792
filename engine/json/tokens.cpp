// SPDX-License-Identifier: MIT
// The first pass: it finds where each { } [ ] , : and each string, number or literal starts. The method is simdjson's
// stage 1 (Langdale and Lemire, Parsing Gigabytes of JSON per Second, 2019): 64 bytes become masks of 64 bits, one bit for
// each byte. It is written anew for documents of a few hundred bytes: a block without escapes, control bytes and bytes
// above ASCII takes a short cut, the last block is not copied, and UTF-8 is validated only where there is any.
// Start with fast_tokens() and scanner::scan().
#include "json/inside.hpp"

#ifdef __x86_64__

#include <immintrin.h>

namespace tide_json_private {

namespace {

#define WITH_AVX2 __attribute__((target("avx2,bmi,pclmul,popcnt")))

const size_t BLOCK = 64;

struct block {
    __m256i low, high;
};

WITH_AVX2 inline uint64_t bits(__m256i low, __m256i high)
{
    return uint32_t(_mm256_movemask_epi8(low)) | uint64_t(_mm256_movemask_epi8(high)) << 32;
}

WITH_AVX2 inline __m256i repeat(char c)
{
    return _mm256_set1_epi8(c);
}

WITH_AVX2 inline uint64_t equal(const block &in, char c)
{
    return bits(_mm256_cmpeq_epi8(in.low, repeat(c)), _mm256_cmpeq_epi8(in.high, repeat(c)));
}

WITH_AVX2 inline __m256i table(char at0, char at9, char atA, char atB, char atC, char atD)
{
    __m128i half = _mm_setr_epi8(at0, 0, 0, 0, 0, 0, 0, 0, 0, at9, atA, atB, atC, atD, 0, 0);
    return _mm256_broadcastsi128_si256(half);
}

// No two of these bytes have the same lower half, so a table of 16 entries recognises them.
WITH_AVX2 inline __m256i is_blank(__m256i in)
{
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table(' ', '\t', '\n', 0, 0, '\r'), in), in);
}

// [ and ] differ from { and } by 0x20 only. Two control bytes are taken for : and , here; the grammar refuses them.
WITH_AVX2 inline __m256i is_operator(__m256i in)
{
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table(0, 0, ':', '{', ',', '}'), in),
                             _mm256_or_si256(in, repeat(0x20)));
}

// True when there is a backslash, a control byte (white space included) or a byte above ASCII.
WITH_AVX2 inline bool is_special(const block &in)
{
    __m256i slash = _mm256_or_si256(_mm256_cmpeq_epi8(in.low, repeat('\\')),
                                    _mm256_cmpeq_epi8(in.high, repeat('\\')));
    __m256i least = _mm256_min_epi8(in.low, in.high); // signed: bytes above ASCII are below zero
    __m256i small = _mm256_cmpgt_epi8(repeat(0x20), least);
    return _mm256_movemask_epi8(_mm256_or_si256(slash, small)) != 0;
}

// The pass over the blocks. Its members are what the next block has to know of those before it.
class scanner {
  public:
    // Returns the tokens that start in the block, the first `skip` bytes of which were in the block before.
    WITH_AVX2 uint64_t scan(const char *bytes, int skip)
    {
        block in = {_mm256_loadu_si256(reinterpret_cast<const __m256i *>(bytes)),
                    _mm256_loadu_si256(reinterpret_cast<const __m256i *>(bytes) + 1)};
        uint64_t quotes = equal(in, '"') >> skip;
        uint64_t operators = bits(is_operator(in.low), is_operator(in.high)) >> skip;
        uint64_t text = ~bits(is_blank(in.low), is_blank(in.high)) >> skip;
        bool special = is_special(in) || in_escape;
        if (special)
            quotes &= ~find_escaped(equal(in, '\\') >> skip);
        uint64_t inside = find_strings(quotes); // with the opening quote, without the closing one
        if (special)
            look_closer(in, inside << skip);
        uint64_t scalars = text & ~operators;
        uint64_t following = (scalars & ~quotes) << 1 | in_scalar;
        in_scalar = (scalars & ~quotes) >> 63;
        return (operators | (scalars & ~following)) & ~(inside ^ quotes);
    }

    bool escaped = false, beyond_ascii = false, wrong = false;
    uint64_t in_string = 0; // all bits, or none

  private:
    // Marks the bytes from each opening quote up to the byte before the closing one.
    WITH_AVX2 uint64_t find_strings(uint64_t quotes)
    {
        __m128i sums = _mm_clmulepi64_si128(_mm_cvtsi64_si128(int64_t(quotes)),
                                            _mm_set1_epi8(char(0xFF)), 0);
        uint64_t inside = uint64_t(_mm_cvtsi128_si64(sums)) ^ in_string;
        in_string = uint64_t(int64_t(inside) >> 63);
        return inside;
    }

    // Marks the bytes after an odd number of backslashes. An addition carries through a run of them; where the carry comes
    // out tells, together with where the run began, whether its length is odd.
    uint64_t find_escaped(uint64_t slashes)
    {
        const uint64_t even = 0x5555555555555555;
        escaped = escaped || slashes;
        slashes &= ~in_escape;
        uint64_t following = slashes << 1 | in_escape;
        uint64_t odd_starts = slashes & ~even & ~following, ends;
        in_escape = __builtin_add_overflow(odd_starts, slashes, &ends);
        return (even ^ ends << 1) & following;
    }

    WITH_AVX2 void look_closer(const block &in, uint64_t inside)
    {
        __m256i bound = repeat(0x1F);
        uint64_t controls = bits(_mm256_cmpeq_epi8(_mm256_min_epu8(in.low, bound), in.low),
                                 _mm256_cmpeq_epi8(_mm256_min_epu8(in.high, bound), in.high));
        wrong = wrong || (controls & inside);
        beyond_ascii = beyond_ascii || bits(in.low, in.high);
    }

    uint64_t in_scalar = 0; // the last byte belongs to a number or a literal
    uint64_t in_escape = 0; // the last byte is a backslash that escapes the next
};

} // namespace

// Eight at a time: a branch for each would be hard to predict.
WITH_AVX2 static void list_tokens(const uint64_t *marks, size_t blocks, uint32_t *to)
{
    for (size_t i = 0; i < blocks; i++) {
        uint64_t left = marks[i];
        auto count = __builtin_popcountll(left);
        for (int done = 0; done < count; done += 8)
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) {
                to[done + k] = uint32_t(i * BLOCK + _tzcnt_u64(left));
                left = _blsr_u64(left);
            }
        to += count;
    }
}

WITH_AVX2 bool fast_tokens(document *doc, arena *memory)
{
    size_t length = size_t(doc->length), blocks = (length + BLOCK - 1) / BLOCK, count = 0;
    auto *marks = static_cast<uint64_t *>(memory->take(blocks * sizeof(uint64_t)));
    const char *bytes = doc->bytes;
    char few[BLOCK];
    // Shorter than a block there is nothing to overlap with.
    if (length < BLOCK) {
        memset(few, ' ', BLOCK);
        bytes = static_cast<char *>(memcpy(few, bytes, length));
        length = BLOCK;
    }
    scanner pass;
    for (size_t i = 0; i < blocks; i++) {
        // The last block ends with the document and so overlaps the one before it: no byte after the document is read,
        // and none is copied.
        size_t at = i * BLOCK, from = at + BLOCK <= length ? at : length - BLOCK;
        marks[i] = pass.scan(bytes + from, int(at - from));
        count += size_t(__builtin_popcountll(marks[i]));
    }
    if (pass.wrong || pass.in_string || count == 0 ||
        (pass.beyond_ascii && !is_utf8(doc->bytes, size_t(doc->length))))
        return false;
    // list_tokens() writes eight at a time, so up to seven beyond the last one; the end of the document follows that.
    auto *at = static_cast<uint32_t *>(memory->take((count + 8) * sizeof(uint32_t)));
    doc->at = at;
    doc->count = int32_t(count);
    doc->escaped = pass.escaped;
    list_tokens(marks, blocks, at);
    at[count] = uint32_t(doc->length);
    return true;
}

} // namespace tide_json_private

#else

bool tide_json_private::fast_tokens(document *, arena *)
{
    return false; // never called
}

#endif
