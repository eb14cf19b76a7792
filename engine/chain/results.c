/* SPDX-License-Identifier: MIT
 * Parses an output block in portions of a fixed size (struct tide_parsed), so that a block of any size needs no memory
 * of its own, and a step that takes nothing stops the parsing too. A worker that is not yet known to be broken may
 * write to the block all the while; therefore no length or index is read twice (shm/foreign.h). The bytes of values and
 * keys are not copied: they may be nonsense, but they lie inside of the block, and whoever takes a message copies them
 * before they mean anything. Headers are copied here, since they have lengths in them that the next step and the sink read:
 * what those see is what was checked.
 *
 * Start reading at tide_results_read. */
#include "chain/results.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "shm/foreign.h"
#include "shm/layout.h"
#include "store/store.h"

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
    return TIDE_OK;
}

/* ---- copies of headers ---- */

enum { HEADERS_ROOM = 65536 };

/* A list of pieces: what a message points to must not move. The piece that is filled is the first one. */
struct tide_parsed_headers {
    struct tide_parsed_headers *next;
    uint32_t used, size;
    char bytes[];
};

static const char *copy_headers(struct tide_parsed *parsed, const char *headers, uint32_t length)
{
    struct tide_parsed_headers *piece = parsed->headers;
    if (!piece || piece->size - piece->used < length) {
        uint32_t size = length > HEADERS_ROOM ? length : HEADERS_ROOM;
        piece = tide_alloc(sizeof(*piece) + size);
        piece->size = size;
        piece->next = parsed->headers;
        parsed->headers = piece;
    }
    char *copy = piece->bytes + piece->used;
    tide_foreign_copy(copy, headers, length);
    piece->used += length;
    return copy;
}

/* One piece of the usual size is kept, so that the next portion needs no memory. */
static void drop_headers(struct tide_parsed *parsed, bool keep)
{
    struct tide_parsed_headers *piece = parsed->headers, *kept = NULL;
    while (piece) {
        struct tide_parsed_headers *next = piece->next;
        if (keep && !kept && piece->size == HEADERS_ROOM)
            kept = piece;
        else
            free(piece);
        piece = next;
    }
    if (kept) {
        kept->used = 0;
        kept->next = NULL;
    }
    parsed->headers = kept;
}

void tide_results_free(struct tide_parsed *parsed)
{
    drop_headers(parsed, false);
}

/* ---- results ---- */

/* How long a value may live, in ms: the time at which it is gone is a sum, and goes into changelogs (run/state.lua has
 * the same bound). */
static const int64_t LONGEST_LIFE = (int64_t)1 << 52;

static bool state_fits(const struct tide_batch *batch, const struct tide_result *result)
{
    int32_t length = result->value_length;
    if (!batch->keyed.block || result->inherit != 0 || result->key_length != TIDE_NULL ||
        result->headers_length != 0)
        return false;
    uint32_t kind = result->topic;
    if (kind & TIDE_STATE_TIMED) {
        kind &= ~(uint32_t)TIDE_STATE_TIMED;
        length -= TIDE_STORE_TIMER;
    }
    if (kind > TIDE_STATE_JSON || length < 0 || length > TIDE_STORE_VALUE)
        return false;
    if (result->timestamp < -1 || result->timestamp >= LONGEST_LIFE || result->partition < 0 ||
        (uint32_t)result->partition >= batch->keyed.states)
        return false;
    return kind == TIDE_STATE_NONE     ? length == 0
           : kind == TIDE_STATE_NUMBER ? length == sizeof(double)
                                       : true;
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
           result->inherit <= (TIDE_INHERIT_VALUE | TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS) &&
           (result->kind == TIDE_RESULT_STATE
                ? state_fits(batch, result)
                : result->topic == TIDE_TOPIC_NONE || result->topic < topic_count) &&
           result->kind >= TIDE_RESULT_MESSAGE && result->kind <= TIDE_RESULT_STATE;
}

/* True if the step made something of the message. A result that inherits everything, and is the only one of its record,
 * is the message itself still. `left` as above. */
static bool is_made(const struct tide_batch *batch, const struct tide_result *result,
                    const char *bytes, uint32_t left, int64_t timestamp)
{
    const int all = TIDE_INHERIT_VALUE | TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS;
    bool several = batch->run.within_record;
    /* The next result may change before it is parsed itself; then only a flag of this message is wrong. */
    if (left - result->size >= sizeof(*result)) {
        const char *at = bytes - sizeof(*result) + result->size;
        const struct tide_result *next = (const struct tide_result *)(const void *)at;
        several |= __atomic_load_n(&next->index, __ATOMIC_RELAXED) == result->index &&
                   __atomic_load_n(&next->kind, __ATOMIC_RELAXED) != TIDE_RESULT_STATE;
    }
    return several || (result->inherit & all) != all || result->timestamp != timestamp;
}

/* A message that has none of its own keeps the time of its record, which may be any. */
static bool time_fits(const struct tide_result *result, int64_t timestamp)
{
    return result->timestamp >= -1 || result->timestamp == timestamp;
}

