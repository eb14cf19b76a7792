/* SPDX-License-Identifier: MIT
 * engine/io/source.h - where messages come from. Nothing here blocks, and a source never calls the engine: the engine
 * fetches messages with poll() and everything else with event().
 *
 * A partition is named by its index in `partitions`, which never changes. Its protocol:
 *   state     ended by                     next
 *   away      source: ASSIGNED event       owned: the engine raises the epoch; messages may come
 *   owned     source: REVOKED/LOST event   leaving: no more messages come; the engine drops what was not sent, commits,
 *                                          and calls revoke_done()
 *   leaving   engine: revoke_done()        away: the source gives the partition back to the group
 * Where topics are read together (plan.source.together) the partitions of one number come and go in one event.
 * Events come in order. No message of a partition comes before its ASSIGNED event was fetched, and none after its REVOKED
 * event exists. */
#ifndef TIDE_IO_SOURCE_H
#define TIDE_IO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/message.h"

struct tide_partition {
    uint16_t topic; /* shm/topics.h */
    bool owned;
    int32_t number;
    int64_t end;   /* the newest high watermark (the offset after the last message); -1 = unknown */
    int64_t begin; /* owned: the offset from which this assignment reads */
    int64_t passed; /* of the last PASSED event: every message before this offset was taken */
};

enum tide_source_event_kind {
    TIDE_SOURCE_NOTHING,
    TIDE_SOURCE_ASSIGNED, /* partitions */
    TIDE_SOURCE_REVOKED,  /* partitions: commit, then revoke_done() */
    TIDE_SOURCE_LOST, /* partitions: no commit is possible, as another member has them or the transaction was
                         aborted; then revoke_done() */
    TIDE_SOURCE_PASSED, /* partitions: `passed` rose over offsets that hold no message (transaction markers) */
    TIDE_SOURCE_COMMITTED, /* status of the commit last asked for; negative with its text */
    TIDE_SOURCE_END, /* every owned partition is at the end that was asked for: no more messages come */
    TIDE_SOURCE_FAILED /* status < 0 with its text: the source cannot go on */
};

/** Its pointers are borrowed until the next call of event(). */
struct tide_source_event {
    enum tide_source_event_kind kind;
    int status;
    const uint32_t *partitions; /* indexes */
    size_t partition_count;
    const char *text;
};

/** What is committed: every message before `offset` is complete. */
struct tide_position {
    uint32_t partition; /* index */
    int64_t offset;
};

struct tide_source;
struct tide_source_ops {
    /* Connects and begins. Negative = failed at once. */
    int (*start)(struct tide_source *source);
    /* Fills in at most `max` messages, borrowed until the next poll; 0 = there are none now. Only origin.partition is set
     * of the origin. Messages that are not taken by `take` come again. */
    ssize_t (*poll)(struct tide_source *source, struct tide_message *messages, size_t max);
    /* The first `count` messages of the last poll have been copied: their bytes may be freed. */
    void (*take)(struct tide_source *source, size_t count);
    void (*event)(struct tide_source *source, struct tide_source_event *event);
    /* The engine has finished with the partitions of the last REVOKED or LOST event. */
    void (*revoke_done)(struct tide_source *source);
    /* Is answered by a COMMITTED event; there is at most one commit at a time. A source that keeps no positions (a file)
     * answers at once. */
    int (*commit)(struct tide_source *source, const struct tide_position *positions, size_t count);
    /* Stops or starts reading all partitions; called after 5 s of backpressure. */
    void (*pause)(struct tide_source *source, bool paused);
    /* A transaction was aborted: every owned partition gets a LOST event and, after revoke_done, an ASSIGNED event, and is
     * read again from its committed position. NULL on a source that keeps no positions. */
    void (*rewind)(struct tide_source *source);
    /* The messages of this partition may come. NULL on a source that never holds any back. */
    void (*release)(struct tide_source *source, uint32_t partition);
    /* Begins to leave the group; does not wait for it. */
    void (*close)(struct tide_source *source);
    /* True once the source has left. `free` may be called before. */
    bool (*closed)(struct tide_source *source);
    void (*free)(struct tide_source *source);
};

/** First member of every source. */
struct tide_source {
    const struct tide_source_ops *ops;
    const struct tide_partition
        *partitions; /* the array may move when an ASSIGNED event is fetched */
    size_t partition_count;
};

#endif
