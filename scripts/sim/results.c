/* SPDX-License-Identifier: MIT
 * Writes what a worker leaves in the output block, as lua/tidemill/run does: all results of a record or none, and a
 * rejection for what is larger than the largest block. */
#include <stdio.h>
#include <string.h>

#include "keyed.h"
#include "proc/worker.h"

const struct payload *sim_payload(const struct tide_record *record)
{
    const struct payload *payload = (const struct payload *)(const void *)(record + 1);
    if (record->value_length < (int32_t)sizeof(*payload) || payload->magic != MAGIC)
        sim_fail("a record is not what was read");
    return payload;
}

const struct tide_record *sim_first(const struct tide_job *job)
{
    return (const struct tide_record *)(const void *)job->record;
}

const struct tide_record *sim_next(const struct tide_record *record)
{
    return (const struct tide_record *)(const void *)((const char *)record + record->size);
}

void sim_publish(struct worker *worker, uint32_t next)
{
    if ((uint32_t)worker->job.output->progress != next)
        worker->progress_us = sim.now_us;
    tide_worker_publish(worker->job.output, next, worker->bytes);
}

static uint32_t result_size(uint64_t value_length)
{
    return (uint32_t)((sizeof(struct tide_result) + value_length + 7) & ~7ULL);
}

/* A first result may grow the block to its maximum. */
static uint64_t room(const struct worker *worker)
{
    uint64_t size = worker->bytes == 0 ? worker->job.output_max : worker->job.output_size;
    return size > worker->bytes ? size - worker->bytes : 0;
}

/* Writes a result and returns where its value goes; the caller has checked the room. */
static char *put_head(struct worker *worker, uint32_t index, uint8_t kind, uint32_t value_length)
{
    char *at = (char *)(worker->job.output + 1) + worker->bytes;
    struct tide_result result = {.size = result_size(value_length),
                                 .index = index,
                                 .kind = kind,
                                 .inherit = TIDE_INHERIT_KEY | TIDE_INHERIT_HEADERS,
                                 .timestamp = -1,
                                 .value_length = (int32_t)value_length,
                                 .key_length = TIDE_NULL,
                                 .topic = TIDE_TOPIC_NONE,
                                 .partition = TIDE_PARTITION_ANY};
    memcpy(at, &result, sizeof(result));
    worker->last_result = worker->bytes;
    worker->bytes += result.size;
    return at + sizeof(result);
}

static void put_text(struct worker *worker, uint32_t index, uint8_t kind, const char *reason)
{
    char text[32] = ""; /* reason, error, traceback */
    uint32_t length = (uint32_t)strlen(reason) + 3;
    snprintf(text, sizeof(text), "%s", reason);
    memcpy(put_head(worker, index, kind, length), text, length);
}

static void put_reject(struct worker *worker, uint32_t index, const char *reason)
{
    put_text(worker, index, TIDE_RESULT_REJECT, reason);
}

/* Now and then, what the transform needs is down. */
static bool wants_retry(struct worker *worker, uint32_t index)
{
    worker->retried = result_size(8) <= room(worker) && sim_fault(sim.set.rates.retry);
    if (worker->retried && worker->job.states)
        worker->put_off |= 1u << worker->record->partition;
    if (worker->retried)
        put_text(worker, index, TIDE_RESULT_RETRY, "retry");
    return worker->retried;
}

/* False = it does not fit after the results that are there. */
static bool try_reject(struct worker *worker, uint32_t index, const char *reason)
{
    bool fits = result_size((uint32_t)strlen(reason) + 3) <= room(worker);
    if (fits)
        put_reject(worker, index, reason);
    return fits;
}

static uint64_t value_size(const struct payload *payload, const struct behaviour *behaviour)
{
    return sizeof(*payload) + (uint64_t)payload->count * sizeof(struct item) + behaviour->padding;
}

static void put_result(struct worker *worker, const struct payload *payload,
                       const struct behaviour *behaviour, uint32_t child)
{
    uint32_t length = (uint32_t)value_size(payload, behaviour);
    char *value = put_head(worker, worker->at, TIDE_RESULT_MESSAGE, length);
    memcpy(value, payload, sizeof(*payload) + payload->count * sizeof(struct item));
    struct payload *made = (struct payload *)(void *)value;
    for (uint32_t i = 0; i < made->count; i++)
        made->items[i].path |= (uint16_t)(child << 2 * (MAX_STEPS - 1 - worker->job.step));
}

static uint32_t state_size(uint32_t state, const struct sim_value *value)
{
    char bytes[SIM_VALUE_MOST];
    uint32_t kind;
    return sim_state_text(state, value, bytes, &kind);
}

static void put_state(struct worker *worker, uint32_t index, uint32_t state,
                      const struct sim_value *value)
{
    char bytes[SIM_VALUE_MOST];
    uint32_t kind, length = sim_state_text(state, value, bytes, &kind);
    char *at = put_head(worker, index, TIDE_RESULT_STATE, length);
    struct tide_result *result = (struct tide_result *)(void *)at - 1;
    result->inherit = 0;
    result->topic = (uint16_t)kind;
    result->partition = (int32_t)state;
    memcpy(at, bytes, length);
}

/* The size of a result depends on what else is in the block, so the model cannot tell which records are rejected for it. */
static bool reject_too_large(struct worker *worker, const struct payload *payload, uint32_t index)
{
    sim_mark(payload, worker->job.step, offsetof(struct message, excused));
    return try_reject(worker, index, "too_large");
}

