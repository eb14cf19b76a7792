/* SPDX-License-Identifier: MIT
 * A sample as a line of JSON. Of a result only what differs from the message before is written: that is the news, and it
 * halves the line. The bytes of results may be written by their worker while they are read here, if it is broken; lengths
 * are the engine's and each byte is read once (base/text.c), so the worst that comes of it is a value that nobody returned. */
#include <string.h>

#include "base/text.h"
#include "chain/tap_inside.h"
#include "shm/layout.h"
#include "shm/message_json.h"
#include "shm/topics.h"

static const char *const fates[TIDE_FATES] = {
    [TIDE_FATE_FORWARDED] = "forwarded",
    [TIDE_FATE_FILTERED] = "filtered",
    [TIDE_FATE_ACCUMULATED] = "accumulated",
    [TIDE_FATE_REJECTED] = "rejected",
    [TIDE_FATE_RETRY] = "retry",
    [TIDE_FATE_WAITS] = "waits",
    [TIDE_FATE_DROPPED] = "dropped",
};

enum { KEY = 1, HEADERS = 2, VALUE = 4, TO_TOPIC = 8, TO_PARTITION = 16, TIMESTAMP = 32 };
static const char *const part_names[] = {"key",      "headers",      "value",
                                         "to_topic", "to_partition", "timestamp"};

/* Null differs from empty. */
static bool differs(const char *one, uint32_t one_length, const char *other, uint32_t other_length)
{
    if (!one || !other)
        return one != other;
    return one_length != other_length || memcmp(one, other, one_length) != 0;
}

/* Headers of no bytes are none, whether or not there is a pointer. */
static bool headers_differ(const struct tide_message *one, const struct tide_message *other)
{
    return one->headers_length != other->headers_length ||
           (one->headers_length > 0 &&
            memcmp(one->headers, other->headers, one->headers_length) != 0);
}

static int changed_parts(const struct tide_message *before, const struct tide_message *after)
{
    int parts = 0;
    if (differs(before->key, before->key_length, after->key, after->key_length))
        parts |= KEY;
    if (headers_differ(before, after))
        parts |= HEADERS;
    if (differs(before->value, before->value_length, after->value, after->value_length))
        parts |= VALUE;
    if (before->target_topic != after->target_topic)
        parts |= TO_TOPIC;
    if (before->target_partition != after->target_partition)
        parts |= TO_PARTITION;
    if (before->timestamp != after->timestamp)
        parts |= TIMESTAMP;
    return parts;
}

static void add_topic(struct tide_text *text, const struct tide_topics *topics, uint16_t number)
{
    const char *name = number == TIDE_TOPIC_NONE ? NULL : tide_topics_name(topics, number);
    tide_text_json(text, name, name ? strlen(name) : 0);
}

/* A comma before every member but the first of its object. */
static void separate(struct tide_text *text)
{
    if (text->data[text->length - 1] != '{')
        tide_text_string(text, ",");
}

static void add_parts(struct tide_text *text, const struct tide_message *message, int parts,
                      const struct tide_topics *topics, uint32_t limit)
{
    for (int part = KEY; part <= TIMESTAMP; part <<= 1) {
        if (!(parts & part))
            continue;
        separate(text);
        if (part == KEY) {
            tide_json_cut_field(text, "key", message->key, message->key_length, limit);
        } else if (part == HEADERS) {
            tide_json_headers(text, message->headers, message->headers_length, limit);
        } else if (part == VALUE) {
            tide_json_cut_field(text, "value", message->value, message->value_length, limit);
        } else if (part == TO_TOPIC) {
            tide_text_string(text, "\"to_topic\":");
            add_topic(text, topics, message->target_topic);
        } else if (part == TO_PARTITION) {
            tide_text_format(text, "\"to_partition\":%d", message->target_partition);
        } else {
            tide_text_format(text, "\"timestamp\":%lld", (long long)message->timestamp);
        }
    }
}

static void add_after(struct tide_text *text, const struct tide_message *before,
                      const struct tide_message *after, const struct tide_topics *topics,
                      uint32_t limit)
{
    int parts = changed_parts(before, after);
    const char *comma = "";
    tide_text_string(text, "{\"changed\":[");
    for (int i = 0; 1 << i <= TIMESTAMP; i++) {
        if (!(parts & 1 << i))
            continue;
        tide_text_format(text, "%s\"%s\"", comma, part_names[i]);
        comma = ",";
    }
    tide_text_string(text, "]");
    add_parts(text, after, parts, topics, limit);
    tide_text_string(text, "}");
}

static void add_text(struct tide_text *text, const char *name, const char *string, size_t limit)
{
    if (!string || !*string)
        return;
    tide_text_format(text, ",\"%s\":", name);
    tide_text_json(text, string, strnlen(string, limit));
}

void tide_tap_write(struct tide_text *text, const struct tide_tap_event *event,
                    const struct tide_topics *topics, uint32_t step_number, const char *stage,
                    uint32_t limit)
{
    const struct tide_message *before = event->before;
    int parts = KEY | HEADERS | VALUE;
    if (step_number > 0)
        tide_text_format(text, "{\"step\":%u,\"stage\":", step_number);
    else
        tide_text_string(text, "{\"step\":null,\"stage\":");
    tide_text_json(text, stage, stage ? strlen(stage) : 0);
    tide_text_format(text, ",\"fate\":\"%s\",\"topic\":", fates[event->fate]);
    add_topic(text, topics, before->topic);
    tide_text_format(text, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld,\"before\":{",
                     before->partition, (long long)before->offset, (long long)before->timestamp);
    parts |= before->target_topic == TIDE_TOPIC_NONE ? 0 : TO_TOPIC;
    parts |= before->target_partition == TIDE_PARTITION_ANY ? 0 : TO_PARTITION;
    add_parts(text, before, parts, topics, limit);
    tide_text_string(text, "}");
    add_text(text, "reason", event->reason, limit);
    add_text(text, "error", event->error, limit);
    add_text(text, "cause", event->cause, limit);
    add_text(text, "traceback", event->traceback, limit);
    if (event->attempts > 0)
        tide_text_format(text, ",\"attempts\":%u", event->attempts);
    tide_text_format(text, ",\"results\":%u,\"after\":[", event->results);
    for (uint32_t i = 0; i < event->results && i < TIDE_TAP_RESULTS; i++) {
        tide_text_string(text, i > 0 ? "," : "");
        add_after(text, before, event->after[i], topics, limit);
    }
    tide_text_string(text, "]}");
}
