/* SPDX-License-Identifier: MIT */
#include "chain/letter.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "shm/layout.h"

/* ---- to a topic ---- */

static void header(struct tide_text *packed, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    tide_header_pack(packed, name, (uint32_t)strlen(name), value, (uint32_t)strlen(value));
}

static void number_header(struct tide_text *packed, const char *name, long long number)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", number);
    header(packed, name, text);
}

void tide_letter_headers(struct tide_text *packed, const struct tide_reject *reject,
                         const struct tide_letter_origin *from)
{
    const struct tide_message *message = reject->message;
    packed->length = 0;
    tide_text_append(packed, message->headers, message->headers_length);
    header(packed, "original_topic", from->topic);
    number_header(packed, "original_partition", from->partition);
    number_header(packed, "original_offset", from->offset);
    number_header(packed, "original_timestamp", message->timestamp);
    if (from->count > 1)
        number_header(packed, "original_count", from->count);
    header(packed, "target_topic", from->target);
    if (from->target && from->target_partition >= 0)
        number_header(packed, "target_partition", from->target_partition);
    header(packed, "intermediate", from->intermediate ? "true" : NULL);
    header(packed, "stage", reject->stage);
    header(packed, "reason", reject->reason);
    header(packed, "error", reject->error);
    header(packed, "traceback", reject->traceback);
    header(packed, "cause", reject->cause);
    number_header(packed, "attempts", reject->attempts);
}

/* ---- to a file ---- */

static void field(struct tide_text *line, const char *name, const char *text)
{
    tide_text_format(line, ",\"%s\":", name);
    tide_text_json(line, text && *text ? text : NULL, text ? strlen(text) : 0);
}

/* Pairs of name and value, as in a message's `headers`. */
static void headers_field(struct tide_text *line, const struct tide_message *message)
{
    struct tide_header header;
    uint32_t at = 0;
    const char *comma = "";
    tide_text_string(line, ",\"headers\":[");
    while (message->headers_length > 0 &&
           tide_header_next(message->headers, message->headers_length, &at, &header) > 0) {
        tide_text_format(line, "%s[", comma);
        tide_text_base64(line, header.name, header.name_length);
        tide_text_string(line, ",");
        tide_text_base64(line, header.value, header.value_length);
        tide_text_string(line, "]");
        comma = ",";
    }
    tide_text_string(line, "]");
}

void tide_letter_line(struct tide_text *line, const struct tide_reject *reject,
                      const struct tide_letter_origin *from)
{
    const struct tide_message *message = reject->message;
    line->length = 0;
    tide_text_string(line, "{\"original_topic\":");
    tide_text_json(line, from->topic, strlen(from->topic));
    tide_text_format(
        line, ",\"original_partition\":%d,\"original_offset\":%lld,\"original_timestamp\":%lld",
        from->partition, (long long)from->offset, (long long)message->timestamp);
    if (from->count > 1)
        tide_text_format(line, ",\"original_count\":%u", from->count);
    if (from->target)
        field(line, "target_topic", from->target);
    if (from->target && from->target_partition >= 0)
        tide_text_format(line, ",\"target_partition\":%d", from->target_partition);
    if (from->intermediate)
        tide_text_string(line, ",\"intermediate\":true");
    field(line, "stage", reject->stage);
    field(line, "reason", reject->reason);
    field(line, "error", reject->error);
    field(line, "traceback", reject->traceback);
    field(line, "cause", reject->cause);
    /* The letter's own time: no two files begin with the same line, by which `tidemill dlq` knows them. */
    tide_text_format(line, ",\"attempts\":%u,\"timestamp\":%lld,\"key\":", reject->attempts,
                     (long long)tide_clock_wall_ms());
    tide_text_base64(line, message->key, message->key_length);
    tide_text_string(line, ",\"value\":");
    tide_text_base64(line, message->value, message->value_length);
    headers_field(line, message);
    tide_text_string(line, "}\n");
}

/* ---- a letter that is too large ---- */

static bool is(const struct tide_header *header, const char *name)
{
    return header->name_length == strlen(name) &&
           memcmp(header->name, name, header->name_length) == 0;
}

/* Whether our own headers say so already: what they tell of the whole still holds. */
static bool was_cut(const struct tide_message *letter)
{
    struct tide_header header;
    uint32_t at = 0;
    bool ours = false;
    bool cut = false;
    while (tide_header_next(letter->headers, letter->headers_length, &at, &header) > 0) {
        if (is(&header, "original_topic")) {
            ours = true;
            cut = false;
        }
        cut |= ours && is(&header, "truncated");
    }
    return cut;
}

static void hash(const struct tide_message *letter, char text[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)letter->value, letter->value_length, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

int tide_letter_cut(struct tide_message *letter, uint32_t most, struct tide_text *packed)
{
    char digest[2 * SHA256_DIGEST_LENGTH + 1];
    uint32_t value = letter->value ? letter->value_length : 0;
    uint32_t key = letter->key ? letter->key_length : 0;
    bool again = was_cut(letter);
    if (value <= most && key <= most)
        return 0;
    packed->length = 0;
    tide_text_append(packed, letter->headers, letter->headers_length);
    if (!again) {
        header(packed, "truncated", "true");
        number_header(packed, "original_size", value);
        if (letter->value) {
            hash(letter, digest);
            header(packed, "sha256", digest);
        }
    }
    letter->headers = packed->data;
    letter->headers_length = (uint32_t)packed->length;
    letter->value_length = value > most ? most : value;
    letter->key_length = key > most ? most : key;
    return again ? 2 : 1;
}
