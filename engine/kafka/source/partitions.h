/* SPDX-License-Identifier: MIT
 * engine/kafka/source/partitions.h - a partition as the Kafka source knows it, with the states that it goes through, and the
 * table of them all. Inside of the source: see source/inside.h, also for who writes which field. */
#ifndef TIDE_KAFKA_SOURCE_PARTITIONS_H
#define TIDE_KAFKA_SOURCE_PARTITIONS_H

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_topic_partition_list_s;
struct tide_kafka_source;

/** Whose a partition is.
 *   state        what happens                               next
 *   UNASSIGNED   assign.c has called assign                 PENDING, with an ASSIGNED event
 *   PENDING      the engine fetches that event              OWNED: its messages may be given
 *   OWNED        rebalance.c revokes it                     LEAVING, with a REVOKED or LOST event
 *   LEAVING      the engine calls revoke_done()             UNASSIGNED
 * PENDING becomes LEAVING too, when the revocation is faster than the engine. */
enum tide_kafka_assignment {
    TIDE_KAFKA_UNASSIGNED,
    TIDE_KAFKA_PENDING,
    TIDE_KAFKA_OWNED,
    TIDE_KAFKA_LEAVING
};

/** Whether the offset at which reading stands is there.
 *   state          SEEN_MISSING   SEEN_OUT_OF_RANGE   SEEN_THERE     RESOLVED
 *   PRESENT        MISSING        OUT_OF_RANGE        PRESENT        PRESENT
 *   OUT_OF_RANGE   BACK           OUT_OF_RANGE        OUT_OF_RANGE   PRESENT
 *   MISSING        MISSING        BACK                BACK           PRESENT
 *   BACK           BACK           BACK                BACK           PRESENT
 * In OUT_OF_RANGE and in BACK its start offset has to be resolved again. MISSING and BACK: nothing is read or
 * committed, since the topic may be another of the same name. */
enum tide_kafka_presence {
    TIDE_KAFKA_PRESENT,
    TIDE_KAFKA_OUT_OF_RANGE,
    TIDE_KAFKA_MISSING,
    TIDE_KAFKA_BACK
};
/** What changes it: an answer of a broker shows something of that offset, or reading begins at another one. */
enum tide_kafka_observation {
    TIDE_KAFKA_SEEN_MISSING,      /* there is no such topic or partition */
    TIDE_KAFKA_SEEN_OUT_OF_RANGE, /* it has no such offset */
    TIDE_KAFKA_SEEN_THERE,        /* a message, an end of partition, or the metadata */
    TIDE_KAFKA_RESOLVED           /* its start offset was resolved, and it is assigned there */
};

/** There is more after the last end of partition: the messages of a transaction that has not ended. */
struct tide_kafka_open_transaction {
    int64_t since_us; /* 0 = there is none */
    bool logged;
};

struct tide_kafka_partition {
    /* partitions.c; they never change */
    uint16_t topic; /* shm/topics.h */
    int32_t number;

    enum tide_kafka_assignment assignment; /* partitions.c, for the files in its table */
    enum tide_kafka_presence presence;     /* partitions.c */

    struct {
        int64_t next;   /* the offset after the last message */
        int64_t begin;  /* where reading began; while `next` equals it, nothing was read */
        int64_t end;    /* the high watermark when it was assigned */
        int64_t stop;   /* until_end: the offset to stop before; else -1 */
        bool at_end;    /* until_end: everything before `stop` was read */
        int64_t stable; /* the last end of partition, while no message came since; else -1 */
        int last_error; /* was logged already */
    } read;             /* fetch.c */

    struct {
        int64_t offset; /* everything before it was given; -1 = no end of partition came yet */
        bool due;       /* to be emitted */
    } passed;           /* fetch.c */

    struct tide_kafka_open_transaction open_transaction; /* ends.c */

    struct {
        int64_t since_us;  /* it was assigned or resumed then; 0 = something came since */
        int64_t looked_us; /* when it was last looked at */
        int64_t waited_us; /* since since_us, without what this process stood still */
        int64_t wait_us;   /* so long until it is resumed again */
        uint64_t behind;   /* and until so many events were read (fetch.polled); 0 = not known */
    } unheard;             /* unheard.c */

    bool held; /* assign.c; it was not released yet */

    /* assign.c; librdkafka before 2.4.0 rewinds a partition that is resumed without a pause. */
    bool paused;
    bool resumed; /* wake.c; its leader has to be asked */
    /* commit.c, and assign.c when it is assigned; the group has had an offset of it, so if there is none now, the topic is
     * another. */
    bool committed;
};

/** Index of partitions by their number. */
struct tide_kafka_topic {
    uint16_t topic;
    uint32_t *index; /* by partition number: index in `partitions` plus one */
    uint32_t capacity;
};

/** The index of a partition, which is made when it is new. Negative: there are too many. */
int tide_kafka_partition_find(struct tide_kafka_source *source, const char *topic, int32_t number);
/** The name of its topic. */
const char *tide_kafka_partition_topic(const struct tide_kafka_source *source, uint32_t index);
/** It is assigned, and not on its way back to the group: PENDING or OWNED. */
bool tide_kafka_is_assigned(const struct tide_kafka_partition *partition);
/** It is assigned, and its start offset has to be resolved again: OUT_OF_RANGE or BACK. source.misplaced counts these. */
bool tide_kafka_is_misplaced(const struct tide_kafka_partition *partition);
/** A broker said that its topic or partition does not exist, and its start offset is not resolved again yet: MISSING or BACK. */
bool tide_kafka_is_missing(const struct tide_kafka_partition *partition);
/** These two alone change the states of a partition, and with them source.misplaced. */
void tide_kafka_partition_move(struct tide_kafka_source *source,
                               struct tide_kafka_partition *partition,
                               enum tide_kafka_assignment assignment);
void tide_kafka_partition_observe(struct tide_kafka_source *source,
                                  struct tide_kafka_partition *partition,
                                  enum tide_kafka_observation seen);

/** The partitions for which `is_wanted` says so, each with the offset `read.next`. The caller destroys the list. */
struct rd_kafka_topic_partition_list_s *tide_kafka_partitions_where(
    const struct tide_kafka_source *source,
    bool (*is_wanted)(const struct tide_kafka_partition *partition));
bool tide_kafka_partitions_any(const struct tide_kafka_source *source,
                               bool (*is_wanted)(const struct tide_kafka_partition *partition));
/** The high watermark, as it came with the last answer to a fetch: nobody is asked. False: not known. */
bool tide_kafka_partition_high(const struct tide_kafka_source *source, uint32_t index,
                               int64_t *high);
/** The group's protocol is cooperative: partitions come and go one by one. */
bool tide_kafka_is_incremental(const struct tide_kafka_source *source);
void tide_kafka_partitions_free(struct tide_kafka_source *source);

#endif
