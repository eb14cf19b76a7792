// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "json/private.hpp"

namespace tide_json_private {

// What a message of a few hundred bytes needs, many times over; it is kept from message to message.
static const size_t FIRST = 64 * 1024;

struct arena::chunk {
    chunk *following;
    char *bytes()
    {
        return reinterpret_cast<char *>(this + 1);
    }
};

arena::arena()
{
    first = last = static_cast<chunk *>(tide_alloc(sizeof(chunk) + FIRST));
    start = next = first->bytes();
    end = start + FIRST;
}

arena::~arena()
{
    reset();
    free(first);
}

void *arena::take_more(size_t size)
{
    size_t room = size > 4 * FIRST ? size : 4 * FIRST;
    chunk *more = static_cast<chunk *>(tide_realloc(nullptr, sizeof(chunk) + room));
    more->following = nullptr;
    last->following = more;
    last = more;
    next = more->bytes() + size;
    end = more->bytes() + room;
    return more->bytes();
}

void arena::free_others()
{
    for (chunk *more = first->following; more;) {
        chunk *following = more->following;
        free(more);
        more = following;
    }
    first->following = nullptr;
    last = first;
    end = start + FIRST;
}

} // namespace tide_json_private
