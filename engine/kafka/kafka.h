/* SPDX-License-Identifier: MIT
 * engine/kafka/kafka.h - Kafka as source and sink. librdkafka is included in this folder only. Oldest
 * supported: 2.0.2 (Debian 12). All handles are made by start(), never before the zygote is forked.
 */
#ifndef TIDE_KAFKA_KAFKA_H
#define TIDE_KAFKA_KAFKA_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

/** Of the librdkafka that is loaded, such as "2.0.2". */
const char *tide_rdkafka_version(void);

struct rd_kafka_s;
struct tide_topics;
struct tide_loop;
struct tide_counters;

/** `properties` are read during start(), so they may be set later: see tide_kafka_source_connect.
 */
struct tide_source *tide_kafka_source_new(const struct tide_source_plan *plan,
                                          struct tide_topics *topics, struct tide_loop *loop,
                                          struct tide_counters *counters);
/** Before start(). Copied; secrets in them are wiped once the handle is made. */
void tide_kafka_source_connect(struct tide_source *source, const struct tide_property *properties,
                               uint32_t count);

/** A copy of the group's metadata as of the last assignment, to go with offsets in a transaction; the caller destroys
 * it. NULL before the first. */
struct rd_kafka_consumer_group_metadata_s *tide_kafka_source_membership(
    const struct tide_source *source);

/** The consumer, as long as the source is not closed. */
struct rd_kafka_s *tide_kafka_source_client(const struct tide_source *source);

/** What the source must know of the output, once that was reached. */
struct tide_kafka_output {
    const char *cluster; /* the id of the cluster that is written to; NULL = none, or not known */
    const char *limit_topic; /* partition = "same": the topic written to; NULL = no limit */
    uint32_t limit;          /* how many partitions it has */
};
/** Before start(); copied. The start is TIDE_ECONFIG when a topic has more partitions than the limit, or a pattern finds one
 * of the plan's apart_topics. */
void tide_kafka_source_output(struct tide_source *source, const struct tide_kafka_output *output);

/** `dead_letter_topic` may be NULL; it is written by the same producer. */
struct tide_sink *tide_kafka_sink_new(const struct tide_sink_plan *plan,
                                      const char *dead_letter_topic, struct tide_topics *topics,
                                      struct tide_loop *loop, struct tide_counters *counters);
/** Before start(): exactly once. What is sent becomes visible together with the offsets of `source`, a Kafka source of
 * the same brokers. `id`: the transactional.id; `instance`: another process may have it too, and is the newer one
 * then; `interval_us`: how long a transaction is open. */
void tide_kafka_sink_transactions(struct tide_sink *sink, struct tide_source *source,
                                  const char *id, bool instance, int64_t interval_us);
void tide_kafka_sink_connect(struct tide_sink *sink, const struct tide_property *properties,
                             uint32_t count);
/** Once it is ready: how many partitions the first topic of its plan has. */
uint32_t tide_kafka_sink_partitions(const struct tide_sink *sink);
/** Once it is ready: the id of its cluster, lent; NULL = not known. */
const char *tide_kafka_sink_cluster(const struct tide_sink *sink);

enum { TIDE_KAFKA_CLUSTER = 256 };

/** One side of a pipeline, for `check --connect`: the output first, as the source must know of it. */
struct tide_kafka_check {
    const struct tide_property *properties;
    uint32_t property_count;
    const char *const *topics; /* patterns among them */
    uint32_t topic_count;
    const char *group; /* that reads them; NULL = they are written */
    bool letters;      /* the last of them takes the dead letters */
    const char *
        transactional_id; /* of nobody else, to ask whether there are transactions; NULL = not asked */
    int64_t timeout_us;
    const char *const *apart_topics; /* as of the source's plan */
    uint32_t apart_topic_count;
    struct tide_kafka_output output; /* of a source: what was found out of the output */
    /* the answer */
    char cluster[TIDE_KAFKA_CLUSTER]; /* its id; "" = not known */
    uint32_t partitions;              /* of the first topic; 0 for a pattern */
};
/** Blocking: reaches all brokers that `run` will need, looks for the topics, and whether they may be written if that is
 * what they are for, and logs warnings of their settings. TIDE_EUNREACHED, or TIDE_ECONFIG naming the topics that are
 * not there, or the one that is not allowed, or why source and output do not go together. */
int tide_kafka_check(struct tide_kafka_check *check);

/** TIDE_ECONFIG with the reason when `pattern` is none that librdkafka finds topics by. */
int tide_kafka_pattern_check(const char *pattern);
/** A pattern that is well matches the name of a topic. */
bool tide_kafka_pattern_matches(const char *pattern, const char *topic);

/** For `check`, once connected: has librdkafka make the client as start() does, and ends it. TIDE_ECONFIG with its reason
 * when the properties do not go together. Nobody is reached when they name no brokers. */
int tide_kafka_source_try(struct tide_source *source);
int tide_kafka_sink_try(struct tide_sink *sink);

/** TIDE_ECONFIG with the reason when `name` is no librdkafka property, `value` does not fit it, or
 * it is one that would break a promise (delivery, offsets, code loading). A NULL value
 * is not known yet. */
int tide_kafka_property_check(const char *name, const char *value);

#endif
