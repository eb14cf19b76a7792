/* SPDX-License-Identifier: MIT
 * Plays the brokers: a sink (io/sink.h) that takes as many messages as it likes, refuses some of them for good, and
 * reports in order within a partition and in any order across partitions. Its transactions are in transaction.c. Start
 * reading at sink_send and sink_reports. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "keyed.h"

enum { QUEUES = MAX_PARTITIONS + 1, QUEUE_LENGTH = 256, MAX_BORROWED = 256 };

struct sent {
    struct tide_message message;
    char *bytes;
    bool dead_letter;
    uint32_t level; /* of a dead letter: what it is about */
};

static struct broker {
    struct sent queues[QUEUES][QUEUE_LENGTH]; /* rings; the last one has the dead letters */
    uint32_t head[QUEUES], count[QUEUES];
    uint32_t due[QUEUES];         /* how many may be reported now */
    char *borrowed[MAX_BORROWED]; /* bytes of the records that were reported last */
    uint32_t borrowed_count;
    size_t pending;
    bool blocked;
} broker;

static int sink_start(struct tide_sink *sink)
{
    (void)sink;
    return TIDE_OK;
}

static void copy_message(struct sent *sent, const struct tide_message *message)
{
    sent->message = *message;
    sent->bytes = tide_alloc(message->value_length + message->headers_length);
    memcpy(sent->bytes, message->value, message->value_length);
    sent->message.value = sent->bytes;
    sent->message.key = NULL;
    sent->message.key_length = 0;
    if (message->headers_length == 0)
        return;
    sent->message.headers = memcpy(sent->bytes + message->value_length, message->headers,
                                   message->headers_length);
}

static bool take_message(const struct tide_message *message)
{
    if (message->origin.partition == TIDE_ORIGIN_STATE)
        return sim_changelog_send(message);
    bool dead_letter = message->origin.epoch & TIDE_ORIGIN_DEAD_LETTER;
    const struct payload *payload = sim_value(message);
    uint32_t queue = dead_letter ? QUEUES - 1 : payload->items[0].partition;
    if (broker.count[queue] == QUEUE_LENGTH || sim_fault(sim.set.rates.partial))
        return false;
    struct sent *sent =
        &broker.queues[queue][(broker.head[queue] + broker.count[queue]++) % QUEUE_LENGTH];
    copy_message(sent, message);
    sent->dead_letter = dead_letter;
    if (dead_letter)
        sent->level = sim_check_dead_letter(message);
    else
        sim_check_send(message);
    if (sim.set.exactly_once)
        sim_transaction_add(payload, dead_letter, sent->level);
    broker.pending++;
    return true;
}

static ssize_t sink_send(struct tide_sink *sink, const struct tide_message *messages, size_t count)
{
    size_t taken = 0;
    (void)sink;
    while (taken < count && !broker.blocked && !(sim.set.exactly_once && sim_transaction_busy()) &&
           take_message(&messages[taken]))
        taken++;
    return (ssize_t)taken;
}

/* A refused result becomes a dead letter; a refused dead letter is sent again. */
static void refuse_message(const struct sent *sent)
{
    const struct payload *payload = (const struct payload *)(const void *)sent->bytes;
    for (uint32_t i = 0; i < payload->count; i++) {
        struct message *message = sim_message(&payload->items[i]);
        uint64_t bit = 1ULL << payload->items[i].path;
        if (!sim_present(&payload->items[i]))
            continue;
        if (sent->dead_letter)
            message->dead_letter_sent[sent->level] &= ~bit;
        else
            message->refused |= bit;
    }
}

/* While a transaction is aborted, its messages are reported as delivered or as aborted at random: the engine must not
 * count on either. */
static void report_oldest(uint32_t queue, struct tide_report *report)
{
    struct sent *sent = &broker.queues[queue][broker.head[queue]];
    const struct payload *payload = (const struct payload *)(const void *)sent->bytes;
    broker.head[queue] = (broker.head[queue] + 1) % QUEUE_LENGTH;
    broker.count[queue]--;
    broker.due[queue]--;
    broker.pending--;
    broker.borrowed[broker.borrowed_count++] = sent->bytes;
    *report = (struct tide_report){.origin = sent->message.origin, .kind = TIDE_REPORT_DELIVERED};
    if (sim.set.exactly_once && sim_transaction_aborting() && sim_roll(2)) {
        report->kind = TIDE_REPORT_ABORTED;
        return;
    }
    bool refused = sim_fault(sent->dead_letter ? sim.set.rates.refuse_dead_letter
                                               : sim.set.rates.refuse);
    if (!refused || (sim.set.exactly_once && sim_transaction_busy())) {
        sim_acked(payload, sent->dead_letter, sent->level);
        return;
    }
    refuse_message(sent);
    if (sim.set.exactly_once)
        sim_transaction_remove(payload, sent->dead_letter, sent->level);
    report->kind = TIDE_REPORT_REFUSED;
    report->text = "simulated";
    report->message = sent->message;
}

static ssize_t sink_reports(struct tide_sink *sink, struct tide_report *reports, size_t max)
{
    size_t count = 0;
    uint32_t from = sim_roll(QUEUES);
    (void)sink;
    while (broker.borrowed_count > 0)
        free(broker.borrowed[--broker.borrowed_count]);
    for (uint32_t i = 0; i < QUEUES; i++) {
        uint32_t queue = (from + i) % QUEUES;
        while (broker.due[queue] > 0 && count < max && count < MAX_BORROWED)
            report_oldest(queue, &reports[count++]);
    }
    if (sim.set.exactly_once && sim.set.has_changelog)
        count += sim_changelog_reports(&reports[count], max - count, sim_transaction_aborting());
    return (ssize_t)count;
}

static size_t sink_pending(struct tide_sink *sink)
{
    (void)sink;
    return broker.pending +
           (sim.set.exactly_once && sim.set.has_changelog ? sim_changelog_pending() : 0);
}

static void (*free_memory)(struct tide_sink *sink);

static void sink_free(struct tide_sink *sink)
{
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        for (; broker.count[queue] > 0; broker.count[queue]--) {
            free(broker.queues[queue][broker.head[queue]].bytes);
            broker.head[queue] = (broker.head[queue] + 1) % QUEUE_LENGTH;
        }
    }
    while (broker.borrowed_count > 0)
        free(broker.borrowed[--broker.borrowed_count]);
    free_memory(sink);
}

void sim_sink_open(void)
{
    static struct tide_sink_ops ops;
    ops = (struct tide_sink_ops){.start = sink_start,
                                 .send = sink_send,
                                 .reports = sink_reports,
                                 .pending = sink_pending,
                                 .free = sink_free};
    if (sim.set.exactly_once)
        sim_transaction_open(&ops);
    struct tide_sink *sink = sim.engine->sink;
    memset(&broker, 0, sizeof(broker));
    free_memory = sink->ops->free;
    sink->ops = &ops;
}

void sim_sink_act(void)
{
    uint32_t queue = sim_roll(QUEUES);
    if (sim.set.transactions)
        sim_transaction_act();
    if (sim.set.has_changelog)
        sim_changelog_act();
    broker.blocked = broker.blocked ? sim_fault(900) : sim_fault(sim.set.rates.block);
    for (uint32_t i = 0; i < (sim.calm ? QUEUES : 1); i++, queue = (queue + 1) % QUEUES) {
        broker.due[queue] += sim.calm ? QUEUE_LENGTH : sim_roll(8);
        if (broker.due[queue] > broker.count[queue])
            broker.due[queue] = broker.count[queue];
    }
}
