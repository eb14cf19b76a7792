/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/inside.h - the inside of the Kafka sink, for the files of this folder. Each calls only those above
 * it in this list; to read them, begin with sink.c, which the engine calls, and report.c.
 *   sent.c          the messages that are with librdkafka
 *   state.c         failure, and that the producer is to be replaced
 *   classify.c      what a librdkafka error means for a record; no state
 *   records.c       copies of records that librdkafka gave back
 *   txn.c           transactions (exactly once); their blocking calls are in kafka/txn_calls.c
 *   producer.c      the librdkafka client: made, watched, destroyed
 *   produce.c       one message to librdkafka
 *   resend_alone.c  the records of a refused batch, one by one, to find the bad one
 *   replace.c       another producer in place of one that cannot go on
 *   stats.c         librdkafka's statistics, once a second
 *   report.c        delivery reports and errors from librdkafka; reports to the engine
 *   start.c         the start: brokers and topics, and how large a batch may be
 *   sink.c          the verbs of io/sink.h, and the end */
#ifndef TIDE_KAFKA_SINK_INSIDE_H
#define TIDE_KAFKA_SINK_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kafka/client.h"
#include "kafka/kafka.h"
#include "kafka/outage.h"
#include "kafka/sink/sent.h"
#include "kafka/sink/txn.h"
#include "shm/message_list.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct rd_kafka_topic_s;
struct tide_counters;

/** Whether the sink has a producer that can be used. A failure (state.c) is apart from this: it may come in any state,
 * and ends the pipeline.
 *   state      who leaves it, and when                  next
 *   NEW        start.c: start() has made the producer   STARTING
 *   STARTING   start.c: brokers and topics are there    READY; or OPENING, with a producer of smaller batches
 *   READY      state.c: the producer is to be replaced  REPLACING; what is in flight is purged
 *   REPLACING  replace.c: the last delivery report      READY (at least once); OPENING (exactly once)
 *   OPENING    replace.c: transactions are initialised  READY
 *   any        sink.c: free()                           ENDED; its jobs in the blocking thread change nothing any more */
enum tide_kafka_sink_state {
    TIDE_KAFKA_SINK_NEW,
    TIDE_KAFKA_SINK_STARTING,
    TIDE_KAFKA_SINK_READY,
    TIDE_KAFKA_SINK_REPLACING,
    TIDE_KAFKA_SINK_OPENING,
    TIDE_KAFKA_SINK_ENDED
};

enum { TIDE_KAFKA_RECORD_TEXT = 256 };

/** A refused record that is to be reported. */
struct tide_kafka_refused {
    struct tide_message_item item;
    enum tide_report_kind kind;
    char text[TIDE_KAFKA_RECORD_TEXT];
};

struct tide_kafka_sink {
    struct tide_sink sink;

    /* from tide_kafka_sink_new() on; read by all files, written by none */
    struct tide_topics *topics;
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_blocking *blocking;
    struct tide_kafka_txn *txn; /* NULL = at least once */

    enum tide_kafka_sink_state state; /* written by the files that its table names */

    struct {
        enum tide_partitioner partitioner;
        uint32_t max_messages;
        uint64_t max_bytes;
        int64_t timeout_us;
        char **topics; /* that it writes; the first is the default one */
        uint32_t topic_count;
        uint16_t default_topic;
        int32_t dead_letter_topic; /* -1 = none; it is the last of the topics */
        uint16_t *changelogs;      /* numbers of topics that take only records of changelogs */
        uint32_t changelog_count;
        struct tide_properties properties;
    } plan; /* owned by sink.c: what the pipeline file says; the properties are wiped by start.c */

    struct {
        int64_t batch_bytes;  /* that its topics take; 0 = more than librdkafka makes of a batch */
        uint32_t *partitions; /* of each topic of the plan; NULL = not known yet */
        char *cluster;        /* its id; NULL = not known */
    } output;                 /* owned by start.c: what it found out */

    struct {
        int status; /* negative = the sink cannot go on */
        char text[1024];
        uint32_t replaced; /* how often since replaced_us */
        int64_t replaced_us;
    } failure; /* owned by state.c */

    struct {
        struct rd_kafka_s *client;
        struct rd_kafka_queue_s *queue; /* delivery reports, errors, statistics */
        int waker;                      /* of the loop, woken by the queue */
        struct tide_kafka_outage *outage;
        struct rd_kafka_topic_s **handles; /* by topic number; NULL = not one of the plan's */
        uint32_t handle_count;
    } producer; /* owned by producer.c */

    struct tide_kafka_sents sent; /* owned by sent.c: what is with librdkafka */

