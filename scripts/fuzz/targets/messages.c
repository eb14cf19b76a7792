/* SPDX-License-Identifier: MIT
 * What workers and the zygote send the engine (proc/protocol.h): a pool takes it from real sockets, whose other ends are
 * played here. Whatever comes, each work is in one place and of the state that belongs to it, no worker has more than it
 * may, and no more of a profile is kept than there is room for. Input: one operation after the other. */
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "fuzz.h"
#include "proc/inside.h"
#include "proc/pool_inside.h"
#include "proc/zygote.h"
#include "shm/counters.h"
#include "shm/layout.h"
#include "shm/outputs.h"

enum { WORKERS = 2, WORKS = 5, PREFETCH = 1, OPERATIONS = 200, RECORDS = 16, ROOM = 4096 };

static struct tide_loop *loop;
static struct tide_zygote *zygote;
static struct tide_counters *counters;
static struct tide_pool *pool;
static struct tide_work works[WORKS];
static struct tide_outputs *outputs;
static int64_t now_us;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    loop = tide_loop_new();
    zygote = tide_zygote_new(loop, WORKERS);
    counters = tide_counters_new(1);
    outputs = tide_outputs_new(0, WORKERS, WORKS, ROOM);
    fuzz_require(loop && zygote && counters && outputs);
    tide_log_setup(TIDE_LOG_ERROR, TIDE_LOG_TEXT);
    zygote->pid = INT32_MAX; /* a process that there is not: none is its child */
    return 0;
}

/* ---- the other ends ---- */

static void drain(int fd)
{
    char ignored[8192];
    while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) >= 0)
        continue;
}

