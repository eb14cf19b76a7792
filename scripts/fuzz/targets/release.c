/* SPDX-License-Identifier: MIT
 * The way of batches from their workers to the next step (chain/task_release.c). The input plays whoever is around the
 * step: messages are read, workers leave any bytes in their output blocks and report or die, and change a block whose
 * results are being forwarded; the next step and the dlq take a part, partitions are revoked, time passes. Whatever
 * they do, what is forwarded lies within the published bytes or within its record, and goes once, in the order of its
 * partition; a dead letter holds what was read; and at the end, once workers are honest, each message has one outcome.
 * Input: settings, then one operation after the other. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "chain/dlq.h"
#include "chain/offsets.h"
#include "chain/task.h"
#include "fuzz.h"
#include "io/memory.h"
#include "proc/inside.h"
#include "proc/zygote.h"
#include "shm/block.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/outputs.h"
#include "shm/topics.h"

enum {
    PARTITIONS = 2,
    RECORDS = 8,
    ROOM = 16384,
    OPERATIONS = 60,
    LETTERS = 4, /* reports of dead letters that are fetched at once */
    TURNS = 400  /* in which everything must come to an end; some 20 are enough */
};

enum { OWNED, LEAVING, AWAY }; /* of a partition; each is followed by the next one */

static struct tide_pool *pool;
static struct tide_task *tasks[2]; /* results stand for one message each; for all of a batch */
static struct tide_partition partitions[PARTITIONS];
static struct tide_source source = {.partitions = partitions, .partition_count = PARTITIONS};
static struct tide_chain chain = {.source = &source};

/* Of one input. */
static struct tide_task *task;
static struct tide_sink *letters;
static int64_t now_us, offsets[PARTITIONS];
static uint32_t assigned[PARTITIONS]; /* OWNED, ... */

/* The next step. */
static struct {
    uint32_t room;
    int64_t last[PARTITIONS];         /* offset of the last message that was taken */
    uint64_t job;                     /* the portion of results that was offered last ... */
    uint32_t result_at;               /* ... of this job */
    const struct tide_message *after; /* the first of it that is not taken */
} next;

static bool is_safe(const struct tide_batch *batch, const char *bytes, uint32_t length)
{
    const char *results = (const char *)(batch->work.job.output + 1);
    /* Of a worker that is found to lie, what was parsed before still goes. */
    uint64_t size = batch->work.violation ? batch->work.job.output_max : batch->run.result_bytes;
    return !bytes || fuzz_lies_within(bytes, length, results, size) ||
           fuzz_lies_within(bytes, length, batch->input->data, batch->records.bytes);
}

static void check_message(const struct tide_batch *batch, const struct tide_message *message)
{
    fuzz_require(is_safe(batch, message->value, message->value_length));
    fuzz_require(is_safe(batch, message->key, message->key_length));
    fuzz_require(message->target_partition >= TIDE_PARTITION_ANY);
    fuzz_require(message->target_topic == TIDE_TOPIC_NONE ||
                 message->target_topic < tide_topics_count(chain.topics));
    struct tide_origin_info info = tide_offsets_look_up(chain.offsets, message->origin);
    fuzz_require(info.current && info.partition < PARTITIONS);
    /* The first member of a group may have been revoked since, if not all of them were. */
    if (info.offset < 0 && task == tasks[1])
        return;
    fuzz_require(info.offset >= next.last[info.partition]);
    next.last[info.partition] = info.offset;
}

static ssize_t next_submit(struct tide_step *step, const struct tide_message *messages,
                           size_t count, int64_t at_us)
{
    const struct tide_batch *batch = tide_task_oldest(task);
    size_t taken = count < next.room ? count : next.room;
    (void)step, (void)at_us;
    fuzz_require(batch && batch->state == TIDE_BATCH_RESULTS && count > 0);
    /* What is taken is never offered again. */
    if (next.job == batch->work.job.number && next.result_at == batch->run.result_at)
        fuzz_require(messages >= next.after);
    next.job = batch->work.job.number;
    next.result_at = batch->run.result_at;
    next.after = messages + taken;
    next.room -= (uint32_t)taken;
    for (size_t i = 0; i < taken; i++) {
        check_message(batch, &messages[i]);
        tide_offsets_unref(chain.offsets, messages[i].origin, TIDE_OUTCOME_PRODUCED);
    }
    return (ssize_t)taken;
}

