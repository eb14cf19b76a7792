/* SPDX-License-Identifier: MIT
 * The model of what is right. It is as naive as possible, so that it cannot have the engine's mistakes: it has no
 * references, no ring and no positions, and finds out whether a message is complete by walking down from it to each of
 * its results, which must be acknowledged or a dead letter. Start reading at is_complete. */
#include <string.h>

#include "sim.h"

bool sim_is_group(uint32_t level)
{
    for (uint32_t i = 0; i < level; i++) {
        if (sim.set.steps[i].kind == TIDE_STEP_REDUCE)
            return true;
    }
    return false;
}

/* After a step that reduces a task lets every result pass, or drops them all: how a transform behaves on a result of
 * several messages must not depend on which they are, since a group is made anew after a rebalance, of others. */
struct behaviour sim_behaviour(const struct item *item, uint32_t level)
{
    const struct rates *rates = &sim.set.rates;
    struct behaviour behaviour = {BEHAVIOUR_PASS, 1, 0};
    uint64_t mix = sim_mix(sim.set.seed, item->partition, item->index,
                           (uint64_t)level << 32 | item->path);
    bool reduces = sim.set.steps[level].kind == TIDE_STEP_REDUCE;
    if (sim_is_group(level)) {
        behaviour.results = sim.set.drop_groups && !reduces ? 0 : 1;
        return behaviour;
    }
    uint32_t draw = (uint32_t)(mix % RATE_ALWAYS);
    behaviour.padding = (uint32_t)(mix >> 32) % 8 ? 0 : (uint32_t)(mix >> 36) % 200;
    if (draw < rates->poison)
        behaviour.kind = BEHAVIOUR_POISON;
    else if ((draw -= rates->poison) < rates->hang)
        behaviour.kind = BEHAVIOUR_HANG;
    else if ((draw -= rates->hang) < rates->reject)
        behaviour.kind = BEHAVIOUR_REJECT;
    else if (!reduces && (draw -= rates->reject) < rates->filter)
        behaviour.results = 0;
    else if (!reduces && draw - rates->filter < rates->many)
        behaviour.results = 2 + (uint32_t)(mix >> 48) % 2;
    return behaviour;
}

struct message *sim_message(const struct item *item)
{
    return &sim.partitions[item->partition].messages[item->index];
}

bool sim_present(const struct item *item)
{
    const struct partition *partition = &sim.partitions[item->partition];
    return item->epoch == partition->epoch && partition->state != AWAY && partition->state != LOST;
}

/* Sets the item's bit in one of the masks of each message, `mask` bytes into the struct. A worker may finish with a block
 * after its partition was revoked and assigned again; what it does then must not count for the new assignment. */
void sim_mark(const struct payload *payload, uint32_t level, size_t mask)
{
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        uint64_t *masks = (uint64_t *)(void *)((char *)sim_message(item) + mask);
        if (item->epoch == sim_message(item)->epoch)
            masks[level] |= sim_bit(item->path);
    }
}

void sim_died(const struct payload *payload, uint32_t level)
{
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        uint64_t *died = sim_message(item)->died[level];
        uint32_t times = 0;
        while (times < 3 && died[times] & sim_bit(item->path))
            times++;
        if (item->epoch == sim_message(item)->epoch)
            died[times] |= sim_bit(item->path);
    }
}

static bool is_complete(const struct message *message, struct item *item, uint32_t level)
{
    struct item child = *item;
    if (message->dead_lettered[level] & sim_bit(item->path))
        return true;
    if (level == sim.set.step_count)
        return message->acked & sim_bit(item->path);
    if (!(message->published[level] & sim_bit(item->path)))
        return false;
    struct behaviour behaviour = sim_behaviour(item, level);
    if (behaviour.kind != BEHAVIOUR_PASS)
        return false;
    for (uint32_t i = 0; i < behaviour.results; i++) {
        child.path = (uint16_t)(item->path | i << sim_shift(level));
        if (!is_complete(message, &child, level + 1))
            return false;
    }
    return true;
}

/* Messages become complete in any order, but their state never goes back, so the search goes on where it ended. */
uint32_t sim_low(struct partition *partition)
{
    for (; partition->low < partition->next; partition->low++) {
        struct message *message = &partition->messages[partition->low];
        struct item item = {(uint16_t)(partition - sim.partitions), 0, message->epoch,
                            partition->low};
        if (message->epoch != partition->epoch || !is_complete(message, &item, 0))
            break;
    }
    return partition->low;
}