static void send_bytes(int fd, const void *bytes, size_t size)
{
    (void)!send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Mostly the generation that there is. */
static uint32_t generation(struct fuzz_input *input, uint32_t worker)
{
    uint8_t other = fuzz_byte(input);
    return other < 230 ? pool->slots[worker].generation : other;
}

static void take_text(struct fuzz_input *input, char *text, size_t room)
{
    size_t size = fuzz_below(input, 40);
    const char *bytes = fuzz_bytes(input, &size);
    memset(text, size > 30 ? 'x' : 0, room); /* without an end */
    memcpy(text, bytes, size);
}

static void send_report(struct fuzz_input *input, uint32_t worker)
{
    const struct tide_work *work = TAILQ_FIRST(&pool->slots[worker].given);
    uint8_t other = fuzz_byte(input);
    struct tide_job_report report = {.number = work && other < 220 ? work->job.number : other,
                                     .whole_batch = other & 1};
    report.generation = generation(input, worker);
    report.status = fuzz_below(input, 3);
    report.busy_ns = fuzz_word(input);
    report.cpu_ns = (uint64_t)fuzz_byte(input) << 56;
    report.delay_ns = fuzz_byte(input);
    send_bytes(zygote->worker_ends[worker], &report, sizeof(report));
}

static void send_hello(struct fuzz_input *input, uint32_t worker)
{
    struct tide_hello hello = {.generation = generation(input, worker)};
    hello.kind = fuzz_below(input, 5);
    take_text(input, hello.text, sizeof(hello.text));
    send_bytes(zygote->worker_ends[worker], &hello, sizeof(hello));
}

static void send_piece(struct fuzz_input *input, uint32_t worker)
{
    struct tide_profile_piece piece = {.generation = generation(input, worker)};
    piece.last = fuzz_byte(input) & 1;
    uint8_t size = fuzz_byte(input);
    piece.size = size < 250 ? size * 17 : size < 253 ? sizeof(piece.bytes) : fuzz_word(input);
    memset(piece.bytes, 'p', sizeof(piece.bytes));
    /* Many at once, or a profile that is too large would take too many bytes of the input. */
    for (uint32_t i = 0, times = size == 252 ? 300 : 1; i < times; i++) {
        send_bytes(zygote->worker_ends[worker], &piece, sizeof(piece));
        if (i % 8 == 7)
            tide_pool_read(pool, &pool->slots[worker]);
    }
}

static void send_raw(struct fuzz_input *input, uint32_t worker)
{
    static const size_t sizes[] = {sizeof(struct tide_job_report),
                                   sizeof(struct tide_hello),
                                   sizeof(struct tide_profile_piece),
                                   5000,
                                   1,
                                   0,
                                   3,
                                   64};
    char bytes[5000] = {0};
    size_t size = sizes[fuzz_below(input, 8)], given = fuzz_below(input, 64);
    const char *from = fuzz_bytes(input, &given);
    memcpy(bytes, from, given);
    send_bytes(zygote->worker_ends[worker], bytes, size);
}

static int receive_event(struct fuzz_input *input)
{
    struct tide_zygote_event event = {.kind = fuzz_below(input, 6)};
    event.worker = fuzz_below(input, WORKERS + 1);
    uint32_t worker = event.worker < WORKERS ? event.worker : 0;
    event.generation = generation(input, worker);
    event.pid = (int32_t)fuzz_byte(input) - 1;
    event.status = fuzz_byte(input);
    if (event.pid & 1)
        event.status |= fuzz_byte(input) << 8;
    send_bytes(zygote->zygote_end, &event, sizeof(event));
    int status = tide_zygote_receive(zygote, &event);
    if (status > 0)
        tide_pool_zygote_event(pool, zygote, &event, now_us);
    return status;
}

/* ---- the step ---- */

static void submit(struct fuzz_input *input)
{
    uint32_t number = fuzz_below(input, WORKS), flags = fuzz_byte(input);
    struct tide_work *work = &works[number];
    if (work->state == TIDE_WORK_WAITING || work->state == TIDE_WORK_GIVEN)
        return;
    tide_pool_results_taken(work);
    *work = (struct tide_work){.outputs = outputs,
                               .sequence = flags,
                               .continued = flags & 64,
                               .fresh = flags & 128,
                               .begins_again = flags & 32};
    work->job = (struct tide_job){
        .first = flags % 4, .end = RECORDS, .output_size = ROOM, .output_max = ROOM};
    tide_pool_submit(pool, work);
}

static void report_violation(struct fuzz_input *input)
{
    struct tide_work *work = &works[fuzz_below(input, WORKS)];
    if (work->state == TIDE_WORK_DONE || work->state == TIDE_WORK_WORKER_LOST)
        tide_pool_report_violation(pool, work, "lied");
}

static void write_progress(struct fuzz_input *input)
{
    const struct tide_work *work = &works[fuzz_below(input, WORKS)];
    uint64_t progress = fuzz_below(input, RECORDS + 3);
    progress |= (uint64_t)fuzz_byte(input) << 56;
    uint32_t running = fuzz_below(input, 4);
    if (!work->output)
        return;
    work->output->output->progress = progress;
    work->output->output->running = running;
}

static void profile(struct fuzz_input *input, uint32_t worker)
{
    const char *bytes;
    size_t size;
    switch (fuzz_below(input, 4)) {
    case 0:
        (void)tide_pool_profile_begin(pool, worker, 1000);
        break;
    case 1:
        (void)tide_pool_profile_end(pool, worker);
        break;
    case 2:
        tide_pool_profile_forget(pool, worker);
        break;
    default:
        if (tide_pool_profile(pool, worker, &bytes, &size) == TIDE_PROFILE_DONE && size > 0)
            fuzz_require(memchr(bytes, 'q', size) == NULL);
    }
}

/* ---- what must hold ---- */

static uint32_t places_of(const struct tide_work *work)
{
    uint32_t places = 0;
    struct tide_work *at;
    TAILQ_FOREACH(at, &pool->work.waiting, next)
    places += at == work;
    fuzz_require(places == (work->state == TIDE_WORK_WAITING));
    for (uint32_t i = 0; i < WORKERS; i++) {
        TAILQ_FOREACH(at, &pool->slots[i].given, next)
        places += at == work;
    }
    return places;
}

static void check_slot(const struct tide_worker_slot *slot)
{
    uint32_t count = 0;
    struct tide_work *at;
    struct tide_worker_view view;
    TAILQ_FOREACH(at, &slot->given, next)
    count++;
    fuzz_require(count == slot->given_count && count <= 1 + PREFETCH + WORKS);
    fuzz_require(slot->state <= TIDE_WORKER_KILL_PENDING);
    fuzz_require(slot->profile.size <= TIDE_PROFILE_BYTES);
    fuzz_require(slot->hook.name == NULL || strlen(slot->hook.name) < sizeof(struct tide_hello));
    fuzz_require(tide_pool_worker(pool, slot->number, &view) &&
                 view.messages <= OPERATIONS * RECORDS);
}

static void check_all(void)
{
    for (uint32_t i = 0; i < WORKS; i++) {
        const struct tide_work *work = &works[i];
        bool with_pool = work->state == TIDE_WORK_WAITING || work->state == TIDE_WORK_GIVEN;
        fuzz_require(work->state <= TIDE_WORK_WORKER_LOST && places_of(work) == with_pool);
        fuzz_require(work->status <= TIDE_JOB_FULL);
        fuzz_require(work->state == TIDE_WORK_WAITING ? !work->output : true);
        for (int k = 0; k < TIDE_SLOW_OF_WORK; k++)
            fuzz_require(work->slow[k].time_us == 0 || (work->slow[k].record >= work->job.first &&
                                                        work->slow[k].record < work->job.end));
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        check_slot(&pool->slots[i]);
}

/* False = the pool gives up, or the zygote is lost. */
static bool operate(struct fuzz_input *input)
{
    uint8_t operation = fuzz_byte(input);
    uint32_t worker = operation / 16 % WORKERS;
    void (*const of_worker[])(struct fuzz_input *, uint32_t) = {send_report, send_hello, send_piece,
                                                                send_raw, profile};
    void (*const others[])(struct fuzz_input *) = {submit, report_violation, write_progress};
    operation %= 16;
    if (operation < 5)
        of_worker[operation](input, worker);
    else if (operation < 8)
        others[operation - 5](input);
    else if (operation == 8)
        return receive_event(input) >= 0;
    else if (operation == 9)
        tide_pool_resize(pool, 1 + fuzz_below(input, WORKERS));
    else if (operation == 10)
        (void)tide_pool_withdraw(pool, &works[fuzz_below(input, WORKS)]);
    else if (operation == 11)
        drain(zygote->zygote_end);
    else {
        int64_t steps = fuzz_byte(input);
        now_us += steps * fuzz_byte(input) * 100;
        drain(zygote->worker_ends[worker]);
        return tide_pool_poll(pool, now_us) >= 0;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    if (size > 4096)
        return 0;
    now_us = 1000000;
    tide_clock_hold(now_us);
    memset(works, 0, sizeof(works));
    pool = tide_pool_new(zygote, loop, 0, WORKERS, counters);
    tide_pool_join(pool, 0, PREFETCH, outputs);
    tide_pool_limit(pool, 5000000);
    tide_pool_limit_start(pool, 5000000);
    fuzz_require(tide_pool_start(pool) == TIDE_OK);
    for (int i = 0; i < OPERATIONS && input.left > 0; i++) {
        if (!operate(&input))
            break;
        check_all();
    }
    for (uint32_t i = 0; i < WORKS; i++)
        tide_pool_results_taken(&works[i]);
    tide_pool_free(pool);
    for (uint32_t i = 0; i < WORKERS; i++) {
        drain(zygote->worker_ends[i]);
        drain(zygote->engine_ends[i]);
    }
    drain(zygote->zygote_end);
    drain(zygote->engine_end);
    (void)tide_loop_wait(loop, 0); /* frees what is not watched any more */
    return 0;
}
