/* SPDX-License-Identifier: MIT
 * What a worker does against the protocol, that the engine can find out: in its output block, and by its socket. */
#include <string.h>
#include <sys/socket.h>

#include "proc/worker.h"
#include "sim.h"

/* Lies that the engine may look at before the report, and those that come as messages: drawn by sim_mix, so that seeds which
 * were kept before draw what they drew. */
void sim_lie_otherwise(const struct worker *worker, int socket)
{
    struct tide_output *output = worker->job.output;
    struct tide_hello hello = {.generation = worker->generation, .kind = TIDE_HELLO_READY};
    uint64_t mix = sim_mix(sim.set.seed, 14, worker->job.number, 0);
    size_t size = sizeof(hello);
    switch (mix % 8) {
    case 0:
        tide_worker_running(output, TIDE_RUNNING_SEVERAL + 1 + (uint32_t)(mix >> 40));
        break;
    case 1:
        tide_worker_publish(output, worker->job.first - 1, 0);
        break;
    case 2:
        hello.kind = (uint32_t)(mix >> 32);
        size -= (mix >> 8) % 2;
        (void)send(socket, &hello, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    default:
        break;
    }
}

/* Writes something that is against the protocol, and that the engine can find out. */
void sim_spoil_results(struct worker *worker)
{
    struct tide_result result;
    char *last = (char *)(worker->job.output + 1) + worker->last_result;
    worker->lied = true;
    switch (worker->bytes > 0 ? sim_roll(8) : sim_roll(2)) {
    case 0:
        tide_worker_publish(worker->job.output, worker->job.end + 1 + sim_roll(9), worker->bytes);
        return;
    case 1:
        tide_worker_publish(worker->job.output, worker->job.end,
                            (uint32_t)worker->job.output_max + 1 + sim_roll(9));
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
        result.index = worker->job.end + sim_roll(5);
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