static struct tide_task *new_task(enum tide_step_kind kind, uint32_t row)
{
    static const struct tide_step_ops ops = {.submit = next_submit};
    static struct tide_step step = {.ops = &ops};
    struct tide_step_plan plan = {.kind = kind,
                                  .stage = "task",
                                  .max_batch_size = RECORDS,
                                  .max_batch_time_us = 1000000,
                                  .input_block_size = ROOM,
                                  .max_input_block_size = ROOM,
                                  .output_block_size = ROOM,
                                  .max_output_block_size = ROOM,
                                  .prefetch_batches = 1};
    struct tide_task *made = tide_task_new(&chain, &plan, pool, 1, row - 1, row);
    fuzz_require(made);
    made->step.next = &step;
    return made;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    struct tide_loop *loop = tide_loop_new();
    struct tide_zygote *zygote = tide_zygote_new(loop, 1);
    tide_log_setup(TIDE_LOG_ERROR, TIDE_LOG_TEXT);
    chain.topics = tide_topics_new();
    chain.counters = tide_counters_new(4);
    fuzz_require(loop && zygote && chain.topics && chain.counters);
    chain.taps = tide_taps_new(chain.topics);
    pool = tide_pool_new(zygote, loop, 0, 1, chain.counters);
    for (int32_t i = 0; i < PARTITIONS; i++)
        partitions[i] = (struct tide_partition){
            .topic = (uint16_t)tide_topics_number(chain.topics, "in"), .number = i};
    (void)tide_topics_number(chain.topics, "out");
    chain.offsets = tide_offsets_new(); /* which a task asks; each input has its own */
    tasks[0] = new_task(TIDE_STEP_TASK, 1);
    tasks[1] = new_task(TIDE_STEP_REDUCE, 2);
    tide_offsets_free(chain.offsets);
    return 0;
}

static void begin(uint8_t settings)
{
    static const struct tide_dlq_plan plan = {.kind = TIDE_DLQ_TOPIC,
                                              .target = "dead",
                                              .max_invalid_ratio = -1,
                                              .max_consecutive_count = -1,
                                              .max_buffered = 2};
    static const struct tide_sink_plan sink = {.max_messages = 100};
    int status = TIDE_OK;
    now_us = 1000000;
    tide_clock_hold(now_us);
    task = tasks[settings & 1];
    task->plan.crash_retries = settings >> 1 & 3;
    chain.retry_timeout_us = settings & 8 ? 1000000 : 0;
    chain.offsets = tide_offsets_new();
    chain.dlq = tide_dlq_new(&plan, &chain, &status);
    letters = tide_memory_sink_new(&sink);
    fuzz_require(chain.offsets && chain.dlq && letters);
    tide_dlq_sink(chain.dlq, letters);
    memset(&next, 0, sizeof(next));
    memset(offsets, 0, sizeof(offsets));
    memset(assigned, 0, sizeof(assigned));
    for (uint32_t i = 0; i < PARTITIONS; i++)
        tide_offsets_assign(chain.offsets, i);
}

static bool read_message(uint32_t partition)
{
    char value[32];
    int64_t offset = offsets[partition]++;
    struct tide_message message = {.value = value,
                                   .timestamp = offset,
                                   .offset = offset,
                                   .partition = (int32_t)partition,
                                   .topic = partitions[partition].topic,
                                   .target_topic = TIDE_TOPIC_NONE,
                                   .target_partition = TIDE_PARTITION_ANY};
    message.value_length = (uint32_t)snprintf(value, sizeof(value), "read %lld", (long long)offset);
    message.origin = tide_offsets_open(chain.offsets, partition, offset);
    if (task->step.ops->submit(&task->step, &message, 1, now_us) == 1)
        return true;
    tide_offsets_unopen(chain.offsets, message.origin);
    offsets[partition]--;
    return false;
}

