/* SPDX-License-Identifier: MIT
 * State with a changelog (chain/states.h has the protocol as tables): what a commit covers is sent to it, and partitions
 * that are assigned are restored from it into the store. What the store has of a partition is the changelog up to one
 * offset, which is stored in the same transaction: so it can be gone on with whenever the restoring or the process was
 * ended. Start reading at tide_states_send for the way to the changelog, and at tide_states_assigned for the way back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/changelog_record.h"
#include "chain/states_inside.h"
#include "io/sink.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum {
    CLEARED = 50000, /* values that are deleted in one transaction */
    MOST_HOURS = 23  /* that what the store has of a changelog may be old */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the same order, in whichever the pipeline names them. */
static char *join_names(const char *const *names, uint32_t count)
{
    struct tide_text text = {0};
    const char **sorted = tide_alloc(sizeof(*sorted) * (count + 1));
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = names[i];
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < count; i++)
        tide_text_format(&text, "%s%s", i ? "," : "", sorted[i]);
    free(sorted);
    char *joined = tide_copy(text.data);
    tide_text_free(&text);
    return joined;
}

int tide_states_changelog(struct tide_states *states, const char *const *inputs, uint32_t count,
                          struct tide_topics *topics)
{
    states->inputs_text = join_names(inputs, count);
    states->input_topics = count;
    for (uint32_t i = 0; i < states->state_count; i++) {
        struct tide_state_named *state = &states->states[i];
        char name[512];
        snprintf(name, sizeof(name), "%s.%s.changelog", states->pipeline, state->name);
        state->topic = tide_copy(name);
        int number = tide_topics_number(topics, name);
        if (number < 0)
            return number;
        state->topic_number = (uint16_t)number;
    }
    return TIDE_OK;
}

bool tide_states_has_changelog(const struct tide_states *states)
{
    return states->inputs_text != NULL;
}

uint32_t tide_states_count(const struct tide_states *states)
{
    return states->state_count;
}

const char *tide_states_topic(const struct tide_states *states, uint32_t state)
{
    return states->states[state].topic;
}

/* ---- to the changelog ---- */

/* The partition and the state come back with the report. */
static struct tide_origin origin_of(const struct tide_state_change *change)
{
    return (struct tide_origin){.sequence = change->entry->state << 16 | change->index,
                                .partition = TIDE_ORIGIN_STATE};
}

static struct tide_message message_of(struct tide_states *states,
                                      const struct tide_state_change *change)
{
    const struct tide_state_entry *entry = change->entry;
    const struct tide_state_value *value = change->value;
    struct tide_message message = {
        .key = entry->key,
        .key_length = entry->key_length,
        .topic = TIDE_TOPIC_NONE,
        .timestamp = -1,
        .offset = -1,
        .partition = entry->partition,
        .target_topic = states->states[entry->state].topic_number,
        .target_partition = entry->partition,
        .origin = origin_of(change),
    };
    if (value->kind != TIDE_STATE_NONE) {
        struct tide_store_value stored = {value->expires_ms, value->kind, value->length,
                                          value->bytes};
        tide_changelog_write(&states->record, &stored, change->offset);
        message.value = states->record.data;
        message.value_length = (uint32_t)states->record.length;
    }
    return message;
}

int tide_states_send(struct tide_states *states, struct tide_sink *sink)
{
    for (; states->send_next < states->send_end; states->send_next++) {
        const struct tide_state_change *change = &states->changes[states->send_next];
        if (!change->last || !tide_states_covers(states, change))
            continue;
        struct tide_message message = message_of(states, change);
        ssize_t sent = sink->ops->send(sink, &message, 1);
        if (sent < 0)
            return (int)sent;
        if (sent == 0)
            return TIDE_BUSY;
        states->unreported++;
        (void)tide_fault("changelog.sent");
    }
    return states->unreported > 0 ? TIDE_BUSY : TIDE_OK;
}

/* The partition may be another engine's by now, or its records in a transaction that is aborted: then it was forgotten,
 * and `end` is set anew before anything is stored. */
int tide_states_reported(struct tide_states *states, const struct tide_report *report)
{
    uint32_t state = report->origin.sequence >> 16, index = report->origin.sequence & 0xFFFF;
    tide_require(states->unreported > 0 && index < states->index_count &&
                 state < states->state_count);
    int32_t number = states->indexes[index].number;
    struct tide_state_partition *partition = &states->partitions[number];
    states->unreported--;
    switch (report->kind) {
    case TIDE_REPORT_DELIVERED:
        if (partition->here > 0 && report->offset >= partition->logs[state].end)
            partition->logs[state].end = report->offset + 1;
        return TIDE_OK;
    case TIDE_REPORT_ABORTED:
        return TIDE_OK;
    case TIDE_REPORT_REFUSED:
    case TIDE_REPORT_TOO_LARGE:
    case TIDE_REPORT_UNAVAILABLE:
    case TIDE_REPORT_REFUSED_ABORTED:
    case TIDE_REPORT_TOO_LARGE_ABORTED:
        break;
    }
    int status = tide_fail(TIDE_ECONFIG,
                           "topic \"%s\" partition %d does not take a value of %u bytes: %s; give "
                           "it max.message.bytes=1114112; what the value stands for is not "
                           "committed, and is read again by the next run",
                           states->states[state].topic, number, report->message.value_length,
                           report->text);
    return tide_states_failed(states, status);
}

