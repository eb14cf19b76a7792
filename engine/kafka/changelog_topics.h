/* SPDX-License-Identifier: MIT
 * engine/kafka/changelog_topics.h - makes the topics of changelogs, or checks those that are there. The call blocks, see
 * kafka/blocking.h. */
#ifndef TIDE_KAFKA_CHANGELOG_TOPICS_H
#define TIDE_KAFKA_CHANGELOG_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka/blocking.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;

enum {
    TIDE_KAFKA_CHANGELOG_RECORD =
        1114112, /* bytes that a topic must take: a value and key as long as the store takes, and what is around them */
    TIDE_KAFKA_CHANGELOG_TEXT = 1024
};

/** What is asked, and the answer. Its strings must stay as long as the call. */
struct tide_kafka_changelog_topics {
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *events; /* of the client; only the call polls it meanwhile */
    struct tide_blocking *blocking;  /* NULL = nobody ends the call early */
    const char *brokers;             /* their names, for texts */
    const char *input;               /* the topic that is read */
    const char *const *topics;
    uint32_t topic_count;
    int64_t timeout_us;
    bool look; /* nothing is made, and a topic may be missing */
    /* the answer */
    uint32_t partitions; /* of the input, and so of each topic */
    int status; /* TIDE_OK; TIDE_EUNREACHED; TIDE_ECONFIG: a topic is missing and may not be made, or is another than it must
                   be */
    char text[TIDE_KAFKA_CHANGELOG_TEXT];
};

/** A topic that is missing is made: as many partitions and replicas as the input has, cleanup.policy=compact, a
 * max.message.bytes that takes the longest value, and delete.retention.ms of a day, for which records of deleted keys stay. One
 * that is there must be like that (any number of replicas). */
void tide_kafka_changelog_topics_check(struct tide_kafka_changelog_topics *asked);

#endif
