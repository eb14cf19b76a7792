/* SPDX-License-Identifier: MIT
 * The transactions of the sink (io/sink.h): the answer to a commit comes late, an abort at any time. A commit of
 * positions that changed hands meanwhile is fenced. What was sent to an aborted one is reported all the same, as
 * acknowledged or as gone. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "sim.h"

enum { MOST_ENTRIES = 4096 };

struct entry {
    struct payload *payload;
    bool dead_letter;
    uint32_t level;
};

static struct transaction {
    struct entry entries[MOST_ENTRIES]; /* sent since the last commit */
    uint32_t count;
    struct tide_position positions[MOST_PARTITIONS];
    uint32_t epochs[MOST_PARTITIONS];
    size_t position_count;
    bool ending;
    bool decided; /* committed, and not yet told */
    bool aborting;
} txn;

static size_t size_of(const struct payload *payload)
{
    return sizeof(*payload) + payload->count * sizeof(struct item);
}

void sim_transaction_add(const struct payload *payload, bool dead_letter, uint32_t level)
{
    if (txn.count == MOST_ENTRIES)
        sim_fail("a transaction without an end");
    struct payload *copy = malloc(size_of(payload));
    memcpy(copy, payload, size_of(payload));
    txn.entries[txn.count++] = (struct entry){copy, dead_letter, level};
}

void sim_transaction_remove(const struct payload *payload, bool dead_letter, uint32_t level)
{
    for (uint32_t i = 0; i < txn.count; i++) {
        struct entry *entry = &txn.entries[i];
        if (entry->dead_letter != dead_letter || entry->payload->count != payload->count ||
            (dead_letter && entry->level != level) ||
            memcmp(entry->payload, payload, size_of(payload)) != 0)
            continue;
        free(entry->payload);
        *entry = txn.entries[--txn.count];
        return;
    }
}

static void clear(void)
{
    while (txn.count > 0)
        free(txn.entries[--txn.count].payload);
    txn.ending = txn.decided = txn.aborting = false;
}

bool sim_transaction_busy(void)
{
    return txn.ending || txn.aborting;
}

bool sim_transaction_aborting(void)
{
    return txn.aborting;
}

bool sim_sink_undecided(void)
{
    return txn.ending && !txn.decided;
}

static int commit(struct tide_sink *sink, const struct tide_position *positions, size_t count)
{
    (void)sink;
    if (txn.ending)
        sim_fail("a transaction is committed twice");
    if (txn.aborting || sim_fault(sim.set.rates.block))
        return TIDE_BUSY;
    if (sim_sink_pending() > 0)
        sim_fail("a transaction is committed before its reports are there");
    sim_check_commit(positions, count);
    for (uint32_t i = 0; i < txn.count; i++)
        sim_check_covered(txn.entries[i].payload, positions, count);
    memcpy(txn.positions, positions, sizeof(*positions) * count);
    for (size_t i = 0; i < count; i++)
        txn.epochs[i] = sim.partitions[positions[i].partition].epoch;
    txn.position_count = count;
    txn.ending = true;
    return TIDE_OK;
}

static bool fenced(void)
{
    for (size_t i = 0; i < txn.position_count; i++) {
        const struct partition *partition = &sim.partitions[txn.positions[i].partition];
        if (partition->epoch != txn.epochs[i] || partition->state == AWAY ||
            partition->state == LOST)
            return true;
    }
    return false;
}

static void decide(void)
{
    if (fenced() || sim_fault(sim.set.rates.abort * 4)) {
        txn.aborting = true;
        txn.ending = false;
        return;
    }
    txn.decided = true;
    for (size_t i = 0; i < txn.position_count; i++)
        sim.partitions[txn.positions[i].partition].committed = txn.positions[i].offset;
    for (uint32_t i = 0; i < txn.count; i++)
        sim_visible(txn.entries[i].payload, txn.entries[i].dead_letter, txn.entries[i].level);
}

static enum tide_transaction_result transaction_result(struct tide_sink *sink, const char **text)
{
    (void)sink;
    *text = "simulated";
    if (txn.decided && (sim.calm || sim_roll(2))) {
        clear();
        return TIDE_TRANSACTION_COMMITTED;
    }
    if (!txn.aborting || sim_sink_pending() > 0 || (!sim.calm && sim_roll(2)))
        return TIDE_TRANSACTION_NO_RESULT;
    clear();
    sim_source_void();
    return TIDE_TRANSACTION_ABORTED;
}

static void abort_open(struct tide_sink *sink)
{
    (void)sink;
    if (txn.decided)
        return; /* too late */
    txn.aborting = true;
    txn.ending = false;
}

void sim_transaction_open(struct tide_sink_ops *ops)
{
    clear();
    if (!sim.set.exactly_once)
        return;
    ops->commit = commit;
    ops->transaction_result = transaction_result;
    ops->abort = abort_open;
}

void sim_transaction_act(void)
{
    if (txn.ending && !txn.decided && (sim.calm || sim_roll(4) == 0))
        decide();
    else if (!txn.ending && sim_fault(sim.set.rates.abort))
        txn.aborting = true;
}
