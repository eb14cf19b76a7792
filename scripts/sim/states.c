/* SPDX-License-Identifier: MIT
 * Keyed state, in the first step of some runs: what a worker sees and writes, and whether it is right. A worker writes a
 * number that it makes of the state that it sees and of the message, so each value says which messages made it, in which
 * order. The model knows only what workers have written: a message must see what the newest one of its key and partition
 * before it has written, of those that are not rejected. Whether a message is rejected of which a worker died, or that was
 * late, the model does not know; then both are right. Not every message writes each state.
 *
 * Without a changelog the place in the input is part of the store, as it is of files: a commit counts when the engine asks for
 * it, no other member commits, and none fails. Start reading at sim_state_see. */
#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "chain/offsets.h"
#include "keyed.h"

static const char *const STATES[MAX_STATES] = {"s", "t"};

/* ---- the model ---- */

static uint32_t states(void)
{
    return sim.set.has_state ? sim.set.steps[0].state_count : 0;
}

static bool has_timers(uint32_t state)
{
    return state == 0 && sim.set.has_timers;
}

/* What the message at that place makes of the value that it sees; 0 = it writes none. */
static uint64_t make(uint32_t number, uint32_t index, uint32_t state, uint64_t seen)
{
    uint64_t place = (uint64_t)number << 32 | index;
    if (states() > 1 && sim_mix(sim.set.seed, 31, place, state) % 4 == 0)
        return 0;
    return sim_mix(sim.set.seed, seen, place, 24) | 1;
}

static bool is_unsure(const struct message *message)
{
    return message->unsure || (message->died[0][0] | message->late[0] | message->excused[0]) & 1;
}

void sim_state_keep(struct message *fresh, const struct message *before)
{
    memcpy(fresh->written, before->written, sizeof(fresh->written));
    fresh->unsure = is_unsure(before);
    fresh->fired = before->fired;
    fresh->fired_index = before->fired_index;
}

/* True when `seen` may be the state of the key behind the messages before `end`. */
static bool is_right(uint32_t state, uint32_t number, uint32_t key, uint32_t end, uint64_t seen)
{
    for (uint32_t i = end; i-- > 0;) {
        const struct message *message = &sim.partitions[number].messages[i];
        struct item item = {(uint16_t)number, 0, message->epoch, i};
        if (sim_key(number, i) != key || sim_behaviour(&item, 0).kind != BEHAVIOUR_PASS ||
            make(number, i, state, 0) == 0)
            continue;
        if (message->written[state] != 0 && seen == message->written[state])
            return true;
        if (!is_unsure(message))
            return false;
    }
    return seen == 0;
}

/* A message of an assignment that is over is run for nobody, nor is one behind a message that is to be tried again. */
static bool counts(const struct worker *worker, const struct item *item)
{
    const struct partition *partition = &sim.partitions[item->partition];
    return partition->state == OWNED && item->epoch == partition->epoch &&
           item->epoch == sim_message(item)->epoch && !(worker->put_off & 1u << item->partition);
}

/* ---- a worker ---- */

void sim_state_see(const struct worker *worker, const struct item *item, struct sim_value *made)
{
    for (uint32_t state = 0; state < states(); state++) {
        struct sim_value seen = sim_state_seen(worker, state);
        if (counts(worker, item) &&
            !is_right(state, item->partition, sim_key(item->partition, item->index), item->index,
                      seen.number))
            sim_fail("%u/%u sees a state of its key that is not that of the messages before it",
                     item->partition, item->index);
        made[state].number = make(item->partition, item->index, state, seen.number);
        if (has_timers(state)) {
            if (counts(worker, item))
                sim_timer_check_seen(worker, item, &seen);
            sim_timer_set(item, &seen, &made[0]);
        }
    }
}

void sim_state_wrote(struct worker *worker, const struct item *item)
{
    for (uint32_t state = 0; state < states(); state++) {
        if (worker->made[state].number == 0)
            continue;
        if (counts(worker, item))
            sim_message(item)->written[state] = worker->made[state].number;
        sim_state_newer(worker, state, &worker->made[state]);
    }
}

/* ---- another member of the group ---- */

void sim_state_other(uint32_t number, uint32_t index)
{
    struct message *message = &sim.partitions[number].messages[index];
    struct item item = {(uint16_t)number, 0, message->epoch, index};
    uint32_t key = sim_key(number, index);
    for (uint32_t state = 0; state < states(); state++) {
        struct sim_value seen = sim_changelog_value(state, number, key), made = {0};
        made.number = make(number, index, state, seen.number);
        if (sim_behaviour(&item, 0).kind != BEHAVIOUR_PASS || made.number == 0)
            continue;
        if (has_timers(state))
            sim_timer_set(&item, &seen, &made);
        message->written[state] = made.number;
        sim_changelog_other(state, number, key, &made, message->offset);
    }
    if (has_timers(0))
        sim_timers_other(number, index);
}