/* A timer returns nothing, and writes or not. */
static bool write_timer(struct worker *worker)
{
    struct sim_value made;
    sim_timer_see(worker, &made);
    worker->retried = false;
    if (made.number && result_size(state_size(0, &made)) > room(worker))
        return false;
    worker->made[0] = made;
    if (made.number)
        put_state(worker, worker->at, 0, &made);
    return true;
}

bool sim_write_record(struct worker *worker)
{
    struct sim_value made[MAX_STATES] = {0};
    memset(worker->made, 0, sizeof(worker->made));
    if (sim_is_timer(worker->record))
        return write_timer(worker);
    const struct payload *payload = sim_payload(worker->record);
    struct behaviour behaviour = sim_behaviour(&payload->items[0], worker->job.step);
    if (worker->job.states)
        sim_state_see(worker, &payload->items[0], made);
    if (wants_retry(worker, worker->at))
        return true;
    if (behaviour.kind == BEHAVIOUR_REJECT)
        return try_reject(worker, worker->at, "rejected");
    uint64_t need = (uint64_t)result_size(value_size(payload, &behaviour)) * behaviour.results;
    for (uint32_t i = 0; i < MAX_STATES; i++)
        need += made[i].number ? result_size(state_size(i, &made[i])) : 0;
    if (need > room(worker) && worker->bytes > 0)
        return false;
    if (need > room(worker))
        return reject_too_large(worker, payload, worker->at);
    for (uint32_t i = 0; i < behaviour.results; i++)
        put_result(worker, payload, &behaviour, i);
    for (uint32_t i = 0; i < MAX_STATES; i++)
        if (made[i].number) {
            worker->made[i] = made[i];
            put_state(worker, worker->at, i, &made[i]);
        }
    return true;
}

/* ---- a step that reduces ---- */

/* The records [from, to), which make one result together, but for those that are rejected. */
struct chunk {
    uint32_t from, to;
    const struct tide_record *first;
    uint32_t newest; /* the record whose result it is */
    uint32_t items;
    uint64_t rejects; /* bytes of their rejections */
};

static bool left_out(const struct tide_record *record)
{
    return record->flags & TIDE_RECORD_LEFT_OUT;
}

static bool is_bad(const struct worker *worker, const struct tide_record *record)
{
    return sim_behaviour(&sim_payload(record)->items[0], worker->job.step).kind == BEHAVIOUR_REJECT;
}

static struct chunk measure(const struct worker *worker, uint32_t from,
                            const struct tide_record *record, uint32_t max)
{
    struct chunk chunk = {.from = from, .to = from, .first = record};
    for (; chunk.to < worker->job.end && max > 0; chunk.to++, record = sim_next(record)) {
        if (left_out(record))
            continue;
        if (is_bad(worker, record)) {
            chunk.rejects += result_size(11);
            continue;
        }
        chunk.newest = chunk.to;
        chunk.items += sim_payload(record)->count;
        max--;
    }
    return chunk;
}

static void stand_for_all(const struct worker *worker, struct payload *head)
{
    const struct tide_record *record = sim_first(&worker->job);
    for (uint32_t i = worker->job.first; i < worker->job.end; i++, record = sim_next(record)) {
        for (uint32_t j = 0; !left_out(record) && j < MAX_PARTITIONS; j++) {
            if (sim_payload(record)->epochs[j] > head->epochs[j])
                head->epochs[j] = sim_payload(record)->epochs[j];
        }
    }
}

static void put_items(struct worker *worker, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    struct payload head = {MAGIC, chunk->items, {0}};
    char *to = put_head(worker, chunk->newest, TIDE_RESULT_MESSAGE,
                        (uint32_t)(sizeof(head) + chunk->items * sizeof(struct item)));
    stand_for_all(worker, &head);
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    for (uint32_t i = chunk->from; i <= chunk->newest; i++, record = sim_next(record)) {
        const struct payload *payload = sim_payload(record);
        if (left_out(record) || is_bad(worker, record))
            continue;
        memcpy(to, payload->items, payload->count * sizeof(struct item));
        to += payload->count * sizeof(struct item);
    }
}

static void put_chunk(struct worker *worker, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    for (uint32_t i = chunk->from; i < chunk->to; i++, record = sim_next(record)) {
        if (!left_out(record) && is_bad(worker, record))
            put_reject(worker, i, "rejected");
        else if (chunk->items > 0 && i == chunk->newest)
            put_items(worker, chunk);
    }
}

/* False = the block is full. */
static bool reject_chunk(struct worker *worker, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    for (uint32_t i = chunk->from; i < chunk->to; i++, record = sim_next(record)) {
        if (!left_out(record) && !reject_too_large(worker, sim_payload(record), i)) {
            sim_publish(worker, i);
            return false;
        }
    }
    return true;
}

bool sim_write_reduced(struct worker *worker)
{
    const struct tide_record *record = sim_first(&worker->job);
    uint32_t from = worker->job.first;
    if (wants_retry(worker, from))
        return true;
    while (from < worker->job.end) {
        struct chunk chunk = measure(worker, from, record, 1 + sim_roll(worker->job.end - from));
        uint64_t need = chunk.rejects + (chunk.items
                                             ? result_size(sizeof(struct payload) +
                                                           chunk.items * sizeof(struct item))
                                             : 0);
        if (need <= room(worker)) {
            put_chunk(worker, &chunk);
        } else if (worker->bytes > 0) {
            sim_publish(worker, from);
            return false;
        } else if (!reject_chunk(worker, &chunk)) {
            return false;
        }
        for (; from < chunk.to; from++)
            record = sim_next(record);
    }
    return true;
}
