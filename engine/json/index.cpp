// SPDX-License-Identifier: MIT
// Opening a document: the tokens are found by tokens.cpp or, on processors without AVX2, by simdjson's stage 1 (which is
// included here only); the grammar is checked in one pass over the tokens that also links the brackets. simdjson's own
// parsers were not taken: they build a tape, which costs as much again and cannot be written back with the untouched bytes.
// Start with open_document() and check_container().
#include <simdjson.h>

#include "json/inside.hpp"

namespace tide_json_private {

using parser = simdjson::internal::dom_parser_implementation;

// Documents up to this size share one index buffer (4 bytes for each byte); a larger buffer is given back.
static const size_t USUAL = 256 * 1024;

struct index_maker {
    std::unique_ptr<parser> stage;
    size_t capacity;
};

static void set_capacity(index_maker *maker, size_t capacity)
{
    tide_require(!maker->stage->allocate(capacity, TIDE_JSON_DEPTH));
    maker->capacity = capacity;
}

index_maker *new_index_maker()
{
    // simdjson knows the processor; SIMDJSON_FORCE_IMPLEMENTATION=fallback is for the specs.
    const simdjson::implementation *chosen = simdjson::get_active_implementation();
    if (HAS_FAST_TOKENS && (chosen->name() == "haswell" || chosen->name() == "icelake"))
        return nullptr;
    auto *maker = new (std::nothrow) index_maker{};
    tide_require(maker);
    tide_require(!chosen->create_dom_parser_implementation(USUAL, TIDE_JSON_DEPTH, maker->stage));
    maker->capacity = USUAL;
    return maker;
}

void free_index_maker(index_maker *maker)
{
    delete maker;
}

void reset_index_maker(index_maker *maker)
{
    if (maker && maker->capacity > USUAL)
        set_capacity(maker, USUAL);
}

static bool find_tokens(index_maker *maker, document *doc, arena *memory)
{
    auto length = size_t(doc->length);
    if (!maker)
        return fast_tokens(doc, memory);
    if (length > maker->capacity)
        set_capacity(maker, length);
    // No JSON ends within a character, and simdjson's fallback would read the byte behind it.
    if (length > 0 && (doc->bytes[length - 1] & 0x80))
        return false;
    parser *stage = maker->stage.get();
    if (stage->stage1(reinterpret_cast<const uint8_t *>(doc->bytes), length,
                      simdjson::stage1_mode::regular))
        return false;
    // They are copied, with the end that simdjson puts after the last one: a value that is assigned may be opened while
    // this document is in use, and it takes the same stage.
    size_t size = (stage->n_structural_indexes + size_t(1)) * sizeof(uint32_t);
    doc->at = static_cast<uint32_t *>(
        memcpy(memory->take(size), stage->structural_indexes.get(), size));
    doc->count = int32_t(stage->n_structural_indexes);
    doc->escaped = memchr(doc->bytes, '\\', length) != nullptr;
    return true;
}

// Without branches: whether a field is true or false cannot be predicted.
static bool is_literal(const char *from, uint32_t length)
{
    const auto word = load<uint32_t>;
    if (length < 4)
        return false;
    uint32_t first = word(from), yes = word("true"), none = word("null"), fals = word("fals");
    bool four = (first == yes) | (first == none);
    return (four & (length == 4)) | ((first == fals) & (length == 5) & (from[length - 1] == 'e'));
}

// Checks a token that is neither a string nor a bracket: a number or a literal.
static bool check_scalar(const document *doc, uint32_t i)
{
    const char *from = doc->bytes + doc->at[i], *to = doc->bytes + end_of(doc, i);
    return is_digit(*from) || *from == '-' ? check_number(from, to, doc->bytes + doc->length)
                                           : is_literal(from, uint32_t(to - from));
}

// Adds a key of the root object to its chain; it begins at `from`, and `to` is the byte before the colon. Returns the token
// of the key before it in the chain.
static inline uint32_t chain_key(document *doc, size_t key, const char *from, const char *to)
{
    while (*to != '"')
        to--;
    uint32_t *last = &doc->chains[key_hash(from, size_t(to - from))], before = *last;
    *last = uint32_t(key);
    return before;
}

// The pass over the tokens of an array or object. While a container is open, its token's link holds the container around
// it and whether that is an object, so no stack is needed. The caller has checked that the last token closes a container,
// so the end of the tokens has to be looked for only after a closing one.
static bool check_container(document *doc)
{
    const char *const bytes = doc->bytes;
    const uint32_t *const at = doc->at;
    uint32_t *const link = doc->link;
    const size_t count = size_t(doc->count);
    size_t i = 0, open = 0, depth = 0, deepest = 0;
    const size_t chained = doc->json->without_keys ? count : 0; // of no container, or of the root
    bool object = false;
    const auto first = [bytes, at](size_t token) { return bytes[at[token]]; };
    for (;;) {
        if (object) {
            if (first(i) != '"' || first(i + 1) != ':')
                return false;
            if (open == chained)
                link[i] = chain_key(doc, i, bytes + at[i] + 1, bytes + at[i + 1] - 1);
            i += 2;
        }
        char c = first(i);
        link[i] = uint32_t(i);
        if (c == '"') {
            i++;
        } else if ((c | 0x20) == '{') {
            if (++depth > deepest && (deepest = depth) > TIDE_JSON_DEPTH)
                return false;
            link[i] = uint32_t(open << 1 | size_t(object));
            link[i + 2] = 0; // for walk.cpp: equal keys of this object have not been looked for
            open = i++;
            object = c == '{';
            if (first(i) != c + 2) // } and ] are two more than { and [ in ASCII
                continue;
        } else if (!check_scalar(doc, uint32_t(i++))) {
            return false;
        }
        while ((c = first(i)) != ',') {
            if (c != (object ? '}' : ']'))
                return false;
            size_t around = link[open];
            link[i] = uint32_t(open);
            link[open] = uint32_t(i++);
            open = around >> 1;
            object = around & 1;
            if (--depth == 0 || i == count) {
                doc->deepest = int32_t(deepest);
                return depth == 0 && i == count;
            }
        }
        i++;
    }
}

// Such a key hangs in the chain of its escaped bytes, where nobody who looks for the unescaped ones would find it.
static bool has_escaped_key(const document *doc)
{
    const uint32_t *at = doc->at, *link = doc->link;
    for (uint32_t key = 1; key < link[0]; key = link[key + 2] + 2)
        if (memchr(doc->bytes + at[key], '\\', at[key + 1] - at[key]))
            return true;
    return false;
}

static bool check_grammar(document *doc)
{
    char first = doc->bytes[doc->at[0]], last = doc->bytes[doc->at[doc->count - 1]];
    doc->deepest = 0;
    if (doc->escaped && !check_escapes(doc->bytes, doc->bytes + doc->length))
        return false;
    if (first == '{' || first == '[') {
        doc->kind = first == '{' ? TIDE_JSON_OBJECT : TIDE_JSON_ARRAY;
        if ((last | 0x20) != '}' || !check_container(doc))
            return false;
        doc->is_chained = first == '{' && !doc->json->without_keys &&
                          !(doc->escaped && has_escaped_key(doc));
        return true;
    }
    // A root that is no container has no kind yet: session.cpp has it read as a value.
    doc->kind = TIDE_JSON_NONE;
    doc->link[0] = 0;
    return doc->count == 1 && (first == '"' || check_scalar(doc, 0));
}

// The plain parser tells what is wrong and where. If it finds nothing, the two parsers disagree: a bug, but no reason to
// accept the document.
static document *refuse(const char *bytes, size_t length)
{
    if (tide_json_check(bytes, length) == TIDE_OK)
        tide_fail(TIDE_EDATA, "not JSON");
    return nullptr;
}

document *open_document(session *json, const char *bytes, int32_t length, document *parent)
{
    arena &memory = json->memory;
    auto *doc = static_cast<document *>(memory.take(sizeof(document)));
    doc->bytes = bytes;
    doc->length = length;
    if (!find_tokens(json->maker, doc, &memory))
        return refuse(bytes, size_t(length));
    uint32_t count = uint32_t(doc->count);
    // The arena gives memory that is not zeroed, so each field is set here, but for the two arrays, which change_count
    // bounds.
    doc->json = json;
    doc->parent = parent;
    doc->link = static_cast<uint32_t *>(memory.take((count + 2) * sizeof(uint32_t)));
    doc->edits = 0;
    memset(doc->chains, 0, sizeof(doc->chains));
    doc->container = 0;
    doc->changes = doc->few_changes;
    doc->order = doc->few_order;
    doc->index = nullptr;
    doc->change_count = 0;
    doc->change_room = FEW;
    doc->bound = length;
    return check_grammar(doc) ? doc : refuse(bytes, size_t(length));
}

} // namespace tide_json_private
