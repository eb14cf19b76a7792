/* SPDX-License-Identifier: MIT
 * The verbs of a step that keeps no message: noop, healthcheck. Such a step forwards what it is offered within submit,
 * so it has nothing to wait for, and the backpressure of the next step is its own. */
#include "base/status.h"
#include "chain/step.h"

ssize_t tide_step_pass_submit(struct tide_step *step, const struct tide_message *messages,
                              size_t count, int64_t now_us)
{
    return step->next->ops->submit(step->next, messages, count, now_us);
}

int tide_step_pass_poll(struct tide_step *step, int64_t now_us)
{
    (void)step, (void)now_us;
    return TIDE_OK;
}

void tide_step_pass_close(struct tide_step *step, int64_t now_us)
{
    (void)step, (void)now_us;
}

bool tide_step_pass_join(struct tide_step *step)
{
    (void)step;
    return true;
}

int64_t tide_step_pass_deadline_us(struct tide_step *step)
{
    (void)step;
    return INT64_MAX;
}
