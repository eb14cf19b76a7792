/* SPDX-License-Identifier: MIT
 * noop: forwards what it is offered. Arroyo's Noop stands at the end of a chain and drops messages; here a pipeline
 * without produce does that. */
#include <stdlib.h>

#include "base/status.h"
#include "chain/step.h"

static void noop_terminate(struct tide_step *step)
{
    free(step);
}

struct tide_step *tide_step_noop_new(struct tide_chain *chain)
{
    static const struct tide_step_ops ops = {.submit = tide_step_pass_submit,
                                             .poll = tide_step_pass_poll,
                                             .close = tide_step_pass_close,
                                             .join = tide_step_pass_join,
                                             .deadline_us = tide_step_pass_deadline_us,
                                             .terminate = noop_terminate};
    struct tide_step *step = tide_alloc(sizeof(*step));
    step->ops = &ops;
    step->chain = chain;
    return step;
}