/* The message that the result is: `bytes` follow it in the block. */
static void result_message(const struct tide_batch *batch, const struct tide_result *result,
                           const char *bytes, uint32_t left, struct tide_message *message)
{
    tide_batch_message(batch, result->index, message);
    /* What comes of a timer is a message to the steps behind, which the input does not have. */
    if (message->flags & TIDE_MESSAGE_TIMER ||
        is_made(batch, result, bytes, left, message->timestamp))
        message->flags |= TIDE_MESSAGE_RESULT;
    message->flags &= (uint16_t)~TIDE_MESSAGE_TIMER;
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

/* Its own headers are in the block still: they are checked once they are the engine's. */
static bool take_headers(struct tide_parsed *parsed, struct tide_message *message)
{
    if (message->headers_length > 0)
        message->headers = copy_headers(parsed, message->headers, message->headers_length);
    return headers_are_well_formed(message);
}

static const enum tide_item_kind kinds[] = {[TIDE_RESULT_MESSAGE] = TIDE_ITEM_MESSAGE,
                                            [TIDE_RESULT_REJECT] = TIDE_ITEM_REJECT,
                                            [TIDE_RESULT_RETRY] = TIDE_ITEM_RETRY};

static void add_change(struct tide_parsed *parsed, const struct tide_result *result,
                       const char *bytes)
{
    parsed->items[parsed->item_count++] = (struct tide_item){TIDE_ITEM_STATE, result->index,
                                                             parsed->change_count, result->size};
    parsed->changes[parsed->change_count++] = (struct tide_parsed_change){
        (uint32_t)result->partition,
        {result->timestamp, result->topic, (uint32_t)result->value_length, bytes}};
}

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
    tide_foreign_copy(&result, at, sizeof(result));
    if (!result_fits(batch, &result, left, topic_count) || result.index < record)
        return FOUND_MALFORMED;
    if (result.index > record)
        return FOUND_END;
    if (result.kind == TIDE_RESULT_STATE) {
        add_change(parsed, &result, at + sizeof(result));
    } else {
        struct tide_message *message = &parsed->messages[parsed->message_count];
        result_message(batch, &result, at + sizeof(result), left, message);
        if (!time_fits(&result, tide_batch_record(batch, record)->timestamp) ||
            (!(result.inherit & TIDE_INHERIT_HEADERS) && !take_headers(parsed, message)))
            return FOUND_MALFORMED;
        parsed->items[parsed->item_count++] = (struct tide_item){
            kinds[result.kind], record, parsed->message_count++, result.size};
    }
    run->within_record = true;
    run->result_at += result.size;
    return FOUND_RESULT;
}

int tide_results_read(struct tide_batch *batch, struct tide_parsed *parsed, uint32_t topic_count)
{
    uint32_t record = batch->release.released;
    uint32_t complete = 0; /* items up to the end of a record, and where that is */
    struct tide_batch_run complete_run = batch->run;
    parsed->item_count = parsed->message_count = parsed->change_count = parsed->item_at = 0;
    if (!batch->run.within_record)
        drop_headers(parsed, true);
    while (record < batch->run.ready && parsed->item_count < TIDE_PARSED_ITEMS &&
           parsed->message_count < TIDE_PARSED_MESSAGES &&
           parsed->change_count < TIDE_PARSED_MESSAGES) {
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
            complete_run = batch->run;
        }
    }
    /* The last record is parsed again in the next portion, so that none of its results is forwarded before all of them are
     * known to be well-formed. Only of one that fills a portion by itself some are. */
    if (batch->run.within_record && complete > 0) {
        parsed->item_count = complete;
        batch->run = complete_run;
    }
    return TIDE_OK;
}

/* It reads a copy of the batch, whose block is shared, so that the reading position of the batch itself stays. */
int tide_results_check(const struct tide_batch *batch, uint32_t topic_count)
{
    struct tide_batch copy = *batch;
    struct tide_parsed parsed = {.headers = NULL};
    int status;
    do {
        status = tide_results_read(&copy, &parsed, topic_count);
        for (uint32_t i = 0; i < parsed.item_count; i++)
            copy.release.released += parsed.items[i].kind == TIDE_ITEM_FINISHED;
    } while (status == TIDE_OK && parsed.item_count > 0);
    tide_results_free(&parsed);
    return status;
}

void tide_results_failure(const struct tide_message *message, struct tide_failure *failure)
{
    size_t length = message->value ? message->value_length : 0;
    const char *end;
    if (length > sizeof(failure->texts) - 3)
        length = sizeof(failure->texts) - 3;
    if (length > 0)
        tide_foreign_copy(failure->texts, message->value, length);
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
    struct tide_parsed parsed = {.headers = NULL};
    bool retry = tide_results_read(&copy, &parsed, topic_count) == TIDE_OK &&
                 parsed.item_count > 0 && parsed.items[0].kind == TIDE_ITEM_RETRY;
    if (retry)
        tide_results_failure(&parsed.messages[parsed.items[0].message], failure);
    tide_results_free(&parsed);
    return retry;
}
