/* SPDX-License-Identifier: MIT
 * Fields of messages as JSON, for files of output and for the samples of a tap. Headers are an array, and not an object by
 * name: in Kafka a name may occur several times, and headers have an order. */
#include "shm/message_json.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "shm/message.h"

/* JSON has no other encoding; a string with other bytes in it is refused by most readers, and with it the whole line. */
static bool is_utf8(const char *bytes, size_t length)
{
    while (length > 0) {
        size_t size = tide_utf8_length(bytes, length);
        if (size == 0)
            return false;
        bytes += size;
        length -= size;
    }
    return true;
}

void tide_json_field(struct tide_text *text, const char *name, const char *bytes, uint32_t length)
{
    bool plain = !bytes || is_utf8(bytes, length);
    tide_text_format(text, plain ? "\"%s\":" : "\"%s_base64\":", name);
    (plain ? tide_text_json : tide_text_base64)(text, bytes, length);
}

/* The end of the last whole character before `max`: a text that is cut within one would seem to be no text. */
static uint32_t whole_characters(const char *bytes, uint32_t max)
{
    uint32_t end = max;
    for (uint32_t back = 0; back < 3 && end > 0 && ((unsigned char)bytes[end] & 0xC0) == 0x80;
         back++)
        end--;
    return end > 0 && is_utf8(bytes, end) ? end : max;
}

void tide_json_cut_field(struct tide_text *text, const char *name, const char *bytes,
                         uint32_t length, uint32_t max)
{
    if (!bytes || length <= max) {
        tide_json_field(text, name, bytes, length);
        return;
    }
    tide_json_field(text, name, bytes, whole_characters(bytes, max));
    tide_text_format(text, ",\"%s_bytes\":%u", name, length);
}

int tide_json_headers(struct tide_text *text, const char *headers, uint32_t length, uint32_t max)
{
    struct tide_header header;
    uint32_t at = 0;
    uint32_t left_out = 0;
    int status = 0;
    const char *comma = "";
    tide_text_string(text, "\"headers\":[");
    while (length > 0 && (status = tide_header_next(headers, length, &at, &header)) > 0) {
        if (max == 0) {
            left_out++;
            continue;
        }
        tide_text_format(text, "%s{", comma);
        tide_json_cut_field(text, "name", header.name, header.name_length, max);
        tide_text_string(text, ",");
        tide_json_cut_field(text, "value", header.value, header.value_length, max);
        tide_text_string(text, "}");
        uint64_t taken = 8 + (uint64_t)header.name_length + header.value_length;
        max = taken < max ? max - (uint32_t)taken : 0;
        comma = ",";
    }
    tide_text_string(text, "]");
    if (left_out > 0)
        tide_text_format(text, ",\"headers_left_out\":%u", left_out);
    return status;
}
