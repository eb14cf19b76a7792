/* SPDX-License-Identifier: MIT
 * The zygote and the workers: the other ends of the sockets of proc/mailbox.h. A worker does one thing an action,
 * so the engine looks at it between any two: before a record, in it, after publishing, before its report. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "proc/private.h"
#include "proc/worker.h"
#include "sim.h"

enum { MOST_IDLE_DEATHS = 3 }; /* at five in a row the engine gives up, rightly */

static struct place places[MOST_PLACES];
static struct tide_notice notices[64];
static uint32_t notice_head, notice_count;

static struct tide_zygote *zygote(void)
{
    return sim.engine->zygote;
}

static void notify(uint32_t kind, uint32_t number, uint32_t generation, int32_t status)
{
    if (notice_count == 64)
        sim_fail("the engine does not read its notices");
    notices[(notice_head + notice_count++) % 64] = (struct tide_notice){
        .kind = kind, .worker = number, .generation = generation, .pid = 1000, .status = status};
}

static void deliver(void)
{
    for (; notice_count > 0; notice_count--, notice_head = (notice_head + 1) % 64) {
        if (send(zygote()->zygote_end, &notices[notice_head], sizeof(notices[0]),
                 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        if (sim_fault(300)) {
            notice_count--;
            notice_head = (notice_head + 1) % 64;
            return;
        }
    }
}

static const struct tide_record *record_at(const struct place *place, uint32_t index)
{
    const struct tide_record *record = sim_first(&place->job);
    for (uint32_t i = place->job.first; i < index; i++)
        record = sim_next(record);
    return record;
}

/* Every record of its job. */
static void mark_job(const struct place *place, size_t mask)
{
    const struct tide_record *record = sim_first(&place->job);
    for (uint32_t i = place->job.first; i < place->job.end; i++, record = sim_next(record))
        sim_mark(sim_payload(record), place->job.step, mask);
}

static void blame_job(const struct place *place)
{
    const struct tide_record *record = sim_first(&place->job);
    for (uint32_t i = place->job.first; i < place->job.end; i++, record = sim_next(record))
        sim_died(sim_payload(record), place->job.step);
}

/* Which record the engine may hold this death against. */
static void blame(const struct place *place, bool late)
{
    uint32_t next = (uint32_t)place->job.output->progress;
    bool reduces = sim.set.steps[place->job.step].kind == TIDE_STEP_REDUCE;
    if (place->job.output->running == TIDE_RUNNING_SEVERAL)
        return;
    while (next < place->job.end && record_at(place, next)->flags & TIDE_RECORD_DROPPED)
        next++;
    if (next < place->job.end) {
        const struct payload *payload = sim_payload(record_at(place, next));
        if (late)
            sim_mark(payload, place->job.step, offsetof(struct message, late));
        else
            sim_died(payload, place->job.step);
    } else if (reduces && late) { /* of the result, which is everybody's */
        mark_job(place, offsetof(struct message, late));
    } else if (reduces) {
        blame_job(place);
    }
}

/* One that the engine has killed is to blame when it is still where it was for too long. */
static void die(struct place *place, int32_t status)
{
    bool running = place->busy && place->entered;
    bool late = sim.now_us - place->moved_us > sim.set.message_timeout_us;
    if (running && !place->lied && (status != SIGKILL || late))
        blame(place, status == SIGKILL);
    place->idle_deaths = place->ready ? 0 : place->idle_deaths + 1;
    notify(TIDE_NOTICE_EXITED, (uint32_t)(place - places), place->generation, status);
    place->alive = place->ready = place->busy = place->entered = place->stuck = false;
}

static bool dies(struct place *place, uint32_t rate)
{
    if (!sim_fault(rate) || (!place->ready && place->idle_deaths >= MOST_IDLE_DEATHS))
        return false;
    die(place, sim_roll(2) ? SIGSEGV : 3 << 8);
    return true;
}

/* ---- the zygote ---- */

static void spawn(const struct tide_order *order)
{
    struct place *place = &places[order->worker];
    if (place->alive)
        sim_fail("worker %u is ordered while one is alive", order->worker);
    if (sim_fault(sim.set.rates.fork_fails) && place->idle_deaths < MOST_IDLE_DEATHS) {
        place->idle_deaths++;
        notify(TIDE_NOTICE_SPAWNED, order->worker, order->generation, EAGAIN);
        notices[(notice_head + notice_count - 1) % 64].pid = -1;
        return;
    }
    *place = (struct place){
        .alive = true, .generation = order->generation, .idle_deaths = place->idle_deaths};
    notify(TIDE_NOTICE_SPAWNED, order->worker, order->generation, 0);
}

static void obey(void)
{
    struct tide_order order;
    while (recv(zygote()->zygote_end, &order, sizeof(order), MSG_DONTWAIT) > 0) {
        struct place *place = &places[order.worker];
        if (order.kind == TIDE_ORDER_SPAWN)
            spawn(&order);
        else if (place->alive && place->generation == order.generation)
            die(place, SIGKILL);
    }
}

/* ---- a worker ---- */

static void report(struct place *place)
{
    struct tide_job_report report = {place->job.number, place->job.generation,
                                     place->full ? TIDE_JOB_FULL : TIDE_JOB_DONE, 1000,
                                     sim.set.batch[place->job.step]};
    size_t size = sizeof(report);
    if (place->lied && sim_roll(2)) {
        report.number += sim_roll(2);
        report.outcome += 2 * sim_roll(2);
        size -= sim_roll(2);
    }
    (void)send(zygote()->worker_ends[place - places], &report, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    place->busy = place->entered = false;
}

/* What no engine may believe, and each can find out. */
static void lie(struct place *place)
{
    struct tide_result result;
    char *last = (char *)(place->job.output + 1) + place->last_result;
    place->lied = true;
    mark_job(place, offsetof(struct message, excused));
    switch (place->bytes > 0 ? sim_roll(8) : sim_roll(2)) {
    case 0:
        tide_worker_publish(place->job.output, place->job.end + 1 + sim_roll(9), place->bytes);
        return;
    case 1:
        tide_worker_publish(place->job.output, place->job.end,
                            (uint32_t)place->job.output_max + 1 + sim_roll(9));
        return;
    default:
        break;
    }
    memcpy(&result, last, sizeof(result));
    switch (sim_roll(5)) {
    case 0:
        result.size += 8 * (1 + sim_roll(1000));
        break;
    case 1:
        result.size += 1 + sim_roll(7);
        break;
    case 2:
        result.index = place->job.end + sim_roll(5);
        break;
    case 3:
        result.kind = (uint8_t)(4 + sim_roll(200));
        break;
    default:
        result.value_length = -2 - (int32_t)sim_roll(1000);
        break;
    }
    memcpy(last, &result, sizeof(result));
}

static void end_job(struct place *place, bool full)
{
    place->full = full;
    if (sim_fault(sim.set.rates.lie))
        lie(place);
    tide_worker_running(place->job.output, TIDE_RUNNING_NOT);
    place->entered = false;
    place->stuck = true; /* until it reports */
}

static void mark_published(const struct place *place, uint32_t first, uint32_t end)
{
    const struct tide_record *record = record_at(place, first);
    for (uint32_t i = first; i < end; i++, record = sim_next(record)) {
        if (!place->retried && record->flags == 0)
            sim_mark(sim_payload(record), place->job.step, offsetof(struct message, published));
    }
}

/* The fate of the record at hand, before anything is written. False = the worker does not get past it. */
static bool survives(struct place *place)
{
    struct fate fate = sim_fate(&sim_payload(place->record)->items[0], place->job.step);
    if (fate.kind == FATE_POISON)
        die(place, SIGABRT);
    else if (fate.kind == FATE_HANG)
        place->stuck = true;
    return fate.kind != FATE_POISON && fate.kind != FATE_HANG && !dies(place, sim.set.rates.crash);
}

static void run_records(struct place *place)
{
    for (uint32_t most = 1 + sim_roll(8); place->at < place->job.end && most > 0; most--) {
        uint32_t before = place->bytes;
        if (place->record->flags & TIDE_RECORD_WAITS) { /* left out */
            place->record = sim_next(place->record);
            sim_publish(place, ++place->at);
            continue;
        }
        if (!survives(place))
            return;
        if (!sim_write_record(place)) {
            end_job(place, true);
            return;
        }
        if (sim_fault(sim.set.rates.crash)) { /* it is written and not published */
            place->bytes = before;
            die(place, SIGBUS);
            return;
        }
        mark_published(place, place->at, place->at + 1);
        place->record = sim_next(place->record);
        sim_publish(place, ++place->at);
    }
    if (place->at == place->job.end && !dies(place, sim.set.rates.crash))
        end_job(place, false);
}

/* A function that takes a batch: nothing is published before it is through. */
static void run_several(struct place *place)
{
    const struct tide_record *record = sim_first(&place->job);
    for (uint32_t i = place->job.first; i < place->job.end; i++, record = sim_next(record)) {
        place->record = record;
        if (record->flags == 0 && !survives(place))
            return;
    }
    place->record = sim_first(&place->job);
    tide_worker_running(place->job.output, TIDE_RUNNING_ONE);
    place->moved_us = sim.now_us;
}

static void run_reduce(struct place *place)
{
    for (uint32_t most = 1 + sim_roll(8); place->at < place->job.end && most > 0; most--) {
        sim_publish(place, place->at);
        if (!(place->record->flags & TIDE_RECORD_DROPPED) && !survives(place))
            return;
        place->record = sim_next(place->record);
        place->at++;
    }
    if (place->at < place->job.end)
        return;
    sim_publish(place, place->at);
    if (dies(place, sim.set.rates.crash))
        return;
    bool all = sim_write_reduced(place);
    if (all)
        sim_publish(place, place->job.end);
    mark_published(place, place->job.first, (uint32_t)place->job.output->progress);
    if (!dies(place, sim.set.rates.crash))
        end_job(place, !all);
}

static void fetch(struct place *place)
{
    struct tide_job job;
    if (recv(zygote()->worker_ends[place - places], &job, sizeof(job), MSG_DONTWAIT) <= 0) {
        (void)dies(place, sim.set.rates.idle_crash);
        return;
    }
    if (job.generation != place->generation)
        return;
    place->job = job;
    place->busy = true;
    place->lied = place->full = place->stuck = place->entered = place->retried = false;
    place->at = job.first;
    place->record = sim_first(&job);
    place->bytes = place->last_result = 0;
}

static void enter(struct place *place)
{
    bool several = sim.set.batch[place->job.step] && !place->job.one_by_one &&
                   place->job.end - place->job.first > 1;
    place->entered = true;
    place->moved_us = sim.now_us;
    tide_worker_running(place->job.output, several ? TIDE_RUNNING_SEVERAL : TIDE_RUNNING_ONE);
}

static void say_hello(struct place *place)
{
    struct tide_hello hello = {.generation = place->generation};
    (void)send(zygote()->worker_ends[place - places], &hello, sizeof(hello),
               MSG_DONTWAIT | MSG_NOSIGNAL);
    place->ready = true;
    place->idle_deaths = 0;
}

static void work(struct place *place)
{
    if (!place->ready) {
        if (!dies(place, sim.set.rates.idle_crash))
            say_hello(place);
    } else if (!place->busy) {
        fetch(place);
    } else if (!place->entered && place->stuck) {
        if (!dies(place, sim.set.rates.idle_crash))
            report(place);
    } else if (!place->entered) {
        if (!dies(place, sim.set.rates.idle_crash))
            enter(place);
    } else if (place->stuck) {
        return; /* it hangs */
    } else if (place->job.output->running == TIDE_RUNNING_SEVERAL) {
        run_several(place);
    } else if (sim.set.steps[place->job.step].kind == TIDE_STEP_REDUCE) {
        run_reduce(place);
    } else {
        run_records(place);
    }
}

void sim_workers_open(void)
{
    memset(places, 0, sizeof(places));
    notice_head = notice_count = 0;
}

void sim_workers_act(void)
{
    uint32_t count = zygote()->workers;
    uint32_t number = sim_roll(count + 1);
    if (number == count || sim.calm) {
        obey();
        deliver();
    }
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].alive && (i == number || sim.calm))
            work(&places[i]);
    }
}
