/* SPDX-License-Identifier: MIT
 * engine/kafka/headers.h - headers from librdkafka's form to the packed one of shm/layout.h. */
#ifndef TIDE_KAFKA_HEADERS_H
#define TIDE_KAFKA_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd_kafka_headers_s;
struct tide_text;

/** Looks at the bytes around the value of a record that was fetched: true when it has no headers, false when that is not
 * known. `value` may be NULL. */
bool tide_kafka_headers_absent(const void *value, size_t length);

/** Appends all headers; none if `headers` is NULL. */
void tide_kafka_headers_pack(struct tide_text *packed, const struct rd_kafka_headers_s *headers);

#endif
