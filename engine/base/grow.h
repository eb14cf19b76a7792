/* SPDX-License-Identifier: MIT
 * engine/base/grow.h - the one growing array of the engine.
 *
 *     struct lag *lags = NULL;        an array by partition: its length is the number of partitions seen
 *     uint32_t lag_count = 0;
 *     tide_grow(&lags, &lag_count, partition + 1, sizeof(*lags));
 *
 *     if (count == capacity)          an array that is appended to often: it doubles
 *         tide_grow(&items, &capacity, capacity ? capacity * 2 : 64, sizeof(*items)); */
#ifndef TIDE_BASE_GROW_H
#define TIDE_BASE_GROW_H

#include <stddef.h>
#include <stdint.h>

/** Makes the array hold `need` items of `size` bytes, unless it holds as many already. New items are zeroed. `items` is
 * the address of the pointer to the array (NULL while `*count` is 0), which may move; free it with free(). Never fails:
 * see tide_alloc(). */
void tide_grow(void *items, uint32_t *count, uint32_t need, size_t size);

#endif
