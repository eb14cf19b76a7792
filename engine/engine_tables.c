/* SPDX-License-Identifier: MIT
 * The tables of a pipeline (tide.table): their topics are read here into the shared memory that workers see (table/table.h). The
 * start waits until all are ready, then each turn takes what has come, and finds out what was replaced and is read by nobody
 * any more: of these tables, and of lookup tables, which the zygote has. Start reading at tide_engine_tables_poll. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/lane_key.h"
#include "engine_inside.h"
#include "kafka/tail.h"
#include "shm/counters.h"
#include "table/table.h"
#include "json/json.h"

/* Messages of a topic in a turn: many while nothing else is to be done. */
enum {
    MOST_AT_START = 20000,
    MOST = 1000,
    SECOND_US = 1000000,
    PROGRESS_US = 10000000,
    FULL_US = 60000000, /* of rows that jobs may still read, before it is logged */
    SHOWN = 60
};

struct tide_engine_table {
    char *name;
    struct tide_tail *tail;     /* NULL: its rows are given (tide_engine_table_row) */
    struct tide_lane_key *path; /* of the key within the message's key; NULL = all of it */
    struct tide_json *json;     /* of a value that is checked; NULL = values are any bytes */
    int64_t wait_us;            /* how long the start waits for it; 0 = for ever */
    bool ready;
    uint64_t read;    /* messages */
    uint64_t invalid; /* that make no row, or one that cannot be read */
    int64_t told_us;  /* when an invalid one was logged last */
    int64_t full_us;  /* since when its memory is full of rows that jobs may read; 0 = it is not */
    bool full_told;   /* ... and that was logged */
};

struct tide_engine_tables {
    struct tide_tables *memory;
    struct tide_engine_table *items;
    uint32_t count;
    int64_t started_us;
    int64_t told_us; /* that they are read, when last */
    int64_t second_us;
    bool all_ready;
};

static int build_table(struct tide_engine *engine, struct tide_engine_table *table,
                       const struct tide_table_plan *plan)
{
    char reader[128];
    int number = tide_tables_add(engine->tables->memory, plan->name, plan->max_bytes);
    if (number < 0)
        return number;
    snprintf(reader, sizeof(reader), "table \"%.100s\"", plan->name);
    *table = (struct tide_engine_table){.name = tide_copy(plan->name), .wait_us = plan->wait_us};
    if (plan->key_path)
        table->path = tide_lane_key_new(TIDE_BY_JSON, plan->key_path);
    if (plan->json)
        table->json = tide_json_new();
    if (plan->topic)
        table->tail = tide_tail_new(reader, plan->topic, engine->plan.source.timeout_us,
                                    engine->loop);
    return plan->topic && !table->tail ? tide_failure() : TIDE_OK;
}

int tide_engine_tables_build(struct tide_engine *engine, const struct tide_plan *plan)
{
    struct tide_engine_tables *tables;
    int status = TIDE_OK;
    if (plan->table_count == 0)
        return TIDE_OK;
    engine->tables = tables = tide_alloc(sizeof(*tables));
    tables->memory = tide_tables_new();
    if (!tables->memory)
        return tide_failure();
    tables->items = tide_alloc(plan->table_count * sizeof(*tables->items));
    for (uint32_t i = 0; i < plan->table_count && status == TIDE_OK; i++) {
        tables->count++;
        status = build_table(engine, &tables->items[i], &plan->tables[i]);
    }
    return status;
}

void tide_engine_tables_connect(struct tide_engine *engine,
                                const struct tide_connection *connection)
{
    for (uint32_t i = 0; engine->tables && i < engine->tables->count; i++)
        if (engine->tables->items[i].tail)
            tide_tail_connect(engine->tables->items[i].tail, connection->tables,
                              connection->table_count);
}

int tide_engine_tables_try(struct tide_engine *engine)
{
    int status = TIDE_OK;
    for (uint32_t i = 0; engine->tables && i < engine->tables->count && status == TIDE_OK; i++)
        if (engine->tables->items[i].tail)
            status = tide_tail_try(engine->tables->items[i].tail);
    return status;
}

int tide_engine_tables_start(struct tide_engine *engine)
{
    int status = TIDE_OK;
    if (!engine->tables)
        return TIDE_OK;
    engine->tables->started_us = engine->tables->told_us = tide_clock_us();
    for (uint32_t i = 0; i < engine->tables->count && status == TIDE_OK; i++)
        if (engine->tables->items[i].tail)
            status = tide_tail_start(engine->tables->items[i].tail);
    return status;
}

/* ---- rows ---- */

/* It is logged once in ten seconds; the metric has all of them. */
static void tell_invalid(struct tide_engine *engine, struct tide_engine_table *table,
                         const struct tide_tail_message *message, const char *what)
{
    int64_t now_us = tide_clock_us();
    table->invalid++;
    tide_count(engine->chain.counters, 0, TIDE_M_TABLE_INVALID, 1);
    if (table->told_us > 0 && now_us - table->told_us < PROGRESS_US)
        return;
    table->told_us = now_us;
    tide_log(TIDE_LOG_WARN, "table \"%s\": partition %d offset %lld: %s", table->name,
             message->partition, (long long)message->offset, what);
}

