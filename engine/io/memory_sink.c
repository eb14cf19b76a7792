/* SPDX-License-Identifier: MIT
 * A sink that keeps what it is sent in memory. It acknowledges at once, so a spec that wants reports to be late,
 * refused or missing has to ask for it (tide_memory_hold, tide_memory_refuse, tide_memory_block). It is a sink like
 * the others to the chain, so specs of steps, of the dlq and of backpressure need no Kafka and no files. Whoever
 * drives it does so between turns, through tide_engine_sink. Start reading at sink_send. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/status.h"
#include "io/memory.h"
#include "io/memory_list.h"
#include "shm/layout.h"

/* A report to fetch. */
struct due {
    struct tide_origin origin;
    const struct tide_message *refused; /* the copy in the list; NULL = it is delivered */
};

struct memory_sink {
    struct tide_sink sink;
    uint64_t max_due;
    struct tide_memory_list list;
    uint64_t count;  /* of messages sent, kept or not */
    struct due *due; /* the oldest first */
    size_t due_count;
    uint32_t due_capacity;
    bool blocked; /* takes no message */
    bool held;    /* returns no report */
    bool discard; /* keeps no message */
    char *refuse; /* refuses messages of this value; NULL = none */
};

static struct memory_sink *sink_of(const struct tide_sink *sink)
{
    return (struct memory_sink *)(void *)(uintptr_t)sink;
}

static int sink_start(struct tide_sink *sink)
{
    (void)sink;
    return TIDE_OK;
}

/* A message that is refused is given back from the list, whose copy stays: the bytes that send was given are borrowed
 * for that call only. */
static void add_report(struct memory_sink *memory, const struct tide_message *message)
{
    bool refused = memory->refuse && message->value &&
                   strlen(memory->refuse) == message->value_length &&
                   memcmp(memory->refuse, message->value, message->value_length) == 0;
    if (memory->due_count == memory->due_capacity)
        tide_grow(&memory->due, &memory->due_capacity,
                  memory->due_capacity ? memory->due_capacity * 2 : 256, sizeof(*memory->due));
    memory->due[memory->due_count++] = (struct due){
        message->origin, refused ? &memory->list.items[memory->list.count - 1]->message : NULL};
}

static ssize_t sink_send(struct tide_sink *sink, const struct tide_message *messages, size_t count)
{
    struct memory_sink *memory = sink_of(sink);
    size_t taken = 0;
    /* This is how a spec makes backpressure: a sink that is full takes nothing and is no failure. */
    if (memory->blocked)
        return 0;
    /* The limit on reports that are due stands for the queue of a real producer, so that a held sink fills up as that
     * would. */
    for (; taken < count && memory->due_count < memory->max_due; taken++) {
        /* The report of a message that is refused has the copy, so there is one even when nothing is to be kept. */
        if (!memory->discard || memory->refuse)
            tide_memory_list_append(&memory->list, &messages[taken]);
        memory->count++;
        add_report(memory, &messages[taken]);
    }
    return (ssize_t)taken;
}

static void fill_report(const struct due *due, struct tide_report *report)
{
    report->origin = due->origin;
    report->kind = due->refused ? TIDE_REPORT_REFUSED : TIDE_REPORT_DELIVERED;
    if (!due->refused)
        return;
    report->text = "refused by the memory sink";
    report->message = *due->refused;
}

/* Moving the rest down is cheap enough: the produce step fetches nearly all of them in one call. */
static ssize_t sink_reports(struct tide_sink *sink, struct tide_report *reports, size_t max)
{
    struct memory_sink *memory = sink_of(sink);
    if (memory->held)
        return 0;
    size_t count = memory->due_count < max ? memory->due_count : max;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        fill_report(&memory->due[i], &reports[i]);
    memory->due_count -= count;
    memmove(memory->due, memory->due + count, sizeof(*memory->due) * memory->due_count);
    return (ssize_t)count;
}

/* A held report is still due, so a run does not end before the spec lets it go. */
static size_t sink_pending(struct tide_sink *sink)
{
    return sink_of(sink)->due_count;
}

static void sink_free(struct tide_sink *sink)
{
    struct memory_sink *memory = sink_of(sink);
    tide_memory_list_free(&memory->list);
    free(memory->due);
    free(memory->refuse);
    free(memory);
}

struct tide_sink *tide_memory_sink_new(const struct tide_sink_plan *plan)
{
    static const struct tide_sink_ops ops = {.start = sink_start,
                                             .send = sink_send,
                                             .reports = sink_reports,
                                             .pending = sink_pending,
                                             .free = sink_free};
    struct memory_sink *memory = tide_alloc(sizeof(*memory));
    memory->sink.ops = &ops;
    memory->sink.topic = TIDE_TOPIC_NONE;
    memory->max_due = plan->max_messages ? plan->max_messages : 100000;
    return &memory->sink;
}

/* ---- what a spec does with it ---- */

void tide_memory_block(struct tide_sink *sink, bool blocked)
{
    sink_of(sink)->blocked = blocked;
}

void tide_memory_hold(struct tide_sink *sink, bool held)
{
    sink_of(sink)->held = held;
}

void tide_memory_refuse(struct tide_sink *sink, const char *value)
{
    free(sink_of(sink)->refuse);
    sink_of(sink)->refuse = tide_copy(value);
}

/* A benchmark of millions of messages would measure copies and memory otherwise. */
void tide_memory_discard(struct tide_sink *sink)
{
    sink_of(sink)->discard = true;
}

uint64_t tide_memory_count(const struct tide_sink *sink)
{
    return sink_of(sink)->count;
}

const struct tide_message *tide_memory_get(const struct tide_sink *sink, uint64_t index)
{
    const struct memory_sink *memory = sink_of(sink);
    return index < memory->list.count ? &memory->list.items[index]->message : NULL;
}
