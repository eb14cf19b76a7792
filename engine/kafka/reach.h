/* SPDX-License-Identifier: MIT
 * engine/kafka/reach.h - are the brokers there, and the topics? Asked before anything is read,
 * and again when all brokers went away. All of it blocks: kafka/blocking.h.
 *
 * Reached is who will be needed: one of the brokers that are named, the leaders of all partitions of
 * the topics (each at the address that it advertises), and the coordinator of the group. */
#ifndef TIDE_KAFKA_REACH_H
#define TIDE_KAFKA_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct tide_known_topics;

enum { TIDE_KAFKA_REACH_TEXT = 1024 };

/** A question that is asked once, and its answer. Strings are lent for as long as the job is. */
struct tide_kafka_reach {
    struct tide_blocking_job job; /* run is set by tide_kafka_reach_run; done is the owner's */
    void *owner;
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *events; /* of the client; nobody else polls it meanwhile */
    struct tide_blocking *blocking;  /* that runs it; may be NULL: called directly */
    const char *brokers;             /* to name them */
    const char *const *topics;       /* that must be there; patterns (^...) are passed over */
    uint32_t topic_count;
    const char *group; /* the client's, whose coordinator is needed; NULL = none is */
    int64_t timeout_us;
    /* the answer */
    uint32_t *partitions; /* of each topic, 0 for a pattern; the owner's array, or NULL */
    struct tide_known_topics
        *known_topics; /* the topics, those that patterns find too; NULL = not wanted */
    char *cluster;     /* the id of the cluster, to be freed; NULL = it has none */
    int status; /* TIDE_OK, TIDE_EUNREACHED, TIDE_ECONFIG; the text names every topic that is missing */
    char text[TIDE_KAFKA_REACH_TEXT];
};
void tide_kafka_reach_run(struct tide_blocking_job *job);

/** A job on the heap, as `from` says; `brokers` is copied. Its owner sets job.run and job.done. */
struct tide_kafka_reach *tide_kafka_reach_new(const struct tide_kafka_reach *from);
/** Frees one that tide_kafka_reach_new() has made, with `brokers`, `partitions` and `cluster`. */
void tide_kafka_reach_free(struct tide_kafka_reach *reach);

#endif
