/* SPDX-License-Identifier: MIT
 * Plays the consumer group: a source (io/source.h) whose partitions are assigned, revoked and lost at any time, and whose
 * commits are answered late, refused, or refused although they were carried out. Start reading at sim_source_act, which
 * decides what happens, and source_event, which tells the engine. */
#include <string.h>

#include "base/status.h"
#include "keyed.h"

/* What happens to a partition next. */
enum pending { NOTHING, ASSIGN, REVOKE, LOSE };

static struct group {
    struct tide_partition shown[MAX_PARTITIONS];
    enum pending pending[MAX_PARTITIONS];
    uint32_t emitted[MAX_PARTITIONS]; /* partitions of the last event */
    bool leaving;                     /* REVOKED or LOST was emitted, and revoke_done is awaited */
    bool paused;
    bool closed;
    bool ending;
    bool ended;
    uint32_t borrowed; /* the partition whose messages the engine has */
    uint32_t turn;     /* the partition that is asked first */
    struct tide_position positions[MAX_PARTITIONS];
    uint32_t epochs[MAX_PARTITIONS];
    size_t position_count;
    bool under_way; /* a commit is */
    bool answered;  /* its answer is due */
} group;

static char bytes[256 * 1024];

static int source_start(struct tide_source *source)
{
    (void)source;
    for (uint32_t i = 0; i < sim.set.partitions; i++)
        group.pending[i] = ASSIGN;
    return TIDE_OK;
}

/* What was noted of the message belongs to the assignment before, but for what consumers can read. */
static void begin_epoch(struct message *message, uint32_t epoch)
{
    struct message fresh = {.offset = message->offset,
                            .size = message->size,
                            .epoch = epoch,
                            .visible = message->visible};
    sim_state_keep(&fresh, message);
    memcpy(fresh.visible_dead_letters, message->visible_dead_letters,
           sizeof(fresh.visible_dead_letters));
    *message = fresh;
}

/* Fills in a message: its item, and padding after it up to its size. */
static size_t compose(struct tide_message *to, uint32_t number, uint32_t index, char *at)
{
    uint32_t key = sim_key(number, index);
    struct message *message = &sim.partitions[number].messages[index];
    struct payload *payload = (struct payload *)(void *)at;
    uint32_t least = (uint32_t)(sizeof(*payload) + sizeof(struct item));
    uint32_t length = message->size > least ? message->size : least;
    begin_epoch(message, sim.partitions[number].epoch);
    *payload = (struct payload){.magic = MAGIC, .count = 1};
    payload->epochs[number] = message->epoch;
    payload->items[0] = (struct item){(uint16_t)number, 0, message->epoch, index};
    *to = (struct tide_message){.value = at,
                                .value_length = length,
                                .key = key == NO_KEY ? NULL : sim_key_text(key),
                                .key_length = key == NO_KEY ? 0 : 1,
                                .timestamp = sim_time(number, index),
                                .offset = message->offset,
                                .partition = (int32_t)number,
                                .topic = group.shown[number].topic,
                                .target_topic = TIDE_TOPIC_NONE,
                                .target_partition = TIDE_PARTITION_ANY};
    to->origin.partition = (uint16_t)number;
    return (length + 7) & ~(size_t)7;
}

static ssize_t source_poll(struct tide_source *source, struct tide_message *messages, size_t max)
{
    (void)source;
    for (uint32_t tried = 0; tried < sim.set.partitions && !group.paused; tried++) {
        uint32_t number = (group.turn + tried) % sim.set.partitions;
        struct partition *partition = &sim.partitions[number];
        size_t count = 0, at = 0, limit = 1 + sim_roll(16);
        if (partition->state != OWNED || partition->held || group.pending[number] != NOTHING)
            continue;
        while (count < max && count < limit && partition->next + count < partition->available &&
               at + 64UL * 1024 < sizeof(bytes)) {
            at += compose(&messages[count], number, partition->next + (uint32_t)count, bytes + at);
            count++;
        }
        if (count == 0)
            continue;
        group.borrowed = number;
        group.turn = number + 1;
        return (ssize_t)count;
    }
    return 0;
}

