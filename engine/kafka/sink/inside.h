/* SPDX-License-Identifier: MIT
 * engine/kafka/sink/inside.h - inside of the Kafka sink, shared by its files:
 *   sink/sink.c     what the engine calls: send, end; sink/start.c has its start
 *   sink/produce.c  one message to librdkafka
 *   sink/report.c   what became of the messages
 *   sink/sent.c     what a failed report does not tell of them
 *   sink/suspect.c  records of a refused batch: sent again one by one, to find the one that is bad
 *   sink/replace.c  another producer in place of one that cannot go on
 *   sink/txn.c      transactions (exactly once), and txn_calls.c their blocking calls
 *   sink/stats.c    librdkafka's statistics, once a second */
#ifndef TIDE_KAFKA_SINK_INSIDE_H
#define TIDE_KAFKA_SINK_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "kafka/client.h"
#include "kafka/kafka.h"
#include "kafka/reach.h"
#include "kafka/sink/sent.h"
#include "kafka/sink/txn.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct rd_kafka_topic_s;
struct rd_kafka_headers_s;
struct tide_counters;

enum tide_kafka_sink_state {
    TIDE_KAFKA_SINK_NEW,
    TIDE_KAFKA_SINK_STARTING, /* brokers and topics are looked for */
    TIDE_KAFKA_SINK_READY,
    TIDE_KAFKA_SINK_REPLACING, /* sink/replace.c */
    TIDE_KAFKA_SINK_OPENING,
    TIDE_KAFKA_SINK_ENDED
};

/** A record that is kept, with bytes of its own behind the struct. */
struct tide_kafka_record {
    struct tide_kafka_record *next;
    struct tide_message message;
    /* of one that was refused */
    enum tide_report_kind kind;
    char *text;
};

/** Oldest first. Zero it to begin with. */
struct tide_kafka_records {
    struct tide_kafka_record *first;
    struct tide_kafka_record *last;
    size_t count;
};

struct tide_kafka_sink {
    struct tide_sink sink;
    enum tide_partitioner partitioner;
    uint32_t max_messages;
    uint64_t max_bytes;
    int64_t timeout_us;
    char **names; /* of the topics that it writes; the first is the default */
    uint32_t name_count;
    uint16_t default_topic;
    int32_t dead_letter_topic; /* -1 = none */
    struct tide_topics *topics;
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_blocking *blocking;
    struct tide_properties properties;

    enum tide_kafka_sink_state state;
    int failure; /* negative = it cannot go on */
    char failure_text[1024];
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *queue; /* delivery reports, errors, statistics */
    int waker;
    struct tide_kafka_outage *outage;
    int64_t
        batch_bytes; /* a batch may have, by the settings of its topics; 0 = as librdkafka is configured */
    struct rd_kafka_topic_s **handles; /* by topic number; NULL = not one of its topics */
    uint32_t handle_count;
    uint32_t partitions; /* of the default topic */
    char *cluster;       /* its id; NULL = not known */
    uint32_t *counts;    /* of partitions at the start, by topic number */
    uint32_t count_count;

    size_t in_flight; /* given to librdkafka, no delivery report yet */
    uint64_t in_flight_bytes;
    struct tide_kafka_sents sent;       /* of what is in flight */
    struct rd_kafka_op_s *event;        /* delivery reports that are told only in part */
    struct tide_kafka_records refused;  /* to be told */
    struct tide_kafka_records told;     /* lent to the engine */
    struct tide_kafka_records suspects; /* to be sent alone */
    struct tide_kafka_records resend;   /* purged from a client that was replaced */
    bool trying;                        /* what is in flight is one suspect, alone */
    uint64_t retries;                   /* of the last statistics */
    struct tide_kafka_txn *txn;         /* NULL = at least once */
    uint32_t replaced;                  /* how often since replaced_us */
    int64_t replaced_us;
};

/* sink/start.c */

