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

/* rd_kafka_message_headers() makes a buffer for the headers of each record before it sees that there are none, which takes
 * longer than all else that is done with a record here. But librdkafka gives out pointers into what it has fetched, in the
 * versions that were read for this; a later one is asked for the headers. A record of format 2 has there
 *     length of the value | value | number of headers | headers
 * with numbers as zigzag varints. So where that very length stands before the value, the record is of this format, and what
 * follows the value belongs to it: 0 means none. In formats 0 and 1, which have no headers, the length is a big-endian
 * int32, whose last bytes differ from that varint unless the length is 0. */
bool tide_kafka_headers_absent(const void *value, size_t length)
{
    enum { LAST_VERSION_READ = 0x020cffff }; /* 2.12 */
    const unsigned char *at = value;
    uint64_t zigzag = (uint64_t)length * 2;
    size_t size = 1;
    if (!value || length == 0 || rd_kafka_version() > LAST_VERSION_READ)
        return false;
    while (zigzag >> (7 * size))
        size++;
    for (size_t i = 0; i < size; i++) {
        unsigned more = i + 1 < size ? 0x80 : 0;
        if (at[(ptrdiff_t)(i - size)] != ((zigzag >> (7 * i) & 0x7f) | more))
            return false;
    }
    return at[length] == 0;
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
