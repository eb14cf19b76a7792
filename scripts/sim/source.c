/* SPDX-License-Identifier: MIT
 * The side of the consumer group: io/source.h played. Partitions come, go and are lost at any time; a commit is
 * answered late, refused, or refused although it was carried out. */
#include <string.h>

#include "base/status.h"
#include "sim.h"

enum pending { NOTHING, ASSIGN, REVOKE, LOSE };

static struct group {
    struct tide_partition shown[MOST_PARTITIONS];
    enum pending pending[MOST_PARTITIONS];
    uint32_t told[MOST_PARTITIONS]; /* of the last event */
    bool leaving;                   /* REVOKED or LOST was told, revoke_done is awaited */
    bool paused;
    bool closed;
    bool ending;
    bool ended;
    uint32_t lent;
    uint32_t turn;
    struct tide_position positions[MOST_PARTITIONS];
    uint32_t epochs[MOST_PARTITIONS];
    size_t position_count;
    bool under_way;
    bool answered;
} group;

static char bytes[256 * 1024];

static int start(struct tide_source *source)
{
    (void)source;
    for (uint32_t i = 0; i < sim.set.partitions; i++)
        group.pending[i] = ASSIGN;
    return TIDE_OK;
}

static void begin_epoch(struct message *message, uint32_t epoch)
{
    struct message fresh = {.offset = message->offset,
                            .size = message->size,
                            .epoch = epoch,
                            .visible = message->visible};
    memcpy(fresh.visible_dead_letters, message->visible_dead_letters,
           sizeof(fresh.visible_dead_letters));
    *message = fresh;
}

/* The value of a message: its item and as much behind it as it has. */
static size_t compose(struct tide_message *to, uint32_t number, uint32_t index, char *at)
{
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
                                .timestamp = index,
                                .offset = message->offset,
                                .partition = (int32_t)number,
                                .topic = group.shown[number].topic,
                                .target_topic = TIDE_TOPIC_NONE,
                                .target_partition = TIDE_PARTITION_ANY};
    to->origin.partition = (uint16_t)number;
    return (length + 7) & ~(size_t)7;
}

static ssize_t poll(struct tide_source *source, struct tide_message *messages, size_t max)
{
    (void)source;
    for (uint32_t tried = 0; tried < sim.set.partitions && !group.paused; tried++) {
        uint32_t number = (group.turn + tried) % sim.set.partitions;
        struct partition *partition = &sim.partitions[number];
        size_t count = 0, at = 0, most = 1 + sim_roll(16);
        if (partition->state != OWNED || group.pending[number] != NOTHING)
            continue;
        while (count < max && count < most && partition->next + count < partition->available &&
               at + 64 * 1024 < sizeof(bytes)) {
            at += compose(&messages[count], number, partition->next + (uint32_t)count, bytes + at);
            count++;
        }
        if (count == 0)
            continue;
        group.lent = number;
        group.turn = number + 1;
        return (ssize_t)count;
    }
    return 0;
}

static void take(struct tide_source *source, size_t count)
{
    (void)source;
    sim.partitions[group.lent].next += (uint32_t)count;
    sim.taken += count;
}

/* ---- events ---- */

static void assign(struct partition *partition)
{
    partition->epoch++;
    partition->state = OWNED;
    partition->first = 0;
    while (partition->first < sim.set.messages &&
           partition->messages[partition->first].offset < partition->committed)
        partition->first++;
    partition->next = partition->low = partition->first;
    partition->asked = -1;
    partition->sent_any = false;
}

static enum tide_source_event_kind tell(enum pending pending, uint32_t number)
{
    struct partition *partition = &sim.partitions[number];
    group.pending[number] = NOTHING;
    group.shown[number].owned = pending == ASSIGN;
    if (pending == ASSIGN) {
        assign(partition);
        return TIDE_SOURCE_ASSIGNED;
    }
    if (pending == LOSE && partition->state == OWNED)
        sim_forget(partition);
    if (partition->state == OWNED)
        partition->state = pending == LOSE ? LOST : LEAVING;
    return pending == LOSE ? TIDE_SOURCE_LOST : TIDE_SOURCE_REVOKED;
}

