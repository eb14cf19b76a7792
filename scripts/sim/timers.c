/* SPDX-License-Identifier: MIT
 * Timers of keyed state, in some runs: a message that writes the first state sets its key's timer, keeps the one that is
 * there, or takes it back, as the seed says. The value says which message has set the timer last. So whoever sees it can
 * tell: as long as it has the timer, that was not fired; without it, it was, once. What was fired in an assignment that
 * is over holds if the message that it was fired with is committed; else it is fired again. At the end of a run none that
 * is due is left. Start reading at sim_timer_see. */
#include "chain/offsets.h"
#include "chain/task.h"
#include "keyed.h"

bool sim_is_timer(const struct tide_record *record)
{
    return record->message_flags & TIDE_MESSAGE_TIMER;
}

/* They rise, and now and then one is late. */
int64_t sim_time(uint32_t number, uint32_t index)
{
    uint64_t place = (uint64_t)number << 32 | index;
    if (!sim.set.has_timers)
        return index;
    return 1 + (int64_t)index * 1000 + (int64_t)(sim_mix(sim.set.seed, 37, place, 0) % 5000);
}

int64_t sim_newest(uint32_t number, uint32_t end)
{
    int64_t newest = INT64_MIN;
    for (uint32_t i = 0; i < end; i++)
        if (sim_time(number, i) > newest)
            newest = sim_time(number, i);
    return newest;
}

static int64_t watermark(uint32_t number, uint32_t end)
{
    return end == 0 ? INT64_MIN : sim_newest(number, end) - sim.set.steps[0].grace_ms;
}

/* The time to which the message sets its key's timer, if it sets it. */
static int64_t set_to(uint32_t number, uint32_t index)
{
    uint64_t mix = sim_mix(sim.set.seed, 38, (uint64_t)number << 32 | index, 0);
    return sim_time(number, index) + (int64_t)(mix / 8 % 8000);
}

void sim_timer_set(const struct item *item, const struct sim_value *seen, struct sim_value *made)
{
    uint64_t place = (uint64_t)item->partition << 32 | item->index;
    uint64_t mix = sim_mix(sim.set.seed, 38, place, 0);
    if (mix % 8 == 0)
        return;
    if (mix % 8 < 3) {
        made->timer = seen->timer;
        made->by = seen->timer ? seen->by : 0;
        return;
    }
    made->timer = set_to(item->partition, item->index);
    made->by = item->index + 1;
}

/* What was fired with a message that is read again, by whom ever, holds no more. */
static void forget_fired(uint32_t number, uint32_t first)
{
    for (uint32_t i = 0; i < sim.set.messages; i++) {
        struct message *message = &sim.partitions[number].messages[i];
        if (message->fired_index >= first)
            message->fired = FIRED_NO;
    }
}

void sim_timers_assigned(uint32_t number)
{
    forget_fired(number, sim.partitions[number].first);
}

/* What a timer's function writes at that time. */
static struct sim_value fire(uint32_t number, int64_t at, const struct sim_value *seen)
{
    struct sim_value made = {0};
    if (sim_mix(sim.set.seed, 39, (uint64_t)at, number) %
        2) /* else it leaves the ending to the engine */
        made.number = seen->number;
    return made;
}

void sim_timers_other(uint32_t number, uint32_t index)
{
    struct message *messages = sim.partitions[number].messages;
    int64_t offset = messages[index].offset;
    forget_fired(number, index);
    sim_changelog_other_newest(number, sim_newest(number, index + 1), offset);
    for (uint32_t key = 0; key < sim.set.keys; key++) {
        struct sim_value value = sim_changelog_value(0, number, key), made;
        if (!value.timer || value.timer > watermark(number, index + 1))
            continue;
        messages[value.by - 1].fired = FIRED;
        messages[value.by - 1].fired_index = index;
        made = fire(number, value.timer, &value);
        value.timer = 0;
        sim_changelog_other(0, number, key, made.number ? &made : &value, offset);
    }
}

static unsigned fired(uint32_t number, uint32_t by)
{
    return sim.partitions[number].messages[by - 1].fired;
}

