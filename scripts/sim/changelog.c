/* SPDX-License-Identifier: MIT
 * Plays the changelogs of keyed state: the topics, what the engine writes to them within a transaction, what other members
 * of the group write while they have a partition, and the reader from which the engine restores partitions
 * (io/changelog.h). In exactly once the records are in the transaction of the results; else there is a sink of their own,
 * whose transactions have them and the positions (changelog_sink.c). What is right is states.c's. Start reading at
 * sim_changelog_committed for the way there, and at reader_poll for the way back. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "chain/changelog_record.h"
#include "chain/timers.h"
#include "keyed.h"
#include "store/store.h"

enum { MAX_OPEN = 4096, MAX_RECORDS = 4096, MAX_POLLED = 64 };

struct record {
    char key[16], value[96];
    uint32_t key_length, value_length;
    int64_t offset;
};

/** One partition of the topic of one state: what is committed. */
struct log {
    struct record records[MAX_RECORDS];
    uint32_t count;
    int64_t end; /* of all records, also of those that are not committed or were aborted */
};

static struct changelog {
    struct log logs[MAX_STATES][MAX_PARTITIONS];
    struct open {
        struct record record;
        struct tide_origin origin;
        uint32_t state, partition;
        bool due, reported;
    } open[MAX_OPEN]; /* sent in the open transaction */
    uint32_t open_count;
    struct part {
        bool reads, ended;
        int64_t next;
    } parts[MAX_STATES][MAX_PARTITIONS];
    uint32_t polls;
    struct tide_text text;
} changelog;

/* ---- the model ---- */

static struct record *last_of(struct log *log, const char *key, uint32_t length)
{
    for (uint32_t i = log->count; i-- > 0;) {
        struct record *record = &log->records[i];
        if (record->key_length == length && memcmp(record->key, key, length) == 0)
            return record;
    }
    return NULL;
}

static void append(struct log *log, const struct record *record)
{
    if (log->count == MAX_RECORDS)
        sim_fail("a changelog has too many records");
    log->records[log->count++] = *record;
    if (record->offset >= log->end)
        log->end = record->offset + 1;
}

/* The last one of the key; its kind is TIDE_STATE_NONE where there is none. */
static struct tide_store_value value_in(uint32_t state, uint32_t partition, const char *key,
                                        uint32_t length)
{
    const struct record *record = last_of(&changelog.logs[state][partition], key, length);
    struct tide_store_value value = {.kind = TIDE_STATE_NONE};
    int64_t offset;
    if (record && !tide_changelog_parse(record->value, record->value_length, &value, &offset,
                                        &changelog.text))
        sim_fail("a record of a changelog is not what was written");
    return value;
}

struct sim_value sim_changelog_value(uint32_t state, uint32_t partition, uint32_t key)
{
    struct tide_store_value value = value_in(state, partition, sim_key_text(key), 1);
    return sim_state_parse(state, value.kind, value.bytes, value.length);
}

int64_t sim_changelog_newest(uint32_t partition)
{
    struct tide_store_value value = value_in(0, partition, TIDE_TIMERS_KEY, TIDE_TIMERS_KEY_LENGTH);
    double newest = 0;
    if (value.kind == TIDE_STATE_NONE)
        return INT64_MIN;
    if (value.kind != TIDE_STATE_NUMBER || value.length != sizeof(newest))
        sim_fail("the newest time of a partition is no number");
    memcpy(&newest, value.bytes, sizeof(newest));
    return (int64_t)newest;
}

static void write_other(struct log *log, const char *key, uint32_t length,
                        const struct tide_store_value *value, int64_t offset)
{
    struct record record = {.key_length = length, .offset = log->end};
    memcpy(record.key, key, length);
    tide_changelog_write(&changelog.text, value, offset);
    record.value_length = (uint32_t)changelog.text.length;
    memcpy(record.value, changelog.text.data, record.value_length);
    append(log, &record);
}

