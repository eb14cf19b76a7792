/* SPDX-License-Identifier: MIT
 * engine/kafka/kafka.h - Kafka as source and sink. Only the files below engine/kafka include librdkafka, 2.0.2 (Debian 12) or
 * newer. All handles are made by start(), never before the zygote is forked, since they have threads. */
#ifndef TIDE_KAFKA_KAFKA_H
#define TIDE_KAFKA_KAFKA_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

/** The version of the librdkafka that is loaded, such as "2.0.2". */
const char *tide_rdkafka_version(void);

struct rd_kafka_s;
struct tide_topics;
struct tide_loop;
struct tide_counters;

/** Its properties are set later, by tide_kafka_source_connect(), since secrets are fetched after the fork. */
struct tide_source *tide_kafka_source_new(const struct tide_source_plan *plan,
                                          struct tide_topics *topics, struct tide_loop *loop,
                                          struct tide_counters *counters);
/** To be called before start(). `properties` are copied, and the copy is wiped once the handle is made. */
void tide_kafka_source_connect(struct tide_source *source, const struct tide_property *properties,
                               uint32_t count);

/** To be called before start(): of a partition that is assigned no message comes before release() (io/source.h). What is
 * fetched meanwhile waits in librdkafka. */
void tide_kafka_source_hold(struct tide_source *source);

/** What a sink asks the source about its group, for offsets in a transaction. It is a table, since a sink calls no source. */
struct tide_kafka_group_ops {
    /* A copy of the group's metadata as of the last assignment; the caller destroys it. NULL before the first one. */
    struct rd_kafka_consumer_group_metadata_s *(*membership)(const struct tide_source *source);
    /* The consumer, as long as the source is not closed. */
    struct rd_kafka_s *(*client)(const struct tide_source *source);
};
extern const struct tide_kafka_group_ops tide_kafka_source_group;

/** What the source has to know of the output, once that was reached. */
struct tide_kafka_output {
    const char *cluster; /* the id of the cluster that is written to; NULL = none, or not known */
    const char *limit_topic; /* partition = "same": the topic written to; NULL = no limit */
    uint32_t limit;          /* how many partitions it has */
};
/** To be called before start(); `output` is copied. The start fails with TIDE_ECONFIG when a topic has more partitions than the
 * limit, a pattern finds one of the plan's apart_topics, or topics that are read together have different numbers of partitions. */
void tide_kafka_source_output(struct tide_source *source, const struct tide_kafka_output *output);

/** `dead_letter_topic` may be NULL; it is written by the same producer. */
struct tide_sink *tide_kafka_sink_new(const struct tide_sink_plan *plan,
                                      const char *dead_letter_topic, struct tide_topics *topics,
                                      struct tide_loop *loop, struct tide_counters *counters);
/** To be called before the fork: the sink also writes this topic, records of changelogs alone (TIDE_ORIGIN_STATE). */
int tide_kafka_sink_changelog(struct tide_sink *base, const char *topic);
/** To be called before start(), for exactly_once. Results become visible together with the committed offsets of `source`, a
 * Kafka source of the same brokers, which `group` is asked about. `id`: the transactional.id; `instance`: another process that has the same one is newer and
 * replaces this one; `interval_us`: how long a transaction is open. */
void tide_kafka_sink_transactions(struct tide_sink *sink, struct tide_source *source,
                                  const struct tide_kafka_group_ops *group, const char *id,
                                  bool instance, int64_t interval_us);
void tide_kafka_sink_connect(struct tide_sink *sink, const struct tide_property *properties,
                             uint32_t count);
/** When it is ready: how many partitions the first topic of its plan has. */
uint32_t tide_kafka_sink_partitions(const struct tide_sink *sink);
/** When it is ready: the id of its cluster, which stays valid as long as the sink; NULL = not known. */
const char *tide_kafka_sink_cluster(const struct tide_sink *sink);

enum { TIDE_KAFKA_CLUSTER = 256 };

/** One side of a pipeline, for `check --connect`. The output is checked first, since the source has to know of it. */
struct tide_kafka_check {
    const struct tide_property *properties;
    uint32_t property_count;
    const char *const *topics; /* patterns among them */
    uint32_t topic_count;
    const char *group; /* reads the topics; NULL = they are written */
    bool together;     /* the topics are read into one state: they must have as many partitions */
    bool dead_letters; /* the last topic takes the dead letters */
    /* Another one than that of any engine, to find out whether transactions work; NULL = not asked. */
    const char *transactional_id;
    int64_t timeout_us;
    const char *const *apart_topics; /* as of the source's plan */
    uint32_t apart_topic_count;
    const char *const *changelogs; /* of the state that is kept of what is read */
    uint32_t changelog_count;
    struct tide_kafka_output output; /* for a source: what the check of the output found */
    /* the answer */
    char cluster[TIDE_KAFKA_CLUSTER]; /* its id; "" = not known */
    uint32_t partitions;              /* of the first topic; 0 for a pattern */
};
/** Blocks: reaches all brokers that `run` will need, looks for the topics, finds out whether outputs may be written, and logs
 * warnings of the topics' settings. Nothing is made: a changelog may be missing. TIDE_EUNREACHED, or TIDE_ECONFIG with the topics that are missing, the one that may not be
 * written, or the reason why source and output do not go together. */
int tide_kafka_check(struct tide_kafka_check *check);

/** TIDE_ECONFIG with the reason when `pattern` is invalid for librdkafka. */
int tide_kafka_pattern_check(const char *pattern);
/** Whether a valid pattern matches the name of a topic. */
bool tide_kafka_pattern_matches(const char *pattern, const char *topic);

/** For `check`, after the call of ..._connect(): makes the client as start() does, and destroys it. TIDE_ECONFIG with
 * librdkafka's reason when the properties do not go together. No broker is needed. */
int tide_kafka_source_try(struct tide_source *base);
int tide_kafka_sink_try(struct tide_sink *base);

/** Of properties that say who a client is (ssl.certificate.location and the like): makes a client that reads their files, and
 * destroys it. TIDE_ECONFIG with librdkafka's reason when they cannot be used. No broker is needed. */
int tide_kafka_certificate_try(const struct tide_property *items, uint32_t count);

/** TIDE_ECONFIG with the reason when `name` is no librdkafka property, `value` does not fit it, or
 * it is one that would break a promise (delivery, offsets, code loading). A NULL value
 * is not known yet. */
int tide_kafka_property_check(const char *name, const char *value);

#endif
