/* SPDX-License-Identifier: MIT
 * engine/chain/groups.h - the table behind tide_offsets_group: outputs that stand for several messages (what
 * reduce makes). For chain/offsets.c only. */
#ifndef TIDE_CHAIN_GROUPS_H
#define TIDE_CHAIN_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_group {
    struct tide_origin *members; /* each has a hold of this group's */
    uint32_t count;
    uint32_t holds; /* 0 = the place is free */
    uint16_t epoch; /* of the place: an origin of an earlier group is known */
    uint16_t fate;
    bool dropped; /* some of it went nowhere: its members must not count as through */
    uint32_t next_free;
};

struct tide_groups;
struct tide_offsets;

struct tide_groups *tide_groups_new(void);
/** A group with one hold; members are copied. */
struct tide_origin tide_groups_open(struct tide_groups *groups, const struct tide_origin *members,
                                    uint32_t count);
/** The group of an origin, which must be open. */
struct tide_group *tide_groups_find(struct tide_groups *groups, struct tide_origin origin);
/** One of the open groups has members that are current and members that are not. */
bool tide_groups_torn(const struct tide_groups *groups, const struct tide_offsets *offsets);
/** Frees its place. */
void tide_groups_close(struct tide_groups *groups, struct tide_group *group);
void tide_groups_free(struct tide_groups *groups); /* NULL is fine */

#endif
