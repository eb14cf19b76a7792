/* SPDX-License-Identifier: MIT */
#include "chain/results.h"

#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

int tide_results_accept(struct tide_slot *slot)
{
    struct tide_output *output = slot->work.job.output;
    uint64_t progress = __atomic_load_n(&output->progress, __ATOMIC_ACQUIRE);
    uint32_t next = (uint32_t)progress;
    uint32_t bytes = (uint32_t)(progress >> 32);
    if (next < slot->work.job.first || next > slot->work.job.end ||
        bytes > slot->work.job.output_max)
        return tide_fail(TIDE_EDATA, "progress %u of [%u, %u], %u bytes", next,
                         slot->work.job.first, slot->work.job.end, bytes);
    if (slot->work.state == TIDE_WORK_DONE &&
        (slot->work.outcome == TIDE_OUTCOME_DONE ? next < slot->work.job.end
                                                 : next == slot->work.job.first))
        return tide_fail(TIDE_EDATA, "reported %s at record %u of [%u, %u]",
                         slot->work.outcome == TIDE_OUTCOME_DONE ? "done" : "full", next,
                         slot->work.job.first, slot->work.job.end);
    slot->ready = next;
    slot->ready_bytes = bytes;
    slot->result_at = 0;
    slot->result_record = UINT32_MAX;
    if (bytes + sizeof(*output) > slot->output->touched)
        slot->output->touched = bytes + sizeof(*output);
    return TIDE_OK;
}

static bool fits(const struct tide_slot *slot, const struct tide_result *result,
                 uint32_t topic_count)
{
    uint64_t bytes = sizeof(*result) + result->headers_length;
    if (result->value_length < TIDE_NULL || result->key_length < TIDE_NULL)
        return false;
    bytes += result->value_length > 0 ? (uint64_t)result->value_length : 0;
    bytes += result->key_length > 0 ? (uint64_t)result->key_length : 0;
    return result->size % 8 == 0 && bytes <= result->size &&
           result->size <= slot->ready_bytes - slot->result_at && result->index >= slot->released &&
           result->index < slot->ready && result->partition >= TIDE_PARTITION_ANY &&
           (result->topic == TIDE_TOPIC_NONE || result->topic < topic_count) &&
           result->kind >= TIDE_RESULT_MESSAGE && result->kind <= TIDE_RESULT_RETRY;
}

/* What took all over, and is the only result of its record, is the message itself still. */
static bool is_made(const struct tide_slot *slot, const struct tide_result *result,
                    int64_t timestamp)
{
    const int all = TIDE_INHERIT_VALUE | TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS;
    const char *next = (const char *)(slot->work.job.output + 1) + slot->result_at + result->size;
    uint32_t left = slot->ready_bytes - slot->result_at - result->size;
    bool several = slot->result_record == result->index;
    uint32_t index;
    if (left >= sizeof(*result)) {
        memcpy(&index, next + offsetof(struct tide_result, index), sizeof(index));
        several |= index == result->index;
    }
    return several || (result->inherit & all) != all || result->timestamp != timestamp;
}

static void build(const struct tide_slot *slot, uint32_t record, const struct tide_result *result,
                  const char *bytes, struct tide_message *message)
{
    tide_slot_message(slot, record, message);
    if (is_made(slot, result, message->timestamp))
        message->flags |= TIDE_MESSAGE_RESULT;
    message->timestamp = result->timestamp;
    message->target_topic = result->topic;
    message->target_partition = result->partition;
    if (!(result->inherit & TIDE_INHERIT_VALUE)) {
        message->value = result->value_length < 0 ? NULL : bytes;
        message->value_length = result->value_length < 0 ? 0 : (uint32_t)result->value_length;
        bytes += message->value_length;
    }
    if (!(result->inherit & TIDE_INHERIT_KEY)) {
        message->key = result->key_length < 0 ? NULL : bytes;
        message->key_length = result->key_length < 0 ? 0 : (uint32_t)result->key_length;
        bytes += message->key_length;
    }
    if (!(result->inherit & TIDE_INHERIT_HEADERS)) {
        message->headers = result->headers_length ? bytes : NULL;
        message->headers_length = result->headers_length;
    }
}