static void source_take(struct tide_source *source, size_t count)
{
    (void)source;
    /* With each message that is read the barrier may move further away. */
    if (sim.set.exactly_once && sim.set.unordered &&
        tide_commit_state(sim.engine->commit) == TIDE_COMMIT_PREPARING)
        sim_fail("a message is read while a transaction waits for what was read before");
    for (uint32_t i = 0; i < count; i++)
        sim_state_taken(group.borrowed, sim.partitions[group.borrowed].next + i);
    sim.partitions[group.borrowed].next += (uint32_t)count;
    sim.taken += count;
}

/* ---- events ---- */

static void begin_assignment(struct partition *partition)
{
    partition->epoch++;
    partition->state = OWNED;
    partition->first = 0;
    while (partition->first < sim.set.messages &&
           partition->messages[partition->first].offset < partition->committed)
        partition->first++;
    partition->next = partition->low = partition->first;
    sim_timers_assigned((uint32_t)(partition - sim.partitions));
    partition->asked = -1;
    memset(partition->newest, 0, sizeof(partition->newest));
}

static enum tide_source_event_kind change_state(enum pending pending, uint32_t number)
{
    struct partition *partition = &sim.partitions[number];
    group.pending[number] = NOTHING;
    group.shown[number].owned = pending == ASSIGN;
    if (pending == ASSIGN) {
        begin_assignment(partition);
        partition->held = sim.set.has_changelog;
        group.shown[number].begin = partition->committed;
        return TIDE_SOURCE_ASSIGNED;
    }
    if (pending == LOSE && partition->state == OWNED)
        sim_forget(partition);
    if (partition->state == OWNED)
        partition->state = pending == LOSE ? LOST : LEAVING;
    return pending == LOSE ? TIDE_SOURCE_LOST : TIDE_SOURCE_REVOKED;
}

/* Takes all partitions to which the same happens, as a rebalance does. */
static void emit_change(struct tide_source_event *event)
{
    uint32_t from = sim_roll(sim.set.partitions);
    enum pending pending = NOTHING;
    event->partitions = group.emitted;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        uint32_t number = (from + i) % sim.set.partitions;
        if (group.pending[number] == NOTHING ||
            (pending != NOTHING && group.pending[number] != pending))
            continue;
        pending = group.pending[number];
        event->kind = change_state(pending, number);
        group.emitted[event->partition_count++] = number;
    }
    group.leaving = pending == REVOKE || pending == LOSE;
}

static void take_positions(void)
{
    for (size_t i = 0; i < group.position_count; i++) {
        const struct tide_position *position = &group.positions[i];
        struct partition *partition = &sim.partitions[position->partition];
        if ((partition->state == OWNED || partition->state == LEAVING) &&
            partition->epoch == group.epochs[i] && position->offset > partition->committed)
            partition->committed = position->offset;
    }
}

static void emit_committed(struct tide_source_event *event)
{
    bool failed = sim_fault(sim.set.rates.commit_fails);
    group.under_way = group.answered = false;
    event->kind = TIDE_SOURCE_COMMITTED;
    event->status = failed ? TIDE_ETEMPORARY : TIDE_OK;
    event->text = failed ? "simulated" : NULL;
    if (failed && sim_roll(2))
        return; /* else the broker has carried it out, and only the answer was lost */
    take_positions();
}

static void source_event(struct tide_source *source, struct tide_source_event *event)
{
    (void)source;
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (group.under_way && group.answered)
        emit_committed(event);
    else if (!group.leaving && (!sim.set.transactions || sim.calm || sim_roll(2)))
        emit_change(event);
    if (event->kind == TIDE_SOURCE_NOTHING && group.ending && !group.ended) {
        group.ended = true;
        event->kind = TIDE_SOURCE_END;
    }
}

/* A commit that is under way may still arrive for a partition that is leaving, so its messages are counted only here. */
static void source_revoke_done(struct tide_source *source)
{
    (void)source;
    group.leaving = false;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        struct partition *partition = &sim.partitions[i];
        if (partition->state == LEAVING)
            sim_forget(partition);
        if ((partition->state == LEAVING || partition->state == LOST) && !group.shown[i].owned)
            partition->state = AWAY;
    }
}

