// SPDX-License-Identifier: MIT
// Finding the changes of a document. They are apart from edit.cpp, which makes them, since reading a member has to find its
// change too, and what edits a member has to find the member first: so calls go changes < read < edit. The list is
// searched from end to end, as a message has few changes.
#include "json/inside.hpp"

namespace tide_json_private {

// Additions are left out: all those of a container have one token, its closing bracket.
edit *find_change(document *doc, uint32_t at)
{
    for (int32_t i = doc->change_count - 1; i >= 0; i--)
        if (doc->changes[i].at == at && !doc->changes[i].appended)
            return &doc->changes[i];
    return nullptr;
}

// An addition that was deleted again still counts, so that the elements after it keep their indexes (json.h).
edit *find_added(document *doc, uint32_t node, const char *key, int32_t length)
{
    int32_t index = 0;
    for (int32_t i = 0; i < doc->change_count; i++) {
        edit *change = &doc->changes[i];
        if (!change->appended || change->container != node)
            continue;
        if (key ? change->key_length == length && memcmp(change->key, key, size_t(length)) == 0
                : ++index == length)
            return change;
    }
    return nullptr;
}

int32_t count_added(const document *doc, uint32_t node)
{
    int32_t count = 0;
    for (int32_t i = 0; i < doc->change_count; i++)
        if (doc->changes[i].appended && doc->changes[i].container == node)
            count++;
    return count;
}

} // namespace tide_json_private
