/* SPDX-License-Identifier: MIT
 * The table of groups. An origin has to stay 8 bytes for a group too, so it names an entry of this table and the epoch
 * of the entry, and the members lie here. Entries are used again, the last freed first: so the table is as long as the
 * most groups that were ever open at once, and is never shortened. Start reading at tide_groups_open. */
#include "chain/groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"

static const uint32_t NONE = UINT32_MAX;

struct tide_groups {
    struct tide_group *items;
    uint32_t count;
    uint32_t first_free;
};

struct tide_groups *tide_groups_new(void)
{
    struct tide_groups *groups = tide_alloc(sizeof(*groups));
    groups->first_free = NONE;
    return groups;
}

/* The table moves when it grows, so no pointer to a group may be kept over an open (groups.h). */
static uint32_t take_entry(struct tide_groups *groups)
{
    uint32_t index = groups->first_free;
    if (index != NONE) {
        groups->first_free = groups->items[index].next_free;
        return index;
    }
    tide_grow(&groups->items, &groups->count, groups->count + 1, sizeof(*groups->items));
    return groups->count - 1;
}

struct tide_origin tide_groups_open(struct tide_groups *groups, const struct tide_origin *members,
                                    uint32_t count)
{
    uint32_t index = take_entry(groups);
    struct tide_group *group = &groups->items[index];
    uint16_t epoch = (uint16_t)((group->epoch + 1) & TIDE_ORIGIN_EPOCH);
    tide_require(count > 0);
    *group = (struct tide_group){.count = count, .references = 1, .epoch = epoch};
    group->members = tide_alloc(sizeof(*members) * count);
    memcpy(group->members, members, sizeof(*members) * count);
    return (struct tide_origin){index, TIDE_ORIGIN_GROUP, epoch};
}

/* An origin that outlived its group would find the next group in the same entry; the epoch makes that a crash instead
 * of a wrong position. */
struct tide_group *tide_groups_find(struct tide_groups *groups, struct tide_origin origin)
{
    tide_require(origin.sequence < groups->count);
    struct tide_group *group = &groups->items[origin.sequence];
    tide_require(group->references > 0 && group->epoch == (origin.epoch & TIDE_ORIGIN_EPOCH));
    return group;
}

struct tide_group *tide_groups_at(struct tide_groups *groups, uint32_t index)
{
    return groups->items[index].references > 0 ? &groups->items[index] : NULL;
}

uint32_t tide_groups_count(const struct tide_groups *groups)
{
    return groups->count;
}

/* The entry keeps its epoch, by which the next group in it is told apart from this one; the members are freed now,
 * since a group may have as many as a batch. */
void tide_groups_close(struct tide_groups *groups, struct tide_group *group)
{
    free(group->members);
    group->members = NULL;
    group->next_free = groups->first_free;
    groups->first_free = (uint32_t)(group - groups->items);
}

void tide_groups_free(struct tide_groups *groups)
{
    if (!groups)
        return;
    for (uint32_t i = 0; i < groups->count; i++)
        free(groups->items[i].members);
    free(groups->items);
    free(groups);
}
