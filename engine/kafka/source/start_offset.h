/* SPDX-License-Identifier: MIT
 * engine/kafka/source/start_offset.h - the rule that decides from which offset a partition is read. Plain numbers in and
 * out: source/resolve.c asks the brokers for them and acts on the outcome.
 *
 * First, the offset to go on from:
 *   why it is resolved        its topic                          the offset to go on from
 *   TIDE_RESOLVE_ASSIGNED     -                                  the committed one
 *   TIDE_RESOLVE_REWOUND      -                                  the committed one, else where it began the last time
 *   TIDE_RESOLVE_MISPLACED    the same                           where reading stands
 *                             recreated, nothing was read        none
 *                             recreated, something was read      REFUSED_RECREATED
 *
 * Then, with an offset to go on from:
 *   within [low, high]                                           it; CONTINUES
 *   else by auto_offset_reset   error                            REFUSED_OUT_OF_RANGE
 *                               earliest                         low; RESET
 *                               latest                           high; RESET, committed at once
 *
 * Or without one, by `start`; without `start` by auto_offset_reset:
 *   earliest                                                     low; BEGINS
 *   latest                      known when the source began      high; BEGINS, committed at once
 *                               added or recreated since         low; BEGINS, committed at once
 *   a time                      some message is that young       the first such message; BEGINS
 *                               none is                          high; BEGINS, committed at once
 *   an offset                   within [low, high]               it; BEGINS
 *                               else                             by auto_offset_reset, as above
 *   error (no `start`)                                           REFUSED_NO_OFFSET
 *
 * An offset that "latest" chose is committed at once: whoever gets the partition before the first commit would otherwise
 * begin at a later "latest", and skip the messages that came in between. */
#ifndef TIDE_KAFKA_SOURCE_START_OFFSET_H
#define TIDE_KAFKA_SOURCE_START_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

/** Why a start offset is needed. */
enum tide_resolve_reason {
    TIDE_RESOLVE_ASSIGNED, /* the group assigned the partition */
    TIDE_RESOLVE_REWOUND,  /* a transaction was aborted: the partition is read again */
    TIDE_RESOLVE_MISPLACED /* while it was read: the offset was out of range, or the topic was missing for a while */
};

/** Everything the rule looks at. Negative offsets mean "none". */
struct tide_start_question {
    enum tide_resolve_reason reason;
    int64_t committed;  /* the offset that the group has committed */
    int64_t position;   /* REWOUND: where reading began the last time; MISPLACED: where it stands */
    int64_t low;        /* the first offset that the partition has */
    int64_t high;       /* the offset after its last one */
    int64_t at_time;    /* `start` is a time: the first message that is not older */
    bool added;         /* the partition, or its topic, came after the source had begun */
    bool was_committed; /* the group had committed an offset when the question was made */
    bool was_missing;   /* a broker said that there is no such topic or partition */
    bool was_read;      /* the engine has messages of it */
};

/** What the pipeline file says. */
struct tide_start_rule {
    enum tide_start start;
    int64_t start_at;
    enum tide_reset reset;
};

enum tide_start_outcome {
    TIDE_START_CONTINUES,         /* at the offset to go on from */
    TIDE_START_BEGINS,            /* there was none: by `start` or auto_offset_reset */
    TIDE_START_RESET,             /* it was out of range: by auto_offset_reset; worth a warning */
    TIDE_START_REFUSED_NO_OFFSET, /* there is none, and no rule says where to begin */
    TIDE_START_REFUSED_OUT_OF_RANGE, /* it is out of range, and no rule says where to go on */
    TIDE_START_REFUSED_RECREATED /* only a new start tells the old topic's messages from the new one's */
};

struct tide_start_answer {
    int64_t offset;   /* where to begin; undefined when refused */
    bool commit;      /* commit the offset at once */
    int64_t rejected; /* RESET and REFUSED_OUT_OF_RANGE: the offset that is out of range */
};

enum tide_start_topic {
    TIDE_START_TOPIC_SAME,
    TIDE_START_TOPIC_RECREATED,      /* deleted and made again; nothing of the old one was read */
    TIDE_START_TOPIC_RECREATED_READ, /* the same, and messages of the old one were read */
};

/** Is the topic another one than before? Kafka deletes the committed offsets of a topic with it, and those of a group with
 * members do not expire: where an offset was committed and none is now, the topic is another of the same name. Of one
 * that was read and was missing for a while, without a committed offset, nobody can tell: it counts as another. Looks at
 * `reason`, `committed` and the `was_` fields. */
enum tide_start_topic tide_start_topic(const struct tide_start_question *question);

/** The rule above. */
enum tide_start_outcome tide_start_offset(const struct tide_start_rule *rule,
                                          const struct tide_start_question *question,
                                          struct tide_start_answer *answer);

#endif