void sim_changelog_other(uint32_t state, uint32_t partition, uint32_t key,
                         const struct sim_value *value, int64_t offset)
{
    char bytes[SIM_VALUE_MOST];
    struct tide_store_value written = {.bytes = bytes};
    written.length = sim_state_text(state, value, bytes, &written.kind);
    write_other(&changelog.logs[state][partition], sim_key_text(key), 1, &written, offset);
}

void sim_changelog_other_newest(uint32_t partition, int64_t newest, int64_t offset)
{
    double number = (double)newest;
    struct tide_store_value written = {0, TIDE_STATE_NUMBER, sizeof(number), (const char *)&number};
    write_other(&changelog.logs[0][partition], TIDE_TIMERS_KEY, TIDE_TIMERS_KEY_LENGTH, &written,
                offset);
}

void sim_changelog_committed(void)
{
    for (uint32_t i = 0; i < changelog.open_count; i++) {
        const struct open *open = &changelog.open[i];
        append(&changelog.logs[open->state][open->partition], &open->record);
    }
    changelog.open_count = 0;
}

void sim_changelog_aborted(void)
{
    changelog.open_count = 0; /* their offsets stay used */
}

/* ---- what the engine writes ---- */

bool sim_changelog_send(const struct tide_message *message)
{
    uint32_t state = message->origin.sequence >> 16, number = (uint32_t)message->target_partition;
    struct open *open = &changelog.open[changelog.open_count];
    if (changelog.open_count == MAX_OPEN)
        sim_fail("a transaction has too many records of changelogs");
    if (state >= sim.set.steps[0].state_count || number >= sim.set.partitions ||
        message->key_length > sizeof(open->record.key) ||
        message->value_length > sizeof(open->record.value))
        sim_fail("a record of no changelog is sent");
    if (sim_fault(sim.set.rates.partial))
        return false;
    *open = (struct open){
        .record = {.key_length = message->key_length, .value_length = message->value_length},
        .origin = message->origin,
        .state = state,
        .partition = number};
    memcpy(open->record.key, message->key, message->key_length);
    memcpy(open->record.value, message->value, message->value_length);
    open->record.offset = changelog.logs[state][number].end++;
    changelog.open_count++;
    return true;
}

size_t sim_changelog_reports(struct tide_report *reports, size_t max, bool aborting)
{
    size_t count = 0;
    for (uint32_t i = 0; i < changelog.open_count && count < max; i++) {
        struct open *open = &changelog.open[i];
        if (!open->due || open->reported)
            continue;
        open->reported = true;
        bool aborted = aborting && sim_roll(2);
        reports[count++] = (struct tide_report){.origin = open->origin,
                                                .kind = aborted ? TIDE_REPORT_ABORTED
                                                                : TIDE_REPORT_DELIVERED,
                                                .offset = open->record.offset};
    }
    return count;
}

size_t sim_changelog_pending(void)
{
    size_t pending = 0;
    for (uint32_t i = 0; i < changelog.open_count; i++)
        pending += !changelog.open[i].reported;
    return pending;
}

void sim_changelog_act(void)
{
    for (uint32_t i = 0; i < changelog.open_count; i++)
        changelog.open[i].due |= sim.calm || sim_roll(3) == 0;
}

/* ---- the reader ---- */

static int reader_start(struct tide_changelog *reader)
{
    (void)reader;
    return TIDE_OK;
}

static int reader_ready(struct tide_changelog *reader)
{
    (void)reader;
    return 1;
}

static int reader_read(struct tide_changelog *reader, uint32_t state, uint32_t index,
                       int32_t partition, int64_t offset)
{
    (void)reader;
    if (index != (uint32_t)partition || offset > changelog.logs[state][index].end)
        sim_fail("partition %u of a changelog is to be read from offset %lld on, which is behind "
                 "its end",
                 index, (long long)offset);
    changelog.parts[state][index] = (struct part){.reads = true, .next = offset < 0 ? 0 : offset};
    return TIDE_OK;
}

