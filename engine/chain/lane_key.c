/* SPDX-License-Identifier: MIT
 * Finds the key of a message, in C, since the engine has to know it before any worker sees the message. Start reading at
 * tide_lane_key_read. */
#include "chain/lane_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "json/json.h"

enum { LONGEST_INDEX = 9 /* digits */ };

struct tide_lane_key {
    enum tide_step_order_by by;
    char *name; /* of the header, or the path */
    uint32_t name_length;
    struct tide_json *json;        /* JSON: the document of the last message */
    char number[TIDE_JSON_NUMBER]; /* JSON: a number as text */
    struct {
        int32_t partition;
        uint16_t topic;
        uint16_t zero;
    } place; /* PARTITION: of the last message */
    char missing[200];
};

struct tide_lane_key *tide_lane_key_new(enum tide_step_order_by by, const char *name)
{
    struct tide_lane_key *key = tide_alloc(sizeof(*key));
    *key = (struct tide_lane_key){
        .by = by, .name = tide_copy(name), .name_length = name ? (uint32_t)strlen(name) : 0};
    if (by == TIDE_BY_JSON)
        key->json = tide_json_new();
    return key;
}

void tide_lane_key_free(struct tide_lane_key *key)
{
    if (!key)
        return;
    tide_json_free(key->json);
    free(key->name);
    free(key);
}

static bool read_header(const struct tide_lane_key *key, const struct tide_message *message,
                        const char **bytes, uint32_t *length)
{
    struct tide_header header;
    uint32_t at = 0;
    *bytes = NULL;
    while (message->headers_length > 0 &&
           tide_header_next(message->headers, message->headers_length, &at, &header) > 0) {
        if (header.name_length != key->name_length ||
            memcmp(header.name, key->name, key->name_length) != 0)
            continue;
        *bytes = header.value;
        *length = header.value_length;
    }
    return *bytes != NULL;
}

/* ---- JSON ---- */

/* The number that a part of the path is, 0 = it is none. */
static int32_t index_of(const char *part, uint32_t length)
{
    int32_t index = 0;
    if (length > LONGEST_INDEX)
        return 0;
    for (uint32_t i = 0; i < length; i++) {
        if (part[i] < '0' || part[i] > '9')
            return 0;
        index = index * 10 + (part[i] - '0');
    }
    return index;
}

/* Goes from the root, whose kind is given, to the end of the path. Returns the kind of what is there. */
static int walk(const struct tide_lane_key *key, int kind)
{
    struct tide_json *json = key->json;
    const char *part = key->name, *end = key->name + key->name_length;
    while (part <= end && (kind == TIDE_JSON_OBJECT || kind == TIDE_JSON_ARRAY)) {
        const char *dot = memchr(part, '.', (size_t)(end - part));
        uint32_t length = (uint32_t)((dot ? dot : end) - part);
        int32_t index = kind == TIDE_JSON_ARRAY ? index_of(part, length) : 0;
        if (kind == TIDE_JSON_ARRAY && index == 0)
            return TIDE_JSON_NONE;
        kind = tide_json_get(json->doc, json->node, kind == TIDE_JSON_ARRAY ? NULL : part,
                             kind == TIDE_JSON_ARRAY ? index : (int32_t)length);
        part += length + 1;
    }
    return part > end ? kind : TIDE_JSON_NONE;
}

static bool take_text(const char *text, int32_t size, const char **bytes, uint32_t *length)
{
    *bytes = text;
    *length = (uint32_t)size;
    return true;
}