/* All partitions to which the same happens, as a rebalance would. */
static void tell_change(struct tide_source_event *event)
{
    uint32_t from = sim_roll(sim.set.partitions);
    enum pending pending = NOTHING;
    event->partitions = group.told;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        uint32_t number = (from + i) % sim.set.partitions;
        if (group.pending[number] == NOTHING ||
            (pending != NOTHING && group.pending[number] != pending))
            continue;
        pending = group.pending[number];
        event->kind = tell(pending, number);
        group.told[event->partition_count++] = number;
    }
    group.leaving = pending == REVOKE || pending == LOSE;
}

static void answer(struct tide_source_event *event)
{
    bool failed = sim_fault(sim.set.rates.commit_fails);
    group.under_way = group.answered = false;
    event->kind = TIDE_SOURCE_COMMITTED;
    event->status = failed ? TIDE_ETEMPORARY : TIDE_OK;
    event->text = failed ? "simulated" : NULL;
    if (failed && sim_roll(2))
        return;
    for (size_t i = 0; i < group.position_count; i++) {
        const struct tide_position *position = &group.positions[i];
        struct partition *partition = &sim.partitions[position->partition];
        if ((partition->state == OWNED || partition->state == LEAVING) &&
            partition->epoch == group.epochs[i] && position->offset > partition->committed)
            partition->committed = position->offset;
    }
}

static void event(struct tide_source *source, struct tide_source_event *event)
{
    (void)source;
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (group.under_way && group.answered)
        answer(event);
    else if (!group.leaving && (!sim.set.exactly_once || sim.calm || sim_roll(2)))
        tell_change(event);
    if (event->kind == TIDE_SOURCE_NOTHING && group.ending && !group.ended) {
        group.ended = true;
        event->kind = TIDE_SOURCE_END;
    }
}

static void revoke_done(struct tide_source *source)
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

static int commit(struct tide_source *source, const struct tide_position *positions, size_t count)
{
    (void)source;
    if (group.under_way || sim.set.exactly_once)
        sim_fail("a commit is asked for while one is under way, or beside the transaction");
    sim_check_commit(positions, count);
    memcpy(group.positions, positions, sizeof(*positions) * count);
    for (size_t i = 0; i < count; i++)
        group.epochs[i] = sim.partitions[positions[i].partition].epoch;
    group.position_count = count;
    group.under_way = true;
    return TIDE_OK;
}

static void pause(struct tide_source *source, bool paused)
{
    (void)source;
    group.paused = paused;
}

static void rewind_all(struct tide_source *source)
{
    (void)source;
    group.ending = group.ended = false;
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        if (group.shown[i].owned && group.pending[i] == NOTHING)
            group.pending[i] = LOSE;
    }
}

void sim_source_void(void)
{
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        struct partition *partition = &sim.partitions[i];
        if (partition->state != OWNED && partition->state != LEAVING)
            continue;
        sim_forget(partition);
        partition->state = LOST;
    }
}

static void close(struct tide_source *source)
{
    (void)source;
    group.closed = true;
}

static bool closed(struct tide_source *source)
{
    (void)source;
    return group.closed;
}

static void (*free_memory)(struct tide_source *source);

static void free_source(struct tide_source *source)
{
    free_memory(source);
}

void sim_source_open(void)
{
    static struct tide_source_ops ops = {.start = start,
                                         .poll = poll,
                                         .take = take,
                                         .event = event,
                                         .revoke_done = revoke_done,
                                         .commit = commit,
                                         .pause = pause,
                                         .rewind = rewind_all,
                                         .close = close,
                                         .closed = closed,
                                         .free = free_source};
    struct tide_source *source = sim.engine->source;
    memset(&group, 0, sizeof(group));
    for (uint32_t i = 0; i < sim.set.partitions; i++)
        group.shown[i] = source->partitions[i];
    free_memory = source->ops->free;
    source->ops = &ops;
    source->partitions = group.shown;
}

static void change(uint32_t number)
{
    struct partition *partition = &sim.partitions[number];
    if (group.pending[number] != NOTHING)
        return;
    if (partition->state == AWAY && !sim_sink_undecided() && (sim.calm || sim_roll(8) == 0)) {
        /* Another one had it meanwhile. */
        uint32_t ahead = sim.calm ? 0 : sim_roll(4);
        for (uint32_t i = 0; i < partition->available && ahead > 0; i++) {
            if (partition->messages[i].offset >= partition->committed) {
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
        change(i);
    partition->available += sim.calm ? MOST_MESSAGES : sim_roll(6);
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
