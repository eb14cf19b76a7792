/* SPDX-License-Identifier: MIT
 * What the parts of kafka_tool share. A failed check ends the program with code 69. */
#ifndef KAFKA_TOOL_H
#define KAFKA_TOOL_H
#include <librdkafka/rdkafka.h>

enum { TIMEOUT_MS = 30000 };

void die(int code, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void check(rd_kafka_resp_err_t error, const char *what);

/** Seconds on a clock that only goes forward. */
double now(void);

/** A client of `type`, with pairs of property and value up to a NULL name. */
rd_kafka_t *client_new(rd_kafka_type_t type, ...);

/** All partitions of a topic that is there. */
rd_kafka_topic_partition_list_t *partitions_of(rd_kafka_t *client, const char *topic);

/** Deliveries that failed so far. */
extern unsigned long failed_deliveries;

/** Waits for the result of the one admin request on `queue`. */
void admin_wait(rd_kafka_queue_t *queue);

/* kafka_records.c; the arguments end with NULL, the result is an exit code */
int produce(char **arguments);
int fill(char **arguments);
int consume(char **arguments);
int sample(char **arguments);

/* kafka_brokers.c, likewise */
int allow(char **arguments);
int forbid(char **arguments);
int set_broker(char **arguments);

#endif
