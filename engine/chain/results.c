/* SPDX-License-Identifier: MIT
 * Parses an output block in portions of a fixed size (struct tide_parsed), so that a block of any size needs no memory
 * of its own, and a step that takes nothing stops the parsing too. A worker that is not yet known to be broken may
 * write to the block all the while; therefore no length or index is read twice. The bytes of values, keys and headers
 * are not copied: they may be nonsense, but they lie inside of the block, and the headers are checked again where they
 * are read.
 *
 * Start reading at tide_results_read. */
#include "chain/results.h"

#include <stddef.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "shm/block.h"
#include "shm/layout.h"

/* Index and bytes are one word, so that they belong together whenever it is read; ACQUIRE makes the results before it
 * visible. After a report nobody writes any more, but a worker that is lost may have been in the middle of a result:
 * what comes after the published bytes is never looked at. */
int tide_results_accept(struct tide_batch *batch)
{
    const struct tide_job *job = &batch->work.job;
    uint64_t progress = __atomic_load_n(&job->output->progress, __ATOMIC_ACQUIRE);
    uint32_t next = (uint32_t)progress;
    uint32_t bytes = (uint32_t)(progress >> 32);
    bool done = batch->work.status == TIDE_JOB_DONE;
    if (next < job->first || next > job->end || bytes > job->output_max)
        return tide_fail(TIDE_EDATA, "progress %u of [%u, %u], %u bytes", next, job->first,
                         job->end, bytes);
    if (batch->work.state == TIDE_WORK_DONE && (done ? next < job->end : next == job->first))
        return tide_fail(TIDE_EDATA, "reported %s at record %u of [%u, %u]", done ? "done" : "full",
                         next, job->first, job->end);
    /* Not earlier: what cannot be true must change nothing. */
    batch->run = (struct tide_batch_run){.ready = next, .result_bytes = bytes};
    if (bytes + sizeof(*job->output) > batch->output->touched)
        batch->output->touched = bytes + sizeof(*job->output);
    return TIDE_OK;
}

/* `left`: bytes of results from this one on. Sums are in 64 bits, as three lengths of 32 bits may wrap around and then
 * seem to fit. */
static bool result_fits(const struct tide_batch *batch, const struct tide_result *result,
                        uint32_t left, uint32_t topic_count)
{
    uint64_t bytes = sizeof(*result) + result->headers_length;
    if (result->value_length < TIDE_NULL || result->key_length < TIDE_NULL)
        return false;
    bytes += result->value_length > 0 ? (uint64_t)result->value_length : 0;
    bytes += result->key_length > 0 ? (uint64_t)result->key_length : 0;
    bool inside = bytes <= result->size || tide_fault("bug.result_overrun");
    return result->size % 8 == 0 && inside && result->size <= left &&
           result->index >= batch->release.released && result->index < batch->run.ready &&
           result->partition >= TIDE_PARTITION_ANY &&
           (result->topic == TIDE_TOPIC_NONE || result->topic < topic_count) &&
           result->kind >= TIDE_RESULT_MESSAGE && result->kind <= TIDE_RESULT_RETRY;
}

/* True if the step made something of the message. A result that inherits everything, and is the only one of its record,
 * is the message itself still. `left` as above. */
static bool is_made(const struct tide_batch *batch, const struct tide_result *result,
                    const char *bytes, uint32_t left, int64_t timestamp)
{
    const int all = TIDE_INHERIT_VALUE | TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS;
    bool several = batch->run.within_record;
    uint32_t index;
    /* The next result may change while it is looked at; then only a flag of this message is wrong. */
    if (left - result->size >= sizeof(*result)) {
        const char *next = bytes - sizeof(*result) + result->size;
        memcpy(&index, next + offsetof(struct tide_result, index), sizeof(index));
        several |= index == result->index;
    }
    return several || (result->inherit & all) != all || result->timestamp != timestamp;
}

/* The message that the result is: `bytes` follow it in the block. */
static void result_message(const struct tide_batch *batch, const struct tide_result *result,
                           const char *bytes, uint32_t left, struct tide_message *message)
{
    tide_batch_message(batch, result->index, message);
    if (is_made(batch, result, bytes, left, message->timestamp))
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

/* They are checked here because the next step or the sink would find the fault too late, when the worker can no longer
 * be named. */
static bool headers_are_well_formed(const struct tide_message *message)
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

enum found { FOUND_RESULT, FOUND_END, FOUND_MALFORMED };

/* Parses the next result of `record`: FOUND_END when the record has no more of them. */
static enum found parse_result(struct tide_batch *batch, uint32_t record,
                               struct tide_parsed *parsed, uint32_t topic_count)
{
    struct tide_batch_run *run = &batch->run;
    const char *at = (const char *)(batch->work.job.output + 1) + run->result_at;
    uint32_t left = run->result_bytes - run->result_at;
    struct tide_result result;
    if (left == 0)
        return FOUND_END;
    if (left < sizeof(result))
        return FOUND_MALFORMED;
    memcpy(&result, at, sizeof(result));
    if (!result_fits(batch, &result, left, topic_count) || result.index < record)
        return FOUND_MALFORMED;
    if (result.index > record)
        return FOUND_END;
    struct tide_message *message = &parsed->messages[parsed->message_count];
    result_message(batch, &result, at + sizeof(result), left, message);
    if (!(result.inherit & TIDE_INHERIT_HEADERS) && !headers_are_well_formed(message))
        return FOUND_MALFORMED;
    parsed->items[parsed->item_count++] = (struct tide_item){kinds[result.kind], record,
                                                             parsed->message_count++, result.size};
    run->within_record = true;
    run->result_at += result.size;
    return FOUND_RESULT;
}

int tide_results_read(struct tide_batch *batch, struct tide_parsed *parsed, uint32_t topic_count)
{
    uint32_t record = batch->release.released;
    uint32_t complete = 0; /* items up to the end of a record */
    parsed->item_count = parsed->message_count = parsed->item_at = 0;
    while (record < batch->run.ready && parsed->item_count < TIDE_PARSED_ITEMS &&
           parsed->message_count < TIDE_PARSED_MESSAGES) {
        enum found found = parse_result(batch, record, parsed, topic_count);
        if (found == FOUND_MALFORMED) {
            /* The record will be run again, so what came of it already must not be forwarded. */
            parsed->item_count = complete;
            return tide_fail(TIDE_EDATA, "malformed result at byte %u", batch->run.result_at);
        }
        if (found == FOUND_END) {
            parsed->items[parsed->item_count++] = (struct tide_item){.kind = TIDE_ITEM_FINISHED,
                                                                     .record = record++};
            batch->run.within_record = false;
            complete = parsed->item_count;
        }
    }
    return TIDE_OK;
}

/* It reads a copy of the batch, whose block is shared, so that the reading position of the batch itself stays. */
int tide_results_check(const struct tide_batch *batch, uint32_t topic_count)
{
    struct tide_batch copy = *batch;
    struct tide_parsed parsed;
    do {
        if (tide_results_read(&copy, &parsed, topic_count) < 0)
            return TIDE_EDATA;
        for (uint32_t i = 0; i < parsed.item_count; i++)
            copy.release.released += parsed.items[i].kind == TIDE_ITEM_FINISHED;
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
    struct tide_batch copy = *batch;
    struct tide_parsed parsed;
    bool retry = tide_results_read(&copy, &parsed, topic_count) == TIDE_OK &&
                 parsed.item_count > 0 && parsed.items[0].kind == TIDE_ITEM_RETRY;
    if (retry)
        tide_results_failure(&parsed.messages[parsed.items[0].message], failure);
    return retry;
}
