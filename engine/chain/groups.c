/* SPDX-License-Identifier: MIT */
#include "chain/groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "chain/offsets.h"

static const uint32_t NONE = UINT32_MAX;

struct tide_groups {
    struct tide_group *items;
    uint32_t count;
    uint32_t free;
};

struct tide_groups *tide_groups_new(void)
{
    struct tide_groups *groups = tide_alloc(sizeof(*groups));
    groups->free = NONE;
    return groups;
}

static uint32_t take_place(struct tide_groups *groups)
{
    uint32_t place = groups->free;
    if (place != NONE) {
        groups->free = groups->items[place].next_free;
        return place;
    }
    groups->items = tide_realloc(groups->items, sizeof(struct tide_group) * (groups->count + 1));
    groups->items[groups->count] = (struct tide_group){0};
    return groups->count++;
}

struct tide_origin tide_groups_open(struct tide_groups *groups, const struct tide_origin *members,
                                    uint32_t count)
{
    uint32_t place = take_place(groups);
    struct tide_group *group = &groups->items[place];
    uint16_t epoch = (uint16_t)((group->epoch + 1) & TIDE_ORIGIN_EPOCH);
    tide_require(count > 0);
    *group = (struct tide_group){
        .count = count, .holds = 1, .epoch = epoch, .fate = TIDE_FATE_FILTERED};
    group->members = tide_alloc(sizeof(*members) * count);
    memcpy(group->members, members, sizeof(*members) * count);
    return (struct tide_origin){place, TIDE_ORIGIN_GROUP, epoch};
}

struct tide_group *tide_groups_find(struct tide_groups *groups, struct tide_origin origin)
{
    tide_require(origin.sequence < groups->count);
    struct tide_group *group = &groups->items[origin.sequence];
    tide_require(group->holds > 0 && group->epoch == (origin.epoch & TIDE_ORIGIN_EPOCH));
    return group;
}

struct tide_group *tide_groups_at(struct tide_groups *groups, uint32_t place)
{
    return groups->items[place].holds > 0 ? &groups->items[place] : NULL;
}

uint32_t tide_groups_count(const struct tide_groups *groups)
{
    return groups->count;
}

void tide_groups_close(struct tide_groups *groups, struct tide_group *group)
{
    free(group->members);
    group->members = NULL;
    group->next_free = groups->free;
    groups->free = (uint32_t)(group - groups->items);
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
