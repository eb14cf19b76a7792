/* SPDX-License-Identifier: MIT
 * What a worker writes into the output block, as lua/tidemill/run does: all results of a record or none, a
 * rejection for what is larger than the largest block. */
#include <string.h>

#include "proc/worker.h"
#include "sim.h"

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

void sim_publish(struct place *place, uint32_t next)
{
    if ((uint32_t)place->job.output->progress != next)
        place->moved_us = sim.now_us;
    tide_worker_publish(place->job.output, next, place->bytes);
}

static uint32_t result_size(uint64_t value_length)
{
    return (uint32_t)((sizeof(struct tide_result) + value_length + 7) & ~7ULL);
}

/* The first result may use the maximum. */
static uint64_t room(const struct place *place)
{
    uint64_t size = place->bytes == 0 ? place->job.output_max : place->job.output_size;
    return size > place->bytes ? size - place->bytes : 0;
}

/* Where the value goes; the caller has seen to the room. */
static char *put(struct place *place, uint32_t index, uint8_t kind, uint32_t value_length)
{
    char *at = (char *)(place->job.output + 1) + place->bytes;
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
    place->last_result = place->bytes;
    place->bytes += result.size;
    return at + sizeof(result);
}

static void put_told(struct place *place, uint32_t index, uint8_t kind, const char *reason)
{
    char text[32] = ""; /* reason, error, traceback */
    uint32_t length = (uint32_t)strlen(reason) + 3;
    memcpy(text, reason, strlen(reason));
    memcpy(put(place, index, kind, length), text, length);
}

static void put_reject(struct place *place, uint32_t index, const char *reason)
{
    put_told(place, index, TIDE_RESULT_REJECT, reason);
}

/* What it needs is down: now and then, as long as it is not calm. */
static bool wants_retry(struct place *place, uint32_t index)
{
    place->retried = result_size(8) <= room(place) && sim_fault(sim.set.rates.retry);
    if (place->retried)
        put_told(place, index, TIDE_RESULT_RETRY, "retry");
    return place->retried;
}

/* False = it does not fit behind what is there. */
static bool try_reject(struct place *place, uint32_t index, const char *reason)
{
    bool fits = result_size((uint32_t)strlen(reason) + 3) <= room(place);
    if (fits)
        put_reject(place, index, reason);
    return fits;
}

static uint64_t value_size(const struct payload *payload, const struct fate *fate)
{
    return sizeof(*payload) + (uint64_t)payload->count * sizeof(struct item) + fate->padding;
}

static void put_result(struct place *place, const struct payload *payload, const struct fate *fate,
                       uint32_t child)
{
    uint32_t length = (uint32_t)value_size(payload, fate);
    char *value = put(place, place->at, TIDE_RESULT_MESSAGE, length);
    memcpy(value, payload, sizeof(*payload) + payload->count * sizeof(struct item));
    struct payload *made = (struct payload *)(void *)value;
    for (uint32_t i = 0; i < made->count; i++)
        made->items[i].path |= (uint16_t)(child << 2 * (MOST_STEPS - 1 - place->job.step));
}

static bool reject_too_large(struct place *place, const struct payload *payload, uint32_t index)
{
    sim_mark(payload, place->job.step, offsetof(struct message, excused));
    return try_reject(place, index, "too_large");
}

bool sim_write_record(struct place *place)
{
    const struct payload *payload = sim_payload(place->record);
    struct fate fate = sim_fate(&payload->items[0], place->job.step);
    if (wants_retry(place, place->at))
        return true;
    if (fate.kind == FATE_REJECT)
        return try_reject(place, place->at, "rejected");
    uint64_t need = (uint64_t)result_size(value_size(payload, &fate)) * fate.results;
    if (need > room(place) && place->bytes > 0)
        return false;
    if (need > room(place))
        return reject_too_large(place, payload, place->at);
    for (uint32_t i = 0; i < fate.results; i++)
        put_result(place, payload, &fate, i);
    return true;
}