int tide_states_write_logs(struct tide_states *states)
{
    int status = TIDE_OK;
    struct tide_store_position position = {.mark = (uint64_t)tide_clock_wall_ms()};
    for (uint32_t i = 0; i < states->index_count && i < states->limit_count; i++) {
        const struct tide_state_index *index = &states->indexes[i];
        if (states->limits[i] < 0 || !index->here || status != TIDE_OK)
            continue;
        position.offset = states->limits[i];
        status = tide_store_put_position(states->store, index->topic, index->number, &position);
    }
    for (uint32_t i = 0; i < states->partition_count * states->state_count; i++) {
        uint32_t number = i / states->state_count, state = i % states->state_count;
        const struct tide_state_partition *partition = &states->partitions[number];
        position.offset = partition->here > 0 ? partition->logs[state].end : -1;
        if (position.offset >= 0 && status == TIDE_OK)
            status = tide_store_put_position(states->store, states->states[state].topic,
                                             (int32_t)number, &position);
    }
    return status;
}

/* ---- from the changelog ---- */

static int clear(struct tide_states *states, uint32_t state, int32_t number)
{
    int status;
    do {
        status = tide_store_begin(states->store);
        if (status == TIDE_OK)
            status = tide_store_clear(states->store, states->states[state].number, number, CLEARED);
        int more = status;
        if (status >= 0 && status != TIDE_BUSY)
            status = tide_store_commit(states->store);
        if (status == TIDE_OK && more == CLEARED)
            status = TIDE_BUSY;
    } while (status == TIDE_BUSY);
    return status;
}

/* The topic keeps the records of deleted keys for a day at least (kafka/changelog_topics.h). What is older here may have
 * values whose deletion nobody can see any more. */
static bool is_too_old(const struct tide_states *states, uint32_t state, int32_t number,
                       const struct tide_store_position *position)
{
    int64_t hours = (tide_clock_wall_ms() - (int64_t)position->mark) / 3600000;
    /* A clock that was ahead when it was written says nothing of its age. */
    bool old = hours >= MOST_HOURS || hours < 0 || tide_fault("changelog.old");
    if (old)
        tide_log(TIDE_LOG_INFO,
                 "topic \"%s\" partition %d: state_dir has it as of %lld hours ago, and values may "
                 "be deleted that the topic does not tell of any more; all of it is read",
                 states->states[state].topic, number, (long long)hours);
    return old;
}

static int begin_log(struct tide_states *states, uint32_t state, int32_t number)
{
    struct tide_state_log *log = &states->partitions[number].logs[state];
    struct tide_store_position position;
    int found = tide_store_get_position(states->store, states->states[state].topic, number,
                                        &position);
    if (found < 0)
        return found;
    bool from_there = found == 1 && !is_too_old(states, state, number, &position);
    *log = (struct tide_state_log){from_there ? position.offset : -1, -1};
    /* What is there without an offset is of a changelog that was lost. */
    return from_there ? TIDE_OK : clear(states, state, number);
}

static struct tide_state_partition *partition_at(struct tide_states *states, int32_t number)
{
    tide_require(number >= 0);
    tide_grow(&states->partitions, &states->partition_count, (uint32_t)number + 1,
              sizeof(*states->partitions));
    struct tide_state_partition *partition = &states->partitions[number];
    if (!partition->logs)
        partition->logs = tide_alloc(sizeof(*partition->logs) * (states->state_count + 1));
    return partition;
}

int tide_states_assigned(struct tide_states *states, uint32_t index, const char *topic,
                         int32_t number)
{
    struct tide_store_position position;
    int status = tide_states_status(states);
    if (status < 0)
        return status;
    int found = tide_store_get_position(states->store, topic, number, &position);
    if (found < 0)
        return tide_states_failed(states, found);
    tide_grow(&states->indexes, &states->index_count, index + 1, sizeof(*states->indexes));
    struct tide_state_index *at = &states->indexes[index];
    if (!at->topic)
        at->topic = tide_copy(topic);
    tide_require(!at->here);
    at->here = true;
    at->number = number;
    at->newest = found == 1 ? position.offset - 1 : -1;
    if (partition_at(states, number)->here++ > 0)
        return TIDE_OK;
    for (uint32_t i = 0; i < states->state_count && status == TIDE_OK; i++)
        status = begin_log(states, i, number);
    return status < 0 ? tide_states_failed(states, status) : 1;
}

