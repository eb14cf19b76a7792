/* SPDX-License-Identifier: MIT
 * engine/chain/lane_key.h - the key by which messages are kept in order (order = "key"), and the lane of a key.
 *
 *   by                 the key                                           a message has none when
 *   TIDE_BY_KEY        the message's key                                 it is null
 *   TIDE_BY_HEADER     the value of the last header of that name         there is no such header, or it is null
 *   TIDE_BY_JSON       the string, number, true or false at that path    the value is no JSON, or there is nothing else
 *                      of the value, as text: 1, 1.0 and 1e0 are one     at the path
 *                      key, "1" is that key too
 *   TIDE_BY_PARTITION  topic and partition that it was read from         never
 *
 * The hash is none that producers choose partitions by (murmur2, crc32): the keys of one partition have that in common,
 * and would all be in the same lanes. It is not part of any protocol, and may change with a version. */
#ifndef TIDE_CHAIN_LANE_KEY_H
#define TIDE_CHAIN_LANE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"
#include "shm/message.h"

struct tide_lane_key;

/** `name`: of the header, or the path in the JSON document: names with dots between them; the element of an array is a
 * number, from 1. It is copied; NULL where `by` needs none. */
struct tide_lane_key *tide_lane_key_new(enum tide_step_order_by by, const char *name);
void tide_lane_key_free(struct tide_lane_key *key); /* NULL is fine */
/** Finds the key of the message: its bytes are valid until the next call, and as long as the message's own. False = it
 * has none. */
bool tide_lane_key_read(struct tide_lane_key *key, const struct tide_message *message,
                        const char **bytes, uint32_t *length);
/** Why tide_lane_key_read has found none in this message, as "json:id is null"; valid until the next call. */
const char *tide_lane_key_missing(struct tide_lane_key *key, const struct tide_message *message);
/** The lane of a key, 0 to lanes - 1. */
uint32_t tide_lane_of_key(const char *bytes, uint32_t length, uint32_t lanes);

#endif