/* ---- a step that reduces ---- */

/* Records [from, to) and what becomes of them. */
struct chunk {
    uint32_t from, to;
    const struct tide_record *first;
    uint32_t newest; /* the result is this record's */
    uint32_t items;
    uint64_t rejects; /* bytes */
};

static bool left_out(const struct tide_record *record)
{
    return record->flags & TIDE_RECORD_DROPPED;
}

static bool is_bad(const struct place *place, const struct tide_record *record)
{
    return sim_fate(&sim_payload(record)->items[0], place->job.step).kind == FATE_REJECT;
}

static struct chunk measure(const struct place *place, uint32_t from,
                            const struct tide_record *record, uint32_t most)
{
    struct chunk chunk = {.from = from, .to = from, .first = record};
    for (; chunk.to < place->job.end && most > 0; chunk.to++, record = sim_next(record)) {
        if (left_out(record))
            continue;
        if (is_bad(place, record)) {
            chunk.rejects += result_size(11);
            continue;
        }
        chunk.newest = chunk.to;
        chunk.items += sim_payload(record)->count;
        most--;
    }
    return chunk;
}

static void stand_for_all(const struct place *place, struct payload *head)
{
    const struct tide_record *record = sim_first(&place->job);
    for (uint32_t i = place->job.first; i < place->job.end; i++, record = sim_next(record)) {
        for (uint32_t j = 0; !left_out(record) && j < MOST_PARTITIONS; j++) {
            if (sim_payload(record)->epochs[j] > head->epochs[j])
                head->epochs[j] = sim_payload(record)->epochs[j];
        }
    }
}

static void put_items(struct place *place, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    struct payload head = {MAGIC, chunk->items, {0}};
    char *to = put(place, chunk->newest, TIDE_RESULT_MESSAGE,
                   (uint32_t)(sizeof(head) + chunk->items * sizeof(struct item)));
    stand_for_all(place, &head);
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    for (uint32_t i = chunk->from; i <= chunk->newest; i++, record = sim_next(record)) {
        const struct payload *payload = sim_payload(record);
        if (left_out(record) || is_bad(place, record))
            continue;
        memcpy(to, payload->items, payload->count * sizeof(struct item));
        to += payload->count * sizeof(struct item);
    }
}

static void put_chunk(struct place *place, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    for (uint32_t i = chunk->from; i < chunk->to; i++, record = sim_next(record)) {
        if (!left_out(record) && is_bad(place, record))
            put_reject(place, i, "rejected");
        else if (chunk->items > 0 && i == chunk->newest)
            put_items(place, chunk);
    }
}

/* False = the block is full. */
static bool reject_chunk(struct place *place, const struct chunk *chunk)
{
    const struct tide_record *record = chunk->first;
    for (uint32_t i = chunk->from; i < chunk->to; i++, record = sim_next(record)) {
        if (!left_out(record) && !reject_too_large(place, sim_payload(record), i)) {
            sim_publish(place, i);
            return false;
        }
    }
    return true;
}

bool sim_write_reduced(struct place *place)
{
    const struct tide_record *record = sim_first(&place->job);
    uint32_t from = place->job.first;
    if (wants_retry(place, from))
        return true;
    while (from < place->job.end) {
        struct chunk chunk = measure(place, from, record, 1 + sim_roll(place->job.end - from));
        uint64_t need = chunk.rejects + (chunk.items
                                             ? result_size(sizeof(struct payload) +
                                                           chunk.items * sizeof(struct item))
                                             : 0);
        if (need <= room(place)) {
            put_chunk(place, &chunk);
        } else if (place->bytes > 0) {
            sim_publish(place, from);
            return false;
        } else if (!reject_chunk(place, &chunk)) {
            return false;
        }
        for (; from < chunk.to; from++)
            record = sim_next(record);
    }
    return true;
}