static void read_messages(struct fuzz_input *input)
{
    uint8_t count = fuzz_byte(input), which = fuzz_byte(input);
    for (uint32_t i = 0; i <= count % RECORDS; i++) {
        uint32_t partition = which >> i & 1;
        if (assigned[partition] == OWNED && !read_message(partition))
            break;
    }
    if (count & 128)
        task->step.ops->close(&task->step, now_us);
}

/* Of the n-th batch that waits for a worker; NULL = there are fewer. */
static struct tide_work *waiting(uint32_t n)
{
    struct tide_batch *batch;
    STAILQ_FOREACH(batch, &task->order.list, in_order)
    {
        if (batch->work.state == TIDE_WORK_WAITING && n-- == 0)
            return &batch->work;
    }
    return NULL;
}

/* A worker runs the work, leaves these bytes, and publishes this progress. */
static void run(struct tide_work *work, uint64_t progress, const char *bytes, size_t size)
{
    fuzz_require(tide_pool_withdraw(pool, work));
    work->output = tide_outputs_take(task->outputs, 0);
    work->job.output = work->output->output;
    memset(work->job.output, 0, sizeof(struct tide_output) + ROOM);
    if (size > 0)
        memcpy(work->job.output + 1, bytes, size);
    work->job.output->progress = progress;
    work->crash[0] = 0;
}

/* As proc/pool_work.c tells of a worker that is gone. */
static void lose(struct tide_work *work, uint8_t how)
{
    work->state = TIDE_WORK_WORKER_LOST;
    work->attributed = how & 2;
    work->several = how & 4;
    work->timed_out = work->attributed && how & 8;
    work->over_cpu = work->timed_out && how & 16;
    work->violation = how & 32;
    work->out_of_memory = how & 64;
    work->death = how & 128 ? SIGKILL : 3 << 8; /* exit 3 */
    tide_outputs_filled(work->outputs, work->output, work->job.output_max);
}

static void answer(struct fuzz_input *input)
{
    struct tide_work *work = waiting(fuzz_below(input, 3));
    uint8_t to = fuzz_byte(input), how = fuzz_byte(input), lie = fuzz_byte(input);
    size_t size = fuzz_byte(input);
    size |= (size_t)fuzz_byte(input) << 8;
    const char *bytes = fuzz_bytes(input, &size);
    if (!work || size > ROOM)
        return;
    uint64_t published = lie == 255 ? UINT32_MAX : lie > 250 ? size + lie : size;
    run(work, published << 32 | (to == 255 ? UINT32_MAX : to), bytes, size);
    if (how & 1) {
        lose(work, how);
        return;
    }
    work->state = TIDE_WORK_DONE;
    work->status = how & 2 ? TIDE_JOB_FULL : TIDE_JOB_DONE;
    work->busy_ns = how;
    work->whole_batch = how & 4;
}

static void check_task(void)
{
    fuzz_require(task->order.count <= task->batch_count);
    const struct tide_batch *batch;
    STAILQ_FOREACH(batch, &task->order.list, in_order)
    {
        enum tide_work_state state = batch->work.state;
        fuzz_require(batch->state >= TIDE_BATCH_WITH_POOL && batch->state <= TIDE_BATCH_FORWARDED);
        fuzz_require(batch->state == TIDE_BATCH_WITH_POOL ||
                     (batch == tide_task_oldest(task) && state == TIDE_WORK_IDLE));
        fuzz_require(batch->state != TIDE_BATCH_WITH_POOL || state != TIDE_WORK_IDLE);
        fuzz_require(batch->release.released <= batch->records.count);
        fuzz_require(batch->run.ready <= batch->records.count);
    }
}

/* Without input: much room, and longer than any pause. */
static void turn(struct fuzz_input *input)
{
    uint32_t room = input ? fuzz_byte(input) : 255;
    next.room = room == 255 ? 1000 : room;
    now_us += input ? fuzz_byte(input) * 10000LL : 20000000;
    tide_clock_hold(now_us);
    fuzz_require(task->step.ops->poll(&task->step, now_us) == TIDE_OK);
    fuzz_require(tide_dlq_poll(chain.dlq, now_us) == TIDE_OK);
    check_task();
}

