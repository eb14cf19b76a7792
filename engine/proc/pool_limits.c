/* SPDX-License-Identifier: MIT
 * What the workers of a pool use up: messages, memory, log lines. A worker that has run enough messages, or has grown by too
 * much, is replaced without a pause. One slot more than the pool has processes is there for that: a successor starts in
 * it, with its `start` hooks, while the old worker goes on; once it is ready the two slots change their parts. The old worker
 * gets no more work, does what it was given, runs its `close` hooks and leaves, and its slot is the spare one from then on. So
 * no batch waits for a fork or a hook. Workers are replaced one at a time, so the limits are points to aim at: a pool of many
 * workers that reach theirs together goes a little beyond. Start with tide_pool_replace(). */
#include <stdio.h>

#include "base/log.h"
#include "proc/pool_inside.h"
#include "proc/zygote.h"

static const int64_t LOOK_US = 100000;    /* at the memory of a worker */
static const int64_t AGAIN_US = 10000000; /* after a successor that could not start */
enum { PAGE = 4096 };

bool tide_worker_limits_replace(const struct tide_worker_limits *limits)
{
    return limits->max_messages > 0 || limits->max_growth > 0;
}

static void count_in_all_rows(struct tide_pool *pool, enum tide_metric metric, uint64_t by)
{
    for (uint32_t i = 0; i < pool->row_count && by > 0; i++)
        tide_count(pool->counters, pool->rows[i], metric, by);
}

void tide_pool_read_log(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us,
                        enum tide_log_moment when)
{
    count_in_all_rows(pool, TIDE_M_WORKER_LOG_DROPPED,
                      tide_zygote_read_log(pool->zygote, slot->number, now_us, when));
}

/* ---- memory ---- */

/* Memory of its own that a process has in use, in bytes; 0 = unknown. Pages that it still shares with the zygote count, as
 * they did when it began. The number of a process that is gone may be another's: then a worker is replaced too early. */
static uint64_t memory_of(int32_t pid)
{
    unsigned long long resident = 0, shared = 0;
    char path[40];
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int got = fscanf(file, "%*u %llu %llu", &resident, &shared);
    fclose(file);
    return got == 2 && resident > shared ? (resident - shared) * PAGE : 0;
}

/* A quick worker is READY before its process is known, whose memory then cannot be looked at yet. */
bool tide_pool_is_measured(const struct tide_pool *pool, const struct tide_worker_slot *slot)
{
    return pool->limits.max_growth == 0 || slot->used_up.looked_us > 0;
}

/* What the `start` hooks took is no growth. */
static void look_at_memory(struct tide_pool *pool, struct tide_worker_slot *slot, int64_t now_us)
{
    bool first = slot->used_up.looked_us == 0;
    if (pool->limits.max_growth == 0 || slot->state != TIDE_WORKER_READY || slot->pid == 0 ||
        (!first && now_us - slot->used_up.looked_us < LOOK_US))
        return;
    uint64_t memory = memory_of(slot->pid);
    slot->used_up.looked_us = now_us;
    if (first)
        slot->used_up.memory = memory;
    slot->used_up.growth = memory > slot->used_up.memory ? memory - slot->used_up.memory : 0;
}

/* ---- replacing ---- */

static bool is_used_up(const struct tide_pool *pool, const struct tide_worker_slot *slot,
                       enum tide_metric *cause)
{
    const struct tide_worker_limits *limits = &pool->limits;
    bool messages = limits->max_messages > 0 && slot->used_up.messages >= limits->max_messages;
    bool growth = limits->max_growth > 0 && slot->used_up.growth >= limits->max_growth;
    *cause = messages ? TIDE_M_WORKER_REPLACED_MESSAGES : TIDE_M_WORKER_REPLACED_MEMORY;
    return slot->in_use && slot->state == TIDE_WORKER_READY && (messages || growth);
}

/* The one that has run most of those that are used up, so that each has its turn. */
static struct tide_worker_slot *find_used_up(struct tide_pool *pool, enum tide_metric *cause)
{
    struct tide_worker_slot *best = NULL;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        struct tide_worker_slot *slot = &pool->slots[i];
        enum tide_metric why;
        if (is_used_up(pool, slot, &why) &&
            (!best || slot->used_up.messages > best->used_up.messages)) {
            best = slot;
            *cause = why;
        }
    }
    return best;
}

static struct tide_worker_slot *find_spare(struct tide_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        if (!pool->slots[i].in_use && !pool->slots[i].coming &&
            pool->slots[i].state == TIDE_WORKER_NONE)
            return &pool->slots[i];
    }
    return NULL;
}

static void begin(struct tide_pool *pool, int64_t now_us)
{
    if (now_us < pool->replace.not_before_us)
        return;
    pool->replace.old = find_used_up(pool, &pool->replace.cause);
    pool->replace.successor = pool->replace.old ? find_spare(pool) : NULL;
    if (pool->replace.successor)
        pool->replace.successor->spawn_us = now_us;
}

/* The old worker has been lost meanwhile, or its slot put out of use? Then its place is not taken, and the successor
 * leaves. */
static void change_places(struct tide_pool *pool)
{
    struct tide_worker_slot *successor = pool->replace.successor, *old = pool->replace.old;
    pool->replace.successor = pool->replace.old = NULL;
    if (!old->in_use || old->state != TIDE_WORKER_READY)
        return;
    successor->in_use = true;
    successor->seat = old->seat;
    old->in_use = false;
    old->reserved = false;
    count_in_all_rows(pool, pool->replace.cause, 1);
    tide_log(
        TIDE_LOG_DEBUG,
        "worker %u takes the place of worker %u, which has run %llu messages and grown by %llu "
        "bytes",
        successor->number, old->number, (unsigned long long)old->used_up.messages,
        (unsigned long long)old->used_up.growth);
}

/* The old worker goes on, since it is all that there is. */
static void give_up(struct tide_pool *pool, int64_t now_us)
{
    struct tide_worker_slot *successor = pool->replace.successor;
    const char *failed = pool->workers.failed;
    tide_log(TIDE_LOG_WARN,
             "worker %u is not replaced yet: its successor died again and again before it was "
             "ready%s%s",
             pool->replace.old->number, failed ? ": " : "", failed ? failed : "");
    successor->deaths = 0;
    successor->lost_us = 0;
    pool->replace.successor = pool->replace.old = NULL;
    pool->replace.not_before_us = now_us + AGAIN_US;
}

void tide_pool_replace(struct tide_pool *pool, int64_t now_us)
{
    const struct tide_worker_slot *successor = pool->replace.successor;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        look_at_memory(pool, &pool->slots[i], now_us);
    if (!pool->replaces)
        return;
    if (!successor && !pool->next.zygote)
        begin(pool, now_us);
    else if (!successor)
        return; /* all are about to be replaced */
    else if (successor->state == TIDE_WORKER_READY)
        change_places(pool);
    else if (tide_worker_slot_cannot_start(successor))
        give_up(pool, now_us);
}
