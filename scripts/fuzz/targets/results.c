/* SPDX-License-Identifier: MIT
 * What a worker leaves in an output block (chain/results.h). The input is the block, with what the worker tells of it.
 * Whatever it holds, each message lies within the published bytes or within its record, items come in the order of their
 * records, and the check without consuming says the same as the reading. Each message is kept as the dlq keeps one, after
 * the worker has changed the block once more. A change of state is of a state that the step has, and as long as its kind is.
 * Input: records, first, next, topics, state, lie; bytes to change later; the block. */
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "chain/results.h"
#include "fuzz.h"
#include "shm/block.h"
#include "shm/layout.h"
#include "shm/message_list.h"

enum { RECORDS = 24, MOST = 65536, OUTPUT = 0, CHANGES = 8 };

static struct tide_batch *batch;
static struct tide_block *states;
static struct tide_text headers;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    batch = tide_batch_new(RECORDS, MOST);
    states = tide_block_new(MOST);
    fuzz_require(batch && states);
    tide_header_pack(&headers, "name", 4, "value", 5);
    tide_header_pack(&headers, "", 0, NULL, 0);
    return 0;
}

static void fill(uint32_t count, uint32_t first)
{
    static const char *const values[] = {"value", "", NULL, "a longer value of a message"};
    batch->work.state = TIDE_WORK_IDLE;
    tide_batch_reset(batch);
    for (uint32_t i = 0; i < count; i++) {
        const char *value = values[i % 4], *key = values[(i + 1) % 4];
        struct tide_message message = {.value = value,
                                       .value_length = value ? (uint32_t)strlen(value) : 0,
                                       .key = key,
                                       .key_length = key ? (uint32_t)strlen(key) : 0,
                                       .headers = i % 2 ? headers.data : NULL,
                                       .headers_length = i % 2 ? (uint32_t)headers.length : 0,
                                       .timestamp = i,
                                       .offset = i};
        tide_batch_append(batch, &message);
    }
    batch->release.released = first;
}

/* The block ends at the guard, so that nothing behind it can be read unseen. */
static void give(uint32_t first, const char *block, size_t size)
{
    size_t room = (size + 7) & ~(size_t)7;
    struct tide_output *output = (struct tide_output *)(void *)fuzz_guarded(
        OUTPUT, sizeof(struct tide_output) + room);
    memset(output, 0, sizeof(*output) + room);
    if (size > 0)
        memcpy(output + 1, block, size);
    batch->work.job = (struct tide_job){.first = first,
                                        .end = batch->records.count,
                                        .output = output,
                                        .output_size = room,
                                        .output_max = room};
}

static bool is_safe(const char *bytes, uint32_t length)
{
    const char *results = (const char *)(batch->work.job.output + 1);
    return !bytes || fuzz_lies_within(bytes, length, results, batch->run.result_bytes) ||
           fuzz_lies_within(bytes, length, batch->input->data, batch->records.bytes);
}

/* False when they are malformed. */
static bool walk_headers(const struct tide_message *message)
{
    struct tide_header header;
    uint32_t at = 0;
    int more;
    while ((more = tide_header_next(message->headers, message->headers_length, &at, &header)) > 0) {
        fuzz_require(at <= message->headers_length);
        fuzz_require(fuzz_lies_within(header.name, header.name_length, message->headers,
                                      message->headers_length));
        fuzz_require(!header.value || fuzz_lies_within(header.value, header.value_length,
                                                       message->headers, message->headers_length));
    }
    return more == 0;
}

static void check_failure(const struct tide_message *message)
{
    struct tide_failure failure;
    const char *const *texts[] = {&failure.reason, &failure.error, &failure.traceback};
    tide_results_failure(message, &failure);
    for (int i = 0; i < 3; i++)
        fuzz_require(strlen(*texts[i]) < sizeof(failure.texts));
}

static void check_change(const struct tide_parsed_change *change)
{
    const struct tide_store_value *value = &change->value;
    uint32_t kind = value->kind & ~(uint32_t)TIDE_STATE_TIMED;
    uint32_t timer = value->kind & TIDE_STATE_TIMED ? TIDE_STORE_TIMER : 0;
    fuzz_require(change->state < batch->keyed.states && kind <= TIDE_STATE_JSON);
    fuzz_require(fuzz_lies_within(value->bytes, value->length,
                                  (const char *)(batch->work.job.output + 1),
                                  batch->run.result_bytes));
    fuzz_require(value->length >= timer && value->length <= TIDE_STORE_VALUE + timer);
    fuzz_require(kind != TIDE_STATE_NONE || value->length == timer);
    fuzz_require(kind != TIDE_STATE_NUMBER || value->length == timer + sizeof(double));
    fuzz_require(value->expires_ms >= -1);
}

