/* SPDX-License-Identifier: MIT
 * engine/kafka/tail/inside.h - what the files of this folder share. Calls go down this list: tail.c (messages and errors),
 * wake.c (makes librdkafka fetch), connect.c (the client and its partitions, from the start to the end). */
#ifndef TIDE_KAFKA_TAIL_INSIDE_H
#define TIDE_KAFKA_TAIL_INSIDE_H

#include "kafka/blocking.h"
#include "kafka/client.h"
#include "kafka/fetch_again.h"
#include "kafka/tail.h"

struct rd_kafka_s;
struct rd_kafka_topic_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;

enum tide_tail_state { TIDE_TAIL_NEW, TIDE_TAIL_STARTING, TIDE_TAIL_READING, TIDE_TAIL_FAILED };

struct tide_tail_partition {
    int64_t next; /* the offset to come */
    int64_t end;  /* at the start; -1 = not known */
    int last_error;
    bool caught_up;
    bool missing;
};

struct tide_tail {
    char *reader;
    const char *topic;
    int64_t timeout_us;
    struct tide_loop *loop;
    struct tide_blocking *blocking;
    struct tide_properties properties;
    struct tide_kafka_outage *outage;
    int waker;
    enum tide_tail_state state;
    int status; /* TIDE_TAIL_FAILED: why */
    char *text;
    struct rd_kafka_s *client;
    struct rd_kafka_topic_s *handle;
    struct rd_kafka_queue_s *errors;  /* of the client */
    struct rd_kafka_queue_s *data;    /* of all partitions */
    struct rd_kafka_op_s *event;      /* of the message that is the next one ... */
    struct tide_tail_message message; /* ... which was not taken yet */
    struct tide_tail_partition *partitions;
    uint32_t count;
    uint32_t behind; /* partitions that have not caught up */
    int64_t *ends;   /* TIDE_TAIL_STARTING: of each partition, by the blocking thread */
    bool looking;    /* for new partitions, in the blocking thread */
    int64_t looked_us;
    struct tide_fetch_again again; /* wake.c */
    uint32_t taken;                /* messages since the queue was looked at */
    bool heard;                    /* something came from a broker since ... */
    int64_t heard_us;
};

/* ---- wake.c ---- */

/** The queue runs low: makes librdkafka fetch if there is more to be fetched. */
void tide_tail_wake(struct tide_tail *tail);

/* ---- connect.c ---- */

/** FAILED, with tide_error() as the text, unless it has failed already. Returns `status`. */
int tide_tail_fail(struct tide_tail *tail, int status);
/** How many offsets of a partition are still to be read, as far as is known. */
int64_t tide_tail_partition_lag(const struct tide_tail *tail, uint32_t number);
/** Looks for new partitions when it is time. */
void tide_tail_look_for_partitions(struct tide_tail *tail, int64_t now_us);

#endif