/* The key of the row: that of the message, or what is in it at a path. False: it has none. */
static bool find_key(struct tide_engine_table *table, const struct tide_tail_message *message,
                     const char **key, uint64_t *size)
{
    struct tide_message whole = {.value = message->key,
                                 .value_length = (uint32_t)message->key_size};
    uint32_t length;
    *key = message->key;
    *size = message->key_size;
    if (!message->key || !table->path)
        return message->key != NULL;
    if (!tide_lane_key_read(table->path, &whole, key, &length))
        return false;
    *size = length;
    return true;
}

/* A value that is no JSON is a row all the same: who reads it gets an error, and no older value. */
static int put(struct tide_engine *engine, uint32_t number, const struct tide_tail_message *message)
{
    struct tide_engine_table *table = &engine->tables->items[number];
    const char *key;
    uint64_t size;
    char text[300];
    if (!find_key(table, message, &key, &size)) {
        tell_invalid(engine, table, message,
                     message->key ? "the key has no member as option \"key\" says; it is left out"
                                  : "the message has no key; it is left out");
        return TIDE_OK;
    }
    int status = tide_table_put(engine->tables->memory, number, key, size, message->value,
                                message->size);
    if (status != TIDE_OK || !table->json || !message->value)
        return status;
    if (message->size > INT32_MAX ||
        tide_json_open(table->json, message->value, (int32_t)message->size) < 0) {
        snprintf(text, sizeof(text),
                 "the value is not JSON: %.200s; what reads this row is rejected", tide_error());
        tell_invalid(engine, table, message, text);
    }
    tide_json_reset(table->json);
    return TIDE_OK;
}

int tide_engine_table_row(struct tide_engine *engine, uint32_t number, const char *key,
                          size_t key_size, const char *value, size_t size)
{
    struct tide_tail_message message = {.key = key,
                                        .value = value,
                                        .key_size = key_size,
                                        .size = size,
                                        .partition = 0,
                                        .offset = (int64_t)engine->tables->items[number].read++};
    int status = put(engine, number, &message);
    tide_tables_publish(engine->tables->memory);
    return status;
}

/* ---- what is read by nobody ---- */

static int64_t since_us(const struct tide_engine *engine, const struct tide_zygote *of)
{
    int64_t least_us = INT64_MAX;
    for (uint32_t i = 0; i < engine->pool_count; i++) {
        int64_t pool_us = tide_pool_since_us(engine->pools[i], of);
        least_us = pool_us < least_us ? pool_us : least_us;
    }
    return least_us;
}

static void collect(struct tide_engine *engine)
{
    struct tide_tables *memory = engine->tables->memory;
    if (tide_tables_keeps(memory))
        tide_tables_collect(memory, since_us(engine, NULL));
}

void tide_engine_lookups_poll(struct tide_engine *engine)
{
    struct tide_zygote *zygotes[] = {engine->zygote, tide_engine_reload_zygote(engine)};
    for (size_t i = 0; i < 2; i++) {
        if (zygotes[i] && tide_zygote_keeps_lookups(zygotes[i]))
            tide_zygote_unused_lookups(zygotes[i], since_us(engine, zygotes[i]));
    }
}

static void tell_full(struct tide_engine_table *table)
{
    int64_t now_us = tide_clock_us();
    if (table->full_us == 0)
        table->full_us = now_us;
    if (table->full_told || now_us - table->full_us < FULL_US)
        return;
    table->full_told = true;
    tide_log(TIDE_LOG_WARN,
             "table \"%s\": its memory is full of rows that a batch may still read which has been "
             "run for more than %d s; its topic is not read before that has ended",
             table->name, FULL_US / 1000000);
}

/* ---- topics ---- */

/* Takes what has come, up to a limit. 1 = there may be more. Where memory is full of rows that workers may still read, the
 * message waits. */
static int read_topic(struct tide_engine *engine, uint32_t number, uint32_t most)
{
    struct tide_engine_table *table = &engine->tables->items[number];
    struct tide_tail_message message;
    uint32_t count = 0;
    int status = 0;
    while (count < most && (status = tide_tail_next(table->tail, &message)) == 1) {
        status = put(engine, number, &message);
        if (status == TIDE_BUSY) {
            tide_tables_publish(engine->tables->memory);
            collect(engine);
            status = put(engine, number, &message);
        }
        if (status == TIDE_BUSY)
            tell_full(table);
        if (status != TIDE_OK)
            break;
        table->full_us = 0;
        table->full_told = false;
        tide_tail_take(table->tail);
        count++;
    }
    table->read += count;
    tide_count(engine->chain.counters, 0, TIDE_M_TABLE_READ, count);
    engine->chain.progress |= count > 0;
    return status < 0 ? status : TIDE_OK;
}

