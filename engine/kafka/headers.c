/* SPDX-License-Identifier: MIT
 * Headers, from librdkafka's form to the packed one of shm/layout.h. */
#include "kafka/headers.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

#include "shm/message.h"

/* librdkafka does not give the length of a name, and a name with a NUL in it would be cut there. But it keeps name,
 * NUL and value one after the other in memory (rd_kafka_header_add0, 0.11.4 to 2.12), so the name ends one byte
 * before the value. A null value has no address: then the name ends at its first NUL. */
static uint32_t name_length(const char *name, const char *value)
{
    size_t least = strlen(name);
    uintptr_t from = (uintptr_t)name, to = (uintptr_t)value;
    if (!value || to <= from + least + 1 || to - from > INT16_MAX)
        return (uint32_t)least;
    return name[to - from - 1] == 0 ? (uint32_t)(to - from - 1) : (uint32_t)least;
}

void tide_kafka_headers_pack(struct tide_text *packed, const struct rd_kafka_headers_s *headers)
{
    const char *name;
    const void *value;
    size_t length;
    size_t at = 0;
    while (headers && !rd_kafka_header_get_all(headers, at++, &name, &value, &length))
        tide_header_pack(packed, name, name_length(name, value), value, (uint32_t)length);
}
