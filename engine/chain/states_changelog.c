/* SPDX-License-Identifier: MIT
 * State with a changelog (chain/states.h has the protocol as tables): what a commit covers is sent to it. The way back is in
 * states_restore.c. Start reading at tide_states_send. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "chain/changelog_record.h"
#include "chain/states_inside.h"
#include "io/sink.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum {
    PORTION = 2000,          /* changes in one transaction ... */
    PORTION_BYTES = 16 << 20 /* ... and bytes of their values */
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

bool tide_states_portion_is_full(uint32_t changes, size_t bytes)
{
    return changes >= PORTION || bytes >= PORTION_BYTES ||
           (changes > 0 && tide_fault("changelog.portion"));
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
    struct tide_store_position position = {.mark = (uint64_t)tide_clock_day_ms()};
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
