// SPDX-License-Identifier: MIT
// The changes of a document, in the order in which they were made, with a second array in the order of their tokens for
// writing. They are apart from edit.cpp, which makes them, since reading a member has to find its change too, and what
// edits a member has to find the member first: so calls go changes < read < edit. A message mostly has few changes, which are
// searched from end to end; a script that writes each element of a large array has many, and for them there is an index.
#include <algorithm>

#include "json/inside.hpp"

namespace tide_json_private {

// The arena frees nothing, so the old array is lost until the reset; doubling keeps the loss below what is in use.
template <typename item> static item *enlarge(arena *memory, item *old, int32_t count, int32_t room)
{
    auto *items = static_cast<item *>(memory->take(size_t(room) * sizeof(item)));
    memcpy(static_cast<void *>(items), old, size_t(count) * sizeof(item));
    return items;
}

static uint32_t chain_of(uint32_t node, const char *key, size_t length)
{
    return (hash_bytes(key, length) + node) % change_index::CHAINS;
}

static void add_to_index(document *doc, int32_t number)
{
    edit *change = &doc->changes[number];
    uint32_t *entry = &doc->index->by_token[change->at];
    if (change->appended) {
        change->previous = int32_t(*entry) - 1;
        change->ordinal = *entry ? doc->changes[change->previous].ordinal + 1 : 1;
    }
    if (change->key) {
        uint32_t chain = chain_of(change->container, change->key, size_t(change->key_length));
        change->chained = doc->index->chains[chain];
        doc->index->chains[chain] = number;
    }
    *entry = uint32_t(number) + 1;
}

static void make_index(document *doc)
{
    arena &memory = of(doc)->memory;
    size_t size = size_t(doc->count) * sizeof(uint32_t);
    doc->index = static_cast<change_index *>(memory.take(sizeof(change_index)));
    doc->index->by_token = static_cast<uint32_t *>(memset(memory.take(size), 0, size));
    memset(doc->index->chains, -1, sizeof(doc->index->chains));
    for (int32_t i = 0; i < doc->change_count; i++)
        add_to_index(doc, i);
}

edit *add_change(document *doc, uint32_t at, uint32_t container, const char *key, int32_t length)
{
    int32_t count = doc->change_count;
    if (count == doc->change_room) {
        doc->change_room = count * 2;
        doc->changes = enlarge(&of(doc)->memory, doc->changes, count, doc->change_room);
        doc->order = enlarge(&of(doc)->memory, doc->order, count, doc->change_room);
        if (!doc->index)
            make_index(doc);
    }
    edit *change = &doc->changes[count];
    *change = edit{};
    change->at = at;
    change->container = container;
    change->appended = at == doc->link[container];
    change->key = key;
    change->key_length = length;
    doc->change_count++;
    int32_t position = count;
    if (doc->index)
        add_to_index(doc, count);
    else // an insertion sort: most changes are made in the order in which they will be written
        for (; position > 0 && doc->changes[doc->order[position - 1]].at > at; position--)
            doc->order[position] = doc->order[position - 1];
    doc->order[position] = uint32_t(count);
    return change;
}

// Of many changes, not before they are written, and those that were made in order cost one look each.
void sort_changes(document *doc)
{
    const edit *changes = doc->changes;
    auto before = [changes](uint32_t a, uint32_t b) {
        return changes[a].at != changes[b].at ? changes[a].at < changes[b].at : a < b;
    };
    uint32_t *order = doc->order, *end = order + doc->change_count;
    if (doc->index && !std::is_sorted(order, end, before))
        std::sort(order, end, before);
}

// Additions are left out: all those of a container have one token, its closing bracket, and no member begins with that.
edit *find_change(document *doc, uint32_t at)
{
    if (doc->index) {
        uint32_t entry = doc->index->by_token[at];
        return entry ? &doc->changes[entry - 1] : nullptr;
    }
    for (int32_t i = doc->change_count - 1; i >= 0; i--)
        if (doc->changes[i].at == at && !doc->changes[i].appended)
            return &doc->changes[i];
    return nullptr;
}

static bool has_key(const edit &change, uint32_t node, const char *key, int32_t length)
{
    return change.key && change.container == node && change.key_length == length &&
           memcmp(change.key, key, size_t(length)) == 0;
}

static int32_t find_key_change(const document *doc, uint32_t node, const char *key, int32_t length)
{
    int32_t i = doc->change_count - 1;
    if (doc->index) {
        i = doc->index->chains[chain_of(node, key, size_t(length))];
        while (i >= 0 && !has_key(doc->changes[i], node, key, length))
            i = doc->changes[i].chained;
    } else {
        while (i >= 0 && !has_key(doc->changes[i], node, key, length))
            i--;
    }
    return i;
}

// The last addition to a container before change `i`; -1 if there is none.
static int32_t addition_before(const document *doc, uint32_t node, int32_t i)
{
    if (doc->index)
        return i < doc->change_count ? doc->changes[i].previous
                                     : int32_t(doc->index->by_token[doc->link[node]]) - 1;
    for (i--; i >= 0; i--)
        if (doc->changes[i].appended && doc->changes[i].container == node)
            break;
    return i;
}

int32_t count_added(const document *doc, uint32_t node)
{
    int32_t i = addition_before(doc, node, doc->change_count), count = 0;
    if (doc->index)
        return i >= 0 ? doc->changes[i].ordinal : 0;
    for (; i >= 0; i = addition_before(doc, node, i))
        count++;
    return count;
}

int32_t last_added(const document *doc, uint32_t node)
{
    int32_t i = addition_before(doc, node, doc->change_count), count = count_added(doc, node);
    for (; i >= 0 && doc->changes[i].what == edit::DELETE; i = addition_before(doc, node, i))
        count--;
    return count;
}

// With an index it is looked for where it is if all additions since were to this container, as they mostly are.
static int32_t find_element_change(const document *doc, uint32_t node, int32_t index)
{
    int32_t i = addition_before(doc, node, doc->change_count), count = count_added(doc, node);
    if (index < 1 || index > count)
        return -1;
    if (doc->index) {
        int32_t likely = i - (count - index);
        if (likely >= 0 && doc->changes[likely].at == doc->link[node] &&
            doc->changes[likely].ordinal == index)
            return likely;
    }
    for (; count > index; count--)
        i = addition_before(doc, node, i);
    return i;
}

// An addition that was deleted again still counts, so that the elements after it keep their indexes (json.h).
edit *find_added(document *doc, uint32_t node, const char *key, int32_t length)
{
    int32_t i = key ? find_key_change(doc, node, key, length)
                    : find_element_change(doc, node, length);
    return i >= 0 ? &doc->changes[i] : nullptr;
}

} // namespace tide_json_private
