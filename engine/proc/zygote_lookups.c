/* SPDX-License-Identifier: MIT
 * What the zygote tells the engine of lookup tables: it is logged, counted, and kept to be shown. It is the word of a process
 * that has run user code, so nothing is decided by it but what that process hears itself (which memory of its own nobody
 * reads), and what comes too often is refused. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/inside.h"
#include "proc/zygote.h"

enum {
    MOST_AT_ONCE = 64,
    MOST_A_SECOND = 64
}; /* reports: each table has at most two looks a second */

/* Text of the zygote, as it can be shown. */
static void copy_clean(char *to, const char *from)
{
    for (size_t left = strlen(from); left > 0;) {
        size_t length = tide_utf8_length(from, left), step = length > 0 ? length : 1;
        bool shown = length > 0 && (unsigned char)*from >= ' ' && *from != 127;
        memcpy(to, shown ? from : "?", shown ? step : 1);
        to += shown ? step : 1;
        from += step;
        left -= step;
    }
    *to = 0;
}

static void count(struct tide_zygote *zygote, struct tide_lookup_view *view,
                  const struct tide_lookup_report *report)
{
    struct tide_lookup_totals *totals = &zygote->lookup_totals;
    totals->rows += report->rows - view->rows;
    totals->bytes += report->bytes - view->bytes;
    totals->time_us += report->time_us;
    totals->reads++;
    view->rows = report->rows;
    view->bytes = report->bytes;
    view->time_us = report->time_us;
    view->read_ms = tide_clock_wall_ms();
    view->reads++;
    view->problem[0] = 0;
}

static void tell_failure(struct tide_zygote *zygote, struct tide_lookup_view *view,
                         const struct tide_lookup_report *report)
{
    zygote->lookup_totals.errors++;
    view->errors++;
    copy_clean(view->problem, report->problem);
    tide_log(TIDE_LOG_ERROR, "lookup table: %s; the %llu rows that were read before stay",
             view->problem, (unsigned long long)view->rows);
}

bool tide_zygote_take_lookup(struct tide_zygote *zygote, const struct tide_zygote_event *event)
{
    _Static_assert(sizeof(struct tide_lookup_report) < sizeof(event->text), "a report fits");
    struct tide_lookup_report report;
    memcpy(&report, event->text, sizeof(report));
    report.name[sizeof(report.name) - 1] = report.problem[sizeof(report.problem) - 1] = 0;
    int64_t most = (tide_clock_us() - zygote->forked_us) / 1000000 * MOST_A_SECOND + MOST_AT_ONCE;
    uint64_t received = zygote->lookup_totals.reads + zygote->lookup_totals.errors;
    if (report.table >= TIDE_LOOKUP_TABLES || report.name[0] == 0 ||
        (report.state != TIDE_LOOKUP_READ && report.state != TIDE_LOOKUP_FAILED) ||
        report.time_us < 0 || received > (uint64_t)most)
        return false;
    struct tide_lookup_view *view = &zygote->views[report.table];
    copy_clean(view->name, report.name);
    if (report.state == TIDE_LOOKUP_FAILED) {
        tell_failure(zygote, view, &report);
        return true;
    }
    count(zygote, view, &report);
    if (report.version > 1) {
        zygote->replaced[report.table].since_us = tide_clock_us();
        zygote->replaced[report.table].version = report.version;
    }
    tide_log(TIDE_LOG_INFO, "lookup table: %s: %llu rows, %.1f MiB, read in %.2f s", view->name,
             (unsigned long long)view->rows, (double)view->bytes / 1048576,
             (double)view->time_us / 1e6);
    return true;
}

bool tide_zygote_keeps_lookups(const struct tide_zygote *zygote)
{
    for (uint32_t i = 0; i < TIDE_LOOKUP_TABLES; i++) {
        if (zygote->replaced[i].since_us > 0)
            return true;
    }
    return false;
}

bool tide_zygote_lookup(const struct tide_zygote *zygote, uint32_t index,
                        struct tide_lookup_view *view)
{
    if (index >= TIDE_LOOKUP_TABLES || zygote->views[index].name[0] == 0)
        return false;
    *view = zygote->views[index];
    return true;
}

void tide_zygote_lookup_totals(const struct tide_zygote *zygote, struct tide_lookup_totals *totals)
{
    *totals = zygote->lookup_totals;
}
