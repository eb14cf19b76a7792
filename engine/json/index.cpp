// SPDX-License-Identifier: MIT
// simdjson is included here only. Its stage 1 finds strings, brackets and starts of scalars and checks
// UTF-8 and control bytes; the grammar is checked here, in one pass that also links the brackets.
#include <simdjson.h>

#include "json/private.hpp"

namespace tide_json_private {

using parser = simdjson::internal::dom_parser_implementation;

// Documents up to this size share one index buffer (4 bytes each); a larger one is given back.
static const size_t USUAL = 256 * 1024;

struct index_maker {
    std::unique_ptr<parser> stage;
    size_t capacity;
    document *user; // the index that stage holds is this document's
};

static void set_capacity(index_maker *maker, size_t capacity)
{
    tide_require(!maker->stage->allocate(capacity, TIDE_JSON_DEPTH));
    maker->capacity = capacity;
}

index_maker *new_index_maker()
{
    auto *maker = new (std::nothrow) index_maker{};
    tide_require(maker);
    auto failed = simdjson::get_active_implementation()->create_dom_parser_implementation(
        USUAL, TIDE_JSON_DEPTH, maker->stage);
    tide_require(!failed);
    maker->capacity = USUAL;
    return maker;
}

void free_index_maker(index_maker *maker)
{
    delete maker;
}

void reset_index_maker(index_maker *maker)
{
    maker->user = nullptr;
    if (maker->capacity > USUAL)
        set_capacity(maker, USUAL);
}

bool is_utf8(const char *bytes, size_t length)
{
    return simdjson::validate_utf8(bytes, length);
}

namespace {

// The pass over the index. While a container is open, its token's link holds the container around it and
// whether that is an object: no stack is needed. That the last token closes a container was looked at
// before: only behind a closing one can the tokens be at an end. `escapes`: there are some to be checked.
template <bool escapes> class grammar {
  public:
    explicit grammar(document *opened)
        : bytes(opened->bytes), at(opened->at), link(opened->link), signatures(opened->signatures),
          keys(opened->keys), limit(opened->bytes + opened->length)
    {
    }

    bool check(const uint32_t count)
    {
        uint32_t i = 0, open = 0, depth = 0;
        bool object = false;
        for (;;) {
            if (object && !(i = members(i, depth == 1)))
                return false;
            char c = first(i);
            if ((c | 0x20) == '{') {
                if (++depth > deepest && (deepest = depth) > TIDE_JSON_DEPTH)
                    return false;
                link[i] = open << 1 | uint32_t(object);
                link[i + 2] = 0; // walk.cpp: the keys were not looked at
                open = i++;
                object = c == '{';
                if (first(i) != c + 2) // } and ] stand two behind { and [
                    continue;
            } else if (!scalar(c, i++)) {
                return false;
            }
            while ((c = first(i)) != ',') {
                if (c != (object ? '}' : ']'))
                    return false;
                uint32_t around = link[open];
                link[i] = open;
                link[open] = i++;
                open = around >> 1;
                object = around & 1;
                if (--depth == 0 || i == count)
                    return depth == 0 && i == count;
            }
            i++;
        }
    }

    bool scalar(char c, uint32_t i)
    {
        link[i] = i;
        if (c == '"')
            return string(i);
        if (uint8_t(c - '0') < 10 || c == '-')
            return check_number(bytes + at[i], bytes + end(i), limit);
        return literal(bytes + at[i], end(i) - at[i]);
    }

    int32_t key_count = 0; // of the root, when it is an object
    uint32_t deepest = 0;
    bool escaped_key = false;

  private:
    // Members from key i on as far as their values are strings, which most are. The token of the first
    // value that is another one, or that no comma follows; 0 = a key or a colon is wrong.
    uint32_t members(uint32_t i, bool of_root)
    {
        for (;;) {
            if (first(i) != '"' || first(i + 1) != ':' || !string(i))
                return 0;
            if (of_root)
                add_key(i);
            i += 2;
            if (escapes || first(i) != '"' || first(i + 1) != ',')
                return i;
            link[i] = i;
            i += 2;
        }
    }

    char first(uint32_t i) const
    {
        return bytes[at[i]];
    }

    uint32_t end(uint32_t i) const
    {
        uint32_t to = at[i + 1];
        while (is_space(bytes[to - 1]))
            to--;
        return to;
    }

    bool string(uint32_t i) const
    {
        return !escapes || check_escapes(bytes + at[i] + 1, bytes + end(i) - 1);
    }

    // Without branches: true or false is as hard to foretell as a coin.
    static bool literal(const char *from, uint32_t length)
    {
        uint32_t first;
        if (length < 4)
            return false;
        memcpy(&first, from, 4);
        bool four = (first == word("true")) | (first == word("null"));
        return (four & (length == 4)) |
               ((first == word("fals")) & (length == 5) & (from[length - 1] == 'e'));
    }

    static uint32_t word(const char *text)
    {
        uint32_t first;
        memcpy(&first, text, 4);
        return first;
    }

    void add_key(uint32_t i)
    {
        const char *key = bytes + at[i] + 1;
        int32_t length = int32_t((bytes[at[i + 1] - 1] == '"' ? at[i + 1] : end(i)) - at[i]) - 2;
        signatures[key_count] = limit - key < 8 ? key_signature(key, length)
                                                : wide_key_signature(key, length);
        keys[key_count++] = i;
        if (escapes && memchr(key, '\\', size_t(length)))
            escaped_key = true;
    }

    const char *bytes;
    const uint32_t *at;
    uint32_t *link;
    uint64_t *signatures;
    uint32_t *keys;
    const char *limit;
};

} // namespace

template <bool escapes> static bool check_grammar(document *doc)
{
    char first = doc->bytes[doc->at[0]], last = doc->bytes[doc->at[doc->count - 1]];
    grammar<escapes> pass(doc);
    if (first != '{' && first != '[') {
        doc->kind = TIDE_JSON_NONE;
        return doc->count == 1 && pass.scalar(first, 0);
    }
    bool good = (last | 0x20) == '}' && pass.check(uint32_t(doc->count));
    doc->key_count = pass.escaped_key ? -1 : pass.key_count;
    doc->deepest = int32_t(pass.deepest);
    doc->kind = first == '{' ? TIDE_JSON_OBJECT : TIDE_JSON_ARRAY;
    return good;
}

// The plain parser says where; should it find nothing, the two disagree, which no document may bring about.
static document *refuse(const char *bytes, size_t length)
{
    if (tide_json_check(bytes, length) == TIDE_OK)
        tide_fail(TIDE_EDATA, "not JSON");
    return nullptr;
}

// The index stays where simdjson put it until another document is opened.
static const uint32_t *take_index(index_maker *maker, arena *memory, document *doc)
{
    if (maker->user) {
        size_t size = size_t(maker->user->count + 1) * sizeof(uint32_t);
        maker->user->at = static_cast<uint32_t *>(
            memcpy(memory->take(size), maker->user->at, size));
    }
    maker->user = doc;
    return maker->stage->structural_indexes.get();
}

document *open_document(session *json, const char *bytes, int32_t length, document *parent)
{
    index_maker *maker = json->maker;
    arena &memory = json->memory;
    auto *doc = static_cast<document *>(memory.take(sizeof(document)));
    const uint32_t *index = take_index(maker, &memory, doc);
    if (size_t(length) > maker->capacity) {
        set_capacity(maker, size_t(length));
        index = maker->stage->structural_indexes.get();
    }
    parser *stage = maker->stage.get();
    if (stage->stage1(reinterpret_cast<const uint8_t *>(bytes), size_t(length),
                      simdjson::stage1_mode::regular)) {
        maker->user = nullptr;
        return refuse(bytes, size_t(length));
    }
    uint32_t count = stage->n_structural_indexes;
    doc->json = json;
    doc->parent = parent;
    doc->bytes = bytes;
    doc->at = index;
    doc->link = static_cast<uint32_t *>(memory.take((count + 2) * sizeof(uint32_t)));
    doc->signatures = static_cast<uint64_t *>(memory.take(count / 4 * sizeof(uint64_t)));
    doc->keys = static_cast<uint32_t *>(memory.take(count / 4 * sizeof(uint32_t)));
    doc->length = length;
    doc->count = int32_t(count);
    doc->edits = doc->kind = doc->key_count = 0;
    doc->escaped = memchr(bytes, '\\', size_t(length)) != nullptr;
    doc->deepest = 0;
    doc->place = 0;
    doc->changes = doc->few_changes;
    doc->order = doc->few_order;
    doc->change_count = 0;
    doc->change_room = FEW;
    doc->bound = length;
    bool good = doc->escaped ? check_grammar<true>(doc) : check_grammar<false>(doc);
    return good ? doc : refuse(bytes, size_t(length));
}

} // namespace tide_json_private