    struct {
        struct tide_message_list refused; /* to be reported */
        struct tide_message_list
            reported;                    /* borrowed by the engine until it asks for more reports */
        struct tide_message_list purged; /* of a replaced producer, to be sent again: replace.c */
        struct tide_message_list
            alone;       /* of a refused batch, to be sent one by one: resend_alone.c */
        bool alone_sent; /* what is in flight is one of them: resend_alone.c */
    } records;           /* owned by records.c, but for what is marked */

    struct rd_kafka_op_s
        *event;       /* owned by report.c: delivery reports that are not all reported yet */
    uint64_t retries; /* owned by stats.c: as of the last statistics */
};

/* state.c */

/** The sink cannot go on; the first reason is kept. Returns it. */
int tide_kafka_sink_fail(struct tide_kafka_sink *sink, int status, const char *text);
/** Sets tide_error() to why the sink failed, and returns the status. */
int tide_kafka_sink_failure(const struct tide_kafka_sink *sink);
/** The producer cannot go on: replace.c makes another one once what is in flight is purged. Too many within a minute
 * fail the sink. Nothing happens unless it is READY. */
void tide_kafka_sink_replace(struct tide_kafka_sink *sink, const char *why);
/** True if the topic had this partition at the start (any one, for TIDE_PARTITION_ANY). If it is missing now, the topic
 * was deleted or made again with fewer: that is no fault of a record. */
bool tide_kafka_sink_partition_existed(const struct tide_kafka_sink *sink, int topic,
                                       int32_t partition);

/* records.c */

/** Keeps a copy of the record, to be reported as refused. `error` is librdkafka's; `text` says it in other words, or is
 * NULL. `aborted`: its transaction is aborted for it. */
void tide_kafka_records_refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                               int error, const char *text, bool aborted);
/** Fills the report of the oldest refused record; false when there is none. The engine borrows the record. */
bool tide_kafka_records_report(struct tide_kafka_sink *sink, struct tide_report *report);
/** The engine gives back what it borrowed. */
void tide_kafka_records_give_back(struct tide_kafka_sink *sink);
/** How many are kept and not reported yet. */
size_t tide_kafka_records_pending(const struct tide_kafka_sink *sink);
void tide_kafka_records_free(struct tide_kafka_sink *sink);
/** An error of a topic or of librdkafka's queue as a sentence about `topic`. */
void tide_kafka_topic_text(char *text, size_t size, const char *topic, int error);

/* producer.c */

/** A client by the plan's properties; NULL with tide_error(). */
struct rd_kafka_s *tide_kafka_producer_new(struct tide_kafka_sink *sink);
/** Another client with the configuration of the present one (the properties with their secrets are wiped by then), and
 * batches of at most output.batch_bytes; NULL with tide_error(). */
struct rd_kafka_s *tide_kafka_producer_new_again(struct tide_kafka_sink *sink);
/** Uses the client from now on: watches its queue. */
void tide_kafka_producer_adopt(struct tide_kafka_sink *sink, struct rd_kafka_s *client);
/** Makes the client's handles of the plan's topics. */
void tide_kafka_producer_open_topics(struct tide_kafka_sink *sink);
/** Has the client destroyed in the blocking thread. */
void tide_kafka_producer_drop(struct tide_kafka_sink *sink);
/** It has had a fatal error, or is being replaced: what fails now is no fault of a record. */
bool tide_kafka_producer_is_lost(const struct tide_kafka_sink *sink);

/* produce.c */

/** Gives one message to librdkafka. TIDE_OK = taken, or kept as refused; TIDE_BUSY; negative = the sink failed. */
int tide_kafka_sink_produce(struct tide_kafka_sink *sink, const struct tide_message *message);

/* resend_alone.c */

/** Keeps a copy of a record whose batch was refused, to be sent again alone. */
void tide_kafka_resend_alone_keep(struct tide_kafka_sink *sink, const struct tide_message *message);
/** Sends the next one if nothing is in flight. */
void tide_kafka_resend_alone_poll(struct tide_kafka_sink *sink);
/** True while there are any: then the sink takes no other message. */
bool tide_kafka_resend_alone_busy(const struct tide_kafka_sink *sink);

/* replace.c */

/** Does the next step of a replacement, if one is under way. */
void tide_kafka_replace_poll(struct tide_kafka_sink *sink);
/** At the start: a producer with smaller batches in place of that one. The sink becomes READY, or fails. */
void tide_kafka_replace_first(struct tide_kafka_sink *sink);

/* stats.c */

/** Takes the few numbers that are metrics of ours out of the JSON text. */
void tide_kafka_sink_stats(struct tide_kafka_sink *sink, const char *text);

/* report.c */

/** See reports() in io/sink.h. */
ssize_t tide_kafka_report_next(struct tide_kafka_sink *sink, struct tide_report *reports,
                               size_t max);
void tide_kafka_report_free(struct tide_kafka_sink *sink);

/* start.c */

int tide_kafka_sink_start(struct tide_sink *base);

#endif
