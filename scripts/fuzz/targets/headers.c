/* SPDX-License-Identifier: MIT
 * The packed form of headers (shm/message.h), which workers and Kafka's clients fill. What is read and packed again is
 * the same bytes; it is the same after a way through librdkafka, and after a dead letter was made of it; and what is shown of
 * it is JSON. Input: the most bytes to show, then the packed bytes. */
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "chain/dead_letter.h"
#include "fuzz.h"
#include "kafka/headers.h"
#include "shm/message.h"
#include "shm/message_json.h"
#include "json/json.h"

static void check_json(struct tide_text *shown)
{
    struct tide_text whole = {0};
    tide_text_format(&whole, "{%.*s}", (int)shown->length, shown->data);
    fuzz_require(tide_json_check(whole.data, whole.length) == TIDE_OK);
    tide_text_free(&whole);
}

/* librdkafka does not tell the length of a name, and a null value has no address from which it could be known. */
static uint32_t known_length(const struct tide_header *header)
{
    bool known = header->value && header->name_length + 1 <= INT16_MAX;
    return known ? header->name_length : (uint32_t)strnlen(header->name, header->name_length);
}

static void pass_through_kafka(const char *bytes, uint32_t length)
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(8);
    struct tide_text expected = {0}, packed = {0};
    struct tide_header header;
    uint32_t at = 0;
    while (tide_header_next(bytes, length, &at, &header) > 0) {
        rd_kafka_header_add(list, header.name, (ssize_t)header.name_length, header.value,
                            (ssize_t)header.value_length);
        tide_header_pack(&expected, header.name, known_length(&header), header.value,
                         header.value_length);
    }
    tide_kafka_headers_pack(&packed, list);
    fuzz_require(packed.length == expected.length);
    fuzz_require(packed.length == 0 || memcmp(packed.data, expected.data, packed.length) == 0);
    rd_kafka_headers_destroy(list);
    tide_text_free(&expected);
    tide_text_free(&packed);
}

/* The message's own headers come first and unchanged, ours are whole, and cutting it keeps both. */
static void become_dead_letter(const char *bytes, uint32_t length, uint32_t most)
{
    struct tide_message message = {.value = "some value",
                                   .value_length = 10,
                                   .headers = length ? bytes : NULL,
                                   .headers_length = length};
    struct tide_reject reject = {
        .message = &message, .stage = "task", .reason = "error", .error = "no"};
    struct tide_dead_letter_source from = {.topic = "in", .count = 1};
    struct tide_text packed = {0}, line = {0};
    struct tide_header header;
    uint32_t at = 0;
    tide_dead_letter_headers(&packed, &reject, &from);
    fuzz_require(packed.length > length &&
                 (length == 0 || memcmp(packed.data, bytes, length) == 0));
    message.headers = packed.data;
    message.headers_length = (uint32_t)packed.length;
    struct tide_text cut = {0};
    if (tide_dead_letter_truncate(&message, most, &cut) != TIDE_NOT_TRUNCATED)
        fuzz_require(message.value_length <= most);
    int more;
    while ((more = tide_header_next(message.headers, message.headers_length, &at, &header)) > 0)
        continue;
    fuzz_require(more == 0);
    tide_dead_letter_line(&line, &reject, &from);
    fuzz_require(tide_json_check(line.data, line.length) == TIDE_OK);
    tide_text_free(&packed);
    tide_text_free(&line);
    tide_text_free(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint32_t most = fuzz_byte(&input);
    if (input.left > 65536)
        return 0;
    uint32_t length = (uint32_t)input.left, at = 0;
    const char *bytes = fuzz_guarded_copy(0, input.at, length);
    struct tide_text packed = {0}, shown = {0};
    struct tide_header header;
    int more;
    while ((more = tide_header_next(bytes, length, &at, &header)) > 0) {
        fuzz_require(fuzz_lies_within(header.name, header.name_length, bytes, length));
        fuzz_require(!header.value ||
                     fuzz_lies_within(header.value, header.value_length, bytes, length));
        tide_header_pack(&packed, header.name, header.name_length, header.value,
                         header.value_length);
    }
    fuzz_require(packed.length == at && (at == 0 || memcmp(packed.data, bytes, at) == 0));
    fuzz_require(more < 0 || at == length);
    fuzz_require((tide_json_headers(&shown, bytes, length, most * most) < 0) == (more < 0));
    check_json(&shown);
    pass_through_kafka(bytes, at);
    become_dead_letter(bytes, at, most % 16);
    tide_text_free(&packed);
    tide_text_free(&shown);
    return 0;
}
