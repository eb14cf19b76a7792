/* SPDX-License-Identifier: MIT
 * engine/chain/groups.h - a table of groups: what the origin of an output means that stands for several messages, as
 * reduce, buffer and batch make them. The table holds the groups and finds them again; what a reference or an outcome of
 * a group does to its members is for the offset tracker to say (chain/offsets.c), which alone uses it. */
#ifndef TIDE_CHAIN_GROUPS_H
#define TIDE_CHAIN_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_group {
    struct tide_origin *members; /* each has one reference from this group */
    uint32_t count;
    uint32_t references; /* 0 = closed: the entry of the table is free */
    uint16_t epoch;      /* of the entry: tells the origin of an earlier group apart */
    uint16_t outcome;    /* enum tide_outcome, the highest so far */
    bool dropped;        /* one of its outputs was dropped: its members must not become complete */
    bool sent;           /* one of its outputs was sent, and so were its members */
    uint32_t current;    /* members that were current at the tracker's revision `counted_at` */
    uint64_t counted_at;
    uint32_t next_free;
};

struct tide_groups;

struct tide_groups *tide_groups_new(void);
/** Opens a group with one reference; the members are copied. Pointers to groups are valid until the next one is opened. */
struct tide_origin tide_groups_open(struct tide_groups *groups, const struct tide_origin *members,
                                    uint32_t count);
/** The group of an origin, which must be open. */
struct tide_group *tide_groups_find(struct tide_groups *groups, struct tide_origin origin);
/** The group in entry `index` of the table, which is below tide_groups_count(); NULL when the entry is free. */
struct tide_group *tide_groups_at(struct tide_groups *groups, uint32_t index);
uint32_t tide_groups_count(const struct tide_groups *groups);
void tide_groups_close(struct tide_groups *groups, struct tide_group *group);
void tide_groups_free(struct tide_groups *groups); /* NULL is fine */

#endif