int tide_states_together(const struct tide_states *states, int32_t number)
{
    const char *topic = "";
    uint32_t here = (uint32_t)number < states->partition_count ? states->partitions[number].here
                                                               : 0;
    for (uint32_t i = 0; i < states->index_count; i++)
        if (states->indexes[i].here && states->indexes[i].number == number)
            topic = states->indexes[i].topic;
    if (here == 0 || here == states->input_topics)
        return TIDE_OK;
    return tide_fail(
        TIDE_ECONFIG,
        "the group has given partition %d of topic \"%s\" to this engine, but not that "
        "of all of \"%s\", whose state is one: all members of the group must read the "
        "same topics with partition.assignment.strategy=range, and these must have as "
        "many partitions; stop those that are older, and start again",
        number, topic, states->inputs_text);
}

int64_t tide_states_log(const struct tide_states *states, uint32_t state, uint32_t index)
{
    return states->partitions[states->indexes[index].number].logs[state].restored;
}

/* Expired values are left out. */
static int restore(struct tide_states *states, const struct tide_message *record, int64_t now_ms)
{
    struct tide_state_index *index = &states->indexes[record->origin.partition];
    const struct tide_state_named *state = &states->states[record->origin.sequence];
    struct tide_store_key key = {state->number, index->number, record->key, record->key_length};
    struct tide_store_value value;
    int64_t offset = -1;
    if (!record->key || record->key_length > TIDE_STORE_KEY ||
        (record->value && !tide_changelog_parse(record->value, record->value_length, &value,
                                                &offset, &states->record)))
        return tide_fail(TIDE_EDATA,
                         "topic \"%s\" partition %d offset %lld: no record of a changelog "
                         "(somebody else has written it?); delete the topic, and the state begins "
                         "empty",
                         state->topic, index->number, (long long)record->offset);
    if (states->input_topics == 1 && offset > index->newest) /* else of which topic is unknown */
        index->newest = offset;
    if (!record->value || (value.expires_ms > 0 && value.expires_ms <= now_ms))
        return tide_store_delete(states->store, &key);
    return tide_store_put(states->store, &key, &value);
}

/* The offset up to which the log is restored then is that after its last record here. */
static int restore_all(struct tide_states *states, const struct tide_message *records, size_t count)
{
    struct tide_store_position position = {.mark = (uint64_t)tide_clock_wall_ms()};
    int64_t now_ms = tide_clock_wall_ms();
    int status = tide_store_begin(states->store);
    for (size_t i = 0; i < count && status == TIDE_OK; i++) {
        status = restore(states, &records[i], now_ms);
        bool last = i + 1 == count ||
                    records[i + 1].origin.partition != records[i].origin.partition ||
                    records[i + 1].origin.sequence != records[i].origin.sequence;
        if (status != TIDE_OK || !last)
            continue;
        /* A mistake that the simulation must find: a record that was not read yet is passed over. */
        position.offset = records[i].offset + (tide_fault("bug.restored_beyond") ? 2 : 1);
        status = tide_store_put_position(
            states->store, states->states[records[i].origin.sequence].topic,
            states->indexes[records[i].origin.partition].number, &position);
    }
    if (status < 0)
        tide_store_rollback(states->store);
    return status == TIDE_OK ? tide_store_commit(states->store) : status;
}

int tide_states_restore(struct tide_states *states, const struct tide_message *records,
                        size_t count)
{
    int status = tide_states_status(states);
    while (status == TIDE_OK && (status = restore_all(states, records, count)) == TIDE_BUSY)
        status = TIDE_OK; /* the map has grown */
    if (status < 0)
        return tide_states_failed(states, status);
    for (size_t i = 0; i < count; i++) {
        int32_t number = states->indexes[records[i].origin.partition].number;
        states->partitions[number].logs[records[i].origin.sequence].restored = records[i].offset +
                                                                               1;
    }
    return TIDE_OK;
}

/* A batch of an assignment before may have had values found meanwhile. */
void tide_states_restored(struct tide_states *states, uint32_t index, int64_t begin)
{
    const struct tide_state_index *at = &states->indexes[index];
    tide_states_reload(states, index, at->number);
    if (begin <= at->newest)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" partition %d is read from offset %lld, and its state stands for the "
                 "messages up to %lld: those between count twice (were offsets of the group set "
                 "back, or is it the state of another topic?)",
                 at->topic, at->number, (long long)begin, (long long)at->newest);
}
