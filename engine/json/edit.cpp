// SPDX-License-Identifier: MIT
// Making changes of a document. The bytes stay as they are: a change is kept beside them (changes.cpp), at most one for each
// member. Building a tree instead was not taken: it would have to decode and encode what nobody
// touches. Start with set_member().
#include <algorithm>
#include <cmath>

#include "json/inside.hpp"

namespace tide_json_private {

// The document has changed, and so have those that it is assigned in; each may be longer by `more`. All have to know:
// who is asked for its text copies the old bytes only while nothing in it has changed.
static void note_change(document *doc, int64_t more)
{
    for (; doc; doc = static_cast<document *>(doc->parent)) {
        doc->edits++;
        doc->bound += more;
    }
}

struct text {
    const char *bytes; // nullptr: delete
    int32_t length;
};

// An addition stays one for ever: deleted it keeps its place, and assigned again it is written there.
static void assign_value(edit *change, text value)
{
    change->what = !value.bytes ? edit::DELETE : change->appended ? edit::APPEND : edit::REPLACE;
    change->text = value.bytes;
    change->length = value.length;
    change->value = nullptr;
}

static void change_member(document *doc, uint32_t at, uint32_t node, text value)
{
    edit *change = doc->change_count > 0 ? find_change(doc, at) : nullptr;
    assign_value(change ? change : add_change(doc, at, node, nullptr, 0), value);
    note_change(doc, value.length);
}

// The prefix is made here, as a change is written each time that the document is measured or written. A byte takes six
// at most (\u00XX), and what was not needed goes back.
static int add_key(document *doc, uint32_t node, const char *key, int32_t length, text value)
{
    arena &memory = of(doc)->memory;
    auto *prefix = static_cast<char *>(memory.take(size_t(length) * 6 + 3));
    int64_t size = tide_json_quote(key, size_t(length), prefix);
    if (size < 0)
        return tide_fail(TIDE_EDATA, "the key is not UTF-8");
    prefix[size++] = ':';
    memory.shrink(prefix, size_t(size));
    const char *plain = prefix + 1;
    if (size > int64_t(length) + 3) // it has escapes, so the quoted key is not the key itself
        plain = static_cast<char *>(memcpy(memory.take(size_t(length)), key, size_t(length)));
    edit *added = add_change(doc, doc->link[node], node, plain, length);
    added->prefix = prefix;
    added->prefix_length = int32_t(size);
    assign_value(added, value);
    note_change(doc, (tide_fault("bug.json_overrun") ? 0 : size) + value.length + 1);
    return TIDE_OK;
}

// Where a key stands twice, every one is changed. RFC 8259 (section 4) leaves open which of them a reader takes, so one
// that kept the old value would be the right one for somebody.
static int set_key(document *doc, uint32_t node, const char *key, int32_t length, text value)
{
    uint32_t found = doc->link[node];
    bool any = false;
    while ((found = find_key(doc, node, found, key, length))) {
        change_member(doc, found--, node, value);
        any = true;
    }
    if (any)
        return TIDE_OK;
    edit *added = doc->change_count > 0 ? find_added(doc, node, key, length) : nullptr;
    if (!added && value.bytes)
        return add_key(doc, node, key, length, value);
    if (added) {
        assign_value(added, value);
        note_change(doc, value.length);
    }
    return TIDE_OK;
}

// The document's elements come first, then those that were added: the index of an addition counts from the end of the
// document's own.
static int set_element(document *doc, uint32_t node, int32_t index, text value)
{
    uint32_t found = find_element(doc, node, index);
    if (found) {
        change_member(doc, found, node, value);
        return TIDE_OK;
    }
    // An index right after the end appends. A gap would have to be filled with values that nobody gave. To delete what
    // is not there is no mistake, as in a Lua table.
    int32_t most = count_elements(doc, node) + count_added(doc, node);
    if (value.bytes && (index < 1 || index > most + 1))
        return tide_fail(TIDE_EDATA, "index %d of an array of %d elements", index, most);
    edit *added = find_added(doc, node, nullptr, index - count_elements(doc, node));
    if (!added && !value.bytes)
        return TIDE_OK;
    if (!added)
        added = add_change(doc, doc->link[node], node, nullptr, 0);
    assign_value(added, value);
    note_change(doc, value.length + 1);
    return TIDE_OK;
}

// How deep a text nests. It is JSON already.
static int32_t nesting_of(text value)
{
    int32_t depth = 0, deepest = 0;
    bool quoted = false;
    for (int32_t i = 0; i < value.length; i++) {
        char c = value.bytes[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if ((c | 0x20) == '{') {
            depth++;
            deepest = std::max(deepest, depth);
        } else if ((c | 0x20) == '}') {
            depth--;
        }
    }
    return deepest;
}

// The depth of a container; that of the root is 1. No token knows its depth, so it is counted from the start of the
// document.
static int32_t depth_of(const document *doc, uint32_t node)
{
    int32_t depth = 0;
    for (uint32_t i = 0; i <= node; i++) {
        char c = char(doc->bytes[doc->at[i]] | 0x20);
        depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    }
    return depth;
}

// True when the whole would nest deeper than can be read. It is counted exactly only where an upper bound does not
// tell. write_node() recurses into assigned values, so without a limit a script could overflow the stack; and what
// nests deeper than is read would be refused by the next step.
static bool is_too_deep(const document *doc, uint32_t node, text value)
{
    const int32_t own = nesting_of(value);
    int32_t most = own, depth = own;
    for (const document *in = doc; in; in = static_cast<const document *>(in->parent))
        most += in->deepest;
    if (most <= TIDE_JSON_DEPTH)
        return false;
    for (; doc; node = doc->container, doc = static_cast<const document *>(doc->parent))
        depth += depth_of(doc, node);
    return depth > TIDE_JSON_DEPTH;
}

// Only a container can make the document too deep, so nothing else pays for the look.
static int set_member(tide_json_doc *opened, int32_t node, const char *key, int32_t length,
                      text value)
{
    auto *doc = static_cast<document *>(opened);
    bool object = is_object(doc, uint32_t(node));
    if (object && !key)
        return tide_fail(TIDE_EDATA, "an object takes strings as keys");
    if (key && !object)
        return tide_fail(TIDE_EDATA, "an array takes numbers as indexes");
    if (value.bytes && (*value.bytes == '{' || *value.bytes == '[') &&
        is_too_deep(doc, uint32_t(node), value))
        return tide_fail(TIDE_EDATA, "nesting deeper than %d", TIDE_JSON_DEPTH);
    return object ? set_key(doc, uint32_t(node), key, length, value)
                  : set_element(doc, uint32_t(node), length, value);
}

static char *take_bytes(tide_json_doc *doc, size_t size)
{
    return static_cast<char *>(of(doc)->memory.take(size));
}

} // namespace tide_json_private

using namespace tide_json_private;

int tide_json_set_double(tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                         double number)
{
    if (!std::isfinite(number))
        return tide_fail(TIDE_EDATA, "%s is no JSON number",
                         std::isnan(number) ? "NaN" : "infinity");
    // A number that goes from field to field keeps its bytes; only one that the script has computed gets the shortest
    // form.
    const char *read;
    int32_t size = tide_json_read_text(doc->json, number, true, &read);
    if (size > 0)
        return set_member(doc, node, key, length, {read, size});
    char *text = take_bytes(doc, TIDE_JSON_NUMBER);
    return set_member(doc, node, key, length, {text, tide_json_write_double(number, text)});
}

int tide_json_set_integer(tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                          int64_t number)
{
    char *text = take_bytes(doc, TIDE_JSON_NUMBER);
    return set_member(doc, node, key, length, {text, tide_json_write_integer(number, text)});
}

int tide_json_set_natural(tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                          uint64_t number)
{
    char *text = take_bytes(doc, TIDE_JSON_NUMBER);
    return set_member(doc, node, key, length, {text, tide_json_write_natural(number, text)});
}

int tide_json_set_string(tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                         const char *bytes, int32_t size)
{
    // As for a key, each byte may take six.
    size_t room = size_t(size) * 6 + 2;
    char *text = take_bytes(doc, room);
    int64_t written = tide_json_quote(bytes, size_t(size), text);
    if (written < 0)
        return tide_fail(
            TIDE_EDATA,
            "the string is not UTF-8: bytes of another encoding, or a text that is cut within a "
            "character");
    if (written > INT32_MAX)
        return tide_fail(TIDE_EDATA, "the string is too long");
    of(doc)->memory.shrink(text, size_t(written));
    return set_member(doc, node, key, length, {text, int32_t(written)});
}

int tide_json_set_kind(tide_json_doc *doc, int32_t node, const char *key, int32_t length, int kind)
{
    switch (kind) {
    case TIDE_JSON_NULL:
        return set_member(doc, node, key, length, {"null", 4});
    case TIDE_JSON_FALSE:
        return set_member(doc, node, key, length, {"false", 5});
    case TIDE_JSON_TRUE:
        return set_member(doc, node, key, length, {"true", 4});
    default:
        return set_member(doc, node, key, length, {nullptr, 0});
    }
}

int tide_json_set_text(tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                       const char *text, int32_t size)
{
    // The text is a Lua string, which may be collected before the document is written.
    char *copy = take_bytes(doc, size_t(size));
    memcpy(copy, text, size_t(size));
    return set_member(doc, node, key, length, {copy, size});
}
