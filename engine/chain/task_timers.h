/* SPDX-License-Identifier: MIT
 * engine/chain/task_timers.h - event time in a step with state: the watermark, and timers that are due (chain/timers.h). Of
 * the fields of a task it writes `timers`. */
#ifndef TIDE_CHAIN_TASK_TIMERS_H
#define TIDE_CHAIN_TASK_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct tide_message;
struct tide_rises;
struct tide_state_place;
struct tide_step;
struct tide_task;

/** Sets the timestamp of the message to its time, and its watermark to the present one. NULL, or what is wrong with the
 * time. */
const char *tide_task_time_read(struct tide_task *task, struct tide_message *message);
/** Event time of partition `index` of the source. NULL = the store fails. */
struct tide_rises *tide_task_rises(const struct tide_task *task, uint32_t index);
/** All that is there to be read of the partition was read, and has come. */
bool tide_task_is_at_end(const struct tide_task *task, uint32_t index);
/** The newest time is `time_ms` (INT64_MIN: it stays) for this message, which has a reference: the origin of timers that are
 * due then. */
void tide_task_time_move(struct tide_task *task, struct tide_rises *rises,
                         const struct tide_message *message, int64_t time_ms);
/** The message is in its lane: it moves the watermark, and timers may be due for it. */
void tide_task_time_taken(struct tide_task *task, const struct tide_message *message);
/** What its worker is to know of it: the watermark, and whether it is ahead. */
void tide_task_time_place(struct tide_task *task, const struct tide_message *message,
                          struct tide_state_place *place);
/** A change of this message is accepted: its timer may be due already. */
void tide_task_time_accepted(struct tide_task *task, const struct tide_message *message);
/** Once a turn: has all come that the messages which are held wait for? */
void tide_task_time_poll(struct tide_task *task);
/** A verb of the step (chain/step.h). */
void tide_task_tick(struct tide_step *step, const struct tide_message *message);
/** The next timer that is due, as a message for the lane of its key; its bytes are borrowed for the turn. False = none. */
bool tide_task_next_timer(struct tide_task *task, struct tide_message *message);
/** It is in its lane. */
void tide_task_timer_taken(struct tide_task *task);
/** Once a turn: timers that are due by the clock (task_clock.c), and when it is to be called at the latest. */
void tide_task_clock_poll(struct tide_task *task, int64_t now_us);
int64_t tide_task_clock_deadline(const struct tide_task *task);
/** Once a second: how far the watermark is behind. */
void tide_task_time_observe(struct tide_task *task, int64_t now_us);

#endif
