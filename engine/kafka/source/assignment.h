/* SPDX-License-Identifier: MIT
 * engine/kafka/source/assignment.h - reads what a member of a consumer group was assigned, from the bytes that the group's
 * coordinator hands on. Another client wrote them, so each length is checked.
 * Format (Kafka protocol guide, ConsumerProtocolAssignment; integers are big-endian): version int16, then an array of
 * topics (int32 count; each a name as int16 length and bytes, and an array of partitions: int32 count, int32 each), then
 * bytes of the assignor, which are not looked at. */
#ifndef TIDE_KAFKA_SOURCE_ASSIGNMENT_H
#define TIDE_KAFKA_SOURCE_ASSIGNMENT_H

#include <stddef.h>

struct rd_kafka_topic_partition_list_s;

/** Adds the partitions of one member to `list`. TIDE_EDATA with tide_error(): the bytes are not of that format; `list` then
 * has those that were read before. A member that has no assignment has no bytes (`size` 0). */
int tide_kafka_assignment_read(const void *bytes, size_t size,
                               struct rd_kafka_topic_partition_list_s *list);

#endif
