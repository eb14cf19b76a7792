/* SPDX-License-Identifier: MIT */
#include "chain/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

struct tide_batch *tide_batch_new(uint32_t capacity, uint64_t max_input, uint64_t max_output)
{
    struct tide_batch *batch = tide_alloc(sizeof(*batch));
    batch->capacity = capacity;
    batch->origins = tide_alloc(sizeof(*batch->origins) * capacity);
    batch->places = tide_alloc(sizeof(*batch->places) * capacity);
    batch->input = tide_block_new(max_input);
    batch->output = batch->input ? tide_block_new(sizeof(struct tide_output) + max_output) : NULL;
    if (!batch->output) {
        tide_batch_free(batch);
        return NULL;
    }
    return batch;
}

void tide_batch_reset(struct tide_batch *batch)
{
    tide_require(batch->work.state == TIDE_WORK_IDLE);
    batch->count = 0;
    batch->bytes = 0;
    batch->input_overflowed = batch->output_overflowed = false;
    batch->released = batch->ready = batch->ready_bytes = batch->result_at = 0;
    batch->results = batch->results_before = 0;
    batch->result_bytes = 0;
    batch->rejected = false;
    batch->attempts = 0;
    batch->one_by_one = false;
    batch->suspect = 0;
    batch->queue = 0;
    batch->marked = batch->retried = batch->again = false;
    batch->wait = (struct tide_partition_queue){0};
}

uint64_t tide_batch_need(const struct tide_message *message)
{
    uint64_t bytes = sizeof(struct tide_record) + (uint64_t)message->value_length +
                     message->key_length + message->headers_length;
    return (bytes + 7) & ~(uint64_t)7;
}

static char *put(char *to, const char *bytes, uint32_t length)
{
    if (length > 0)
        memcpy(to, bytes, length);
    return to + length;
}

void tide_batch_append(struct tide_batch *batch, const struct tide_message *message)
{
    uint64_t need = tide_batch_need(message);
    struct tide_record *record = (struct tide_record *)(void *)(batch->input->data + batch->bytes);
    tide_require(batch->count < batch->capacity && batch->bytes + need <= batch->input->max);
    *record = (struct tide_record){
        .size = (uint32_t)need,
        .partition = message->partition,
        .offset = message->offset,
        .timestamp = message->timestamp,
        .value_length = message->value ? (int32_t)message->value_length : TIDE_NULL,
        .key_length = message->key ? (int32_t)message->key_length : TIDE_NULL,
        .headers_length = message->headers_length,
        .topic = message->topic,
        .target_topic = message->target_topic,
        .target_partition = message->target_partition,
        .message_flags = message->flags,
    };
    char *to = (char *)(record + 1);
    to = put(to, message->value, message->value ? message->value_length : 0);
    to = put(to, message->key, message->key ? message->key_length : 0);
    put(to, message->headers, message->headers_length);
    batch->origins[batch->count] = message->origin;
    batch->places[batch->count++] = (uint32_t)(batch->bytes / 8);
    batch->bytes += need;
    if (batch->bytes > batch->input->touched)
        batch->input->touched = batch->bytes;
}

void tide_batch_message(const struct tide_batch *batch, uint32_t index,
                        struct tide_message *message)
{
    const char *place = batch->input->data + (uint64_t)batch->places[index] * 8;
    const struct tide_record *record = (const struct tide_record *)(const void *)place;
    const char *value = (const char *)(record + 1);
    uint32_t value_length = record->value_length < 0 ? 0 : (uint32_t)record->value_length;
    uint32_t key_length = record->key_length < 0 ? 0 : (uint32_t)record->key_length;
    const char *key = value + value_length;
    *message = (struct tide_message){
        .value = record->value_length < 0 ? NULL : value,
        .key = record->key_length < 0 ? NULL : key,
        .headers = record->headers_length ? key + key_length : NULL,
        .value_length = value_length,
        .key_length = key_length,
        .headers_length = record->headers_length,
        .topic = record->topic,
        .timestamp = record->timestamp,
        .offset = record->offset,
        .partition = record->partition,
        .target_topic = record->target_topic,
        .target_partition = record->target_partition,
        .flags = record->message_flags,
        .origin = batch->origins[index],
    };
}

void tide_batch_free(struct tide_batch *batch)
{
    if (!batch)
        return;
    tide_block_free(batch->input);
    tide_block_free(batch->output);
    free(batch->origins);
    free(batch->places);
    free(batch);
}