void sim_acked(const struct payload *payload, bool dead_letter, uint32_t level)
{
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        struct message *message = sim_message(item);
        if (!sim_present(item))
            continue;
        if (dead_letter)
            message->dead_lettered[level] |= sim_bit(item->path);
        else
            message->acked |= sim_bit(item->path);
    }
}

/* ---- what the engine sends ---- */

/* Walks the path of a result from the first step on: each step must return it, and none may have rejected it. */
static void check_path(const struct item *item)
{
    struct item at = *item;
    at.path = 0;
    for (uint32_t level = 0; level < sim.set.step_count; level++) {
        struct behaviour behaviour = sim_behaviour(&at, level);
        uint32_t digit = item->path >> sim_shift(level) & 3;
        if (behaviour.kind != BEHAVIOUR_PASS || digit >= behaviour.results)
            sim_fail("a result that no function returned: %u/%u path %x", item->partition,
                     item->index, item->path);
        if (sim_message(item)->dead_letter_sent[level] & sim_bit(at.path))
            sim_fail("%u/%u path %x is sent, and a dead letter", item->partition, item->index,
                     item->path);
        at.path = (uint16_t)(at.path | digit << sim_shift(level));
    }
}

uint32_t sim_key(uint32_t partition, uint32_t index)
{
    uint64_t mix = sim_mix(sim.set.seed, 21, partition, index);
    return sim.set.null_keys && mix % 8 == 0 ? NO_KEY : (uint32_t)(mix >> 8) % sim.set.keys;
}

const char *sim_key_text(uint32_t key)
{
    static const char keys[] = "abcdefgh";
    return keys + key;
}

/* Paths rise in the order of results. So if they rise strictly, results come in order. */
static void check_order(const struct item *item)
{
    bool by_key = sim.set.keeps == TIDE_ORDER_KEY;
    uint32_t key = by_key ? sim_key(item->partition, item->index) : 0;
    if (sim.set.keeps == TIDE_ORDER_NONE || key == NO_KEY)
        return;
    struct newest *newest = &sim.partitions[item->partition].newest[key];
    if (newest->any && (item->index < newest->index ||
                        (item->index == newest->index && item->path <= newest->path)))
        sim_fail("%u/%u path %x is sent after %u path %x of the same assignment%s", item->partition,
                 item->index, item->path, newest->index, newest->path, by_key ? " and key" : "");
    *newest = (struct newest){true, item->index, item->path};
}

static void check_once(const struct item *item)
{
    if (sim_message(item)->sent & sim_bit(item->path))
        sim_fail("%u/%u path %x is sent twice in one assignment", item->partition, item->index,
                 item->path);
}

const struct payload *sim_value(const struct tide_message *message)
{
    const struct payload *payload = (const struct payload *)(const void *)message->value;
    if (!payload || message->value_length < sizeof(*payload) || payload->magic != MAGIC ||
        message->value_length < sizeof(*payload) + payload->count * sizeof(struct item))
        sim_fail("a value that no function returned");
    return payload;
}

bool sim_current(const struct payload *payload)
{
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        const struct partition *partition = &sim.partitions[i];
        if (partition->state == OWNED && payload->epochs[i] == partition->epoch)
            return true;
    }
    return false;
}

void sim_check_send(const struct tide_message *message)
{
    const struct payload *payload = sim_value(message);
    if (!sim_current(payload))
        sim_fail("a result of an assignment that is over is sent: %u/%u",
                 payload->items[0].partition, payload->items[0].index);
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        if (!sim_present(item))
            continue; /* a group may have members whose partition was revoked meanwhile */
        check_path(item);
        check_order(item);
        check_once(item);
        sim_message(item)->sent |= sim_bit(item->path);
    }
}

/* ---- what the engine commits and counts ---- */

void sim_check_commit(const struct tide_position *positions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = &sim.partitions[positions[i].partition];
        uint32_t low = sim_low(partition);
        int64_t max = low < sim.set.messages ? partition->messages[low].offset : INT64_MAX;
        if (partition->state != OWNED && partition->state != LEAVING)
            sim_fail("partition %u is committed and is not ours", positions[i].partition);
        if (positions[i].offset > max)
            sim_fail("partition %u is committed at %lld: %lld is not complete",
                     positions[i].partition, (long long)positions[i].offset, (long long)max);
        if (positions[i].offset < partition->asked)
            sim_fail("partition %u is committed backwards: %lld after %lld", positions[i].partition,
                     (long long)positions[i].offset, (long long)partition->asked);
        partition->asked = positions[i].offset;
    }
}