static bool headers_hold(const struct tide_message *message)
{
    struct tide_header header;
    uint32_t at = 0;
    int more;
    do
        more = tide_header_next(message->headers, message->headers_length, &at, &header);
    while (more > 0);
    return more == 0;
}

static const enum tide_item_kind kinds[] = {[TIDE_RESULT_MESSAGE] = TIDE_ITEM_MESSAGE,
                                            [TIDE_RESULT_REJECT] = TIDE_ITEM_REJECT,
                                            [TIDE_RESULT_RETRY] = TIDE_ITEM_RETRY};

int tide_results_read(struct tide_slot *slot, struct tide_span *span, uint32_t topic_count)
{
    const char *results = (const char *)(slot->work.job.output + 1);
    uint32_t record = slot->released;
    uint32_t whole = 0; /* items, up to the end of a record */
    span->item_count = span->message_count = span->item_at = 0;
    while (record < slot->ready && span->item_count < TIDE_SPAN_ITEMS &&
           span->message_count < TIDE_SPAN_MESSAGES) {
        struct tide_item *item = &span->items[span->item_count];
        struct tide_result result;
        *item = (struct tide_item){TIDE_ITEM_FINISHED, record, 0, 0};
        if (slot->ready_bytes > slot->result_at) {
            if (slot->ready_bytes - slot->result_at < sizeof(result))
                goto broken;
            memcpy(&result, results + slot->result_at, sizeof(result));
            if (!fits(slot, &result, topic_count) || result.index < record)
                goto broken;
            if (result.index == record) {
                struct tide_message *message = &span->messages[span->message_count];
                item->kind = kinds[result.kind];
                item->message = span->message_count++;
                item->bytes = result.size;
                build(slot, record, &result, results + slot->result_at + sizeof(result), message);
                if (!(result.inherit & TIDE_INHERIT_HEADERS) && !headers_hold(message))
                    goto broken;
                slot->result_record = record;
                slot->result_at += result.size;
            }
        }
        span->item_count++;
        if (item->kind == TIDE_ITEM_FINISHED) {
            whole = span->item_count;
            record++;
        }
    }
    return TIDE_OK;
broken:
    /* Its record will be run again: what it had so far must not be handed on. */
    span->item_count = whole;
    return tide_fail(TIDE_EDATA, "the result at byte %u is none", slot->result_at);
}

int tide_results_check(const struct tide_slot *slot, uint32_t topic_count)
{
    struct tide_slot walk = *slot;
    struct tide_span span;
    do {
        if (tide_results_read(&walk, &span, topic_count) < 0)
            return TIDE_EDATA;
        for (uint32_t i = 0; i < span.item_count; i++)
            walk.released += span.items[i].kind == TIDE_ITEM_FINISHED;
    } while (span.item_count > 0);
    return TIDE_OK;
}

void tide_results_told(const struct tide_message *message, struct tide_told *told)
{
    size_t length = message->value ? message->value_length : 0;
    const char *end;
    if (length > sizeof(told->texts) - 3)
        length = sizeof(told->texts) - 3;
    if (length > 0)
        memcpy(told->texts, message->value, length);
    memset(told->texts + length, 0, 3);
    end = told->texts + length;
    told->reason = told->texts;
    told->error = told->reason + strlen(told->reason) + 1;
    told->traceback = told->error > end ? told->error : told->error + strlen(told->error) + 1;
    if (told->error > end)
        told->error = told->traceback = "";
    else if (told->traceback > end)
        told->traceback = "";
}

bool tide_results_retry(const struct tide_slot *slot, uint32_t topic_count, struct tide_told *told)
{
    struct tide_slot walk = *slot;
    struct tide_span span;
    bool retry = tide_results_read(&walk, &span, topic_count) == TIDE_OK && span.item_count > 0 &&
                 span.items[0].kind == TIDE_ITEM_RETRY;
    if (retry)
        tide_results_told(&span.messages[span.items[0].message], told);
    return retry;
}