/* The value as of the messages before `end`: the timer that was set last must be there or have been fired. */
static void check_timer(uint32_t number, uint32_t end, const struct sim_value *value)
{
    if (value->by > sim.set.messages || (value->timer && value->by == 0))
        sim_fail("partition %u: a timer that no message has set", number);
    if (value->by > 0 && !value->timer && fired(number, value->by) == FIRED_NO)
        sim_fail("the timer of %u/%u is lost", number, value->by - 1);
    if (value->timer && fired(number, value->by) == FIRED &&
        sim.partitions[number].messages[value->by - 1].fired_index < end)
        sim_fail("the timer of %u/%u is there although it was fired", number, value->by - 1);
}

void sim_timer_check_seen(const struct worker *worker, const struct item *item,
                          const struct sim_value *seen)
{
    int64_t right = watermark(item->partition, item->index), is = sim_state_watermark(worker);
    check_timer(item->partition, sim.set.messages, seen);
    if (seen->timer && seen->by == sim_message(item)->due)
        sim_fail("%u/%u sees the timer of %u, which was due before it was read", item->partition,
                 item->index, seen->by - 1);
    if (is != right)
        sim_fail("%u/%u has the watermark %lld, and %lld is that of the messages before it",
                 item->partition, item->index, (long long)is, (long long)right);
}

/* The timers that are due when a partition is assigned come behind its first message, with which the watermark is known. */
void sim_timer_taken(uint32_t number, uint32_t index, const struct sim_value *value)
{
    struct partition *partition = &sim.partitions[number];
    bool due = index > partition->first && value->timer && value->timer <= watermark(number, index);
    partition->messages[index].due = due ? value->by : 0;
}

/* The index of the message whose origin the record has; -1 = it is of an assignment that is over. */
static int64_t origin_of(const struct worker *worker)
{
    const struct tide_task *task =
        (const struct tide_task *)(const void *)sim.engine->steps[worker->job.step];
    const struct partition *partition = &sim.partitions[worker->record->partition];
    const struct tide_batch *batch;
    int64_t index = 0;
    STAILQ_FOREACH(batch, &task->order.list, in_order)
    {
        if (worker->at < batch->records.count &&
            tide_batch_record(batch, worker->at) == worker->record)
            break;
    }
    if (!batch || !tide_offsets_current(task->step.chain->offsets, batch->origins[worker->at]) ||
        partition->state != OWNED || worker->put_off & 1u << worker->record->partition)
        return -1;
    while (index < sim.set.messages && partition->messages[index].offset != worker->record->offset)
        index++;
    if (index >= partition->next)
        sim_fail("a timer has the origin of a message that was not read");
    return index;
}

void sim_timer_see(const struct worker *worker, struct sim_value *made)
{
    uint32_t number = (uint32_t)worker->record->partition;
    struct sim_value seen = sim_state_seen(worker, 0);
    int64_t at = worker->record->timestamp;
    *made = (struct sim_value){0};
    if (origin_of(worker) >= 0) {
        check_timer(number, sim.set.messages, &seen);
        if (at > watermark(number, sim.partitions[number].next))
            sim_fail("a timer of partition %u is fired before its time", number);
        if (seen.timer != at && seen.by > 0 && set_to(number, seen.by - 1) == at)
            sim_fail("the timer of %u/%u has two records", number, seen.by - 1);
    }
    if (seen.timer == at) /* else the key has another one by now */
        *made = fire(number, at, &seen);
}

void sim_timer_fired(struct worker *worker)
{
    struct sim_value seen = sim_state_seen(worker, 0), after = worker->made[0];
    int64_t index = origin_of(worker);
    if (seen.timer != worker->record->timestamp)
        return;
    if (index >= 0) {
        struct message *message = &sim.partitions[worker->record->partition].messages[seen.by - 1];
        /* What follows a record of another partition that is tried again waits as well, while that is not revoked. */
        message->fired = worker->put_off ? FIRED_MAYBE : FIRED;
        message->fired_index = (uint32_t)index;
    }
    if (after.number == 0) {
        after = seen;
        after.timer = 0;
    }
    sim_state_newer(worker, 0, &after);
}

void sim_timer_check_behind(uint32_t number, uint32_t end, const struct sim_value *value)
{
    check_timer(number, end, value);
    /* Else it may be fired with a message that was read meanwhile. */
    if (sim.partitions[number].next <= end && value->timer &&
        value->timer <= watermark(number, end))
        sim_fail("behind %u/%u the timer of %u/%u is due and was not fired", number, end - 1,
                 number, value->by - 1);
}