/* What consumers can read and no committed position covers would be read by the engine again, and written twice. */
void sim_check_covered(const struct payload *payload, const struct tide_position *positions,
                       size_t count)
{
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        int64_t covered = sim.partitions[item->partition].committed;
        for (size_t j = 0; j < count && sim_present(item); j++) {
            if (positions[j].partition == item->partition)
                covered = positions[j].offset;
        }
        if (sim_message(item)->offset >= covered)
            sim_fail("a transaction has %u/%u in it and commits %lld, not past %lld",
                     item->partition, item->index, (long long)covered,
                     (long long)sim_message(item)->offset);
    }
}

void sim_visible(const struct payload *payload, bool dead_letter, uint32_t level)
{
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        struct message *message = sim_message(item);
        uint64_t *seen = dead_letter ? &message->visible_dead_letters[level] : &message->visible;
        if (*seen & sim_bit(item->path))
            sim_fail("%u/%u path %x can be seen twice", item->partition, item->index, item->path);
        *seen |= sim_bit(item->path);
    }
}

/* After each turn of the engine: its counters must add up, and no position may lie beyond a message that is not complete. */
void sim_check_turn(void)
{
    struct tide_totals totals;
    tide_engine_totals(sim.engine, &totals);
    if (totals.read != totals.produced_from + totals.filtered + totals.dead_lettered +
                           totals.dropped + totals.in_flight)
        sim_fail("the totals do not add up: read %llu, produced_from %llu, filtered %llu, "
                 "dead_lettered %llu, dropped %llu, in_flight %llu",
                 (unsigned long long)totals.read, (unsigned long long)totals.produced_from,
                 (unsigned long long)totals.filtered, (unsigned long long)totals.dead_lettered,
                 (unsigned long long)totals.dropped, (unsigned long long)totals.in_flight);
    if (totals.read != sim.taken)
        sim_fail("%llu messages were taken and %llu are counted", (unsigned long long)sim.taken,
                 (unsigned long long)totals.read);
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        struct partition *partition = &sim.partitions[i];
        if (partition->state != OWNED && partition->state != LEAVING)
            continue;
        int64_t position = tide_offsets_position(sim.engine->chain.offsets, i);
        uint32_t low = sim_low(partition);
        if (position >= 0 && low < sim.set.messages && position > partition->messages[low].offset)
            sim_fail("the position of partition %u is %lld: %lld is not complete", i,
                     (long long)position, (long long)partition->messages[low].offset);
    }
}

void sim_forget(struct partition *partition)
{
    for (uint32_t i = partition->first; i < partition->next; i++) {
        struct message *message = &partition->messages[i];
        struct item item = {(uint16_t)(partition - sim.partitions), 0, message->epoch, i};
        if (message->epoch == partition->epoch && is_complete(message, &item, 0))
            sim.completed++;
        else
            sim.dropped++;
    }
}

void sim_void(void)
{
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        struct partition *partition = &sim.partitions[i];
        if (partition->state != OWNED && partition->state != LEAVING)
            continue;
        if (sim.set.exactly_once) /* else reports that are due may complete some until it is lost */
            sim_forget(partition);
        partition->state = LOST;
    }
}

static uint64_t open_groups(void)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(sim.engine->chain.offsets, &totals);
    return totals.groups;
}

/* At the end every partition must be committed to its end. */
void sim_check_end(void)
{
    struct tide_totals totals;
    tide_engine_totals(sim.engine, &totals);
    for (uint32_t i = 0; i < sim.set.partitions; i++) {
        const struct partition *partition = &sim.partitions[i];
        if (partition->committed <= partition->messages[sim.set.messages - 1].offset)
            sim_fail("at the end partition %u is committed at %lld, not after %lld", i,
                     (long long)partition->committed,
                     (long long)partition->messages[sim.set.messages - 1].offset);
    }
    if (open_groups() != 0)
        sim_fail("at the end %llu groups are open", (unsigned long long)open_groups());
    if (totals.in_flight != 0)
        sim_fail("at the end %llu messages are in flight", (unsigned long long)totals.in_flight);
    if (totals.dropped < sim.dropped)
        sim_fail("%llu messages were taken away and %llu are counted as dropped",
                 (unsigned long long)sim.dropped, (unsigned long long)totals.dropped);
}