/* ---- the engine ---- */

/* The index of the first message that a position does not cover. */
static uint32_t index_of(const struct partition *partition, int64_t offset)
{
    uint32_t index = 0;
    while (index < sim.set.messages && partition->messages[index].offset < offset)
        index++;
    return index;
}

void sim_state_committed(uint32_t number, int64_t offset)
{
    uint32_t end = index_of(&sim.partitions[number], offset);
    if (sim.set.has_timers && sim_changelog_newest(number) != sim_newest(number, end))
        sim_fail("the changelog has a newest time of partition %u that is not that at the "
                 "committed offset %lld",
                 number, (long long)offset);
    for (uint32_t state = 0; state < states(); state++) {
        for (uint32_t key = 0; key < sim.set.keys; key++) {
            struct sim_value value = sim_changelog_value(state, number, key);
            if (has_timers(state))
                sim_timer_check_behind(number, end, &value);
            if (!is_right(state, number, key, end, value.number))
                sim_fail("the changelog of state %s has a value of key %c of partition %u that is "
                         "not that at the committed offset %lld",
                         STATES[state], *sim_key_text(key), number, (long long)offset);
        }
    }
}

/* The state of a key as the engine has it; 0 = none. */
static struct sim_value accepted_value(uint32_t state, uint32_t number, uint32_t key)
{
    struct tide_store_value value = {0};
    tide_require(state < MAX_STATES);
    int found = tide_engine_look(sim.engine, STATES[state], (int32_t)number, sim_key_text(key), 1,
                                 &value);
    if (found < 0)
        sim_fail("the store fails: %s", tide_error());
    if (found == 1)
        return sim_state_parse(state, value.kind, value.bytes, value.length);
    return (struct sim_value){0};
}

void sim_state_restored(uint32_t number)
{
    for (uint32_t state = 0; state < states(); state++) {
        for (uint32_t key = 0; key < sim.set.keys; key++) {
            struct sim_value accepted = accepted_value(state, number, key);
            struct sim_value right = sim_changelog_value(state, number, key);
            if (accepted.number != right.number || accepted.timer != right.timer ||
                accepted.by != right.by)
                sim_fail("partition %u is restored, and the value of key %c is not that of the "
                         "changelog",
                         number, *sim_key_text(key));
        }
    }
}

void sim_state_taken(uint32_t number, uint32_t index)
{
    if (!has_timers(0))
        return;
    struct sim_value value = accepted_value(0, number, sim_key(number, index));
    sim_timer_taken(number, index, &value);
}

/* Behind the message that wrote it, or the first of this assignment when that is later. */
static uint32_t end_of(const struct partition *partition, uint32_t state, uint32_t key,
                       uint64_t value)
{
    uint32_t number = (uint32_t)(partition - sim.partitions);
    for (uint32_t i = partition->next; i-- > partition->first && value != 0;) {
        if (partition->messages[i].written[state] == value && sim_key(number, i) == key)
            return i + 1;
    }
    return partition->first;
}

/* All that was read of the partition is complete, and so is what came of it. */
static bool is_idle(uint32_t number)
{
    const struct partition *partition = &sim.partitions[number];
    return partition->next > partition->first &&
           tide_offsets_position(sim.engine->chain.offsets, number) >
               partition->messages[partition->next - 1].offset;
}

static void check_partition(uint32_t number, uint32_t state)
{
    const struct partition *partition = &sim.partitions[number];
    bool idle = has_timers(state) && is_idle(number);
    for (uint32_t key = 0; key < sim.set.keys; key++) {
        struct sim_value accepted = accepted_value(state, number, key);
        uint64_t value = accepted.number;
        if (idle)
            sim_timer_check_behind(number, partition->next, &accepted);
        if (!is_right(state, number, key, end_of(partition, state, key, value), value))
            sim_fail("the state of key %c of partition %u is that behind no message that was read",
                     *sim_key_text(key), number);
    }
}

/* It is right behind some message that is read, and behind all that are committed. */
void sim_state_check(void)
{
    for (uint32_t i = 0; i < sim.set.partitions && sim.set.has_state; i++) {
        const struct partition *partition = &sim.partitions[i];
        for (uint32_t state = 0; state < states() && partition->state == OWNED && !partition->held;
             state++)
            check_partition(i, state);
    }
}

void sim_state_check_end(void)
{
    for (uint32_t i = 0; i < sim.set.partitions * states(); i++) {
        uint32_t state = i % states(), number = i / states();
        for (uint32_t key = 0; key < sim.set.keys; key++) {
            struct sim_value value = accepted_value(state, number, key);
            if (has_timers(state))
                sim_timer_check_behind(number, sim.set.messages, &value);
            if (!is_right(state, number, key, sim.set.messages, value.number))
                sim_fail(
                    "at the end the state of key %c of partition %u is not that of all messages",
                    *sim_key_text(key), number);
        }
    }
}
