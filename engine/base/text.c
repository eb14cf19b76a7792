/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static char *reserve(struct tide_text *text, size_t more)
{
    if (text->capacity - text->length < more) {
        size_t wanted = text->capacity ? text->capacity * 2 : 256;
        while (wanted - text->length < more)
            wanted *= 2;
        text->data = tide_realloc(text->data, wanted);
        text->capacity = wanted;
    }
    return text->data + text->length;
}

void tide_text_append(struct tide_text *text, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    memcpy(reserve(text, length), bytes, length);
    text->length += length;
}

void tide_text_string(struct tide_text *text, const char *string)
{
    tide_text_append(text, string, strlen(string));
}

void tide_text_format(struct tide_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length <= 0)
        return;
    char *to = reserve(text, (size_t)length + 1); /* vsnprintf wants room for its NUL */
    va_start(arguments, format);
    vsnprintf(to, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

size_t tide_utf8_length(const char *bytes, size_t length)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (length == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t want = b[0] >= 0xF0 ? 4 : b[0] >= 0xE0 ? 3 : 2;
    if (b[0] < 0xC2 || b[0] > 0xF4 || length < want)
        return 0;
    for (size_t i = 1; i < want; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF show in the second byte. */
    if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] > 0x9F) ||
        (b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] > 0x8F))
        return 0;
    return want;
}

static void json_ascii(struct tide_text *text, unsigned char c)
{
    const char *short_form = strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
    if (c != 0 && short_form && (c < 0x20 || c == '"' || c == '\\')) {
        char pair[2] = {'\\', short_form[1]};
        tide_text_append(text, pair, 2);
    } else if (c < 0x20 || c == 0x7F) {
        tide_text_format(text, "\\u%04x", c);
    } else {
        tide_text_append(text, &c, 1);
    }
}

void tide_text_json(struct tide_text *text, const char *bytes, size_t length)
{
    if (!bytes) {
        tide_text_string(text, "null");
        return;
    }
    tide_text_append(text, "\"", 1);
    for (size_t i = 0; i < length;) {
        size_t size = tide_utf8_length(bytes + i, length - i);
        if (size == 1)
            json_ascii(text, (unsigned char)bytes[i]);
        else if (size > 1)
            tide_text_append(text, bytes + i, size);
        else
            tide_text_string(text, "\\ufffd");
        i += size ? size : 1;
    }
    tide_text_append(text, "\"", 1);
}

void tide_text_base64(struct tide_text *text, const char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!bytes) {
        tide_text_string(text, "null");
        return;
    }
    const unsigned char *b = (const unsigned char *)bytes;
    tide_text_append(text, "\"", 1);
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned bits = b[i] << 16 | (left > 1 ? b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0);
        char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                         left > 1 ? digits[bits >> 6 & 63] : '=',
                         left > 2 ? digits[bits & 63] : '='};
        tide_text_append(text, group, 4);
    }
    tide_text_append(text, "\"", 1);
}

void tide_text_free(struct tide_text *text)
{
    free(text->data);
    *text = (struct tide_text){0};
}
