/* SPDX-License-Identifier: MIT
 * Compares the results of two revisions, item by item, as they are parsed: portions of both, so that a block of any size takes no
 * memory of its own. Where one has something else than the other, the rest of that record is passed over in both, and they go
 * on with the next one. Start reading at tide_canary_compare(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "chain/canary.h"
#include "chain/results.h"
#include "chain/task.h"
#include "shm/topics.h"

/* A position in the results of one of them. The batch is a copy, so that the reading position of the original stays. */
struct side {
    struct tide_batch batch;
    struct tide_parsed parsed;
    const struct tide_item *item; /* NULL: there are no more */
    uint32_t topics;
};

/* TIDE_EDATA: what comes is malformed. */
static int advance(struct side *side)
{
    struct tide_parsed *parsed = &side->parsed;
    int status = TIDE_OK;
    if (side->item && side->item->kind == TIDE_ITEM_FINISHED)
        side->batch.release.released++;
    if (side->item)
        parsed->item_at++;
    if (parsed->item_at >= parsed->item_count)
        status = tide_results_read(&side->batch, parsed, side->topics);
    /* What is complete before a malformed result is used first, as it is when results are forwarded. */
    side->item = parsed->item_at < parsed->item_count ? &parsed->items[parsed->item_at] : NULL;
    return side->item ? TIDE_OK : status;
}

static int pass_record(struct side *side, uint32_t record)
{
    int status = TIDE_OK;
    while (status == TIDE_OK && side->item && side->item->record == record)
        status = advance(side);
    return status;
}

/* ---- texts ---- */

static void place(const struct side *side, const struct tide_task *task, uint32_t record,
                  char *text, size_t size)
{
    struct tide_message message;
    tide_batch_message(&side->batch, record, &message);
    const char *topic = tide_topics_name(task->step.chain->topics, message.topic);
    snprintf(text, size, "%s/%d/%lld", topic ? topic : "", message.partition,
             (long long)message.offset);
}

/* At most 60 bytes, from a little before byte `at` on. */
static void quote(struct tide_text *text, const char *bytes, uint32_t length, uint32_t at)
{
    uint32_t from = at > 20 ? at - 20 : 0;
    uint32_t count = length - from > 60 ? 60 : length - from;
    if (!bytes) {
        tide_text_string(text, "null");
        return;
    }
    if (from > 0)
        tide_text_string(text, "...");
    tide_text_json(text, bytes + from, count);
    if (from + count < length)
        tide_text_string(text, "...");
}

static void say_item(struct tide_text *text, const struct side *side, uint32_t record)
{
    const struct tide_item *item = side->item && side->item->record == record ? side->item : NULL;
    struct tide_failure failure;
    switch (item ? item->kind : TIDE_ITEM_FINISHED) {
    case TIDE_ITEM_MESSAGE:
        tide_text_string(text, "a result with the value ");
        quote(text, side->parsed.messages[item->message].value,
              side->parsed.messages[item->message].value_length, 0);
        break;
    case TIDE_ITEM_REJECT:
    case TIDE_ITEM_RETRY:
        tide_results_failure(&side->parsed.messages[item->message], &failure);
        tide_text_format(text, "%s (%s: %.300s)",
                         item->kind == TIDE_ITEM_REJECT ? "a rejection" : "tide.retry",
                         failure.reason, failure.error);
        break;
    case TIDE_ITEM_STATE:
        tide_text_format(text, "a change of state %u",
                         side->parsed.changes[item->message].state + 1);
        break;
    default:
        tide_text_string(text, "no more results");
    }
}

/* ---- comparing ---- */

/* Where two byte strings differ first; their lengths may be all that does. */
static bool bytes_differ(const char *a, uint32_t a_length, const char *b, uint32_t b_length,
                         uint32_t *at)
{
    uint32_t both = a_length < b_length ? a_length : b_length;
    *at = 0;
    if (!a || !b)
        return a != b;
    while (*at < both && a[*at] == b[*at])
        ++*at;
    return a_length != b_length || *at < both;
}

/* Appends which part of a result differs, and both. False when none does. */
static bool part_differs(struct tide_text *text, const char *name, const char *newer,
                         uint32_t newer_length, const char *older, uint32_t older_length)
{
    uint32_t at;
    if (newer == older && newer_length == older_length) /* both are the record's */
        return false;
    if (!bytes_differ(newer, newer_length, older, older_length, &at))
        return false;
    tide_text_format(text, "the %s is ", name);
    quote(text, newer, newer_length, at);
    tide_text_string(text, " and was ");
    quote(text, older, older_length, at);
    return true;
}

static bool number_differs(struct tide_text *text, const char *name, int64_t newer, int64_t older)
{
    if (newer == older)
        return false;
    tide_text_format(text, "the %s is %lld and was %lld", name, (long long)newer, (long long)older);
    return true;
}

