// SPDX-License-Identifier: MIT
// Whether bytes are UTF-8, by simdjson, for all the files that have to know it: opening a document and writing strings.
#include <simdjson.h>

#include "json/inside.hpp"

namespace tide_json_private {

bool is_utf8(const char *bytes, size_t length)
{
    return simdjson::validate_utf8(bytes, length);
}

} // namespace tide_json_private
