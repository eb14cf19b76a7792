/* SPDX-License-Identifier: MIT
 * Records of changelogs on their way to the store. Keys come in any order, and LMDB writes a page of 4 KiB for each value that
 * is alone in it; so records are kept until there are many, and are stored in the order of the store. What is kept here does
 * not count as restored yet. Start reading at tide_states_restore. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "chain/changelog_record.h"
#include "chain/states_inside.h"
#include "shm/message.h"

enum {
    MANY = 131072, /* records */
    MANY_BYTES = 24 << 20
};

/* Its key is in `order`, at the same place before that is sorted. */
struct tide_state_record {
    const char *value; /* NULL = the key has none any more */
    uint32_t length;
    uint32_t state;
    uint32_t index; /* of the source */
    int64_t offset;
};

struct tide_state_records {
    struct tide_store_order order[MANY];
    struct tide_state_record list[MANY];
    uint32_t count;
    int64_t since_ms; /* when the first of them came, by the wall clock */
    size_t used;
    char bytes[MANY_BYTES];
};

static int is_foreign(const struct tide_states *states, uint32_t state, uint32_t index,
                      int64_t offset)
{
    return tide_fail(TIDE_EDATA,
                     "topic \"%s\" partition %d offset %lld: no record of a changelog "
                     "(somebody else has written it?); delete the topic, and the state begins "
                     "empty",
                     states->states[state].topic, states->indexes[index].number, (long long)offset);
}

/* ---- storing ---- */

/* Expired values are left out. */
static int store_record(struct tide_states *states, const struct tide_state_record *record,
                        const struct tide_store_key *key, int64_t now_ms)
{
    struct tide_state_index *index = &states->indexes[record->index];
    struct tide_store_value value;
    int64_t offset = -1;
    if (record->value &&
        !tide_changelog_parse(record->value, record->length, &value, &offset, &states->record))
        return is_foreign(states, record->state, record->index, record->offset);
    if (states->input_topics == 1 && offset > index->newest) /* else of which topic is unknown */
        index->newest = offset;
    if (!record->value || (value.expires_ms > 0 && value.expires_ms <= now_ms))
        return tide_store_delete(states->store, key);
    return tide_store_put(states->store, key, &value);
}

/* Whether a record of the same partition and state follows. */
static bool is_last(const struct tide_state_records *records, uint32_t i)
{
    const struct tide_state_record *record = &records->list[i], *next = record + 1;
    return i + 1 == records->count || next->index != record->index || next->state != record->state;
}

/* The offset up to which a log is restored then is that after its last record here. */
static int put_offsets(struct tide_states *states)
{
    const struct tide_state_records *records = states->records;
    struct tide_store_position position = {.mark = (uint64_t)records->since_ms};
    int status = TIDE_OK;
    for (uint32_t i = 0; i < records->count && status == TIDE_OK; i++) {
        const struct tide_state_record *record = &records->list[i];
        if (!is_last(records, i))
            continue;
        /* A mistake that the simulation must find: a record that was not read yet is passed over. */
        position.offset = record->offset + (tide_fault("bug.restored_beyond") ? 2 : 1);
        status = tide_store_put_position(states->store, states->states[record->state].topic,
                                         states->indexes[record->index].number, &position);
    }
    return status;
}

/* One transaction, of the records from place *next on, of a key the last one; the offsets are in the last transaction.
 * TIDE_BUSY: call it again. */
static int store_portion(struct tide_states *states, uint32_t *next)
{
    const struct tide_state_records *records = states->records;
    const struct tide_store_order *order = records->order;
    int64_t now_ms = tide_clock_day_ms();
    size_t bytes = 0;
    uint32_t at = *next;
    int status = tide_store_begin(states->store);
    for (; at < records->count && status == TIDE_OK; at++) {
        const struct tide_state_record *record = &records->list[order[at].index];
        if (tide_states_portion_is_full(at - *next, bytes))
            break;
        bytes += record->length;
        if (at + 1 == records->count || !tide_store_is_same(&order[at], &order[at + 1]))
            status = store_record(states, record, &order[at].key, now_ms);
    }
    if (status == TIDE_OK && at == records->count)
        status = put_offsets(states);
    if (status < 0)
        tide_store_rollback(states->store);
    if (status == TIDE_OK)
        status = tide_store_commit(states->store);
    if (status != TIDE_OK)
        return status; /* TIDE_BUSY: the map has grown */
    *next = at;
    return at < records->count ? TIDE_BUSY : TIDE_OK;
}

static int store(struct tide_states *states)
{
    struct tide_state_records *records = states->records;
    uint32_t next = 0;
    int status;
    tide_store_sort(records->order, records->count);
    do
        status = store_portion(states, &next);
    while (status == TIDE_BUSY);
    for (uint32_t i = 0; i < records->count && status == TIDE_OK; i++) {
        const struct tide_state_record *record = &records->list[i];
        int32_t number = states->indexes[record->index].number;
        if (is_last(records, i))
            states->partitions[number].logs[record->state].restored = record->offset + 1;
    }
    records->count = 0;
    records->used = 0;
    (void)tide_fault("restore.portion");
    return status < 0 ? tide_states_failed(states, status) : TIDE_OK;
}

/* ---- collecting ---- */

static const char *keep(struct tide_state_records *records, const char *bytes, uint32_t length)
{
    char *copy = records->bytes + records->used;
    if (length > 0)
        memcpy(copy, bytes, length);
    records->used += length;
    return copy;
}

/* Those of one partition and state come in the order of their offsets. */
static int collect(struct tide_states *states, const struct tide_message *message)
{
    struct tide_state_records *records = states->records;
    uint32_t state = message->origin.sequence, index = message->origin.partition, i;
    size_t size = tide_message_size(message);
    int status = TIDE_OK;
    if (!message->key || message->key_length > TIDE_STORE_KEY || size > MANY_BYTES)
        return tide_states_failed(states, is_foreign(states, state, index, message->offset));
    if (records->count == MANY || records->used + size > MANY_BYTES ||
        (records->count > 0 && tide_fault("restore.full")))
        status = store(states);
    if (status < 0)
        return status;
    if (records->count == 0)
        records->since_ms = tide_clock_day_ms();
    i = records->count++;
    records->order[i] = (struct tide_store_order){
        {states->states[state].number, states->indexes[index].number,
         keep(records, message->key, message->key_length), message->key_length},
        i};
    records->list[i] = (struct tide_state_record){
        message->value ? keep(records, message->value, message->value_length) : NULL,
        message->value_length, state, index, message->offset};
    return TIDE_OK;
}

int tide_states_restore(struct tide_states *states, const struct tide_message *messages,
                        size_t count)
{
    int status = tide_states_status(states);
    if (!states->records)
        states->records = tide_alloc(sizeof(*states->records));
    for (size_t i = 0; i < count && status == TIDE_OK; i++)
        status = collect(states, &messages[i]);
    return status;
}

int tide_states_restore_rest(struct tide_states *states)
{
    int status = tide_states_status(states);
    if (status == TIDE_OK && states->records && states->records->count > 0)
        status = store(states);
    free(states->records);
    states->records = NULL;
    return status;
}
