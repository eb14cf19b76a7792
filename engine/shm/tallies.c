/* SPDX-License-Identifier: MIT */
#include "shm/tallies.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/status.h"

struct row {
    uint32_t count; /* raised by a release store once the entry is in */
    uint32_t reserved;
    struct tide_tally items[TIDE_TALLY_NAMES];
};

struct shared {
    uint64_t dropped; /* calls */
    uint32_t told;    /* a bit for each enum tide_tally_drop */
    uint32_t reserved;
    struct row rows[];
};

struct tide_tallies {
    uint32_t rows;
    struct shared *shared;
};

static size_t size_of(uint32_t rows)
{
    return sizeof(struct shared) + sizeof(struct row) * rows;
}

struct tide_tallies *tide_tallies_new(uint32_t rows)
{
    struct tide_tallies *tallies = tide_alloc(sizeof(*tallies));
    tallies->rows = rows;
    tallies->shared = mmap(NULL, size_of(rows), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tallies->shared == MAP_FAILED) {
        tide_fail_system("the scripts' metrics");
        free(tallies);
        return NULL;
    }
    return tallies;
}

int tide_tallies_index(struct tide_tallies *tallies, uint32_t row, const char *name,
                       enum tide_tally_kind kind)
{
    struct row *own = &tallies->shared->rows[row];
    if (strlen(name) >= TIDE_TALLY_NAME)
        return -1 - TIDE_TALLY_BAD_NAME;
    for (uint32_t i = 0; i < own->count && i < TIDE_TALLY_NAMES; i++) {
        if (strcmp(own->items[i].name, name) != 0)
            continue;
        return own->items[i].kind == (uint32_t)kind ? (int)i : -1 - TIDE_TALLY_TWO_KINDS;
    }
    if (own->count >= TIDE_TALLY_NAMES)
        return -1 - TIDE_TALLY_TOO_MANY;
    own->items[own->count] = (struct tide_tally){.kind = (uint32_t)kind};
    strcpy(own->items[own->count].name, name);
    __atomic_store_n(&own->count, own->count + 1, __ATOMIC_RELEASE);
    return (int)own->count - 1;
}

void tide_tallies_add(struct tide_tallies *tallies, uint32_t row, uint32_t index, double value)
{
    struct tide_tally *tally = &tallies->shared->rows[row].items[index];
    if (tally->count == 0 || value < tally->min)
        tally->min = value;
    if (tally->count == 0 || value > tally->max)
        tally->max = value;
    tally->sum += value;
    tally->last = value;
    tally->count++;
}

int tide_tallies_drop(struct tide_tallies *tallies, enum tide_tally_drop why)
{
    uint32_t bit = 1U << why;
    __atomic_fetch_add(&tallies->shared->dropped, 1, __ATOMIC_RELAXED);
    return !(__atomic_fetch_or(&tallies->shared->told, bit, __ATOMIC_RELAXED) & bit);
}

uint64_t tide_tallies_dropped(const struct tide_tallies *tallies)
{
    return __atomic_load_n(&tallies->shared->dropped, __ATOMIC_RELAXED);
}

uint32_t tide_tallies_rows(const struct tide_tallies *tallies)
{
    return tallies->rows;
}

int tide_tallies_get(const struct tide_tallies *tallies, uint32_t row, uint32_t index,
                     struct tide_tally *copy)
{
    uint32_t count = __atomic_load_n(&tallies->shared->rows[row].count, __ATOMIC_ACQUIRE);
    if (index >= count || index >= TIDE_TALLY_NAMES)
        return 0;
    *copy = tallies->shared->rows[row].items[index];
    copy->name[TIDE_TALLY_NAME - 1] = 0;
    return 1;
}

void tide_tallies_free(struct tide_tallies *tallies)
{
    if (!tallies)
        return;
    munmap(tallies->shared, size_of(tallies->rows));
    free(tallies);
}
