// SPDX-License-Identifier: MIT
// Counting and walking members. Where a key stands twice in an object, the last one counts: the first time that an object
// is walked, its keys go through a hash table, and the result is kept in the links of the colons, which are free.
#include "json/inside.hpp"

namespace tide_json_private {

// Only values have a link to their end, so from key to key the way leads over the value.
static uint32_t count_keys(const document *doc, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t key = node + 1; key < doc->link[node]; key = doc->link[key + 2] + 2)
        count++;
    return count;
}

// Values of the link of the colon after a key. For the first key of an object it is 0 until all of them were looked at.
enum : uint32_t { VALID = 1, OVERRIDDEN = 2 };

// Comparing each key with all that follow would be quadratic, and a message may have thousands. The table is at most
// half full, so probing ends soon.
static void mark_overridden(document *doc, uint32_t node)
{
    uint32_t *link = doc->link;
    uint32_t room = 8, count = count_keys(doc, node);
    while (room < count * 2)
        room *= 2;
    auto *table = static_cast<uint32_t *>(of(doc)->memory.take(room * sizeof(uint32_t)));
    memset(table, 0, room * sizeof(uint32_t));
    for (uint32_t key = node + 1; key < link[node]; key = link[key + 2] + 2) {
        link[key + 1] = VALID;
        find_key_text(doc, key);
        const char *text = doc->json->key;
        int32_t length = doc->json->key_length;
        uint32_t entry = hash_bytes(text, size_t(length)) & (room - 1);
        while (table[entry] && !key_equals(doc, table[entry], text, length))
            entry = (entry + 1) & (room - 1);
        if (table[entry])
            link[table[entry] + 1] = OVERRIDDEN;
        table[entry] = key;
    }
}

// Not when the document is opened: few objects are ever walked.
bool is_overridden(document *doc, uint32_t node, uint32_t key)
{
    if (doc->link[node + 2] == 0)
        mark_overridden(doc, node);
    return doc->link[key + 1] == OVERRIDDEN;
}

static bool is_gone(document *doc, uint32_t at)
{
    edit *change = doc->change_count > 0 ? find_change(doc, at) : nullptr;
    return change && change->what == edit::DELETE;
}

// The highest index. Elements that were added count, unless they and all after them were deleted again. It is what #
// says of a Lua table whose end was set to nil.
static int32_t count_array(document *doc, uint32_t node)
{
    int32_t count = count_elements(doc, node);
    int32_t last = doc->change_count > 0 ? last_added(doc, node) : 0;
    if (last > 0)
        return count + last;
    while (count > 0 && is_gone(doc, find_element(doc, node, count)))
        count--;
    return count;
}

// Keys that stand twice, deletions and additions all change the number.
static int32_t count_object(document *doc, uint32_t node)
{
    int32_t count = 0;
    for (uint32_t key = node + 1; key < doc->link[node]; key = doc->link[key + 2] + 2)
        count += !is_gone(doc, key) && !is_overridden(doc, node, key);
    for (int32_t i = 0; i < doc->change_count; i++) {
        const edit &change = doc->changes[i];
        count += change.appended && change.container == node && change.what != edit::DELETE;
    }
    return count;
}

// A position is the token of a member first; beyond the count of tokens it is the index of a change that added a
// member. A member that is added during a walk goes to the end of the changes, so positions that were handed out stay
// what they are.
static int next_added(document *doc, uint32_t node, int32_t *position)
{
    tide_json *json = doc->json;
    for (int32_t i = *position - doc->count; i < doc->change_count; i++) {
        edit *change = &doc->changes[i];
        if (!change->appended || change->container != node)
            continue;
        if (change->what == edit::DELETE)
            continue;
        *position = doc->count + i + 1;
        json->key = change->key;
        json->key_length = change->key_length;
        return read_value(doc, change);
    }
    *position = doc->count + doc->change_count;
    return TIDE_JSON_NONE;
}

static int next_member(document *doc, uint32_t node, int32_t *position)
{
    uint32_t close = doc->link[node];
    uint32_t at = *position ? uint32_t(*position) : node + 1;
    while (at < close) {
        uint32_t key = at;
        uint32_t value = key + 2;
        at = doc->link[value] + 2; // after the comma, or after the closing bracket
        edit *change = doc->change_count > 0 ? find_change(doc, key) : nullptr;
        if (change && change->what == edit::DELETE)
            continue;
        // Before the key's text is found: the first call for an object overwrites that in the session.
        if (is_overridden(doc, node, key))
            continue;
        find_key_text(doc, key);
        *position = at < close ? int32_t(at) : doc->count;
        return change ? read_value(doc, change) : tide_json_value(doc, int32_t(value));
    }
    *position = doc->count;
    return next_added(doc, node, position);
}

static int next_element(document *doc, uint32_t node, int32_t *position)
{
    tide_json *json = doc->json;
    // The position is the index. Those that were deleted are passed over and keep theirs.
    int32_t most = count_elements(doc, node) + count_added(doc, node);
    for (int32_t i = *position + 1; i <= most; i++) {
        int kind = tide_json_get(doc, int32_t(node), nullptr, i);
        if (kind == TIDE_JSON_NONE)
            continue;
        json->key = nullptr;
        json->key_length = *position = i;
        return kind;
    }
    *position = most;
    return TIDE_JSON_NONE;
}

} // namespace tide_json_private

using namespace tide_json_private;

int tide_json_next(tide_json_doc *opened, int32_t node, int32_t position)
{
    auto *doc = static_cast<document *>(opened);
    int32_t *next = &doc->json->position;
    *next = position;
    if (!is_object(doc, uint32_t(node)))
        return next_element(doc, uint32_t(node), next);
    if (position >= doc->count)
        return next_added(doc, uint32_t(node), next);
    return next_member(doc, uint32_t(node), next);
}

int32_t tide_json_count(tide_json_doc *opened, int32_t node)
{
    auto *doc = static_cast<document *>(opened);
    return is_object(doc, uint32_t(node)) ? count_object(doc, uint32_t(node))
                                          : count_array(doc, uint32_t(node));
}
