/* SPDX-License-Identifier: MIT
 * engine/chain/suspects.h - exactly once: which records the broker refuses. A refusal names a batch, and aborts the
 * transaction; all of it is read and run again, and then the messages of the batch are suspects. For step_produce.c.
 *
 * A message (by partition and offset; a group by its first member):
 *   state      who                                      next
 *   free       a report says refused, with others       suspect
 *   suspect    the step sends a record of it alone      free, when it was the first refusal and it is acknowledged;
 *                                                       or that record is condemned, refused alone: abort again
 *   condemned  the step has the same record again       its dead letter is sent in its place
 *   any        the commit passes the message            forgotten */
#ifndef TIDE_CHAIN_SUSPECTS_H
#define TIDE_CHAIN_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_suspects;

enum tide_verdict { TIDE_VERDICT_FREE, TIDE_VERDICT_SUSPECT, TIDE_VERDICT_CONDEMNED };

struct tide_suspects *tide_suspects_new(void);
/** There are none: every record is free. */
bool tide_suspects_none(const struct tide_suspects *suspects);
/** What to do with a record of the message, whose target topic is named. CONDEMNED: `*text` is why, lent, and the record
 * gets the partition that refused it. */
enum tide_verdict tide_suspects_judge(const struct tide_suspects *suspects, uint32_t partition,
                                      int64_t offset, struct tide_message *record,
                                      const char **text);
/** The record was refused; `alone`: nothing else was in flight. TIDE_EDATA: its message makes another such record
 * each time that it is run. */
int tide_suspects_refused(struct tide_suspects *suspects, uint32_t partition, int64_t offset,
                          const struct tide_message *record, const char *text, bool alone);
/** A record of it was acknowledged that was sent alone. */
void tide_suspects_cleared(struct tide_suspects *suspects, uint32_t partition, int64_t offset);
/** Everything of the partition before `position` is committed. */
void tide_suspects_settle(struct tide_suspects *suspects, uint32_t partition, int64_t position);
void tide_suspects_free(struct tide_suspects *suspects); /* NULL is fine */

#endif
