/* SPDX-License-Identifier: MIT */
#include "base/grow.h"

#include <string.h>

#include "base/status.h"

void tide_grow(void *items, uint32_t *count, uint32_t need, size_t size)
{
    char *array;
    if (need <= *count)
        return;
    /* Copied as bytes, since `items` is a pointer to a pointer of any type. */
    memcpy(&array, items, sizeof(array));
    array = tide_realloc(array, size * need);
    memset(array + size * *count, 0, size * (need - *count));
    memcpy(items, &array, sizeof(array));
    *count = need;
}
