/* SPDX-License-Identifier: MIT
 * engine/chain/changelog_record.h - a record of a changelog, the topic that keeps a state in Kafka. It is plain text as far
 * as the value is, so that any tool for topics shows it.
 *
 *   topic      PIPELINE.STATE.changelog, with cleanup.policy=compact: the last record of a key is its value. Its partition P
 *              has the state of partition P of the input
 *   key        the bytes of the state's key
 *   value      null: the key has no value any more. Otherwise a line and the bytes of the value:
 *
 *                  KIND EXPIRES OFFSET[ TIMER]\n
 *                  VALUE
 *
 *   KIND       string (VALUE is its bytes), number (VALUE in decimal, so that a double is read back as it was), json, or none (the
 *              key has only a timer)
 *   EXPIRES    when the value is gone, in ms since the epoch; 0 = never
 *   OFFSET     of the message of the input that wrote it
 *   TIMER      the time of the key's timer (chain/timers.h), in ms since the epoch; it may be negative
 *   headers    none
 *
 * Example: the count 42 of user "ann" is  key "ann", value "number 0 812345\n42". */
#ifndef TIDE_CHAIN_CHANGELOG_RECORD_H
#define TIDE_CHAIN_CHANGELOG_RECORD_H

#include <stdbool.h>
#include <stdint.h>

struct tide_text;
struct tide_store_value;

/** Writes the value of a record into `text`, in place of what that has. The kind is not TIDE_STATE_NONE alone. */
void tide_changelog_write(struct tide_text *text, const struct tide_store_value *value,
                          int64_t offset);
/** Reads the value of a record that is not null. The bytes of `value` are those of the record, or where they are others
 * there, those of `room`, until that is used again. False: it is not of this format. */
bool tide_changelog_parse(const char *bytes, uint32_t length, struct tide_store_value *value,
                          int64_t *offset, struct tide_text *room);

#endif
