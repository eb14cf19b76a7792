/* SPDX-License-Identifier: MIT
 * The side of the brokers: io/sink.h played. Takes as much as it likes, reports in any order across partitions and
 * in order within one, refuses records for good. Its transactions are in transaction.c. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "sim.h"

enum { LANES = MOST_PARTITIONS + 1, LANE = 256, LENT = 256 };

struct sent {
    struct tide_message message;
    char *bytes;
    bool letter;
    uint32_t level; /* of a letter */
};

static struct broker {
    struct sent lanes[LANES][LANE]; /* rings; the last is the dead letters' */
    uint32_t head[LANES], count[LANES];
    uint32_t due[LANES]; /* may be reported */
    char *lent[LENT];    /* bytes of reported records */
    uint32_t lent_count;
    size_t pending;
    bool blocked;
} broker;

static int start(struct tide_sink *sink)
{
    (void)sink;
    return TIDE_OK;
}

static void keep(struct sent *sent, const struct tide_message *message)
{
    sent->message = *message;
    sent->bytes = malloc(message->value_length + message->headers_length);
    memcpy(sent->bytes, message->value, message->value_length);
    sent->message.value = sent->bytes;
    sent->message.key = NULL;
    sent->message.key_length = 0;
    if (message->headers_length == 0)
        return;
    sent->message.headers = memcpy(sent->bytes + message->value_length, message->headers,
                                   message->headers_length);
}

static bool take(const struct tide_message *message)
{
    bool letter = message->origin.epoch & TIDE_ORIGIN_DEAD_LETTER;
    const struct payload *payload = sim_value(message);
    uint32_t lane = letter ? LANES - 1 : payload->items[0].partition;
    if (broker.count[lane] == LANE || sim_fault(sim.set.rates.partial))
        return false;
    struct sent *sent = &broker.lanes[lane][(broker.head[lane] + broker.count[lane]++) % LANE];
    keep(sent, message);
    sent->letter = letter;
    if (letter)
        sent->level = sim_check_letter(message);
    else
        sim_check_send(message);
    if (sim.set.exactly_once)
        sim_transaction_add(payload, letter, sent->level);
    broker.pending++;
    return true;
}

static ssize_t send(struct tide_sink *sink, const struct tide_message *messages, size_t count)
{
    size_t taken = 0;
    (void)sink;
    while (taken < count && !broker.blocked && !sim_transaction_busy() && take(&messages[taken]))
        taken++;
    return (ssize_t)taken;
}

/* A refused result becomes a dead letter; a refused dead letter comes again. */
static void refuse(const struct sent *sent)
{
    const struct payload *payload = (const struct payload *)(const void *)sent->bytes;
    for (uint32_t i = 0; i < payload->count; i++) {
        struct message *message = sim_message(&payload->items[i]);
        uint64_t bit = 1ULL << payload->items[i].path;
        if (!sim_present(&payload->items[i]))
            continue;
        if (sent->letter)
            message->letter_sent[sent->level] &= ~bit;
        else
            message->refused |= bit;
    }
}

static void report(uint32_t lane, struct tide_report *report)
{
    struct sent *sent = &broker.lanes[lane][broker.head[lane]];
    const struct payload *payload = (const struct payload *)(const void *)sent->bytes;
    broker.head[lane] = (broker.head[lane] + 1) % LANE;
    broker.count[lane]--;
    broker.due[lane]--;
    broker.pending--;
    broker.lent[broker.lent_count++] = sent->bytes;
    *report = (struct tide_report){.origin = sent->message.origin, .kind = TIDE_REPORT_DELIVERED};
    if (sim_transaction_aborting() && sim_roll(2)) {
        report->kind = TIDE_REPORT_ABORTED;
        return;
    }
    bool refused = sim_fault(sent->letter ? sim.set.rates.refuse_letter : sim.set.rates.refuse);
    if (!refused || sim_transaction_busy()) {
        sim_acked(payload, sent->letter, sent->level);
        return;
    }
    refuse(sent);
    if (sim.set.exactly_once)
        sim_transaction_remove(payload, sent->letter, sent->level);
    report->kind = TIDE_REPORT_REFUSED;
    report->text = "simulated";
    report->message = sent->message;
}

static ssize_t reports(struct tide_sink *sink, struct tide_report *reports, size_t max)
{
    size_t count = 0;
    uint32_t from = sim_roll(LANES);
    (void)sink;
    while (broker.lent_count > 0)
        free(broker.lent[--broker.lent_count]);
    for (uint32_t i = 0; i < LANES; i++) {
        uint32_t lane = (from + i) % LANES;
        while (broker.due[lane] > 0 && count < max && count < LENT)
            report(lane, &reports[count++]);
    }
    return (ssize_t)count;
}

static size_t pending(struct tide_sink *sink)
{
    (void)sink;
    return broker.pending;
}

size_t sim_sink_pending(void)
{
    return broker.pending;
}

static void (*free_memory)(struct tide_sink *sink);

static void free_sink(struct tide_sink *sink)
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        for (; broker.count[lane] > 0; broker.count[lane]--) {
            free(broker.lanes[lane][broker.head[lane]].bytes);
            broker.head[lane] = (broker.head[lane] + 1) % LANE;
        }
    }
    while (broker.lent_count > 0)
        free(broker.lent[--broker.lent_count]);
    free_memory(sink);
}

void sim_sink_open(void)
{
    static struct tide_sink_ops ops;
    ops = (struct tide_sink_ops){
        .start = start, .send = send, .reports = reports, .pending = pending, .free = free_sink};
    sim_transaction_open(&ops);
    struct tide_sink *sink = sim.engine->sink;
    memset(&broker, 0, sizeof(broker));
    free_memory = sink->ops->free;
    sink->ops = &ops;
}

void sim_sink_act(void)
{
    uint32_t lane = sim_roll(LANES);
    if (sim.set.exactly_once)
        sim_transaction_act();
    broker.blocked = broker.blocked ? sim_fault(900) : sim_fault(sim.set.rates.block);
    for (uint32_t i = 0; i < (sim.calm ? LANES : 1); i++, lane = (lane + 1) % LANES) {
        broker.due[lane] += sim.calm ? LANE : sim_roll(8);
        if (broker.due[lane] > broker.count[lane])
            broker.due[lane] = broker.count[lane];
    }
}
