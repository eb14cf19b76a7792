// SPDX-License-Identifier: MIT
// Opening and closing documents. A session is the one object that Lua has for all documents of a message; what a call
// finds is left in its fields, since LuaJIT reads a field in compiled code but would have to allocate for a struct that is
// returned.
#include <new>

#include "json/inside.hpp"

using namespace tide_json_private;

tide_json *tide_json_new(void)
{
    auto *json = new (std::nothrow) session{};
    tide_require(json);
    json->maker = new_index_maker();
    return json;
}

void tide_json_free(tide_json *json)
{
    if (!json)
        return;
    free_index_maker(static_cast<session *>(json)->maker);
    delete static_cast<session *>(json);
}

void tide_json_reset(tide_json *json)
{
    auto *own = static_cast<session *>(json);
    json->serial += 1;
    json->root = json->doc = nullptr;
    for (recent_element &recent : own->recent)
        recent.doc = nullptr;
    own->number_count = 0;
    own->memory.reset();
    reset_index_maker(own->maker);
}

int tide_json_open(tide_json *json, const char *bytes, int32_t length)
{
    document *doc = open_document(static_cast<session *>(json), bytes, length, nullptr);
    if (!doc)
        return TIDE_EDATA;
    json->root = doc;
    if (doc->kind == TIDE_JSON_NONE)
        return tide_json_value(doc, 0);
    json->doc = doc;
    json->node = 0;
    return doc->kind;
}

int tide_json_open_copy(tide_json *json, const char *bytes, int32_t length)
{
    auto *copy = static_cast<char *>(static_cast<session *>(json)->memory.take(size_t(length)));
    memcpy(copy, bytes, size_t(length));
    return tide_json_open(json, copy, length);
}
