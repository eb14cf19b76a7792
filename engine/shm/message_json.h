/* SPDX-License-Identifier: MIT
 * engine/shm/message_json.h - a message, or a part of one, as JSON for people and their tools (jq, grep): a field is text
 * wherever it can be. One that is not UTF-8 is in base64, and has "_base64" appended to its name, since text may look like
 * base64. */
#ifndef TIDE_SHM_MESSAGE_JSON_H
#define TIDE_SHM_MESSAGE_JSON_H

#include <stdint.h>

struct tide_text;

/** Appends "name":"text" or "name_base64":"..."; `bytes` NULL gives "name":null. */
void tide_json_field(struct tide_text *text, const char *name, const char *bytes, uint32_t length);
/** The same for at most `max` bytes. When there are more, a text ends between two characters, and the member "name_bytes"
 * that follows says how many bytes there are in all. */
void tide_json_cut_field(struct tide_text *text, const char *name, const char *bytes,
                         uint32_t length, uint32_t max);
/** Appends "headers":[{"name":, "value":}, ...] of packed headers. Once they have taken `max` bytes the
 * rest is left out, and "headers_left_out" says how many. Negative = the bytes are malformed; what is before is there. */
int tide_json_headers(struct tide_text *text, const char *headers, uint32_t length, uint32_t max);

#endif
