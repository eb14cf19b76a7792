/* SPDX-License-Identifier: MIT
 * Conditions of a tap. They are tested in their order, so who plans a tap puts those first that cost little. The bytes are
 * those of an input block, which no worker can write. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "chain/tap_inside.h"
#include "shm/topics.h"

void tide_tap_conditions_copy(struct tide_tap_conditions *copy,
                              const struct tide_tap_condition *conditions, uint32_t count)
{
    copy->items = tide_alloc(sizeof(*copy->items) * (count + 1));
    copy->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct tide_tap_condition *item = &copy->items[i];
        *item = conditions[i];
        item->name = tide_copy(conditions[i].name);
        if (!conditions[i].text)
            continue;
        char *text = tide_alloc(conditions[i].text_length + 1); /* it may have a NUL in it */
        memcpy(text, conditions[i].text, conditions[i].text_length);
        item->text = text;
    }
}

void tide_tap_conditions_free(struct tide_tap_conditions *conditions)
{
    for (uint32_t i = 0; i < conditions->count; i++) {
        free((char *)(uintptr_t)conditions->items[i].name);
        free((char *)(uintptr_t)conditions->items[i].text);
    }
    free(conditions->items);
    *conditions = (struct tide_tap_conditions){0};
}

static bool text_matches(const struct tide_tap_condition *condition, const char *bytes,
                         uint32_t length, int64_t *searched)
{
    if (!bytes || length < condition->text_length)
        return false;
    if (!condition->contains)
        return length == condition->text_length && memcmp(bytes, condition->text, length) == 0;
    *searched += length;
    return memmem(bytes, length, condition->text, condition->text_length) != NULL;
}

static bool header_matches(const struct tide_tap_condition *condition,
                           const struct tide_message *message, int64_t *searched)
{
    size_t name_length = strlen(condition->name);
    struct tide_header header;
    uint32_t at = 0;
    *searched += message->headers_length;
    while (message->headers_length > 0 &&
           tide_header_next(message->headers, message->headers_length, &at, &header) > 0) {
        if (header.name_length == name_length &&
            memcmp(header.name, condition->name, name_length) == 0 &&
            text_matches(condition, header.value, header.value_length, searched))
            return true;
    }
    return false;
}

static bool topic_matches(const struct tide_tap_condition *condition,
                          const struct tide_message *message, const struct tide_topics *topics,
                          int64_t *searched)
{
    const char *name = tide_topics_name(topics, message->topic);
    return text_matches(condition, name, name ? (uint32_t)strlen(name) : 0, searched);
}

static bool within(const struct tide_tap_condition *condition, int64_t number)
{
    return number >= condition->least && number <= condition->most;
}

static bool holds(const struct tide_tap_condition *condition, const struct tide_tap_event *event,
                  const struct tide_topics *topics, int64_t *searched)
{
    const struct tide_message *message = event->before;
    switch (condition->field) {
    case TIDE_TAP_KEY:
        return text_matches(condition, message->key, message->key_length, searched);
    case TIDE_TAP_HEADER:
        return header_matches(condition, message, searched);
    case TIDE_TAP_VALUE:
        return text_matches(condition, message->value, message->value_length, searched);
    case TIDE_TAP_TOPIC:
        return topic_matches(condition, message, topics, searched);
    case TIDE_TAP_PARTITION:
        return within(condition, message->partition);
    case TIDE_TAP_OFFSET:
        return within(condition, message->offset);
    case TIDE_TAP_FATE:
        return within(condition, event->fate);
    }
    return false;
}

bool tide_tap_matches(const struct tide_tap_conditions *conditions,
                      const struct tide_tap_event *event, const struct tide_topics *topics,
                      int64_t *bytes)
{
    for (uint32_t i = 0; i < conditions->count; i++) {
        if (!holds(&conditions->items[i], event, topics, bytes))
            return false;
    }
    return true;
}