static void acknowledge(struct fuzz_input *input)
{
    struct tide_report reports[LETTERS];
    size_t count = input ? 1 + fuzz_below(input, LETTERS) : LETTERS;
    ssize_t got = letters->ops->reports(letters, reports, count);
    for (ssize_t i = 0; i < got; i++)
        fuzz_require(tide_dlq_reported(chain.dlq, &reports[i]) == TIDE_OK);
}

static void forget(uint32_t partition)
{
    tide_dlq_forget(chain.dlq, partition);
    tide_offsets_forget(chain.offsets, partition);
}

static void move_partition(struct fuzz_input *input)
{
    uint32_t partition = fuzz_below(input, PARTITIONS);
    if (assigned[partition] == OWNED)
        tide_offsets_revoke(chain.offsets, partition);
    else if (assigned[partition] == LEAVING)
        forget(partition);
    else
        tide_offsets_assign(chain.offsets, partition);
    assigned[partition] = (assigned[partition] + 1) % 3;
}

/* A worker that reported goes on writing while its results are forwarded. */
static void change_block(struct fuzz_input *input)
{
    const struct tide_batch *batch = tide_task_oldest(task);
    uint32_t at = fuzz_word(input);
    char byte = (char)fuzz_byte(input);
    if (batch && batch->work.output)
        ((char *)batch->work.output->output)[at % (sizeof(struct tide_output) + ROOM)] = byte;
}

/* From now on workers filter all that they are given. */
static void come_to_an_end(void)
{
    bool over = false;
    for (int i = 0; i < TURNS && !over; i++) {
        struct tide_work *work;
        task->step.ops->close(&task->step, now_us);
        while ((work = waiting(0))) {
            run(work, work->job.end, NULL, 0);
            work->state = TIDE_WORK_DONE;
            work->status = TIDE_JOB_DONE;
        }
        turn(NULL);
        acknowledge(NULL);
        over = task->step.ops->join(&task->step) && tide_dlq_joined(chain.dlq) &&
               letters->ops->pending(letters) == 0;
    }
    fuzz_require(over);
}

static void check_letters(void)
{
    const struct tide_message *letter;
    for (uint64_t i = 0; (letter = tide_memory_get(letters, i)); i++) {
        char text[32] = "", same[32];
        fuzz_require(letter->value_length > 5 && letter->value_length < sizeof(text));
        memcpy(text, letter->value, letter->value_length);
        snprintf(same, sizeof(same), "read %lld", atoll(text + 5));
        fuzz_require(strcmp(text, same) == 0);
    }
}

static void check_totals(void)
{
    struct tide_offsets_totals totals;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (assigned[i] == LEAVING)
            forget(i);
    }
    tide_offsets_totals(chain.offsets, &totals);
    fuzz_require(totals.in_flight == 0 && totals.groups == 0);
    fuzz_require(totals.read == (uint64_t)(offsets[0] + offsets[1]));
    fuzz_require(totals.read ==
                 totals.produced_from + totals.filtered + totals.dead_lettered + totals.dropped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operations[])(struct fuzz_input *) = {
        read_messages, answer, turn, acknowledge, move_partition, change_block};
    struct fuzz_input input = {data, size};
    struct tide_tap_sample sample;
    begin(fuzz_byte(&input));
    int tap = tide_taps_arm(chain.taps, &(struct tide_tap_plan){.rate = 1000, .value_limit = 20});
    fuzz_require(tap > 0);
    for (int i = 0; i < OPERATIONS && input.left > 0; i++)
        operations[fuzz_below(&input, sizeof(operations) / sizeof(operations[0]))](&input);
    come_to_an_end();
    check_letters();
    check_totals();
    while (tide_taps_take(chain.taps, tap, &sample))
        fuzz_require(sample.length > 1 && sample.text[sample.length - 1] == '}');
    tide_taps_disarm(chain.taps, tap);
    tide_dlq_free(chain.dlq);
    letters->ops->free(letters);
    tide_offsets_free(chain.offsets);
    return 0;
}
