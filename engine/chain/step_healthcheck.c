/* SPDX-License-Identifier: MIT
 * healthcheck: forwards what it is offered, and touches a file while the pipeline is well, so that a supervisor can
 * look at the file's age. Well means that a message became complete since the last touch, or that none is in flight.
 * Arroyo's Healthcheck touches its file whenever it is polled, which a pipeline whose output hangs does as well. Start
 * reading at healthcheck_poll. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/status.h"
#include "chain/offsets.h"
#include "chain/step.h"
#include "shm/counters.h"

static const int64_t TOUCH_US = 1000000;
static const int64_t RECHECK_US = 100000; /* after it was not well */

struct healthcheck {
    struct tide_step step;
    char *path;
    int64_t next_us;
    uint64_t complete; /* messages, at the last check */
    bool failed;       /* the last touch did; only the first failure is logged */
};

static struct healthcheck *healthcheck_of(struct tide_step *step)
{
    return (struct healthcheck *)(void *)step;
}

/* The path may name something else than a file by mistake: opening a pipe must not block, and a terminal must not
 * become ours. */
static bool touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    bool touched = fd >= 0 && futimens(fd, NULL) == 0;
    if (fd >= 0)
        close(fd);
    return touched;
}

/* Filtered messages and dead letters count as well: the pipeline deals with its input. */
static bool is_well(struct healthcheck *healthcheck)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(healthcheck->step.chain->offsets, &totals);
    uint64_t complete = totals.read - totals.in_flight;
    bool progress = complete != healthcheck->complete;
    healthcheck->complete = complete;
    return progress || totals.in_flight == 0;
}

/* A file that cannot be touched does not end the pipeline: the supervisor sees an old file and does what it is there
 * for. The step looks again sooner while it is not well, so that a file is not late by a second when messages move
 * again. */
static int healthcheck_poll(struct tide_step *step, int64_t now_us)
{
    struct healthcheck *healthcheck = healthcheck_of(step);
    if (now_us < healthcheck->next_us)
        return TIDE_OK;
    bool well = is_well(healthcheck);
    healthcheck->next_us = now_us + (well ? TOUCH_US : RECHECK_US);
    if (!well)
        return TIDE_OK;
    bool touched = touch(healthcheck->path);
    if (!touched && !healthcheck->failed)
        tide_log(TIDE_LOG_ERROR, "healthcheck: %s: %s", healthcheck->path, strerror(errno));
    healthcheck->failed = !touched;
    tide_count(step->chain->counters, 0, TIDE_M_HEALTHCHECK_TOUCH, touched);
    return TIDE_OK;
}

static int64_t healthcheck_deadline_us(struct tide_step *step)
{
    return healthcheck_of(step)->next_us;
}

static void healthcheck_terminate(struct tide_step *step)
{
    free(healthcheck_of(step)->path);
    free(step);
}

struct tide_step *tide_step_healthcheck_new(struct tide_chain *chain, const char *path)
{
    static const struct tide_step_ops ops = {.submit = tide_step_pass_submit,
                                             .poll = healthcheck_poll,
                                             .close = tide_step_pass_close,
                                             .join = tide_step_pass_join,
                                             .deadline_us = healthcheck_deadline_us,
                                             .terminate = healthcheck_terminate};
    struct healthcheck *healthcheck = tide_alloc(sizeof(*healthcheck));
    healthcheck->step = (struct tide_step){.ops = &ops, .chain = chain};
    healthcheck->path = tide_copy(path);
    return &healthcheck->step;
}
