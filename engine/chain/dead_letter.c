/* SPDX-License-Identifier: MIT
 * Writes dead letters. Both forms hold the same fields in the same order, and a field without a value is left out (or
 * null), so that readers need not know which version wrote them. A dead letter never loses its headers: what is cut
 * off when it is too large is the value and the key, since the headers say where the whole message is. Start reading
 * at tide_dead_letter_headers; tide_dead_letter_line is its like for a file. */
#include "chain/dead_letter.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "shm/layout.h"

/* ---- for a topic ---- */

/* Fields without a value get no header, so that a reader sees only what is known. */
static void text_header(struct tide_text *packed, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    tide_header_pack(packed, name, (uint32_t)strlen(name), value, (uint32_t)strlen(value));
}

/* A header's value is bytes to Kafka; decimal digits are readable with any tool. */
static void number_header(struct tide_text *packed, const char *name, long long number)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", number);
    text_header(packed, name, text);
}

/* `tidemill dlq` finds the fields by these names, in topics that older versions have written too
 * (lua/tidemill/cli/dlq/dead_letter.lua). The message's own headers come first and stay as they are, so that a replay
 * can cut ours off and has the message again. */
void tide_dead_letter_headers(struct tide_text *packed, const struct tide_reject *reject,
                              const struct tide_dead_letter_source *from)
{
    const struct tide_message *message = reject->message;
    packed->length = 0;
    tide_text_append(packed, message->headers, message->headers_length);
    text_header(packed, "original_topic", from->topic); /* first of ours: readers find them by it */
    number_header(packed, "original_partition", from->partition);
    number_header(packed, "original_offset", from->offset);
    number_header(packed, "original_timestamp", message->timestamp);
    if (from->count > 1)
        number_header(packed, "original_count", from->count);
    text_header(packed, "target_topic", from->target);
    if (from->target && from->target_partition >= 0)
        number_header(packed, "target_partition", from->target_partition);
    text_header(packed, "intermediate", from->intermediate ? "true" : NULL);
    text_header(packed, "timer", from->timer ? "true" : NULL);
    text_header(packed, "stage", reject->stage);
    text_header(packed, "reason", reject->reason);
    text_header(packed, "error", reject->error);
    text_header(packed, "traceback", reject->traceback);
    text_header(packed, "cause", reject->cause);
    number_header(packed, "attempts", reject->attempts);
}

/* ---- for a file ---- */

static void text_field(struct tide_text *line, const char *name, const char *text)
{
    tide_text_format(line, ",\"%s\":", name);
    tide_text_json(line, text && *text ? text : NULL, text ? strlen(text) : 0);
}

/* A list of pairs, since a name may occur several times. */
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

/* Text fields are written as JSON strings, which replaces what is not UTF-8; key, value and header bytes are base64,
 * since a replay needs just these bytes. */
void tide_dead_letter_line(struct tide_text *line, const struct tide_reject *reject,
                           const struct tide_dead_letter_source *from)
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
        text_field(line, "target_topic", from->target);
    if (from->target && from->target_partition >= 0)
        tide_text_format(line, ",\"target_partition\":%d", from->target_partition);
    if (from->intermediate)
        tide_text_string(line, ",\"intermediate\":true");
    if (from->timer)
        tide_text_string(line, ",\"timer\":true");
    text_field(line, "stage", reject->stage);
    text_field(line, "reason", reject->reason);
    text_field(line, "error", reject->error);
    text_field(line, "traceback", reject->traceback);
    text_field(line, "cause", reject->cause);
    /* The time of the dead letter makes the first lines of any two files differ; `tidemill dlq` tells files apart by
     * it. */
    tide_text_format(line, ",\"attempts\":%u,\"timestamp\":%lld,\"key\":", reject->attempts,
                     (long long)tide_clock_wall_ms());
    tide_text_base64(line, message->key, message->key_length);
    tide_text_string(line, ",\"value\":");
    tide_text_base64(line, message->value, message->value_length);
    headers_field(line, message);
    tide_text_string(line, "}\n");
}

/* ---- one that is too large ---- */

static bool has_name(const struct tide_header *header, const char *name)
{
    return header->name_length == strlen(name) &&
           memcmp(header->name, name, header->name_length) == 0;
}

/* Looks at our own headers only: the message may have brought a header "truncated", or be a dead letter itself. */
static bool is_truncated(const struct tide_message *dead_letter)
{
    struct tide_header header;
    uint32_t at = 0;
    bool ours = false;
    bool truncated = false;
    while (tide_header_next(dead_letter->headers, dead_letter->headers_length, &at, &header) > 0) {
        if (has_name(&header, "original_topic")) {
            ours = true;
            truncated = false;
        }
        truncated |= ours && has_name(&header, "truncated");
    }
    return truncated;
}

/* By the hash the whole message can be recognised where it was read. */
static void hash_value(const struct tide_message *dead_letter,
                       char text[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)dead_letter->value, dead_letter->value_length, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

/* One that is truncated again keeps its marks: original_size and the hash are those of the whole message, which is not
 * here any more. */
enum tide_truncation tide_dead_letter_truncate(struct tide_message *dead_letter, uint32_t max,
                                               struct tide_text *packed)
{
    char digest[2 * SHA256_DIGEST_LENGTH + 1];
    uint32_t value = dead_letter->value ? dead_letter->value_length : 0;
    uint32_t key = dead_letter->key ? dead_letter->key_length : 0;
    bool again = is_truncated(dead_letter);
    if (value <= max && key <= max)
        return TIDE_NOT_TRUNCATED;
    /* `packed` may hold the headers of the dead letter already, when it is truncated again. */
    packed->length = 0;
    tide_text_append(packed, dead_letter->headers, dead_letter->headers_length);
    if (!again) {
        text_header(packed, "truncated", "true");
        number_header(packed, "original_size", value);
        if (dead_letter->value) {
            hash_value(dead_letter, digest);
            text_header(packed, "sha256", digest);
        }
    }
    dead_letter->headers = packed->data;
    dead_letter->headers_length = (uint32_t)packed->length;
    dead_letter->value_length = value > max ? max : value;
    dead_letter->key_length = key > max ? max : key;
    return again ? TIDE_TRUNCATED_AGAIN : TIDE_TRUNCATED;
}
