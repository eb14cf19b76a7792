/* SPDX-License-Identifier: MIT
 * engine/base/text.h - a byte buffer that grows, and the two encodings that the log and dead letters need. */
#ifndef TIDE_BASE_TEXT_H
#define TIDE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/** Zero it to begin with, and free it with tide_text_free. `data` may move with each append. */
struct tide_text {
    char *data;
    size_t length;
    size_t capacity;
};

void tide_text_append(struct tide_text *text, const void *bytes, size_t length);
void tide_text_string(struct tide_text *text, const char *string);
void tide_text_format(struct tide_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Appends a JSON string with its quotes (RFC 8259). Bytes that are not UTF-8 become U+FFFD. NULL gives null. */
void tide_text_json(struct tide_text *text, const char *bytes, size_t length);
/** Appends a JSON string of base64 (RFC 4648, padded). NULL gives null, which is not the same as "". At most 1.5 GiB. */
void tide_text_base64(struct tide_text *text, const char *bytes, size_t length);
/** Length of the UTF-8 sequence at `bytes` (1 to 4), 0 when it is invalid (RFC 3629). */
size_t tide_utf8_length(const char *bytes, size_t length);
/** Whether all of it is UTF-8 (RFC 3629). */
bool tide_utf8_is(const char *bytes, size_t length);
void tide_text_free(struct tide_text *text);

#endif
