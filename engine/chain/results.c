/* SPDX-License-Identifier: MIT */
#include "chain/results.h"

#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

int tide_results_accept(struct tide_batch *batch)
{
    struct tide_output *output = batch->work.job.output;
    uint64_t progress = __atomic_load_n(&output->progress, __ATOMIC_ACQUIRE);
    uint32_t next = (uint32_t)progress;
    uint32_t bytes = (uint32_t)(progress >> 32);
    if (next < batch->work.job.first || next > batch->work.job.end ||
        bytes > batch->work.job.output_max)
        return tide_fail(TIDE_EDATA, "progress %u of [%u, %u], %u bytes", next,
                         batch->work.job.first, batch->work.job.end, bytes);
    if (batch->work.state == TIDE_WORK_DONE &&
        (batch->work.outcome == TIDE_JOB_DONE ? next < batch->work.job.end
                                              : next == batch->work.job.first))
        return tide_fail(TIDE_EDATA, "reported %s at record %u of [%u, %u]",
                         batch->work.outcome == TIDE_JOB_DONE ? "done" : "full", next,
                         batch->work.job.first, batch->work.job.end);
    batch->ready = next;
    batch->ready_bytes = bytes;
    batch->result_at = 0;
    batch->result_record = UINT32_MAX;
    if (bytes + sizeof(*output) > batch->output->touched)
        batch->output->touched = bytes + sizeof(*output);
    return TIDE_OK;
}

static bool fits(const struct tide_batch *batch, const struct tide_result *result,
                 uint32_t topic_count)
{
    uint64_t bytes = sizeof(*result) + result->headers_length;
    if (result->value_length < TIDE_NULL || result->key_length < TIDE_NULL)
        return false;
    bytes += result->value_length > 0 ? (uint64_t)result->value_length : 0;
    bytes += result->key_length > 0 ? (uint64_t)result->key_length : 0;
    return result->size % 8 == 0 && bytes <= result->size &&
           result->size <= batch->ready_bytes - batch->result_at &&
           result->index >= batch->released && result->index < batch->ready &&
           result->partition >= TIDE_PARTITION_ANY &&
           (result->topic == TIDE_TOPIC_NONE || result->topic < topic_count) &&
           result->kind >= TIDE_RESULT_MESSAGE && result->kind <= TIDE_RESULT_RETRY;
}

/* What took all over, and is the only result of its record, is the message itself still. */
static bool is_made(const struct tide_batch *batch, const struct tide_result *result,
                    int64_t timestamp)
{
    const int all = TIDE_INHERIT_VALUE | TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS;
    const char *next = (const char *)(batch->work.job.output + 1) + batch->result_at + result->size;
    uint32_t left = batch->ready_bytes - batch->result_at - result->size;
    bool several = batch->result_record == result->index;
    uint32_t index;
    if (left >= sizeof(*result)) {
        memcpy(&index, next + offsetof(struct tide_result, index), sizeof(index));
        several |= index == result->index;
    }
    return several || (result->inherit & all) != all || result->timestamp != timestamp;
}

static void build(const struct tide_batch *batch, uint32_t record, const struct tide_result *result,
                  const char *bytes, struct tide_message *message)
{
    tide_batch_message(batch, record, message);
    if (is_made(batch, result, message->timestamp))
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

int tide_results_read(struct tide_batch *batch, struct tide_parsed *parsed, uint32_t topic_count)
{
    const char *results = (const char *)(batch->work.job.output + 1);
    uint32_t record = batch->released;
    uint32_t whole = 0; /* items, up to the end of a record */
    parsed->item_count = parsed->message_count = parsed->item_at = 0;
    while (record < batch->ready && parsed->item_count < TIDE_PARSED_ITEMS &&
           parsed->message_count < TIDE_PARSED_MESSAGES) {
        struct tide_item *item = &parsed->items[parsed->item_count];
        struct tide_result result;
        *item = (struct tide_item){TIDE_ITEM_FINISHED, record, 0, 0};
        if (batch->ready_bytes > batch->result_at) {
            if (batch->ready_bytes - batch->result_at < sizeof(result))
                goto broken;
            memcpy(&result, results + batch->result_at, sizeof(result));
            if (!fits(batch, &result, topic_count) || result.index < record)
                goto broken;
            if (result.index == record) {
                struct tide_message *message = &parsed->messages[parsed->message_count];
                item->kind = kinds[result.kind];
                item->message = parsed->message_count++;
                item->bytes = result.size;
                build(batch, record, &result, results + batch->result_at + sizeof(result), message);
                if (!(result.inherit & TIDE_INHERIT_HEADERS) && !headers_hold(message))
                    goto broken;
                batch->result_record = record;
                batch->result_at += result.size;
            }
        }
        parsed->item_count++;
        if (item->kind == TIDE_ITEM_FINISHED) {
            whole = parsed->item_count;
            record++;
        }
    }
    return TIDE_OK;
broken:
    /* Its record will be run again: what it had so far must not be handed on. */
    parsed->item_count = whole;
    return tide_fail(TIDE_EDATA, "the result at byte %u is none", batch->result_at);
}

int tide_results_check(const struct tide_batch *batch, uint32_t topic_count)
{
    struct tide_batch walk = *batch;
    struct tide_parsed parsed;
    do {
        if (tide_results_read(&walk, &parsed, topic_count) < 0)
            return TIDE_EDATA;
        for (uint32_t i = 0; i < parsed.item_count; i++)
            walk.released += parsed.items[i].kind == TIDE_ITEM_FINISHED;
    } while (parsed.item_count > 0);
    return TIDE_OK;
}

void tide_results_failure(const struct tide_message *message, struct tide_failure *failure)
{
    size_t length = message->value ? message->value_length : 0;
    const char *end;
    if (length > sizeof(failure->texts) - 3)
        length = sizeof(failure->texts) - 3;
    if (length > 0)
        memcpy(failure->texts, message->value, length);
    memset(failure->texts + length, 0, 3);
    end = failure->texts + length;
    failure->reason = failure->texts;
    failure->error = failure->reason + strlen(failure->reason) + 1;
    failure->traceback = failure->error > end ? failure->error
                                              : failure->error + strlen(failure->error) + 1;
    if (failure->error > end)
        failure->error = failure->traceback = "";
    else if (failure->traceback > end)
        failure->traceback = "";
}

bool tide_results_retry(const struct tide_batch *batch, uint32_t topic_count,
                        struct tide_failure *failure)
{
    struct tide_batch walk = *batch;
    struct tide_parsed parsed;
    bool retry = tide_results_read(&walk, &parsed, topic_count) == TIDE_OK &&
                 parsed.item_count > 0 && parsed.items[0].kind == TIDE_ITEM_RETRY;
    if (retry)
        tide_results_failure(&parsed.messages[parsed.items[0].message], failure);
    return retry;
}
