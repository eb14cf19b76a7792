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
    bool dropped;        /* some of it went nowhere: its members must not count as through */
    bool released;       /* one of its outputs left the last step: so did its members */
    uint32_t current;    /* members that were current at `counted_at` */
    uint64_t counted_at; /* offsets.changes */
    uint32_t next_free;
};

struct tide_groups;

struct tide_groups *tide_groups_new(void);
/** A group with one hold; members are copied. */
struct tide_origin tide_groups_open(struct tide_groups *groups, const struct tide_origin *members,
                                    uint32_t count);
/** The group of an origin, which must be open. */
struct tide_group *tide_groups_find(struct tide_groups *groups, struct tide_origin origin);
/** The open group at `place`, below tide_groups_count(); NULL when there is none. */
struct tide_group *tide_groups_at(struct tide_groups *groups, uint32_t place);
uint32_t tide_groups_count(const struct tide_groups *groups);
/** Frees its place. */
void tide_groups_close(struct tide_groups *groups, struct tide_group *group);
void tide_groups_free(struct tide_groups *groups); /* NULL is fine */

#endif
