/* SPDX-License-Identifier: MIT
 * noop: hands on what it is given (Arroyo's Noop stands at the end and drops; here a pipeline without
 * produce does that). */
#include <stdlib.h>

#include "base/status.h"
#include "chain/step.h"

static ssize_t noop_submit(struct tide_step *step, const struct tide_message *messages,
                           size_t count, int64_t now_us)
{
    return step->next->ops->submit(step->next, messages, count, now_us);
}

static int noop_poll(struct tide_step *step, int64_t now_us)
{
    (void)step, (void)now_us;
    return TIDE_OK;
}

static void noop_close(struct tide_step *step, int64_t now_us)
{
    (void)step, (void)now_us;
}

static bool noop_join(struct tide_step *step)
{
    (void)step;
    return true;
}

static int64_t noop_deadline_us(struct tide_step *step)
{
    (void)step;
    return INT64_MAX;
}

static void noop_terminate(struct tide_step *step)
{
    free(step);
}

struct tide_step *tide_step_noop_new(struct tide_chain *chain)
{
    static const struct tide_step_ops ops = {.submit = noop_submit,
                                             .poll = noop_poll,
                                             .close = noop_close,
                                             .join = noop_join,
                                             .deadline_us = noop_deadline_us,
                                             .terminate = noop_terminate};
    struct tide_step *step = tide_alloc(sizeof(*step));
    step->ops = &ops;
    step->chain = chain;
    return step;
}
