// SPDX-License-Identifier: MIT
// Finding members and values in the index; a change of a member counts before what the document says. Keys of the root
// object are found by a hash chain (index.cpp), all others by walking from value to value over the links, which for objects
// of a few members is as fast.
#include "json/inside.hpp"

namespace tide_json_private {

// Unescaping never lengthens a text. A long key is unescaped outside of the arena, which would keep the bytes of each
// comparison until the reset.
static bool escaped_key_equals(const char *from, const char *to, const char *bytes, int32_t length)
{
    if (to - from < length)
        return false;
    char small[256];
    size_t size = size_t(to - from);
    char *text = size <= sizeof(small) ? small : static_cast<char *>(tide_realloc(nullptr, size));
    bool equal = tide_json_unescape(from, to, text) == length &&
                 memcmp(text, bytes, size_t(length)) == 0;
    if (text != small)
        free(text);
    return equal;
}

// A key without escapes: the only quote before the colon is the closing one. White space may stand between that quote
// and the colon, so the length alone does not tell, and the quote is looked at.
static inline bool plain_key_equals(const document *doc, uint32_t key, const char *bytes,
                                    int32_t length)
{
    const char *from = doc->bytes + doc->at[key] + 1, *colon = doc->bytes + doc->at[key + 1];
    return colon - from > length && from[length] == '"' && is_equal(from, bytes, size_t(length));
}

// Most documents have no backslash at all, and that is known since their tokens were found.
bool key_equals(const document *doc, uint32_t key, const char *bytes, int32_t length)
{
    if (!doc->escaped)
        return plain_key_equals(doc, key, bytes, length);
    const char *from = doc->bytes + doc->at[key] + 1, *end = doc->bytes + end_of(doc, key) - 1;
    if (memchr(from, '\\', size_t(end - from)))
        return escaped_key_equals(from, end, bytes, length);
    return end - from == length && is_equal(from, bytes, size_t(length));
}

// Backwards, because the last of equal keys counts. After a value stands a comma or the bracket. Forwards, the whole
// object would be walked each time.
static uint32_t walk_to_key(const document *doc, uint32_t node, uint32_t before, const char *key,
                            int32_t length)
{
    for (uint32_t next = before; next > node + 1;) {
        uint32_t found = doc->link[next - 1] - 2;
        if (key_equals(doc, found, key, length))
            return found;
        next = found - 1;
    }
    return 0;
}

uint32_t find_key(const document *doc, uint32_t node, uint32_t before, const char *key,
                  int32_t length)
{
    if (node != 0 || !doc->is_chained)
        return walk_to_key(doc, node, before, key, length);
    // A key was put in front of those before it, so the tokens of a chain fall, and the first one that is equal is the
    // last in the document.
    uint32_t found = doc->chains[key_hash(key, size_t(length))];
    while (found && (found >= before || !plain_key_equals(doc, found, key, length)))
        found = doc->link[found];
    return found;
}

static recent_element *recent_element_of(document *doc, uint32_t node)
{
    session *json = of(doc);
    recent_element *recent = &json->recent[json->newest_recent];
    if (recent->doc == doc && recent->node == node)
        return recent;
    for (uint32_t i = 0; i < RECENT; i++)
        if (json->recent[i].doc == doc && json->recent[i].node == node)
            return &json->recent[json->newest_recent = i];
    // It takes the place of the one that was asked for first.
    json->newest_recent = (json->newest_recent + 1) % RECENT;
    recent = &json->recent[json->newest_recent];
    *recent = {doc, node, 1, node + 1, -1};
    return recent;
}

// Goes from element `from` to `to`; 0 if the array has fewer.
static uint32_t step_on(const uint32_t *link, uint32_t at, int32_t from, int32_t to, uint32_t close)
{
    for (; from < to; from++) {
        at = link[at] + 1;
        if (at == close)
            return 0;
        at++;
    }
    return at;
}

// Goes back from element `from` to `to`. Before an element stands a comma, and the link of the token before that leads
// to where its value begins.
static uint32_t step_back(const uint32_t *link, uint32_t at, int32_t from, int32_t to)
{
    for (; from > to; from--)
        at = link[at - 2];
    return at;
}

// A loop over an array asks for one index after the other, onwards or back: from where the last one was found it is a step,
// from the start it would be quadratic. The end counts as well, once it is known.
uint32_t find_element(document *doc, uint32_t node, int32_t index)
{
    const uint32_t *link = doc->link;
    uint32_t close = link[node];
    if (index < 1 || close == node + 1)
        return 0;
    recent_element *recent = recent_element_of(doc, node);
    int32_t known = recent->index, count = recent->count;
    uint32_t at = recent->token;
    if (count >= 0 && index > count)
        return 0;
    if (count >= 0 && count - index < std::abs(known - index)) {
        known = count;
        at = link[close - 1];
    } else if (index < known - index) {
        known = 1;
        at = node + 1;
    }
    at = index < known ? step_back(link, at, known, index) : step_on(link, at, known, index, close);
    if (at == 0)
        return 0;
    recent->index = index;
    recent->token = at;
    return at;
}

// The count is of the document as it was read, which no change touches, so it holds until another container is asked
// for.
int32_t count_elements(document *doc, uint32_t node)
{
    const uint32_t *link = doc->link;
    uint32_t close = link[node];
    recent_element *recent = recent_element_of(doc, node);
    if (recent->count < 0) {
        int32_t count = 0;
        for (uint32_t at = node + 1; at < close; at = link[at] + 2)
            count++;
        recent->count = count;
    }
    return recent->count;
}

// The bytes stay in the document as long as nothing in them is escaped: Lua makes its string from there.
static int read_string(tide_json *json, bool escaped, const char *from, const char *to)
{
    json->bytes = from;
    json->length = int32_t(to - from);
    if (escaped && memchr(from, '\\', size_t(to - from))) {
        char *text = static_cast<char *>(
            static_cast<session *>(json)->memory.take(size_t(to - from)));
        json->length = tide_json_unescape(from, to, text);
        json->bytes = text;
    }
    return TIDE_JSON_STRING;
}

// Reads a value that is neither an array nor an object. `escaped`: there may be a backslash in it.
static int read_scalar(tide_json *json, bool escaped, const char *from, const char *to,
                       const char *limit)
{
    switch (*from) {
    case '"':
        return read_string(json, escaped, from + 1, to - 1);
    case 't':
        return TIDE_JSON_TRUE;
    case 'f':
        return TIDE_JSON_FALSE;
    case 'n':
        return TIDE_JSON_NULL;
    default:
        return tide_json_read_number(json, from, to, limit);
    }
}

void find_key_text(document *doc, uint32_t key)
{
    tide_json *json = doc->json;
    const char *from = doc->bytes + doc->at[key] + 1;
    const char *to = doc->bytes + end_of(doc, key) - 1;
    json->key = from;
    json->key_length = int32_t(to - from);
    if (doc->escaped && memchr(from, '\\', size_t(to - from))) {
        auto *text = static_cast<char *>(of(doc)->memory.take(size_t(to - from)));
        json->key_length = tide_json_unescape(from, to, text);
        json->key = text;
    }
}

// Most values that are assigned are only written, so an array or object is opened when somebody reads it, with the code
// that opens a message. The text of any other value is read as it is: no white space stands around it.
int read_value(document *doc, edit *change)
{
    const char *text = change->text, *end = text + change->length;
    if (*text != '{' && *text != '[')
        return read_scalar(doc->json, true, text, end, end);
    if (!change->value) {
        change->value = open_document(of(doc), change->text, change->length, doc);
        if (change->value)
            change->value->container = change->container;
    }
    return change->value ? tide_json_value(change->value, 0) : int(TIDE_EDATA);
}

static int read_change(document *doc, edit *change)
{
    if (change->what == edit::DELETE)
        return TIDE_JSON_NONE;
    return read_value(doc, change);
}

// A key that the document has is never added as well (edit.cpp), so only one of the two can have a change.
static int get_key(document *doc, uint32_t node, const char *key, int32_t length)
{
    uint32_t found = find_key(doc, node, doc->link[node], key, length);
    if (doc->change_count > 0) {
        edit *change = found ? find_change(doc, found) : find_added(doc, node, key, length);
        if (change)
            return read_change(doc, change);
    }
    return found ? tide_json_value(doc, int32_t(found + 2)) : int(TIDE_JSON_NONE);
}

// Additions have the indexes after the document's own elements, also where some of those were deleted.
static int get_element(document *doc, uint32_t node, int32_t index)
{
    uint32_t found = find_element(doc, node, index);
    if (doc->change_count > 0) {
        edit *change = found ? find_change(doc, found)
                             : find_added(doc, node, nullptr, index - count_elements(doc, node));
        if (change)
            return read_change(doc, change);
    }
    return found ? tide_json_value(doc, int32_t(found)) : int(TIDE_JSON_NONE);
}

} // namespace tide_json_private

using namespace tide_json_private;

uint32_t tide_json_end(const tide_json_doc *doc, uint32_t token)
{
    return end_of(doc, token);
}

int tide_json_value(tide_json_doc *doc, int32_t node)
{
    tide_json *json = doc->json;
    const char *from = doc->bytes + doc->at[node];
    if (*from != '{' && *from != '[')
        return read_scalar(json, doc->escaped, from, doc->bytes + end_of(doc, uint32_t(node)),
                           doc->bytes + doc->length);
    json->doc = doc;
    json->node = node;
    return *from == '{' ? TIDE_JSON_OBJECT : TIDE_JSON_ARRAY;
}

// The wrong sort of key is no failure but finds nothing, as in a Lua table.
int tide_json_get(tide_json_doc *doc, int32_t node, const char *key, int32_t length)
{
    auto *opened = static_cast<document *>(doc);
    if (is_object(doc, uint32_t(node)) != (key != nullptr))
        return TIDE_JSON_NONE;
    return key ? get_key(opened, uint32_t(node), key, length)
               : get_element(opened, uint32_t(node), length);
}
