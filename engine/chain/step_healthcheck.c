/* SPDX-License-Identifier: MIT
 * healthcheck: hands on what it is given, and touches a file while the pipeline is well, so that a supervisor
 * may look at the file's age. Well means: something became through since the last touch, or nothing is in
 * flight. Arroyo's Healthcheck touches with every poll, at most once a second as well. */
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

static const int64_t SECOND_US = 1000000;
static const int64_t LOOK_US = 100000; /* when it was not well, look again after so long */

struct healthcheck {
    struct tide_step step;
    char *path;
    int64_t next_us;
    uint64_t through;
    bool failed; /* said once, until it works again */
};

static struct healthcheck *healthcheck_of(struct tide_step *step)
{
    return (struct healthcheck *)(void *)step;
}

static ssize_t healthcheck_submit(struct tide_step *step, const struct tide_message *messages,
                                  size_t count, int64_t now_us)
{
    return step->next->ops->submit(step->next, messages, count, now_us);
}

static bool touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    bool touched = fd >= 0 && futimens(fd, NULL) == 0;
    if (fd >= 0)
        close(fd);
    return touched;
}

/* True when the pipeline moves or has nothing to do. */
static bool is_well(struct healthcheck *healthcheck)
{
    struct tide_offsets_totals totals;
    tide_offsets_totals(healthcheck->step.chain->offsets, &totals);
    uint64_t through = totals.read - totals.in_flight;
    bool moved = through != healthcheck->through;
    healthcheck->through = through;
    return moved || totals.in_flight == 0;
}

static int healthcheck_poll(struct tide_step *step, int64_t now_us)
{
    struct healthcheck *healthcheck = healthcheck_of(step);
    if (now_us < healthcheck->next_us)
        return TIDE_OK;
    bool well = is_well(healthcheck);
    healthcheck->next_us = now_us + (well ? SECOND_US : LOOK_US);
    if (!well)
        return TIDE_OK;
    bool touched = touch(healthcheck->path);
    if (!touched && !healthcheck->failed)
        tide_log(TIDE_LOG_ERROR, "healthcheck: %s: %s", healthcheck->path, strerror(errno));
    healthcheck->failed = !touched;
    tide_count(step->chain->counters, 0, TIDE_M_HEALTHCHECK_TOUCH, touched);
    return TIDE_OK;
}

static void healthcheck_close(struct tide_step *step, int64_t now_us)
{
    (void)step, (void)now_us;
}

static bool healthcheck_join(struct tide_step *step)
{
    (void)step;
    return true;
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
    static const struct tide_step_ops ops = {.submit = healthcheck_submit,
                                             .poll = healthcheck_poll,
                                             .close = healthcheck_close,
                                             .join = healthcheck_join,
                                             .deadline_us = healthcheck_deadline_us,
                                             .terminate = healthcheck_terminate};
    struct healthcheck *healthcheck = tide_alloc(sizeof(*healthcheck));
    healthcheck->step = (struct tide_step){.ops = &ops, .chain = chain};
    healthcheck->path = tide_copy(path);
    return &healthcheck->step;
}