static void observe(struct tide_engine *engine)
{
    struct tide_engine_tables *tables = engine->tables;
    struct tide_counters *counters = engine->chain.counters;
    struct tide_engine_table_view view;
    double rows = 0, bytes = 0, lag = 0;
    for (uint32_t i = 0; tide_engine_table(engine, i, &view); i++) {
        rows += (double)view.rows;
        bytes += (double)view.bytes;
        lag += view.lag > 0 ? (double)view.lag : 0;
    }
    tide_observe(counters, 0, TIDE_M_TABLE_ROWS, rows);
    tide_observe(counters, 0, TIDE_M_TABLE_BYTES, bytes);
    tide_observe(counters, 0, TIDE_M_TABLE_LAG, lag);
    for (uint32_t i = 0; i < tables->count; i++)
        if (tables->items[i].tail)
            tide_tail_second(tables->items[i].tail, tide_clock_us());
}

static void table_is_ready(struct tide_engine *engine, uint32_t number, int64_t now_us)
{
    struct tide_engine_table *table = &engine->tables->items[number];
    struct tide_engine_table_view view;
    double seconds = (double)(now_us - engine->tables->started_us) / 1e6;
    table->ready = true;
    if (!table->tail)
        return;
    tide_observe(engine->chain.counters, 0, TIDE_M_TABLE_TIME, seconds);
    tide_engine_table(engine, number, &view);
    tide_log(TIDE_LOG_INFO, "table \"%s\": %llu rows, %.1f MiB, read in %.2f s", table->name,
             (unsigned long long)view.rows, (double)view.bytes / 1048576, seconds);
}

/* At the start: which tables have caught up, or were waited for long enough. */
static void look_who_is_ready(struct tide_engine *engine, int64_t now_us)
{
    struct tide_engine_tables *tables = engine->tables;
    bool all = true, tell = now_us - tables->told_us >= PROGRESS_US;
    for (uint32_t i = 0; i < tables->count; i++) {
        struct tide_engine_table *table = &tables->items[i];
        if (table->ready)
            continue;
        if (!table->tail || tide_tail_caught_up(table->tail)) {
            table_is_ready(engine, i, now_us);
        } else if (table->wait_us > 0 && now_us - tables->started_us >= table->wait_us) {
            tide_log(
                TIDE_LOG_WARN,
                "table \"%s\": is not complete after wait = %.3g s: messages are read, and find "
                "the rows that are there by then",
                table->name, (double)table->wait_us / 1e6);
            table->ready = true;
        } else if (tell && tide_tail_lag(table->tail) >= 0) {
            tide_log(TIDE_LOG_INFO, "table \"%s\": %llu messages read, %lld to come", table->name,
                     (unsigned long long)table->read, (long long)tide_tail_lag(table->tail));
        }
        all = all && table->ready;
    }
    if (tell)
        tables->told_us = now_us;
    tables->all_ready = all;
    if (all)
        tables->second_us = now_us; /* the metrics of a short run have them, too */
}

int tide_engine_tables_poll(struct tide_engine *engine, int64_t now_us)
{
    struct tide_engine_tables *tables = engine->tables;
    int status = TIDE_OK;
    if (!tables)
        return TIDE_OK;
    tide_tables_turn(tables->memory, now_us);
    collect(engine);
    for (uint32_t i = 0; i < tables->count && status == TIDE_OK; i++)
        if (tables->items[i].tail)
            status = read_topic(engine, i, tables->all_ready ? MOST : MOST_AT_START);
    tide_tables_publish(tables->memory);
    if (status == TIDE_OK && !tables->all_ready)
        look_who_is_ready(engine, now_us);
    if (now_us >= tables->second_us) {
        tables->second_us = now_us + SECOND_US;
        observe(engine);
    }
    return status;
}

bool tide_engine_tables_ready(const struct tide_engine *engine)
{
    return !engine->tables || engine->tables->all_ready;
}

/* ---- what others look at ---- */

struct tide_tables *tide_engine_tables(const struct tide_engine *engine)
{
    return engine->tables ? engine->tables->memory : NULL;
}

bool tide_engine_table(const struct tide_engine *engine, uint32_t number,
                       struct tide_engine_table_view *view)
{
    struct tide_table_view memory;
    if (!engine->tables || number >= engine->tables->count)
        return false;
    const struct tide_engine_table *table = &engine->tables->items[number];
    tide_table_view(engine->tables->memory, number, &memory);
    *view = (struct tide_engine_table_view){.rows = memory.rows,
                                            .bytes = memory.memory,
                                            .read = table->read,
                                            .invalid = table->invalid,
                                            .lag = table->tail ? tide_tail_lag(table->tail) : 0,
                                            .ready = table->ready};
    snprintf(view->name, sizeof(view->name), "%s", table->name);
    return true;
}

void tide_engine_tables_free(struct tide_engine *engine)
{
    struct tide_engine_tables *tables = engine->tables;
    for (uint32_t i = 0; tables && tables->items && i < tables->count; i++) {
        struct tide_engine_table *table = &tables->items[i];
        tide_tail_free(table->tail);
        tide_lane_key_free(table->path);
        tide_json_free(table->json);
        free(table->name);
    }
    if (tables) {
        tide_tables_free(tables->memory);
        free(tables->items);
    }
    free(tables);
    engine->tables = NULL;
}
