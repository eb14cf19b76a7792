/* SPDX-License-Identifier: MIT
 * engine/io/changelog.h - reads changelogs (chain/changelog_record.h), from which the state of partitions is restored:
 * partitions are read from an offset to their end, and then no more. Nothing here blocks. What writes them is a sink.
 *
 * A partition of a changelog:
 *   state      what happens                                          next
 *   IDLE       nothing                                               READING: read
 *   READING    its records come, from that offset on; those of       ENDED: all that was there is given
 *              transactions that were aborted are left out           IDLE: stop
 *   ENDED      its end was not fetched yet                           IDLE: ended */
#ifndef TIDE_IO_CHANGELOG_H
#define TIDE_IO_CHANGELOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/message.h"

enum { TIDE_CHANGELOG_MOST = 8192 /* records that are taken at once */ };

struct tide_changelog;
struct tide_changelog_ops {
    /* Begins to make or check what is read. Negative = failed at once. */
    int (*start)(struct tide_changelog *changelog);
    /* 1 = it can be read; 0 = not yet; negative = that will not happen. */
    int (*ready)(struct tide_changelog *changelog);
    /* Begins to read a partition of the changelog of `state`. `index` names it in its messages; `offset` -1 = from its
     * beginning. TIDE_ECONFIG: there is no such partition. */
    int (*read)(struct tide_changelog *changelog, uint32_t state, uint32_t index, int32_t partition,
                int64_t offset);
    /* Reads nothing more of this index. */
    void (*stop)(struct tide_changelog *changelog, uint32_t index);
    /* True while any partition is not IDLE. */
    bool (*busy)(struct tide_changelog *changelog);
    /* Fills in at most `max` records, borrowed until the next call: key, value, partition, offset, and as its origin's
     * partition the index, as its sequence the state. Negative: the changelog cannot be read (TIDE_EDATA: its offset is not
     * there). */
    ssize_t (*poll)(struct tide_changelog *changelog, struct tide_message *records, size_t max);
    /* An index of which all that was asked for has ended, and whose records were all fetched by poll; false when there is
     * none. Each is given once. */
    bool (*ended)(struct tide_changelog *changelog, uint32_t *index);
    /* How many records (offsets) are left to be read, as far as it is known: of partitions that wait it is not. */
    int64_t (*left)(struct tide_changelog *changelog);
    void (*free)(struct tide_changelog *changelog);
};

/** First member of every reader of changelogs. */
struct tide_changelog {
    const struct tide_changelog_ops *ops;
};

#endif
