/* SPDX-License-Identifier: MIT
 * A text that grows, and JSON strings of bytes that may be anything. The quoting here replaces what is not UTF-8, since a
 * dead letter or a log line has to be written whatever it holds; json/text.cpp refuses it, since a transform's output must
 * be right, and is written for speed. */
#include "base/text.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* The room doubles, so that a text which is made of many small pieces, as a dead letter is, is copied a fixed number of
 * times on average. */
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

/* Nothing is copied for no bytes: memcpy must not be given NULL, which an empty text may have as its address. */
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
    char *to = reserve(text, (size_t)length + 1); /* vsnprintf writes a NUL too */
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
    /* Overlong forms, surrogates and code points above U+10FFFF are recognised by the second byte. */
    if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] > 0x9F) ||
        (b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] > 0x8F))
        return 0;
    return want;
}

bool tide_utf8_is(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint64_t eight = 0;
        if (length - at >= sizeof eight)
            memcpy(&eight, bytes + at, sizeof eight);
        if (length - at >= sizeof eight && !(eight & 0x8080808080808080u)) {
            at += sizeof eight;
            continue;
        }
        size_t size = tide_utf8_length(bytes + at, length - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

/* In the table each byte is followed by the letter of its escape. strchr() finds these letters and the NUL at the end
 * too, which the condition leaves out. DEL needs no escape in JSON, but a terminal that shows the line obeys it. */
static void append_json_ascii(struct tide_text *text, unsigned char c)
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

/* Each byte is read once: a worker may change it meanwhile (chain/results.c), and what was found to be a letter must not
 * be a quotation mark by the time that it is written. */
static void copy_character(char *character, const char *bytes, size_t length)
{
    const volatile char *from = bytes;
    for (size_t i = 0; i < length; i++)
        character[i] = from[i];
}

void tide_text_json(struct tide_text *text, const char *bytes, size_t length)
{
    char character[4];
    if (!bytes) {
        tide_text_string(text, "null");
        return;
    }
    tide_text_append(text, "\"", 1);
    for (size_t i = 0; i < length;) {
        /* A bad byte is replaced alone, and the next one may begin a character again: one wrong byte costs one
         * character. */
        size_t left = length - i < sizeof(character) ? length - i : sizeof(character);
        copy_character(character, bytes + i, left);
        size_t size = tide_utf8_length(character, left);
        if (size == 1)
            append_json_ascii(text, (unsigned char)character[0]);
        else if (size > 1)
            tide_text_append(text, character, size);
        else
            tide_text_string(text, "\\ufffd");
        i += size ? size : 1;
    }
    tide_text_append(text, "\"", 1);
}

void tide_text_base64(struct tide_text *text, const char *bytes, size_t length)
{
    if (!bytes) {
        tide_text_string(text, "null");
        return;
    }
    tide_text_append(text, "\"", 1);
    /* EVP_EncodeBlock counts in int: the limit in the header comes from there. */
    char *to = reserve(text, (length + 2) / 3 * 4 + 1); /* EVP_EncodeBlock writes a NUL too */
    text->length += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)bytes,
                                            (int)length);
    tide_text_append(text, "\"", 1);
}

void tide_text_free(struct tide_text *text)
{
    free(text->data);
    *text = (struct tide_text){0};
}
