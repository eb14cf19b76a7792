/* SPDX-License-Identifier: MIT */
#include "json_members.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

size_t tide_members_begin(struct tide_members *members, const char *key, size_t key_length,
                          size_t from)
{
    if (members->used == members->room) {
        members->room = members->room ? members->room * 2 : 64;
        members->list = tide_realloc(members->list, members->room * sizeof(*members->list));
    }
    members->list[members->used] = (struct tide_member){
        .key = key, .key_length = key_length, .from = from};
    return members->used++;
}

/* As memcmp; a key stands before those that it begins. */
static int compare(const void *a, const void *b)
{
    const struct tide_member *one = a, *other = b;
    size_t length = one->key_length < other->key_length ? one->key_length : other->key_length;
    int order = memcmp(one->key, other->key, length);
    return order ? order
                 : (one->key_length > other->key_length) - (one->key_length < other->key_length);
}

static bool in_order(const struct tide_member *list, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare(&list[i - 1], &list[i]) > 0)
            return false;
    return true;
}

void tide_members_close(struct tide_members *members, size_t first, char *text)
{
    struct tide_member *list = members->list + first;
    size_t count = members->used - first, at = 0;
    members->used = first;
    if (count == 0 || in_order(list, count))
        return;
    size_t from = list[0].from, size = list[count - 1].to - from;
    qsort(list, count, sizeof(*list), compare);
    if (members->sorted_room < size) {
        members->sorted_room = size * 2;
        members->sorted = tide_realloc(members->sorted, members->sorted_room);
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(members->sorted + at, text + list[i].from, list[i].to - list[i].from);
        at += list[i].to - list[i].from;
    }
    memcpy(text + from, members->sorted, size);
}

void tide_members_free(struct tide_members *members)
{
    free(members->list);
    free(members->sorted);
    *members = (struct tide_members){0};
}
