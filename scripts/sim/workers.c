/* SPDX-License-Identifier: MIT
 * Plays the zygote and the workers: the other ends of the sockets of proc/protocol.h. A worker does one thing in each
 * action, so that the engine may look at it between any two: before a record, in it, after publishing, before its report.
 * Each death is noted in the model with the record that the engine may attribute it to. Start reading at worker_act. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "keyed.h"
#include "proc/inside.h"
#include "proc/worker.h"
#include "shm/block.h"

enum { MAX_IDLE_DEATHS = 3 }; /* After five in a row the engine gives up, as it should. */

static struct worker workers[MAX_SLOTS];
static struct tide_zygote_event events[64];
static uint32_t event_head, event_count;

static struct tide_zygote *zygote(void)
{
    return sim.engine->zygote;
}

static void send_event(uint32_t kind, uint32_t number, uint32_t generation, int32_t status)
{
    if (event_count == 64)
        sim_fail("the engine does not read its events");
    events[(event_head + event_count++) % 64] = (struct tide_zygote_event){
        .kind = kind, .worker = number, .generation = generation, .pid = 1000, .status = status};
}

/* Now and then only some of the events arrive in this turn. */
static void send_events(void)
{
    for (; event_count > 0; event_count--, event_head = (event_head + 1) % 64) {
        if (send(zygote()->zygote_end, &events[event_head], sizeof(events[0]),
                 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        if (sim_fault(300)) {
            event_count--;
            event_head = (event_head + 1) % 64;
            return;
        }
    }
}

static const struct tide_record *record_at(const struct worker *worker, uint32_t index)
{
    const struct tide_record *record = sim_first(&worker->job);
    for (uint32_t i = worker->job.first; i < index; i++)
        record = sim_next(record);
    return record;
}

static void mark_job(const struct worker *worker, size_t mask)
{
    const struct tide_record *record = sim_first(&worker->job);
    for (uint32_t i = worker->job.first; i < worker->job.end; i++, record = sim_next(record))
        sim_mark(sim_payload(record), worker->job.step, mask);
}

static void attribute_to_job(const struct worker *worker)
{
    const struct tide_record *record = sim_first(&worker->job);
    for (uint32_t i = worker->job.first; i < worker->job.end; i++, record = sim_next(record))
        sim_died(sim_payload(record), worker->job.step);
}

/* Notes the record to which the engine may attribute this death. */
static void attribute(const struct worker *worker, bool late)
{
    uint32_t next = (uint32_t)worker->job.output->progress;
    bool reduces = sim.set.steps[worker->job.step].kind == TIDE_STEP_REDUCE;
    if (worker->job.output->running == TIDE_RUNNING_SEVERAL)
        return;
    while (next < worker->job.end && record_at(worker, next)->flags & TIDE_RECORD_LEFT_OUT)
        next++;
    if (next < worker->job.end && sim_is_timer(record_at(worker, next))) {
        return;
    } else if (next < worker->job.end) {
        const struct payload *payload = sim_payload(record_at(worker, next));
        if (late)
            sim_mark(payload, worker->job.step, offsetof(struct message, late));
        else
            sim_died(payload, worker->job.step);
    } else if (reduces && late) { /* It was making the results, which are of all records. */
        mark_job(worker, offsetof(struct message, late));
    } else if (reduces) {
        attribute_to_job(worker);
    }
}

/* A kill by the engine is attributed to a record only if the worker made no progress for too long. */
static void end_worker(struct worker *worker, int32_t status)
{
    bool running = worker->busy && worker->entered;
    bool late = sim.now_us - worker->progress_us > sim.set.message_timeout_us;
    if (running && !worker->lied && (status != SIGKILL || late))
        attribute(worker, status == SIGKILL);
    worker->idle_deaths = worker->ready ? 0 : worker->idle_deaths + 1;
    send_event(TIDE_ZYGOTE_EXITED, (uint32_t)(worker - workers), worker->generation, status);
    worker->alive = worker->ready = worker->busy = worker->entered = worker->stuck = false;
}

/* Ends the worker at a rate, by a signal or an exit code. One that never gets ready may do so only a few times in a row. */
static bool may_die(struct worker *worker, uint32_t rate)
{
    if (!sim_fault(rate) || (!worker->ready && worker->idle_deaths >= MAX_IDLE_DEATHS))
        return false;
    end_worker(worker, sim_roll(2) ? SIGSEGV : 3 << 8);
    return true;
}

/* ---- the zygote ---- */

static void spawn(const struct tide_zygote_command *command)
{
    struct worker *worker = &workers[command->worker];
    if (worker->alive)
        sim_fail("worker %u is spawned while one is alive", command->worker);
    if (sim_fault(sim.set.rates.fork_fails) && worker->idle_deaths < MAX_IDLE_DEATHS) {
        worker->idle_deaths++;
        send_event(TIDE_ZYGOTE_SPAWNED, command->worker, command->generation, EAGAIN);
        events[(event_head + event_count - 1) % 64].pid = -1;
        return;
    }
    *worker = (struct worker){
        .alive = true, .generation = command->generation, .idle_deaths = worker->idle_deaths};
    send_event(TIDE_ZYGOTE_SPAWNED, command->worker, command->generation, 0);
}

static void receive_commands(void)
{
    struct tide_zygote_command command;
    while (recv(zygote()->zygote_end, &command, sizeof(command), MSG_DONTWAIT) > 0) {
        spawn(&command);
    }
}

static void kill_worker(uint32_t number, uint32_t generation)
{
    struct worker *worker = &workers[number];
    if (worker->alive && worker->generation == generation)
        end_worker(worker, SIGKILL);
}

/* ---- a worker ---- */

static void send_report(struct worker *worker)
{
    struct tide_job_report report = {
        .number = worker->job.number,
        .generation = worker->job.generation,
        .status = worker->full ? TIDE_JOB_FULL : TIDE_JOB_DONE,
        .busy_ns = 1000,
        .whole_batch = sim.set.batch[worker->job.step],
        .cpu_ns = 1000,
    };
    size_t size = sizeof(report);
    if (worker->lied && sim_roll(2)) {
        report.number += sim_roll(2);
        report.status += 2 * sim_roll(2);
        size -= sim_roll(2);
    }
    (void)send(zygote()->worker_ends[worker - workers], &report, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    worker->busy = worker->entered = false;
}

static void end_job(struct worker *worker, bool full)
{
    worker->full = full;
    if (sim_fault(sim.set.rates.lie)) {
        mark_job(worker, offsetof(struct message, excused));
        sim_spoil_results(worker);
    }
    tide_worker_running(worker->job.output, TIDE_RUNNING_NOT);
    if (worker->lied)
        sim_lie_otherwise(worker, zygote()->worker_ends[worker - workers]);
    worker->entered = false;
    worker->stuck = true; /* until it sends its report */
}

static void mark_published(const struct worker *worker, uint32_t first, uint32_t end)
{
    const struct tide_record *record = record_at(worker, first);
    for (uint32_t i = first; i < end; i++, record = sim_next(record)) {
        if (!worker->retried && record->flags == 0 && !sim_is_timer(record))
            sim_mark(sim_payload(record), worker->job.step, offsetof(struct message, published));
    }
}

/* What happens at the record before anything is written. False = the worker does not get past it. */
static bool survives(struct worker *worker)
{
    if (sim_is_timer(worker->record))
        return !may_die(worker, sim.set.rates.crash);
    struct behaviour behaviour = sim_behaviour(&sim_payload(worker->record)->items[0],
                                               worker->job.step);
    if (behaviour.kind == BEHAVIOUR_POISON)
        end_worker(worker, SIGABRT);
    else if (behaviour.kind == BEHAVIOUR_HANG)
        worker->stuck = true;
    return behaviour.kind != BEHAVIOUR_POISON && behaviour.kind != BEHAVIOUR_HANG &&
           !may_die(worker, sim.set.rates.crash);
}

/* Some records in each action, so that the engine sees every state of the progress word. */
static void run_records(struct worker *worker)
{
    for (uint32_t max = 1 + sim_roll(8); worker->at < worker->job.end && max > 0; max--) {
        uint32_t before = worker->bytes;
        if (worker->record->flags & TIDE_RECORD_WAITS) { /* it is left out */
            worker->record = sim_next(worker->record);
            sim_publish(worker, ++worker->at);
            continue;
        }
        if (!survives(worker))
            return;
        if (!sim_write_record(worker)) {
            end_job(worker, true);
            return;
        }
        if (sim_fault(sim.set.rates.crash)) { /* the result is written, and not published */
            worker->bytes = before;
            end_worker(worker, SIGBUS);
            return;
        }
        mark_published(worker, worker->at, worker->at + 1);
        if (sim_is_timer(worker->record))
            sim_timer_fired(worker);
        else if (worker->job.states)
            sim_state_wrote(worker, &sim_payload(worker->record)->items[0]);
        worker->record = sim_next(worker->record);
        sim_publish(worker, ++worker->at);
    }
    if (worker->at == worker->job.end && !may_die(worker, sim.set.rates.crash))
        end_job(worker, false);
}

/* A function that takes a batch publishes nothing before it has returned. */
static void run_several(struct worker *worker)
{
    const struct tide_record *record = sim_first(&worker->job);
    for (uint32_t i = worker->job.first; i < worker->job.end; i++, record = sim_next(record)) {
        worker->record = record;
        if (record->flags == 0 && !survives(worker))
            return;
    }
    worker->record = sim_first(&worker->job);
    tide_worker_running(worker->job.output, TIDE_RUNNING_ONE);
    worker->progress_us = sim.now_us;
}

static void run_reduce(struct worker *worker)
{
    for (uint32_t max = 1 + sim_roll(8); worker->at < worker->job.end && max > 0; max--) {
        sim_publish(worker, worker->at);
        if (!(worker->record->flags & TIDE_RECORD_LEFT_OUT) && !survives(worker))
            return;
        worker->record = sim_next(worker->record);
        worker->at++;
    }
    if (worker->at < worker->job.end)
        return;
    sim_publish(worker, worker->at);
    if (may_die(worker, sim.set.rates.crash))
        return;
    bool all = sim_write_reduced(worker);
    if (all)
        sim_publish(worker, worker->job.end);
    mark_published(worker, worker->job.first, (uint32_t)worker->job.output->progress);
    if (!may_die(worker, sim.set.rates.crash))
        end_job(worker, !all);
}

/* A worker has no other output blocks mapped than those of its slot: it would die of the address. */
static void check_output(const struct worker *worker, const struct tide_job *job)
{
    const struct tide_step *step = sim.engine->steps[job->step];
    const char *output = (const char *)job->output;
    const struct tide_block *block;
    for (uint32_t i = 0; (block = step->ops->block(step, i)); i++) {
        if (block->worker == (int32_t)(worker - workers) && output >= block->data &&
            output + sizeof(*job->output) + job->output_max <= block->data + block->max)
            return;
    }
    sim_fail("worker %u is given an output block that is not its own",
             (uint32_t)(worker - workers));
}

/* No other worker has a job of the same lane. Where workers lie, a batch is run again that seemed to be run. */
static void check_lane(struct worker *worker)
{
    worker->lane = sim_lane_of_job(&worker->job);
    for (uint32_t i = 0; i < MAX_SLOTS && worker->lane != NO_LANE && sim.set.rates.lie == 0; i++) {
        if (&workers[i] != worker && workers[i].busy && workers[i].job.step == worker->job.step &&
            workers[i].lane == worker->lane)
            sim_fail("two workers have jobs of lane %u of step %u", worker->lane, worker->job.step);
    }
}

static void receive_job(struct worker *worker)
{
    struct tide_job job;
    if (recv(zygote()->worker_ends[worker - workers], &job, sizeof(job), MSG_DONTWAIT) <= 0) {
        (void)may_die(worker, sim.set.rates.idle_crash);
        return;
    }
    if (job.generation != worker->generation)
        return;
    if (job.number == 0) { /* it is to leave */
        end_worker(worker, 0);
        return;
    }
    check_output(worker, &job);
    worker->job = job;
    check_lane(worker);
    worker->busy = true;
    worker->lied = worker->full = worker->stuck = worker->entered = worker->retried = false;
    worker->at = job.first;
    worker->record = sim_first(&job);
    worker->bytes = worker->last_result = worker->newer_count = worker->put_off = 0;
}

static void begin_job(struct worker *worker)
{
    bool several = sim.set.batch[worker->job.step] && !worker->job.one_by_one &&
                   worker->job.end - worker->job.first > 1;
    worker->entered = true;
    worker->progress_us = sim.now_us;
    tide_worker_running(worker->job.output, several ? TIDE_RUNNING_SEVERAL : TIDE_RUNNING_ONE);
}

static void send_hello(struct worker *worker)
{
    struct tide_hello hello = {.generation = worker->generation, .kind = TIDE_HELLO_READY};
    (void)send(zygote()->worker_ends[worker - workers], &hello, sizeof(hello),
               MSG_DONTWAIT | MSG_NOSIGNAL);
    worker->ready = true;
    worker->idle_deaths = 0;
}

static void worker_act(struct worker *worker)
{
    if (!worker->ready) {
        if (!may_die(worker, sim.set.rates.idle_crash))
            send_hello(worker);
    } else if (!worker->busy) {
        receive_job(worker);
    } else if (!worker->entered && worker->stuck) {
        if (!may_die(worker, sim.set.rates.idle_crash))
            send_report(worker);
    } else if (!worker->entered) {
        if (!may_die(worker, sim.set.rates.idle_crash))
            begin_job(worker);
    } else if (worker->stuck) {
        return; /* it hangs */
    } else if (worker->job.output->running == TIDE_RUNNING_SEVERAL) {
        run_several(worker);
    } else if (sim.set.steps[worker->job.step].kind == TIDE_STEP_REDUCE) {
        run_reduce(worker);
    } else {
        run_records(worker);
    }
}

void sim_workers_open(void)
{
    memset(workers, 0, sizeof(workers));
    event_head = event_count = 0;
    zygote()->kill = kill_worker;
}

void sim_workers_act(void)
{
    uint32_t count = zygote()->workers;
    uint32_t number = sim_roll(count + 1);
    if (number == count || sim.calm) {
        receive_commands();
        send_events();
    }
    for (uint32_t i = 0; i < count; i++) {
        if (workers[i].alive && (i == number || sim.calm))
            worker_act(&workers[i]);
    }
}
