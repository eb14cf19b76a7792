/* SPDX-License-Identifier: MIT
 * lua/tidemill/run/json_members.h - puts the members of objects that are being written into the order of their keys,
 * so that equal tables give equal texts. Objects may be nested: the inner one is closed first. */
#ifndef TIDE_RUN_JSON_MEMBERS_H
#define TIDE_RUN_JSON_MEMBERS_H

#include <stddef.h>

struct tide_member {
    const char *key; /* the caller's, until its object is closed */
    size_t key_length;
    size_t from; /* of its bytes in the text */
    size_t to;
};

/** Zero it to begin with; free with tide_members_free. */
struct tide_members {
    struct tide_member *list;
    size_t used; /* an object begins with what is used then */
    size_t room;
    char *sorted;
    size_t sorted_room; /* bytes */
};

/** A member of the innermost object begins at byte `from` of the text. Its index. */
size_t tide_members_begin(struct tide_members *members, const char *key, size_t key_length,
                          size_t from);
/** Closes the object whose first member has the index `first`: its members, which fill `text` without gaps, are put in
 * the order of their keys' bytes. */
void tide_members_close(struct tide_members *members, size_t first, char *text);
void tide_members_free(struct tide_members *members);

#endif
