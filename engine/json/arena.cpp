// SPDX-License-Identifier: MIT
// Memory for the documents of one message, all of which is given back with the next one: an allocation is an addition, and
// a reset frees nothing as long as one chunk was enough. std::pmr was not taken: its buffers cannot be kept from message to
// message.
#include <cstdlib>

#include "json/inside.hpp"

namespace tide_json_private {

// Many times what a message of a few hundred bytes needs.
static const size_t FIRST = 64 * 1024;
// Up to this size, the memory that a message needed is kept for the next one, in one chunk; more is given back.
static const size_t KEPT = 8 * 1024 * 1024;

struct arena::chunk {
    chunk *following;
    size_t room;
    char *bytes()
    {
        return reinterpret_cast<char *>(this + 1);
    }
};

arena::chunk *arena::new_chunk(size_t room)
{
    auto *made = static_cast<chunk *>(tide_realloc(nullptr, sizeof(chunk) + room));
    made->following = nullptr;
    made->room = room;
    next = made->bytes();
    end = next + room;
    return made;
}

arena::arena()
{
    first = last = new_chunk(FIRST);
}

arena::~arena()
{
    free_chunks();
}

void *arena::take_more(size_t size)
{
    last->following = new_chunk(size > 4 * FIRST ? size : 4 * FIRST);
    last = last->following;
    next += size;
    return last->bytes();
}

// The bytes of all of them are what such a message needs: one chunk of that size serves the next one, where malloc and
// free would take pages from the system and give them back each time.
size_t arena::free_chunks()
{
    size_t room = 0;
    while (first) {
        chunk *following = first->following;
        room += first->room;
        free(first);
        first = following;
    }
    return room;
}

void arena::reset()
{
    if (first != last) {
        size_t room = free_chunks();
        first = last = new_chunk(room <= KEPT ? room : FIRST);
    }
    next = first->bytes();
}

} // namespace tide_json_private
