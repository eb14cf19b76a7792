/* SPDX-License-Identifier: MIT
 * engine/chain/bad_records.h - finds the records that the broker refuses, in exactly_once. There a refusal names a batch
 * of records and aborts the transaction; everything in it is read and run again. Then the messages of the refused batch
 * are tested: their records are sent one at a time, until one is refused with nothing else in flight.
 *
 * The state of an input message, by partition and offset (a group by its first member):
 *   state    what happens                                      next
 *   unknown  a record of it is refused along with others       tested
 *   tested   a record of it, sent alone, is acknowledged       passed, if that was the message's first refusal
 *            a record of it, sent alone, is refused            tested; the record is bad, and the transaction is aborted
 *   passed   a record of it is refused again                   tested, until it is committed
 *   any      the commit passes the message                     unknown
 * When the step makes a bad record again, its dead letter is sent in its place. */
#ifndef TIDE_CHAIN_BAD_RECORDS_H
#define TIDE_CHAIN_BAD_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"

struct tide_bad_records;

/** What the step does with a record. */
enum tide_send_rule {
    TIDE_SEND_FREELY,
    TIDE_SEND_ALONE,      /* nothing else may be in flight with it */
    TIDE_SEND_DEAD_LETTER /* the record is bad: send its dead letter in its place */
};

struct tide_bad_records *tide_bad_records_new(void);
/** No message is tested or has passed, so every record is sent freely. */
bool tide_bad_records_empty(const struct tide_bad_records *list);
/** The rule for a record of the message; its target topic must be set. With TIDE_SEND_DEAD_LETTER `*text` is the
 * broker's reason, borrowed until the list changes, and the record gets the partition that refused it. */
enum tide_send_rule tide_bad_records_rule(const struct tide_bad_records *list, uint32_t partition,
                                          int64_t offset, struct tide_message *record,
                                          const char **text);
/** The broker refused the record; `alone`: nothing else was in flight, so the record is bad. TIDE_EDATA: the message has
 * too many bad records, because each run makes different ones. */
int tide_bad_records_refused(struct tide_bad_records *list, uint32_t partition, int64_t offset,
                             const struct tide_message *record, const char *text, bool alone);
/** The broker acknowledged a record of the message that was sent alone. */
void tide_bad_records_acknowledged(struct tide_bad_records *list, uint32_t partition,
                                   int64_t offset);
/** Everything of the partition before `position` is committed, and forgotten here. */
void tide_bad_records_committed(struct tide_bad_records *list, uint32_t partition,
                                int64_t position);
void tide_bad_records_free(struct tide_bad_records *list); /* NULL is fine */

#endif
