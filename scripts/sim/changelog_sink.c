/* SPDX-License-Identifier: MIT
 * The sink of changelogs in at least once: its transactions have their records and the positions, and no results. */
#include "base/status.h"
#include "keyed.h"

static int sink_start(struct tide_sink *sink)
{
    (void)sink;
    return TIDE_OK;
}

static ssize_t sink_send(struct tide_sink *sink, const struct tide_message *messages, size_t count)
{
    size_t taken = 0;
    (void)sink;
    while (taken < count && !sim_transaction_busy() && sim_changelog_send(&messages[taken]))
        taken++;
    return (ssize_t)taken;
}

static ssize_t sink_reports(struct tide_sink *sink, struct tide_report *reports, size_t max)
{
    (void)sink;
    return (ssize_t)sim_changelog_reports(reports, max, sim_transaction_aborting());
}

static size_t sink_pending(struct tide_sink *sink)
{
    (void)sink;
    return sim_changelog_pending();
}

static void sink_free(struct tide_sink *sink)
{
    (void)sink;
}

struct tide_sink *sim_changelog_sink(void)
{
    static struct tide_sink_ops ops;
    static struct tide_sink sink = {.ops = &ops, .topic = TIDE_TOPIC_NONE};
    ops = (struct tide_sink_ops){.start = sink_start,
                                 .send = sink_send,
                                 .reports = sink_reports,
                                 .pending = sink_pending,
                                 .free = sink_free};
    sim_transaction_open(&ops);
    return &sink;
}
