/* SPDX-License-Identifier: MIT
 * engine/kafka/reach.h - whether the brokers and the topics are there, asked before anything is read. The call blocks, see
 * kafka/blocking.h. It reaches everybody who will be needed: one of the brokers that are named, the leaders of all partitions
 * of the topics, each at the address that it advertises, and the coordinator of the group. */
#ifndef TIDE_KAFKA_REACH_H
#define TIDE_KAFKA_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct tide_known_topics;

enum { TIDE_KAFKA_REACH_TEXT = 1024 };

/** A question that is asked once, and its answer. Its strings must stay as long as the job. */
struct tide_kafka_reach {
    struct tide_blocking_job job; /* its run calls tide_kafka_reach_run; done is the owner's */
    void *owner;
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *events; /* of the client; only the job polls it meanwhile */
    struct tide_blocking *blocking;  /* that runs the job; NULL: called directly */
    const char *brokers;             /* their names, for texts */
    const char *const *topics;       /* that must be there; patterns (^...) find what there is */
    uint32_t topic_count;
    const char *group; /* the client's group, whose coordinator is needed; NULL = none is */
    int64_t timeout_us;
    /* the answer */
    uint32_t *partitions; /* of each topic, 0 for a pattern; the owner's array, or NULL */
    struct tide_known_topics *known_topics; /* with those that patterns found; NULL = not wanted */
    char *cluster;                          /* its id, to be freed; NULL = it has none */
    int status; /* TIDE_OK, TIDE_EUNREACHED, or TIDE_ECONFIG with all topics that are missing */
    char text[TIDE_KAFKA_REACH_TEXT];
};
void tide_kafka_reach_run(struct tide_blocking_job *job);

/** A job on the heap, as `from` says; `brokers` is copied. Its owner sets job.run and job.done. */
struct tide_kafka_reach *tide_kafka_reach_new(const struct tide_kafka_reach *from);
/** Frees one that tide_kafka_reach_new() has made, with `brokers`, `partitions` and `cluster`. */
void tide_kafka_reach_free(struct tide_kafka_reach *reach);

#endif
