/* SPDX-License-Identifier: MIT */
#include "chain/slot.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

struct tide_slot *tide_slot_new(uint32_t capacity, uint64_t max_input, uint64_t max_output)
{
    struct tide_slot *slot = tide_alloc(sizeof(*slot));
    slot->capacity = capacity;
    slot->origins = tide_alloc(sizeof(*slot->origins) * capacity);
    slot->places = tide_alloc(sizeof(*slot->places) * capacity);
    slot->input = tide_block_new(max_input);
    slot->output = slot->input ? tide_block_new(sizeof(struct tide_output) + max_output) : NULL;
    if (!slot->output) {
        tide_slot_free(slot);
        return NULL;
    }
    return slot;
}

void tide_slot_reset(struct tide_slot *slot)
{
    tide_require(slot->work.state == TIDE_WORK_IDLE);
    slot->count = 0;
    slot->bytes = 0;
    slot->input_overflowed = slot->output_overflowed = false;
    slot->released = slot->ready = slot->ready_bytes = slot->result_at = 0;
    slot->results = slot->results_before = 0;
    slot->result_bytes = 0;
    slot->rejected = false;
    slot->attempts = 0;
    slot->one_by_one = false;
    slot->suspect = 0;
    slot->lane = 0;
    slot->marked = slot->retried = slot->again = false;
    slot->wait = (struct tide_lane){0};
}

uint64_t tide_slot_need(const struct tide_message *message)
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

void tide_slot_append(struct tide_slot *slot, const struct tide_message *message)
{
    uint64_t need = tide_slot_need(message);
    struct tide_record *record = (struct tide_record *)(void *)(slot->input->data + slot->bytes);
    tide_require(slot->count < slot->capacity && slot->bytes + need <= slot->input->max);
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
    slot->origins[slot->count] = message->origin;
    slot->places[slot->count++] = (uint32_t)(slot->bytes / 8);
    slot->bytes += need;
    if (slot->bytes > slot->input->touched)
        slot->input->touched = slot->bytes;
}

void tide_slot_message(const struct tide_slot *slot, uint32_t index, struct tide_message *message)
{
    const char *place = slot->input->data + (uint64_t)slot->places[index] * 8;
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
        .origin = slot->origins[index],
    };
}

void tide_slot_free(struct tide_slot *slot)
{
    if (!slot)
        return;
    tide_block_free(slot->input);
    tide_block_free(slot->output);
    free(slot->origins);
    free(slot->places);
    free(slot);
}
