/* SPDX-License-Identifier: MIT */
#include "chain/dlq_size.h"

bool tide_dlq_size_too_large(const struct tide_dlq_size *size, uint64_t bytes)
{
    return size->limit > 0 && bytes >= size->limit;
}

void tide_dlq_size_refused(struct tide_dlq_size *size, uint64_t bytes)
{
    bool sure = size->alone || bytes > TIDE_DLQ_TRUNCATED_BYTES;
    if (bytes > size->largest)
        size->largest = bytes;
    if (sure && (size->limit == 0 || bytes < size->limit))
        size->limit = bytes;
}

bool tide_dlq_size_aborted(struct tide_dlq_size *size)
{
    bool begins = !size->alone && size->largest > 0 && size->largest <= TIDE_DLQ_TRUNCATED_BYTES;
    size->alone |= begins;
    size->largest = 0;
    return begins;
}
