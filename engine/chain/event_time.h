/* SPDX-License-Identifier: MIT
 * engine/chain/event_time.h - the time of a message, as a step with state reads it (option `time` of tide.keyed).
 *
 *   by                    the time
 *   TIDE_TIME_OF_MESSAGE  the message's timestamp
 *   TIDE_TIME_OF_HEADER   the value of the last header of that name  } digits: a number of `unit_ms` milliseconds each, with
 *   TIDE_TIME_OF_JSON     the string or number at that path          } or without a fraction; else a time of RFC 3339, as
 *                                                                      "2026-01-31T12:00:00.250+01:00"
 * A time is at least 1 (a millisecond after the start of 1970), and less than 2^53. */
#ifndef TIDE_CHAIN_EVENT_TIME_H
#define TIDE_CHAIN_EVENT_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "shm/message.h"

struct tide_event_time;

/** `name`: of the header, or the path; it is copied. */
struct tide_event_time *tide_event_time_new(enum tide_step_time by, const char *name,
                                            uint32_t unit_ms);
void tide_event_time_free(struct tide_event_time *time); /* NULL is fine */
/** NULL = the time is in *time_ms; else what is wrong with it, valid until the next call. */
const char *tide_event_time_read(struct tide_event_time *time, const struct tide_message *message,
                                 int64_t *time_ms);
/** Reads digits or a time of RFC 3339. False = it is neither, or out of range. */
bool tide_event_time_parse(const char *text, uint32_t length, uint32_t unit_ms, int64_t *time_ms);

#endif
