/* SPDX-License-Identifier: MIT
 * engine/shm/tallies.h - what scripts count (tide.metric), in shared memory: a row for each worker's place, so
 * that each has one writer; a replaced worker goes on with the row. Names are given by first use, at most
 * TIDE_TALLY_NAMES in a row. Workers write it: a reader copies what it needs and decides nothing by it. What cannot be
 * counted is dropped, and that is counted. */
#ifndef TIDE_SHM_TALLIES_H
#define TIDE_SHM_TALLIES_H

#include <stdint.h>

enum { TIDE_TALLY_NAMES = 64, TIDE_TALLY_NAME = 48 };
enum tide_tally_kind { TIDE_TALLY_COUNT, TIDE_TALLY_GAUGE, TIDE_TALLY_TIMING };

struct tide_tally {
    char name[TIDE_TALLY_NAME]; /* ended by a NUL */
    uint32_t kind;
    uint32_t reserved;
    uint64_t count; /* of calls */
    double sum;     /* COUNT: the counter itself */
    double min;
    double max;
    double last; /* GAUGE: the present value */
};

/** Why a call of tide.metric counts nothing. */
enum tide_tally_drop {
    TIDE_TALLY_BAD_NAME,
    TIDE_TALLY_BAD_VALUE,
    TIDE_TALLY_TWO_KINDS,
    TIDE_TALLY_TOO_MANY
};

struct tide_tallies;

struct tide_tallies *tide_tallies_new(uint32_t rows); /* maps its memory: before the fork */
/** In a worker: the index of a name in its row, made when it is new; or why there is none, as
 * -1 - enum tide_tally_drop. */
int tide_tallies_index(struct tide_tallies *tallies, uint32_t row, const char *name,
                       enum tide_tally_kind kind);
void tide_tallies_add(struct tide_tallies *tallies, uint32_t row, uint32_t index, double value);
/** In a worker: one call counted nothing. 1 = the first of all workers to say so for this reason. */
int tide_tallies_drop(struct tide_tallies *tallies, enum tide_tally_drop why);
/** Calls that counted nothing, of all workers. */
uint64_t tide_tallies_dropped(const struct tide_tallies *tallies);
uint32_t tide_tallies_rows(const struct tide_tallies *tallies);
/** A copy of entry `index` of a row, its name ended; 0 when there is none. */
int tide_tallies_get(const struct tide_tallies *tallies, uint32_t row, uint32_t index,
                     struct tide_tally *copy);
void tide_tallies_free(struct tide_tallies *tallies); /* NULL is fine */

#endif