static int source_commit(struct tide_source *source, const struct tide_position *positions,
                         size_t count)
{
    (void)source;
    if (group.under_way || sim.set.transactions)
        sim_fail("a commit is asked for while one is under way, or beside the transaction");
    sim_check_commit(positions, count);
    memcpy(group.positions, positions, sizeof(*positions) * count);
    for (size_t i = 0; i < count; i++)
        group.epochs[i] = sim.partitions[positions[i].partition].epoch;
    group.position_count = count;
    group.under_way = true;
    if (sim.set.has_state) /* the engine has stored them by now, with the state */
        take_positions();
    return TIDE_OK;
}

static void source_pause(struct tide_source *source, bool paused)
{
    (void)source;
    group.paused = paused;
}

static void source_rewind(struct tide_source *source)
{
    (void)source;
    group.ending = group.ended = false;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        if (group.shown[i].owned && group.pending[i] == NOTHING)
            group.pending[i] = LOSE;
    }
}

static void source_release(struct tide_source *source, uint32_t partition)
{
    (void)source;
    sim.partitions[partition].held = false;
    sim_state_restored(partition);
}

static void source_close(struct tide_source *source)
{
    (void)source;
    group.closed = true;
}

static bool source_closed(struct tide_source *source)
{
    (void)source;
    return group.closed;
}

static void (*free_memory)(struct tide_source *source);

static void source_free(struct tide_source *source)
{
    free_memory(source);
}

void sim_source_open(void)
{
    static struct tide_source_ops ops = {.start = source_start,
                                         .poll = source_poll,
                                         .take = source_take,
                                         .event = source_event,
                                         .revoke_done = source_revoke_done,
                                         .commit = source_commit,
                                         .pause = source_pause,
                                         .rewind = source_rewind,
                                         .release = source_release,
                                         .close = source_close,
                                         .closed = source_closed,
                                         .free = source_free};
    struct tide_source *source = sim.engine->source;
    memset(&group, 0, sizeof(group));
    for (uint32_t i = 0; i < sim.set.partitions; i++)
        group.shown[i] = source->partitions[i];
    free_memory = source->ops->free;
    source->ops = &ops;
    source->partitions = group.shown;
}

static void change_partition(uint32_t number)
{
    struct partition *partition = &sim.partitions[number];
    if (group.pending[number] != NOTHING)
        return;
    if (partition->state == AWAY && !sim_transaction_undecided() &&
        (sim.calm || sim_roll(8) == 0)) {
        /* Another member had the partition meanwhile, and has committed a part of it. */
        bool alone = sim.set.has_state && !sim.set.has_changelog;
        uint32_t ahead = sim.calm || alone ? 0 : sim_roll(4);
        for (uint32_t i = 0; i < partition->available && ahead > 0; i++) {
            if (partition->messages[i].offset >= partition->committed) {
                if (sim.set.has_changelog)
                    sim_state_other(number, i);
                partition->committed = partition->messages[i].offset + 1;
                ahead--;
            }
        }
        group.pending[number] = ASSIGN;
    } else if (partition->state == OWNED && sim_fault(sim.set.rates.revoke)) {
        group.pending[number] = REVOKE;
    } else if (partition->state == OWNED && sim_fault(sim.set.rates.lose)) {
        group.pending[number] = LOSE;
    }
}

void sim_source_act(void)
{
    uint32_t number = sim_roll(sim.set.partitions);
    struct partition *partition = &sim.partitions[number];
    for (uint32_t i = 0; i < sim.set.partitions; i++)
        change_partition(i);
    partition->available += sim.calm ? MAX_MESSAGES : sim_roll(6);
    if (partition->available > sim.set.messages)
        partition->available = sim.set.messages;
    if (group.under_way && (sim.calm || sim_roll(4) == 0))
        group.answered = true;
}

bool sim_source_end(void)
{
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        const struct partition *partition = &sim.partitions[i];
        if (partition->state != OWNED || group.pending[i] != NOTHING ||
            partition->next < sim.set.messages)
            return false;
    }
    group.ending = true;
    return true;
}
