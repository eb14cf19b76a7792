/* SPDX-License-Identifier: MIT
 * Restores partitions that were assigned from their changelogs into the store (chain/states.h). What the store has of a
 * partition is the changelog up to one offset at least, which is stored with it: so it can be gone on with whenever the
 * restoring or the process was ended. Start reading at tide_states_assigned. */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/states_inside.h"

enum {
    CLEARED = 4000, /* values that are deleted in one transaction */
    MOST_HOURS = 23 /* that what the store has of a changelog may be old */
};

static int clear(struct tide_states *states, uint32_t state, int32_t number)
{
    uint32_t deleted = 0;
    int status;
    do {
        status = tide_store_begin(states->store);
        if (status == TIDE_OK)
            status = tide_store_clear(states->store, states->states[state].number, number, CLEARED,
                                      &deleted);
        if (status == TIDE_OK)
            status = tide_store_commit(states->store);
    } while (status == TIDE_BUSY || (status == TIDE_OK && deleted == CLEARED));
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
    *log = (struct tide_state_log){from_there ? position.offset : -1, -1, false};
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
    at->ready = false;
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

/* A changelog that was written before there was the entry does not have it. */
static int check_by(const struct tide_states *states, uint32_t state, int32_t number)
{
    const struct tide_state_named *named = &states->states[state];
    struct tide_store_key key = {named->number, number, TIDE_STATES_BY, TIDE_STATES_BY_LENGTH};
    struct tide_store_value value;
    int found = tide_store_get(states->store, &key, &value);
    if (found <= 0)
        return found;
    if (value.length == strlen(named->by) && memcmp(value.bytes, named->by, value.length) == 0)
        return TIDE_OK;
    return tide_fail(TIDE_ECONFIG,
                     "topic \"%s\" partition %d has the state \"%s\" by %.*s, which this pipeline "
                     "keeps by %s; name another state",
                     named->topic, number, named->name, (int)value.length, value.bytes, named->by);
}

bool tide_states_ready(const struct tide_states *states, uint32_t index)
{
    if (!tide_states_has_changelog(states))
        return true;
    return index < states->index_count && states->indexes[index].here &&
           states->indexes[index].ready;
}

/* A batch of an assignment before may have had values found meanwhile. Times are read with a message of this one. */
int tide_states_restored(struct tide_states *states, uint32_t index, int64_t begin)
{
    const struct tide_state_index *at = &states->indexes[index];
    int status = TIDE_OK;
    for (uint32_t i = 0; i < states->state_count && status == TIDE_OK; i++)
        status = check_by(states, i, at->number);
    if (status < 0)
        return tide_states_failed(states, status);
    states->indexes[index].ready = true;
    tide_states_reload(states, at->number);
    if (begin <= at->newest)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" partition %d is read from offset %lld, and its state stands for the "
                 "messages up to %lld: those between count twice (were offsets of the group set "
                 "back, or is it the state of another topic?)",
                 at->topic, at->number, (long long)begin, (long long)at->newest);
    return TIDE_OK;
}