int tide_kafka_sink_start(struct tide_sink *sink);

/* sink/sink.c */

/** The sink cannot go on; the first reason is kept. Returns it. */
int tide_kafka_sink_fail(struct tide_kafka_sink *sink, int status, const char *text);

/** Keeps the text of its failure as tide_error() and returns the status. */
int tide_kafka_sink_failure(const struct tide_kafka_sink *sink);

/** Takes over a client: its queue, and what watches it. */
void tide_kafka_sink_adopt(struct tide_kafka_sink *sink, struct rd_kafka_s *client);
/** The topics' handles of the client. */
void tide_kafka_sink_handles(struct tide_kafka_sink *sink);
/** Has the client destroyed, in the blocking thread. */
void tide_kafka_sink_drop(struct tide_kafka_sink *sink);

/* sink/produce.c */

/** Gives one message to librdkafka. TIDE_OK = taken (or refused: it will be told), TIDE_BUSY, negative. */
int tide_kafka_sink_produce(struct tide_kafka_sink *sink, const struct tide_message *message);

/** Keeps how many partitions each of `names` has. */
void tide_kafka_sink_count(struct tide_kafka_sink *sink, const uint32_t *counts);
/** The topic had the partition (or a partition, for TIDE_PARTITION_ANY) at the start: without it now it is not the
 * record that is wrong. */
bool tide_kafka_sink_had(const struct tide_kafka_sink *sink, int topic, int32_t partition);

/* sink/suspect.c */

/** Keeps a copy of a record whose batch was refused, to be sent again alone. */
void tide_kafka_suspect_keep(struct tide_kafka_sink *sink, const struct tide_message *message);
/** Sends the next one once nothing is in flight. While there are any, the sink takes no other message. */
void tide_kafka_suspect_try(struct tide_kafka_sink *sink);

/* sink/replace.c */

void tide_kafka_replace(struct tide_kafka_sink *sink, const char *why);
void tide_kafka_replace_poll(struct tide_kafka_sink *sink);
/** At the start: another client in place of that one, with smaller batches (batch_bytes). The sink becomes ready, or fails. */
void tide_kafka_replace_first(struct tide_kafka_sink *sink);

/* sink/report.c */

/** Adds a copy of the message, and lends it. */
struct tide_kafka_record *tide_kafka_records_add(struct tide_kafka_records *records,
                                                 const struct tide_message *message);
/** Moves the first one to another list; NULL: frees it. There is one. */
void tide_kafka_records_move(struct tide_kafka_records *from, struct tide_kafka_records *to);
/** Frees all. */
void tide_kafka_records_drop(struct tide_kafka_records *records);

/** What a message counts for against max_bytes. */
uint64_t tide_kafka_sink_size(size_t value, size_t key, const struct rd_kafka_headers_s *headers);
/** Keeps a copy of the record, to be told by the next reports. `error`: librdkafka's; `text` in other words, or
 * NULL. `aborted`: its transaction is aborted for it. */
void tide_kafka_sink_refuse(struct tide_kafka_sink *sink, const struct tide_message *message,
                            int error, const char *text, bool aborted);
/** The error is the topic's and no record's: it is gone, or must not be written, or not now. */
bool tide_kafka_sink_topic_fails(int error);
/** What an error of a topic says. */
const char *tide_kafka_sink_topic_words(int error);
/** A dead letter's, and an error of its topic: others are not stopped by it. */
bool tide_kafka_sink_letter_waits(struct tide_origin origin, int error);
ssize_t tide_kafka_sink_reports(struct tide_kafka_sink *sink, struct tide_report *reports,
                                size_t max);
/** Frees what is to be told. */
void tide_kafka_sink_forget(struct tide_kafka_sink *sink);

/* sink/stats.c */

/** Takes the few numbers that are metrics of ours out of the JSON text. */
void tide_kafka_sink_stats(struct tide_kafka_sink *sink, const char *text);

#endif
