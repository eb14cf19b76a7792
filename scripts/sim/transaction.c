/* SPDX-License-Identifier: MIT
 * Plays the transactions of the sink, or of that of changelogs (io/sink.h): the answer to a commit comes late, and an abort at any time. A commit
 * of positions is fenced when the partition was assigned to another member meanwhile. What was sent in an aborted
 * transaction is reported all the same, as delivered or as aborted. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "keyed.h"

enum { MAX_ENTRIES = 4096 };

struct entry {
    struct payload *payload;
    bool dead_letter;
    uint32_t level;
};

static struct transaction {
    struct entry entries[MAX_ENTRIES]; /* sent since the last commit */
    uint32_t count;
    struct tide_position positions[MAX_PARTITIONS];
    uint32_t epochs[MAX_PARTITIONS];
    size_t position_count;
    bool ending;
    bool decided; /* it is committed, and the engine does not know yet */
    bool aborting;
} txn;

static size_t size_of(const struct payload *payload)
{
    return sizeof(*payload) + payload->count * sizeof(struct item);
}

void sim_transaction_add(const struct payload *payload, bool dead_letter, uint32_t level)
{
    if (txn.count == MAX_ENTRIES)
        sim_fail("a transaction without an end");
    struct payload *copy = tide_alloc(size_of(payload));
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

static void clear_txn(void)
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

bool sim_transaction_undecided(void)
{
    return txn.ending && !txn.decided;
}

static int txn_commit(struct tide_sink *sink, const struct tide_position *positions, size_t count)
{
    if (txn.ending)
        sim_fail("a transaction is committed twice");
    if (txn.aborting || sim_fault(sim.set.rates.block))
        return TIDE_BUSY;
    if (sink->ops->pending(sink) > 0)
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

/* A broker refuses a commit of offsets by a member whose partitions were assigned anew. */
static bool is_fenced(void)
{
    for (size_t i = 0; i < txn.position_count; i++) {
        const struct partition *partition = &sim.partitions[txn.positions[i].partition];
        if (partition->epoch != txn.epochs[i] || partition->state == AWAY ||
            partition->state == LOST)
            return true;
    }
    return false;
}

static void decide_commit(void)
{
    if (is_fenced() || sim_fault(sim.set.rates.abort * 4)) {
        txn.aborting = true;
        txn.ending = false;
        return;
    }
    txn.decided = true;
    for (size_t i = 0; i < txn.position_count; i++)
        sim.partitions[txn.positions[i].partition].committed = txn.positions[i].offset;
    sim_changelog_committed();
    for (size_t i = 0; i < txn.position_count && sim.set.has_changelog; i++)
        sim_state_committed(txn.positions[i].partition, txn.positions[i].offset);
    for (uint32_t i = 0; i < txn.count; i++)
        sim_visible(txn.entries[i].payload, txn.entries[i].dead_letter, txn.entries[i].level);
}

void sim_transaction_orphaned(void)
{
    if (txn.ending && !txn.decided && sim_roll(2))
        decide_commit();
    clear_txn();
    sim_changelog_aborted();
}

static enum tide_transaction_result txn_result(struct tide_sink *sink, const char **text)
{
    *text = "simulated";
    if (txn.decided && (sim.calm || sim_roll(2))) {
        clear_txn();
        return TIDE_TRANSACTION_COMMITTED;
    }
    if (!txn.aborting || sink->ops->pending(sink) > 0 || (!sim.calm && sim_roll(2)))
        return TIDE_TRANSACTION_NO_RESULT;
    clear_txn();
    sim_changelog_aborted();
    sim_void();
    return TIDE_TRANSACTION_ABORTED;
}

static void txn_abort(struct tide_sink *sink)
{
    (void)sink;
    if (txn.decided)
        return; /* it is committed already */
    txn.aborting = true;
    txn.ending = false;
}

void sim_transaction_open(struct tide_sink_ops *ops)
{
    clear_txn();
    if (!sim.set.transactions)
        return;
    ops->commit = txn_commit;
    ops->transaction_result = txn_result;
    ops->abort = txn_abort;
}

void sim_transaction_act(void)
{
    if (txn.ending && !txn.decided && (sim.calm || sim_roll(4) == 0))
        decide_commit();
    else if (!txn.ending && sim_fault(sim.set.rates.abort))
        txn.aborting = true;
}
