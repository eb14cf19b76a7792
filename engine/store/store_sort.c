/* SPDX-License-Identifier: MIT
 * The order of changes: that of the table, in which numbers are in big endian. */
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

static int compare_keys(const struct tide_store_key *one, const struct tide_store_key *other)
{
    uint32_t shorter = one->length < other->length ? one->length : other->length;
    if (one->state != other->state)
        return one->state < other->state ? -1 : 1;
    if (one->partition != other->partition)
        return (uint32_t)one->partition < (uint32_t)other->partition ? -1 : 1;
    int order = shorter > 0 ? memcmp(one->bytes, other->bytes, shorter) : 0;
    return order ? order : (one->length > other->length) - (one->length < other->length);
}

static int compare(const void *one, const void *other)
{
    const struct tide_store_order *first = one, *second = other;
    int order = compare_keys(&first->key, &second->key);
    return order ? order : (first->index > second->index) - (first->index < second->index);
}

void tide_store_sort(struct tide_store_order *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof(*list), compare);
}

bool tide_store_is_same(const struct tide_store_order *one, const struct tide_store_order *other)
{
    return compare_keys(&one->key, &other->key) == 0;
}
