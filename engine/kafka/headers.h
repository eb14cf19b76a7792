/* SPDX-License-Identifier: MIT
 * engine/kafka/headers.h - headers from librdkafka's form to the packed one of shm/layout.h. */
#ifndef TIDE_KAFKA_HEADERS_H
#define TIDE_KAFKA_HEADERS_H

#include <stdint.h>

struct rd_kafka_headers_s;
struct tide_text;

/** Appends all headers; none if `headers` is NULL. */
void tide_kafka_headers_pack(struct tide_text *packed, const struct rd_kafka_headers_s *headers);

#endif