static const char *topic_of(const struct tide_task *task, const struct tide_message *message)
{
    const char *name = tide_topics_name(task->step.chain->topics, message->target_topic);
    return name ? name : "that of the next step";
}

static bool messages_differ(struct tide_text *text, const struct tide_task *task,
                            const struct tide_message *newer, const struct tide_message *older)
{
    if (newer->target_topic != older->target_topic) {
        tide_text_format(text, "the topic is %s and was %s", topic_of(task, newer),
                         topic_of(task, older));
        return true;
    }
    return part_differs(text, "value", newer->value, newer->value_length, older->value,
                        older->value_length) ||
           part_differs(text, "key", newer->key, newer->key_length, older->key,
                        older->key_length) ||
           part_differs(text, "packed headers", newer->headers, newer->headers_length,
                        older->headers, older->headers_length) ||
           number_differs(text, "partition", newer->target_partition, older->target_partition) ||
           number_differs(text, "timestamp", newer->timestamp, older->timestamp);
}

static bool changes_differ(struct tide_text *text, const struct tide_parsed_change *newer,
                           const struct tide_parsed_change *older)
{
    return number_differs(text, "number of the state that is changed", newer->state + 1,
                          older->state + 1) ||
           number_differs(text, "kind of the state's value", newer->value.kind,
                          older->value.kind) ||
           number_differs(text, "time that the state lives (ms)", newer->value.expires_ms,
                          older->value.expires_ms) ||
           part_differs(text, "state", newer->value.bytes, newer->value.length, older->value.bytes,
                        older->value.length);
}

/* Both have an item of the same record and kind. */
static bool items_differ(struct tide_text *text, const struct tide_task *task,
                         const struct side *newer, const struct side *older)
{
    uint32_t a = newer->item->message, b = older->item->message;
    if (newer->item->kind == TIDE_ITEM_MESSAGE)
        return messages_differ(text, task, &newer->parsed.messages[a], &older->parsed.messages[b]);
    if (newer->item->kind == TIDE_ITEM_STATE)
        return changes_differ(text, &newer->parsed.changes[a], &older->parsed.changes[b]);
    return false;
}

static void note(char *to, size_t size, const char *where, const struct tide_text *text)
{
    if (to[0] == 0)
        snprintf(to, size, "%s: %.*s", where, (int)text->length, text->data);
}

/* One item of each, where `same` is true; else the rest of the record. */
static int compare_next(struct side *newer, struct side *older, const struct tide_task *task,
                        struct tide_comparison *found, struct tide_text *text)
{
    uint32_t record = newer->item->record;
    bool alike = older->item && newer->item->record == older->item->record &&
                 newer->item->kind == older->item->kind;
    char where[320];
    text->length = 0;
    if (alike && !items_differ(text, task, newer, older)) {
        int status = advance(older);
        return status == TIDE_OK ? advance(newer) : TIDE_OK;
    }
    place(newer, task, record, where, sizeof(where));
    found->differing++;
    if (!alike) {
        tide_text_string(text, "the new transforms give ");
        say_item(text, newer, record);
        tide_text_string(text, ", those that run give ");
        say_item(text, older, record);
    }
    if (!alike && newer->item->kind == TIDE_ITEM_REJECT) {
        found->rejected++;
        note(found->first_rejected, sizeof(found->first_rejected), where, text);
    }
    note(found->difference, sizeof(found->difference), where, text);
    int status = pass_record(newer, record);
    return status == TIDE_OK && pass_record(older, record) == TIDE_OK ? TIDE_OK : status;
}

static void begin(struct side *side, const struct tide_batch *batch, uint32_t topics)
{
    side->batch = *batch;
    side->topics = topics;
}

int tide_canary_compare(const struct tide_batch *older, const struct tide_batch *newer,
                        const struct tide_task *task, struct tide_comparison *found)
{
    uint32_t topics = tide_topics_count(task->step.chain->topics);
    struct side *sides = tide_alloc(sizeof(*sides) * 2);
    struct tide_text text = {0};
    memset(found, 0, sizeof(*found));
    begin(&sides[0], newer, topics);
    begin(&sides[1], older, topics);
    int status = advance(&sides[0]);
    /* Of the older one's nothing is told: its step finds a violation by itself. */
    bool both = status == TIDE_OK && advance(&sides[1]) == TIDE_OK;
    while (both && status == TIDE_OK && sides[0].item && sides[1].item)
        status = compare_next(&sides[0], &sides[1], task, found, &text);
    tide_results_free(&sides[0].parsed);
    tide_results_free(&sides[1].parsed);
    tide_text_free(&text);
    free(sides);
    return status;
}
