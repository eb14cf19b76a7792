/* SPDX-License-Identifier: MIT
 * Learns the size limit of the dlq's topic from refusals. The topic's settings name it too, but it may be changed at
 * any time, and a pipeline may have no permission to read them. The header tells what follows from which refusal. */
#include "chain/dlq_size.h"

bool tide_dlq_size_too_large(const struct tide_dlq_size *size, uint64_t bytes)
{
    return size->limit > 0 && bytes >= size->limit;
}

void tide_dlq_size_refused(struct tide_dlq_size *size, uint64_t bytes)
{
    /* A small record may have been refused only because its batch was too large. */
    bool sure = size->alone || bytes > TIDE_DLQ_TRUNCATED_BYTES;
    if (bytes > size->largest)
        size->largest = bytes;
    if (sure && (size->limit == 0 || bytes < size->limit))
        size->limit = bytes;
}

bool tide_dlq_size_aborted(struct tide_dlq_size *size)
{
    /* If all of them were small, it was their sum: no limit was learned, and the same batch would be made again. */
    bool begins = !size->alone && size->largest > 0 && size->largest <= TIDE_DLQ_TRUNCATED_BYTES;
    size->alone |= begins;
    size->largest = 0;
    return begins;
}