static void check_item(const struct tide_parsed *parsed, const struct tide_item *item,
                       uint32_t topics)
{
    fuzz_require(item->kind <= TIDE_ITEM_RETRY);
    fuzz_require(item->record == batch->release.released);
    fuzz_require(item->record < batch->run.ready);
    if (item->kind == TIDE_ITEM_FINISHED) {
        batch->release.released++;
        return;
    }
    fuzz_require(item->bytes >= sizeof(struct tide_result));
    if (item->kind == TIDE_ITEM_STATE) {
        fuzz_require(item->message < parsed->change_count);
        check_change(&parsed->changes[item->message]);
        return;
    }
    fuzz_require(item->message < parsed->message_count);
    const struct tide_message *message = &parsed->messages[item->message];
    fuzz_require(is_safe(message->value, message->value_length));
    fuzz_require(is_safe(message->key, message->key_length));
    /* They are the engine's copy: the worker cannot change them any more. */
    fuzz_require(message->headers_length == 0 ||
                 !fuzz_lies_within(message->headers, message->headers_length,
                                   (const char *)(batch->work.job.output + 1),
                                   batch->run.result_bytes));
    fuzz_require(message->target_partition >= TIDE_PARTITION_ANY);
    fuzz_require(message->target_topic == TIDE_TOPIC_NONE || message->target_topic < topics);
    fuzz_require(walk_headers(message));
    if (item->kind != TIDE_ITEM_MESSAGE)
        check_failure(message);
}

/* The worker goes on writing although it should not. */
static void change_block(struct fuzz_input changes)
{
    char *results = (char *)(batch->work.job.output + 1);
    while (changes.left > 0 && batch->run.result_bytes > 0) {
        uint32_t at = fuzz_byte(&changes);
        at |= (uint32_t)fuzz_byte(&changes) << 8;
        results[at % batch->run.result_bytes] = (char)fuzz_byte(&changes);
    }
}

static void keep_messages(const struct tide_parsed *parsed)
{
    struct tide_message_list list = {0};
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < parsed->message_count; i++) {
        const struct tide_message *message = &parsed->messages[i];
        struct tide_message_item *item = tide_message_item_new(message, sizeof(*item));
        (void)walk_headers(&item->message);
        bytes += tide_message_size(message);
        (i % 3 == 0 ? tide_message_list_prepend : tide_message_list_append)(&list, item);
    }
    fuzz_require(list.count == parsed->message_count && list.bytes == bytes);
    tide_message_list_free(&list);
    fuzz_require(list.count == 0 && list.bytes == 0);
}

static int read_all(uint32_t topics, struct fuzz_input changes)
{
    static struct tide_parsed parsed;
    uint64_t bytes = 0;
    int status;
    do {
        status = tide_results_read(batch, &parsed, topics);
        for (uint32_t i = 0; i < parsed.item_count; i++) {
            check_item(&parsed, &parsed.items[i], topics);
            bytes += parsed.items[i].bytes;
        }
        change_block(changes);
        keep_messages(&parsed);
    } while (status == TIDE_OK && parsed.item_count > 0);
    fuzz_require(bytes <= batch->run.result_bytes);
    if (status == TIDE_OK && changes.left == 0)
        fuzz_require(batch->release.released == batch->run.ready);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint32_t count = 1 + fuzz_below(&input, RECORDS), first = fuzz_below(&input, count);
    uint32_t next = fuzz_byte(&input), topics = fuzz_below(&input, 4);
    uint32_t state = fuzz_byte(&input), lie = fuzz_byte(&input);
    struct fuzz_input changes = {0};
    if (state & 4) {
        size_t length = CHANGES * 3;
        changes.at = (const uint8_t *)fuzz_bytes(&input, &length);
        changes.left = length;
    }
    if (input.left > MOST)
        return 0;
    fill(count, first);
    batch->keyed.states = state >> 3 & 3;
    batch->keyed.block = batch->keyed.states > 0 ? states : NULL;
    uint64_t bytes = lie == 255 ? fuzz_word(&input) : input.left;
    give(first, (const char *)input.at, input.left);
    batch->work.job.output->progress = bytes << 32 | (next == 255 ? UINT32_MAX : next);
    batch->work.state = state & 1 ? TIDE_WORK_WORKER_LOST : TIDE_WORK_DONE;
    batch->work.status = state & 2 ? TIDE_JOB_FULL : TIDE_JOB_DONE;
    if (tide_results_accept(batch) < 0)
        return 0;
    fuzz_require(batch->run.ready >= first && batch->run.ready <= count);
    fuzz_require(batch->run.result_bytes <= batch->work.job.output_max);
    struct tide_failure failure;
    bool retry = tide_results_retry(batch, topics, &failure);
    int checked = tide_results_check(batch, topics);
    int status = read_all(topics, changes);
    if (changes.left == 0)
        fuzz_require(status == checked);
    fuzz_require(!retry || strlen(failure.error) < sizeof(failure.texts));
    return 0;
}
