/* SPDX-License-Identifier: MIT
 * engine/io/source.h - where messages come from. Nothing here blocks; nothing here calls up: what
 * happened is fetched by tide_source_event().
 *
 * Protocol of a partition (index = place in `partitions`, kept for good once given):
 *   state     who                          next
 *   away      source: ASSIGNED event       owned: the engine has raised its epoch; messages may come
 *   owned     source: REVOKED/LOST event   leaving: no more messages of it are given; the engine drops
 *                                          what is not released, commits, and calls revoke_done()
 *   leaving   engine: revoke_done()        away: the source gives the partition back to the group
 * A source answers events in order and gives no message of a partition before its ASSIGNED event was
 * fetched, none after its REVOKED event exists. */
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
    int64_t end;    /* the high watermark last heard of (after the last message); -1 = unknown */
    int64_t begin;  /* owned: where this assignment began to read */
    int64_t passed; /* of the last PASSED event: every message before it was taken */
};

enum tide_source_event_kind {
    TIDE_SOURCE_NOTHING,
    TIDE_SOURCE_ASSIGNED,  /* partitions */
    TIDE_SOURCE_REVOKED,   /* partitions: commit, then revoke_done() */
    TIDE_SOURCE_LOST,      /* partitions: taken away already, no commit; then revoke_done() */
    TIDE_SOURCE_PASSED,    /* partitions: `passed` rose, behind what is no message */
    TIDE_SOURCE_COMMITTED, /* status: of the commit last asked for, text in `text` */
    TIDE_SOURCE_END,       /* every owned partition is at the end asked for: nothing more comes */
    TIDE_SOURCE_FAILED     /* status < 0, text in `text`: the source cannot go on */
};

/** Lent until the next call of tide_source_event(). */
struct tide_source_event {
    enum tide_source_event_kind kind;
    int status;
    const uint32_t *partitions; /* indexes */
    size_t partition_count;
    const char *text;
};

/** A place to go on from: everything before `offset` is done. */
struct tide_position {
    uint32_t partition; /* index */
    int64_t offset;
};

struct tide_source;
struct tide_source_ops {
    /* Connects and begins. Negative = failed at once. */
    int (*start)(struct tide_source *source);
    /* Lends at most `max` messages (origin.partition set, the rest of origin is the caller's) until
     * the next poll; 0 = none now. They come again (the rest of them) unless taken by `take`. */
    ssize_t (*poll)(struct tide_source *source, struct tide_message *messages, size_t max);
    /* The first `count` of the lent messages are copied: their bytes may go. */
    void (*take)(struct tide_source *source, size_t count);
    void (*event)(struct tide_source *source, struct tide_source_event *event);
    void (*revoke_done)(struct tide_source *source);
    /* Asynchronous: answered by a COMMITTED event. At most one under way. A source without a
     * committed state (a file) answers at once. */
    int (*commit)(struct tide_source *source, const struct tide_position *positions, size_t count);
    /* Stops / starts reading all partitions; called after 5 s of backpressure. */
    void (*pause)(struct tide_source *source, bool paused);
    /* A transaction was aborted: tells LOST of every owned partition and, after revoke_done, ASSIGNED
     * again, from the committed position. NULL on a source that has none (a file). */
    void (*rewind)(struct tide_source *source);
    /* Begins to leave (asynchronous where it takes time). */
    void (*close)(struct tide_source *source);
    /* True once close() is through; `free` before that gives up waiting. */
    bool (*closed)(struct tide_source *source);
    void (*free)(struct tide_source *source);
};

/** First member of every source. */
struct tide_source {
    const struct tide_source_ops *ops;
    const struct tide_partition *partitions; /* may move when an ASSIGNED event is fetched */
    size_t partition_count;
};

#endif
