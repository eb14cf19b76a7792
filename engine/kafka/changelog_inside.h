/* SPDX-License-Identifier: MIT
 * engine/kafka/changelog_inside.h - what the files of the reader of changelogs share. Each calls only those above it:
 *   changelog_topics.c   makes or checks the topics; no state
 *   changelog.c          reads partitions
 *   changelog_client.c   the client, from the start to its end */
#ifndef TIDE_KAFKA_CHANGELOG_INSIDE_H
#define TIDE_KAFKA_CHANGELOG_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kafka/changelog.h"
#include "kafka/changelog_topics.h"
#include "kafka/client.h"
#include "kafka/fetch_again.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_topic_s;
struct rd_kafka_message_s;

enum tide_changelog_state {
    TIDE_CHANGELOG_IDLE,
    TIDE_CHANGELOG_WAITING,
    TIDE_CHANGELOG_READING,
    TIDE_CHANGELOG_ENDED
};

/* A partition of a topic. */
struct tide_changelog_part {
    enum tide_changelog_state state;
    uint32_t topic; /* the number of the state */
    uint32_t index;
    int32_t partition;
    int64_t next;    /* the offset after the last record */
    int64_t open_us; /* since when an open transaction is waited for; 0 = it is not */
    bool logged;
};

struct tide_kafka_changelog {
    struct tide_changelog base;
    struct tide_loop *loop;
    struct tide_blocking *blocking;
    struct tide_properties properties;
    int waker;
    char *input;
    char **topics;
    uint32_t topic_count;
    int64_t timeout_us;
    int status; /* of the start: 1, 0, negative */
    char text[TIDE_KAFKA_CHANGELOG_TEXT];
    uint32_t partitions; /* of each topic */
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *events, *records;
    struct rd_kafka_topic_s **handles;
    struct tide_changelog_part *parts;
    uint32_t part_count;
    struct tide_fetch_again again;
    struct rd_kafka_message_s *borrowed[TIDE_CHANGELOG_MOST];
    size_t borrowed_count;
};

static inline struct tide_kafka_changelog *tide_changelog_of(struct tide_changelog *base)
{
    return (struct tide_kafka_changelog *)(void *)base;
}

/* changelog.c */

/** What poll gave is not borrowed any more. */
void tide_changelog_give_back(struct tide_kafka_changelog *changelog);
int tide_changelog_read(struct tide_changelog *base, uint32_t state, uint32_t index,
                        int32_t partition, int64_t offset);
void tide_changelog_stop(struct tide_changelog *base, uint32_t index);
bool tide_changelog_busy(struct tide_changelog *base);
ssize_t tide_changelog_poll(struct tide_changelog *base, struct tide_message *records, size_t max);
bool tide_changelog_ended(struct tide_changelog *base, uint32_t *index);
int64_t tide_changelog_left(struct tide_changelog *base);

#endif
