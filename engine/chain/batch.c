/* SPDX-License-Identifier: MIT
 * The input block of a batch, and messages as records in it (shm/layout.h). A message is copied once, here:
 * its bytes are librdkafka's or another batch's until then, and workers can only read what is mapped. The origin of a
 * record stays outside of the block, since workers have no business with it. Start reading at tide_batch_append. */
#include "chain/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

/* The block is mapped at its maximum before the fork, so that workers have it too and nothing needs to be mapped again when
 * a size grows. Pages that are never touched cost nothing. */
struct tide_batch *tide_batch_new(uint32_t capacity, uint64_t max_input)
{
    struct tide_batch *batch = tide_alloc(sizeof(*batch));
    batch->capacity = capacity;
    batch->origins = tide_alloc(sizeof(*batch->origins) * capacity);
    batch->record_at = tide_alloc(sizeof(*batch->record_at) * capacity);
    batch->input = tide_block_new(max_input);
    if (!batch->input) {
        tide_batch_free(batch);
        return NULL;
    }
    return batch;
}

/* What a batch knew of its last messages must not be seen by the next ones, least of all the attempts of a crash; so
 * whole structs are cleared, and a field that is added later is not forgotten. */
void tide_batch_reset(struct tide_batch *batch)
{
    tide_require(batch->work.state == TIDE_WORK_IDLE);
    batch->state = TIDE_BATCH_EMPTY;
    batch->records = (struct tide_batch_records){0};
    batch->release = (struct tide_batch_release){0};
    batch->run = (struct tide_batch_run){0};
    batch->record = (struct tide_batch_record){0};
    batch->group = (struct tide_batch_group){0};
    batch->pause.wanted = false;
    batch->pause.times = (struct tide_partition_queue){0};
}

/* Rounded up to 8, so that every struct tide_record is aligned; workers read them through the FFI. */
uint64_t tide_batch_need(const struct tide_message *message)
{
    uint64_t bytes = sizeof(struct tide_record) + (uint64_t)message->value_length +
                     message->key_length + message->headers_length;
    return (bytes + 7) & ~(uint64_t)7;
}

/* A null pointer is never given to memcpy, for which that is undefined even with no bytes. */
static char *append_bytes(char *to, const char *bytes, uint32_t length)
{
    if (length > 0)
        memcpy(to, bytes, length);
    return to + length;
}

/* The order of value, key and headers is that of shm/layout.h, by which tide_batch_message and the workers find them
 * again. */
void tide_batch_append(struct tide_batch *batch, const struct tide_message *message)
{
    struct tide_batch_records *records = &batch->records;
    uint64_t need = tide_batch_need(message);
    struct tide_record *record = (struct tide_record *)(void *)(batch->input->data +
                                                                records->bytes);
    tide_require(records->count < batch->capacity && records->bytes + need <= batch->input->max);
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
    to = append_bytes(to, message->value, message->value ? message->value_length : 0);
    to = append_bytes(to, message->key, message->key ? message->key_length : 0);
    append_bytes(to, message->headers, message->headers_length);
    batch->origins[records->count] = message->origin;
    if (batch->keyed.watermarks)
        batch->keyed.watermarks[records->count] = message->watermark;
    batch->record_at[records->count++] = records->bytes;
    records->bytes += need;
    /* What was touched once has pages, until the block is trimmed (task_sizes.c). */
    if (records->bytes > batch->input->touched)
        batch->input->touched = records->bytes;
}

struct tide_record *tide_batch_record(const struct tide_batch *batch, uint32_t index)
{
    return (struct tide_record *)(void *)(batch->input->data + batch->record_at[index]);
}

/* Records were written a while ago, and the worker has read them since: so reading one waits for memory. What is asked for
 * now is there when its turn comes. */
static void ask_for_record(const struct tide_batch *batch, uint32_t index)
{
    if (index >= batch->records.count)
        return;
    const char *record = (const char *)tide_batch_record(batch, index);
    __builtin_prefetch(record);
    __builtin_prefetch(record + 64);
}

/* Null and empty are told apart by the length, since a pointer into the block is never NULL. */
void tide_batch_message(const struct tide_batch *batch, uint32_t index,
                        struct tide_message *message)
{
    const struct tide_record *record = tide_batch_record(batch, index);
    ask_for_record(batch, index + TIDE_MESSAGES_AHEAD);
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
        .watermark = batch->keyed.watermarks ? batch->keyed.watermarks[index] : 0,
    };
}

void tide_batch_free(struct tide_batch *batch)
{
    if (!batch)
        return;
    tide_block_free(batch->input);
    tide_block_free(batch->keyed.block);
    free(batch->keyed.entries);
    free(batch->keyed.watermarks);
    free(batch->origins);
    free(batch->record_at);
    free(batch);
}
