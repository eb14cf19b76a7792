/* SPDX-License-Identifier: MIT
 * Reading the files of lookup tables: when they are declared, and again when they have changed. It all happens in the zygote,
 * which has one thread and waits for commands, so a builder does the reading, one at a time. A file that was changed is left
 * alone until two looks have found it the same, as it may be half written. Start with tide_lookups_turn(). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/status.h"
#include "lookup/inside.h"

enum { TRIES = 5 }; /* at the start, for a file that is changed while it is read */

static bool is_same(const struct tide_lookup_file *one, const struct tide_lookup_file *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

/* The builder inherits the zygote's handlers, which would tell the engine that the zygote has crashed. */
static _Noreturn void build(struct tide_lookups *lookups, uint32_t table, int32_t parent)
{
    static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,
                                  SIGABRT, SIGTRAP, SIGXCPU, SIGSYS};
    struct tide_lookups_control *control = lookups->control;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        signal(signals[i], SIG_DFL);
    if (getppid() == parent)
        tide_lookup_build_file(&lookups->tables[table].source, tide_lookups_other(lookups, table),
                               TIDE_LOOKUP_ROOM, &control->file, &control->report);
    _exit(0);
}

static int start_builder(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookups_control *control = lookups->control;
    int32_t parent = getpid();
    memset(&control->report, 0, sizeof(control->report));
    memset(&control->file, 0, sizeof(control->file));
    control->report.table = table;
    snprintf(control->report.name, sizeof(control->report.name), "%s",
             lookups->tables[table].source.name);
    int32_t pid = tide_fault("lookup.fork") ? -1 : fork();
    if (pid == 0)
        build(lookups, table, parent);
    if (pid < 0)
        return tide_fail(TIDE_ECONFIG, "%s: no process to read it: %s", control->report.name,
                         strerror(errno));
    lookups->builder = pid;
    lookups->building = table;
    return TIDE_OK;
}

/* The builder has ended: what it read is current, or its memory is given back. */
static void take_result(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookups_control *control = lookups->control;
    struct tide_lookup_entry *entry = &lookups->tables[table];
    lookups->builder = 0;
    if (control->report.state == TIDE_LOOKUP_EMPTY) {
        control->report.state = TIDE_LOOKUP_FAILED;
        snprintf(
            control->report.problem, sizeof(control->report.problem),
            "%s: the process that reads it died; was the file cut meanwhile, or is the machine "
            "out of memory?",
            entry->source.name);
        control->file = entry->seen;
    }
    if (control->report.state == TIDE_LOOKUP_READ)
        control->report.version = tide_lookups_swap(lookups, table);
    else
        tide_lookups_empty_other(lookups, table);
    if (control->report.state == TIDE_LOOKUP_CHANGED)
        return;
    entry->read = control->file;
    lookups->reports[table] = control->report;
}

int tide_lookups_load(struct tide_lookups *lookups, const struct tide_lookup_source *source)
{
    int number = tide_lookups_add(lookups, source);
    if (number < 0)
        return number;
    uint32_t table = (uint32_t)number;
    struct tide_lookup_entry *entry = &lookups->tables[table];
    for (int i = 0; i < TRIES && lookups->reports[table].state == TIDE_LOOKUP_EMPTY; i++) {
        if (tide_lookup_look(&entry->source, &entry->seen) < 0 || start_builder(lookups, table) < 0)
            return TIDE_ECONFIG;
        while (waitpid(lookups->builder, NULL, 0) < 0 && errno == EINTR)
            continue;
        take_result(lookups, table);
    }
    if (lookups->reports[table].state == TIDE_LOOKUP_READ)
        return number;
    if (lookups->reports[table].state == TIDE_LOOKUP_EMPTY)
        return tide_fail(TIDE_ECONFIG, "%s: is changed while it is read", entry->source.name);
    return tide_fail(TIDE_ECONFIG, "%s", lookups->reports[table].problem);
}

bool tide_lookups_report(struct tide_lookups *lookups, struct tide_lookup_report *report)
{
    for (uint32_t i = 0; i < lookups->count; i++) {
        if (lookups->reports[i].state != TIDE_LOOKUP_EMPTY) {
            *report = lookups->reports[i];
            lookups->reports[i].state = TIDE_LOOKUP_EMPTY;
            return true;
        }
    }
    return false;
}

static void report_failure(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookup_report *report = &lookups->reports[table];
    memset(report, 0, sizeof(*report));
    report->table = table;
    report->state = TIDE_LOOKUP_FAILED;
    snprintf(report->name, sizeof(report->name), "%s", lookups->tables[table].source.name);
    snprintf(report->problem, sizeof(report->problem), "%s", tide_error());
}

/* A file is to be read, and there is no room for its version: a worker has been in one job for so long. */
static void wait_for_room(struct tide_lookups *lookups, uint32_t table, int64_t now_us)
{
    struct tide_lookup_entry *entry = &lookups->tables[table];
    if (entry->held_us == 0)
        entry->held_us = now_us;
    if (entry->held || now_us - entry->held_us < TIDE_LOOKUP_HELD_MS * 1000LL)
        return;
    entry->held = true;
    tide_fail(TIDE_ETEMPORARY,
              "%s: has changed again, and is not read before a batch has ended that has been run "
              "for more than %d s, with rows from before the last change",
              entry->source.name, TIDE_LOOKUP_HELD_MS / 1000);
    report_failure(lookups, table);
}

/* Returns whether the table's file is to be read: it is another one than was read, and no longer changing. */
static bool look(struct tide_lookups *lookups, uint32_t table)
{
    struct tide_lookup_entry *entry = &lookups->tables[table];
    struct tide_lookup_file now;
    if (tide_lookup_look(&entry->source, &now) < 0) {
        if (!entry->gone)
            report_failure(lookups, table);
        entry->gone = true;
        return false;
    }
    bool settled = is_same(&now, &entry->seen);
    entry->gone = false;
    entry->seen = now;
    return settled && !is_same(&now, &entry->read);
}

/* The child may have been reaped by proc/family.c, which reaps every child: then there is none of this number. */
static bool has_builder_ended(const struct tide_lookups *lookups)
{
    pid_t pid = waitpid(lookups->builder, NULL, WNOHANG);
    return pid == lookups->builder || (pid < 0 && errno == ECHILD);
}

void tide_lookups_turn(struct tide_lookups *lookups, int64_t now_us)
{
    if (lookups->builder != 0 && has_builder_ended(lookups))
        take_result(lookups, lookups->building);
    if (now_us < lookups->next_look_us)
        return;
    lookups->next_look_us = now_us + TIDE_LOOKUP_LOOK_MS * 1000LL;
    for (uint32_t i = 0; i < lookups->count; i++) {
        bool wanted = look(lookups, i);
        if (wanted && lookups->tables[i].kept)
            wait_for_room(lookups, i, now_us);
        if (!wanted || lookups->builder != 0 || lookups->tables[i].kept)
            continue;
        lookups->tables[i].held_us = 0;
        lookups->tables[i].held = false;
        if (start_builder(lookups, i) < 0) {
            report_failure(lookups, i);
            lookups->tables[i].read = lookups->tables[i].seen;
        }
    }
}

int tide_lookups_wait_ms(const struct tide_lookups *lookups)
{
    return lookups->count > 0 ? TIDE_LOOKUP_LOOK_MS : -1;
}

int32_t tide_lookups_builder(const struct tide_lookups *lookups)
{
    return lookups->builder;
}
