/* SPDX-License-Identifier: MIT
 * engine/chain/dlq_size.h - learns how large a dead letter may be, in exactly_once. There a dead letter that is too
 * large aborts the transaction, and its message makes it again, so it has to be truncated before it is sent the next
 * time. The broker's answer names no limit, and it refuses a whole batch of records: each of them is reported as too
 * large. So a small record says nothing about the limit, as long as it may have been sent with others.
 *   what is learned                                          when
 *   limit: a dead letter of so many bytes is too large       one that was large, or was sent alone, was refused
 *   alone: dead letters are sent one at a time               no record of the refused batch was large, so the batch was */
#ifndef TIDE_CHAIN_DLQ_SIZE_H
#define TIDE_CHAIN_DLQ_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/** Bytes of value and key that are left of a dead letter that is too large, and of one that still is then. */
enum { TIDE_DLQ_TRUNCATED_BYTES = 65536, TIDE_DLQ_TRUNCATED_AGAIN_BYTES = 1024 };

/** Zero it to begin with. */
struct tide_dlq_size {
    uint64_t limit;   /* 0 = not known */
    uint64_t largest; /* bytes of the largest one that was refused in this transaction */
    bool alone;
};

bool tide_dlq_size_too_large(const struct tide_dlq_size *size, uint64_t bytes);
/** A dead letter of so many bytes was refused as too large. */
void tide_dlq_size_refused(struct tide_dlq_size *size, uint64_t bytes);
/** The transaction is aborted, so what was learned from its batches is complete. True when `alone` begins. */
bool tide_dlq_size_aborted(struct tide_dlq_size *size);

#endif