/* A number is taken as it would be written shortest, so that how it was written makes no difference. */
static bool take_value(struct tide_lane_key *key, int kind, const char **bytes, uint32_t *length)
{
    const struct tide_json *json = key->json;
    switch (kind) {
    case TIDE_JSON_STRING:
    case TIDE_JSON_BIG:
        return take_text(json->bytes, json->length, bytes, length);
    case TIDE_JSON_DOUBLE:
        return take_text(key->number, tide_json_write_double(json->number, key->number), bytes,
                         length);
    case TIDE_JSON_INT64:
        return take_text(key->number, tide_json_write_integer(json->integer, key->number), bytes,
                         length);
    case TIDE_JSON_UINT64:
        return take_text(key->number, tide_json_write_natural(json->natural, key->number), bytes,
                         length);
    case TIDE_JSON_FALSE:
        return take_text("false", 5, bytes, length);
    case TIDE_JSON_TRUE:
        return take_text("true", 4, bytes, length);
    default:
        return false;
    }
}

static bool read_json(struct tide_lane_key *key, const struct tide_message *message,
                      const char **bytes, uint32_t *length)
{
    tide_json_reset(key->json);
    if (!message->value || message->value_length > INT32_MAX)
        return false;
    int kind = tide_json_open(key->json, message->value, (int32_t)message->value_length);
    return kind > 0 && take_value(key, walk(key, kind), bytes, length);
}

bool tide_lane_key_read(struct tide_lane_key *key, const struct tide_message *message,
                        const char **bytes, uint32_t *length)
{
    switch (key->by) {
    case TIDE_BY_KEY:
        *bytes = message->key;
        *length = message->key_length;
        return message->key != NULL;
    case TIDE_BY_HEADER:
        return read_header(key, message, bytes, length);
    case TIDE_BY_JSON:
        return read_json(key, message, bytes, length);
    case TIDE_BY_PARTITION:
        key->place.partition = message->partition;
        key->place.topic = message->topic;
        *bytes = (const char *)&key->place;
        *length = sizeof(key->place);
        return true;
    }
    return false;
}

/* ---- why there is none ---- */

static const char *describe_json(struct tide_lane_key *key, const struct tide_message *message)
{
    static const char *const what[] = {[TIDE_JSON_NONE] = "is not there",
                                       [TIDE_JSON_NULL] = "is null",
                                       [TIDE_JSON_ARRAY] = "is an array",
                                       [TIDE_JSON_OBJECT] = "is an object"};
    int kind = TIDE_EDATA;
    if (!message->value)
        return "its value is null";
    tide_json_reset(key->json);
    if (message->value_length <= INT32_MAX)
        kind = tide_json_open(key->json, message->value, (int32_t)message->value_length);
    if (kind > 0)
        kind = walk(key, kind);
    if (kind < 0)
        snprintf(key->missing, sizeof(key->missing), "its value is not JSON: %.120s", tide_error());
    else
        snprintf(key->missing, sizeof(key->missing), "json:%.120s %s", key->name, what[kind]);
    return key->missing;
}

const char *tide_lane_key_missing(struct tide_lane_key *key, const struct tide_message *message)
{
    if (key->by == TIDE_BY_KEY)
        return "its key is null; by may name a field, as \"json:id\"";
    if (key->by == TIDE_BY_JSON)
        return describe_json(key, message);
    snprintf(key->missing, sizeof(key->missing), "it has no header \"%.120s\" with a value",
             key->name);
    return key->missing;
}

/* ---- the lane ---- */

static uint64_t mix(uint64_t sum)
{
    sum *= 0xD1B54A32D192ED03;
    return sum ^ sum >> 29;
}

static uint64_t hash(const char *bytes, uint32_t length)
{
    uint64_t sum = length, word;
    for (; length > 8; length -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        sum = mix(sum ^ word);
    }
    word = 0;
    if (length > 0)
        memcpy(&word, bytes, length);
    return mix(mix(mix(sum ^ word) + 1));
}

/* The upper bits, which are the best mixed ones, by a product: a division would take longer. */
uint32_t tide_lane_of_key(const char *bytes, uint32_t length, uint32_t lanes)
{
    return (uint32_t)((hash(bytes, length) >> 32) * lanes >> 32);
}