static void reader_stop(struct tide_changelog *reader, uint32_t index)
{
    (void)reader;
    for (uint32_t state = 0; state < MAX_STATES; state++)
        changelog.parts[state][index] = (struct part){.reads = false};
}

static bool reader_busy(struct tide_changelog *reader)
{
    bool busy = false;
    (void)reader;
    for (uint32_t state = 0; state < MAX_STATES; state++)
        for (uint32_t i = 0; i < MAX_PARTITIONS; i++)
            busy |= changelog.parts[state][i].reads || changelog.parts[state][i].ended;
    return busy;
}

/* A transaction that is open may still be committed, so its end is waited for. */
static bool is_at_end(uint32_t state, uint32_t index)
{
    for (uint32_t i = 0; i < changelog.open_count; i++)
        if (changelog.open[i].state == state && changelog.open[i].partition == index)
            return false;
    return true;
}

/* A record that a later one of its key has made useless may be gone by compaction. */
static bool is_compacted(struct log *log, const struct record *record)
{
    return last_of(log, record->key, record->key_length) != record && sim_roll(3) == 0;
}

static size_t read_part(uint32_t state, uint32_t index, struct tide_message *records, size_t max)
{
    struct part *part = &changelog.parts[state][index];
    struct log *log = &changelog.logs[state][index];
    size_t count = 0, most = sim.calm ? max : 1 + sim_roll(8);
    uint32_t i = 0;
    for (; i < log->count && count < max && count < most; i++) {
        const struct record *record = &log->records[i];
        if (record->offset < part->next)
            continue;
        part->next = record->offset + 1;
        if (is_compacted(log, record))
            continue;
        records[count++] = (struct tide_message){
            .key = record->key,
            .value = record->value,
            .key_length = record->key_length,
            .value_length = record->value_length,
            .offset = record->offset,
            .partition = (int32_t)index,
            .origin = {.sequence = state, .partition = (uint16_t)index},
        };
    }
    if (i == log->count && is_at_end(state, index) && (sim.calm || sim_roll(2)))
        *part = (struct part){.ended = true};
    return count;
}

static ssize_t reader_poll(struct tide_changelog *reader, struct tide_message *records, size_t max)
{
    size_t count = 0;
    uint32_t first = sim_roll(MAX_PARTITIONS);
    (void)reader;
    if (!sim.calm && sim_roll(2))
        return 0;
    for (uint32_t i = 0; i < MAX_PARTITIONS * MAX_STATES && count < max; i++) {
        uint32_t state = i / MAX_PARTITIONS, index = (first + i) % MAX_PARTITIONS;
        if (changelog.parts[state][index].reads)
            count += read_part(state, index, &records[count], max - count);
    }
    return (ssize_t)count;
}

static bool reader_ended(struct tide_changelog *reader, uint32_t *index)
{
    for (uint32_t i = 0; i < MAX_PARTITIONS; i++) {
        bool ended = false, reads = false;
        for (uint32_t state = 0; state < MAX_STATES; state++) {
            ended |= changelog.parts[state][i].ended;
            reads |= changelog.parts[state][i].reads;
        }
        if (!ended || reads)
            continue;
        reader_stop(reader, i);
        *index = i;
        return true;
    }
    return false;
}

static int64_t reader_left(struct tide_changelog *reader)
{
    (void)reader;
    return 0;
}

static void reader_free(struct tide_changelog *reader)
{
    (void)reader;
}

void sim_changelog_open(void)
{
    memset(changelog.logs, 0, sizeof(changelog.logs));
}

struct tide_changelog *sim_changelog_reader(void)
{
    static const struct tide_changelog_ops ops = {.start = reader_start,
                                                  .ready = reader_ready,
                                                  .read = reader_read,
                                                  .stop = reader_stop,
                                                  .busy = reader_busy,
                                                  .poll = reader_poll,
                                                  .ended = reader_ended,
                                                  .left = reader_left,
                                                  .free = reader_free};
    static struct tide_changelog reader = {&ops};
    changelog.open_count = 0;
    memset(changelog.parts, 0, sizeof(changelog.parts));
    return &reader;
}
