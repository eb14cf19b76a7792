/* SPDX-License-Identifier: MIT
 * Keyed state, in the first step of some runs: what a worker sees and writes, and whether it is right. A worker writes a
 * number that it makes of the state that it sees and of the message, so each value says which messages made it, in which
 * order. The model knows only what workers have written: a message must see what the newest one of its key and partition
 * before it has written, of those that are not rejected. Whether a message is rejected of which a worker died, or that was
 * late, the model does not know; then both are right.
 *
 * The place in the input is part of the store, as it is of files: a commit counts when the engine asks for it, no other
 * member commits, and none fails. Start reading at sim_state_see. */
#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "sim.h"

static const char KEYS[] = "abcdefgh";

/* ---- the model ---- */

static bool is_unsure(const struct message *message)
{
    return message->unsure || (message->died[0][0] | message->late[0] | message->excused[0]) & 1;
}

void sim_state_keep(struct message *fresh, const struct message *before)
{
    fresh->written = before->written;
    fresh->unsure = is_unsure(before);
}

/* True when `seen` may be the state of the key behind the messages before `end`. */
static bool is_right(uint32_t number, uint32_t key, uint32_t end, uint64_t seen)
{
    for (uint32_t i = end; i-- > 0;) {
        const struct message *message = &sim.partitions[number].messages[i];
        struct item item = {(uint16_t)number, 0, message->epoch, i};
        if (sim_key(number, i) != key || sim_behaviour(&item, 0).kind != BEHAVIOUR_PASS)
            continue;
        if (message->written != 0 && seen == message->written)
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

static const struct tide_state *state_of(const struct worker *worker)
{
    const char *block = (const char *)worker->job.states;
    uint32_t at = worker->job.states[worker->at - worker->job.first].at;
    return (const struct tide_state *)(const void *)(block + (size_t)at * 8);
}

static uint64_t value_of(const struct worker *worker)
{
    const struct tide_state *state = state_of(worker);
    uint64_t value = 0;
    for (uint32_t i = worker->newer_count; i-- > 0;) {
        if (worker->newer[i].number == state->number)
            return worker->newer[i].value;
    }
    if (state->kind == TIDE_STATE_NONE)
        return 0;
    if (state->kind != TIDE_STATE_STRING || state->length != sizeof(value))
        sim_fail("a state is not what was written: kind %u, %u bytes", state->kind, state->length);
    memcpy(&value, state + 1, sizeof(value));
    return value;
}

uint64_t sim_state_see(const struct worker *worker, const struct item *item)
{
    uint64_t seen = value_of(worker);
    if (counts(worker, item) &&
        !is_right(item->partition, sim_key(item->partition, item->index), item->index, seen))
        sim_fail("%u/%u sees a state of its key that is not that of the messages before it",
                 item->partition, item->index);
    return sim_mix(sim.set.seed, seen, (uint64_t)item->partition << 32 | item->index, 24) | 1;
}

void sim_state_wrote(struct worker *worker, const struct item *item, uint64_t value)
{
    uint32_t number = state_of(worker)->number, i = 0;
    if (counts(worker, item))
        sim_message(item)->written = value;
    while (i < worker->newer_count && worker->newer[i].number != number)
        i++;
    if (i == MAX_NEWER)
        sim_fail("a job has more states than there are keys");
    worker->newer_count += i == worker->newer_count;
    worker->newer[i].number = number;
    worker->newer[i].value = value;
}

/* ---- the engine ---- */

/* The state of a key as the engine has it; 0 = none. */
static uint64_t accepted(uint32_t number, uint32_t key)
{
    struct tide_store_value value;
    uint64_t bytes = 0;
    int found = tide_engine_look(sim.engine, "s", (int32_t)number, KEYS + key, 1, &value);
    if (found < 0)
        sim_fail("the store fails: %s", tide_error());
    if (found == 1)
        memcpy(&bytes, value.bytes, sizeof(bytes));
    return bytes;
}

/* Behind the message that wrote it, or the first of this assignment when that is later. */
static uint32_t end_of(const struct partition *partition, uint32_t key, uint64_t value)
{
    uint32_t number = (uint32_t)(partition - sim.partitions);
    for (uint32_t i = partition->next; i-- > partition->first && value != 0;) {
        if (partition->messages[i].written == value && sim_key(number, i) == key)
            return i + 1;
    }
    return partition->first;
}

/* It is right behind some message that is read, and behind all that are committed. */
void sim_state_check(void)
{
    for (uint32_t i = 0; i < sim.set.partitions && sim.set.has_state; i++) {
        const struct partition *partition = &sim.partitions[i];
        if (partition->state != OWNED || partition->epoch == 0)
            continue;
        for (uint32_t key = 0; key < sim.set.keys; key++) {
            uint64_t value = accepted(i, key);
            if (!is_right(i, key, end_of(partition, key, value), value))
                sim_fail("the state of key %c of partition %u is that behind no message that was "
                         "read",
                         KEYS[key], i);
        }
    }
}

void sim_state_check_end(void)
{
    for (uint32_t i = 0; i < sim.set.partitions && sim.set.has_state; i++) {
        for (uint32_t key = 0; key < sim.set.keys; key++) {
            if (!is_right(i, key, sim.set.messages, accepted(i, key)))
                sim_fail(
                    "at the end the state of key %c of partition %u is not that of all messages",
                    KEYS[key], i);
        }
    }
}
